"""The command line as a user has it: a home of its own, a scripted model's server, and an environment without ours."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from engine import BASE_IMAGE

from l2mac.testing.model_server import ModelServer
from l2mac.trace.chain import read_trace
from l2mac.trace.events import Event
from l2mac.trace.journal import TRACE_FILE

ROOT = Path(__file__).resolve().parents[2]
_OURS = ("L2MAC_", "OPENAI_", "PYTEST")
Finished = subprocess.CompletedProcess[str]


def environment(
    home: Path, server: ModelServer | None = None, /, **variables: str
) -> dict[str, str]:
    """Return the variables of a process whose runs and settings are below `home` and whose model is the server's."""
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
    """Return the commands of a page's shell blocks, in their order and without comments."""
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
    def serving(self, script: Callable[..., Any], **options: Any) -> Iterator[ModelServer]:
        """Let a scripted model answer the commands of this context."""
        with ModelServer(script, **options) as server:
            self.server = server
            yield server
        self.server = None

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start `l2mac` with these words."""
        return self._start([sys.executable, "-m", "l2mac", *words], variables)

    def run(self, *words: str, code: int = 0, **variables: str) -> Finished:
        """Run `l2mac` with these words to its end, and check its exit code."""
        return self.finish(self.start(*words, **variables), code)

    def json(self, *words: str, code: int = 0, **variables: str) -> Any:
        """Return what `l2mac` prints as JSON."""
        return json.loads(self.run(*words, "--json", code=code, **variables).stdout)

    def python(self, *words: str, code: int = 0, **variables: str) -> Finished:
        """Run a program of Python to its end, and check its exit code."""
        return self.finish(self._start([sys.executable, *words], variables), code)

    def shell(self, command: str, *, code: int = 0, **variables: str) -> Finished:
        """Run a line of the documentation by a shell."""
        return self.finish(self._start(["bash", "-ec", command], variables), code)

    def finish(self, process: subprocess.Popen[str], code: int = 0) -> Finished:
        """Wait for a process and check its exit code."""
        output, errors = process.communicate()
        assert process.returncode == code, f"{process.args}\n{output}{errors}"
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
