"""The command line as a user has it: in a home of its own, with a scripted model's server.

The environment has none of the variables of this project.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from engine import BASE_IMAGE

from l2mac.testing.model_server import ModelServer, Script
from l2mac.trace.chain import read_trace
from l2mac.trace.events import Event
from l2mac.trace.journal import TRACE_FILE

ROOT = Path(__file__).resolve().parents[2]
_OURS = ("L2MAC_", "OPENAI_", "PYTEST")
Finished = subprocess.CompletedProcess[str]


class ResultJson(TypedDict):
    """The fields of a session's result with `--json` that these tests read."""

    run: str
    run_folder: str
    method: str
    evaluator: bool
    status: str
    cause: str
    output: str | None
    files: dict[str, str]
    changes: dict[str, list[str]] | None
    checks: list[dict[str, str]]
    tests: dict[str, int]
    opinions: list[dict[str, str]]
    seal: str
    difference: str


class RunValues(TypedDict, total=False):
    """The settings that these tests give to `l2mac.Run` and the original's functions."""

    base_url: str
    model: str
    plan_model: str
    image: str
    runs_dir: Path
    response_cache: Path
    context_tokens: int
    coverage: bool
    requirements: bool
    max_time: float
    debugging_level: str


def environment(
    home: Path, server: ModelServer | None = None, /, **variables: str
) -> dict[str, str]:
    """Return the variables of a process with its runs and settings below `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    own = {
        "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
        "XDG_CONFIG_HOME": str(home / "config"),
        "L2MAC_IMAGE": BASE_IMAGE,
        "L2MAC_RUNS_DIR": str(home / "runs"),
    }
    model = {"L2MAC_BASE_URL": server.base_url, "L2MAC_MODEL": "scripted"} if server else {}
    return {**kept, **own, **model, **variables}


def commands_of(document: str) -> list[str]:
    """Return the commands of a page's shell blocks in order, without comments."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]


class Cli:
    """Commands in one folder, which is also the home of their runs and settings.

    Args:
        home: The folder.
        server: The model's server; without one no model is configured.
        variables: More variables for every command.
    """

    def __init__(self, home: Path, server: ModelServer | None = None, /, **variables: str) -> None:
        self.home = home
        self.server = server
        self.variables = variables

    @property
    def runs(self) -> Path:
        """The folder of recorded runs."""
        return self.home / "runs"

    @contextlib.contextmanager
    def serving(
        self, script: Script, *, models: Sequence[str] = ("scripted",), key: str = ""
    ) -> Iterator[ModelServer]:
        """Let a scripted model answer the commands of this context."""
        with ModelServer(script, models=models, key=key) as server:
            self.server = server
            yield server
        self.server = None

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start `l2mac` with these words."""
        return self._start([sys.executable, "-m", "l2mac", *words], variables)

    def run(self, *words: str, code: int = 0, **variables: str) -> Finished:
        """Run `l2mac` with these words to its end, and check its exit code."""
        return self.finish(self.start(*words, **variables), code)

    def json(self, *words: str, code: int = 0, **variables: str) -> dict[str, object]:
        """Return the object that `l2mac` prints as JSON."""
        printed = json.loads(self.run(*words, "--json", code=code, **variables).stdout)
        assert isinstance(printed, dict), printed
        return printed

    def rows(self, *words: str, **variables: str) -> list[dict[str, object]]:
        """Return the list of objects that `l2mac` prints as JSON."""
        printed = json.loads(self.run(*words, "--json", code=0, **variables).stdout)
        assert isinstance(printed, list), printed
        return printed

    def result(self, *words: str, code: int = 0, **variables: str) -> ResultJson:
        """Return the result of a session that `l2mac` prints as JSON."""
        return cast("ResultJson", self.json(*words, code=code, **variables))

    def python(self, *words: str, code: int = 0, **variables: str) -> Finished:
        """Run a program of Python to its end, and check its exit code."""
        return self.finish(self._start([sys.executable, *words], variables), code)

    def shell(self, command: str, *, code: int = 0, **variables: str) -> Finished:
        """Run a line of the documentation by a shell."""
        return self.finish(self._start(["bash", "-ec", command], variables), code)

    def finish(self, process: subprocess.Popen[str], code: int = 0) -> Finished:
        """Wait for a process and check its exit code."""
        output, errors = process.communicate()
        assert process.returncode == code, f"{process.args!r}\n{output}{errors}"
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def events(self) -> list[Event]:
        """Return the events of the newest run."""
        return events_of(max(self.runs.iterdir()))

    def lines(self) -> int:
        """Return how many lines the traces of all runs have."""
        return sum(trace.read_bytes().count(b"\n") for trace in self.runs.glob(f"*/{TRACE_FILE}"))

    def _start(self, words: list[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
        surroundings = environment(self.home, self.server, **{**self.variables, **variables})
        pipe = subprocess.PIPE
        return subprocess.Popen(
            words, cwd=self.home, env=surroundings, stdout=pipe, stderr=pipe, text=True
        )


def events_of(run: Path) -> list[Event]:
    """Return the events of a run's trace."""
    return [entry.event for entry in read_trace(run / TRACE_FILE)[0]]
