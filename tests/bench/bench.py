"""The cost of a sandbox beside host tools, `docker exec` and docker-py, in one run.

    python tests/bench/bench.py [--runtime runsc] [--quick] [--json]

All figures are medians in milliseconds of interleaved repetitions. Ratios carry over to other
machines, times do not. The host's tools check a fixed sample project, and nothing written by a
model. `host_tools.py` sets up the other side of each comparison.
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import host_tools
from engine import BASE_IMAGE

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.control.run_spec import RunSpec
from l2mac.domains.loader import load_domain
from l2mac.evaluator import python_checks
from l2mac.processor.messages import Reply, ToolCall
from l2mac.runs.execute import Resources, execute
from l2mac.testing.processor import ScriptedProcessor
from sandbox import Job, RunResult, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import prepare_image
from sandbox.testing import MemorySandbox, job_result

OTHERS = (
    "host",
    "host, both tools at once",
    "docker exec",
    "docker exec, both tools at once",
    "docker-py",
)
NAMES = ("store", "report", "parser", "rules", "app")
MODULE = '''"""Module {name}."""

import json
from dataclasses import dataclass, field


@dataclass
class {title}:
    """Things by name."""

    items: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: int) -> None:
        """Add one."""
        self.items[name] = self.items.get(name, 0) + value

    def dump(self) -> str:
        """Return all as JSON."""
        return json.dumps(self.items, sort_keys=True)
'''
TESTS = """from {name} import {title}

import pytest


@pytest.mark.parametrize("value", [1, 2, 3])
def test_add(value):
    one = {title}()
    one.add("a", value)
    one.add("a", value)
    assert one.items == {{"a": 2 * value}}


def test_dump():
    assert {title}({{"b": 1}}).dump() == '{{"b": 1}}'
"""


def project() -> dict[str, bytes]:
    """Return a project of 5 modules with 20 tests."""
    files = {}
    for name in NAMES:
        values = {"name": name, "title": name.title()}
        files[f"{name}.py"] = MODULE.format(**values).encode()
        files[f"test_{name}.py"] = TESTS.format(**values).encode()
    return files


def three_files(turn: int) -> dict[str, bytes]:
    """Return three files that differ from turn to turn."""
    files = project()
    return {
        path: files[path] + f"# {turn}\n".encode()
        for path in ("store.py", "report.py", "test_app.py")
    }


def ten_kilobytes(turn: int) -> bytes:
    """Return a file's content that differs from turn to turn."""
    return b"x" * 10_000 + str(turn).encode()


class Times:
    """Interleaved measurements by name."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, list[float]] = {}

    def measure(self, repetitions: int, ways: Mapping[str, Callable[[int], object]]) -> None:
        """Time every way once per repetition, in turn, after one round that does not count."""
        for turn in range(repetitions + 1):
            for name, way in ways.items():
                start = time.perf_counter()
                way(turn)
                if turn:
                    self.milliseconds.setdefault(name, []).append(
                        1000 * (time.perf_counter() - start)
                    )

    def median(self, name: str) -> float:
        """Return a median in milliseconds."""
        return statistics.median(self.milliseconds[name])


class Bench:
    """All measurements on one engine and runtime."""

    def __init__(self, runtime: str, scale: float) -> None:
        self.times = Times()
        self.rows: list[tuple[str, str, float, float, str]] = []
        self._engine = Engine.connect()
        cache = Path("~/.cache/l2mac").expanduser()
        self._image = prepare_image(
            self._engine, BASE_IMAGE, cache, lambda line: print(line, file=sys.stderr)
        )
        cpus = min(2.0, float(self._engine.info()["NCPU"]))
        self._policy = SandboxPolicy(runtime=runtime, cpus=cpus)
        self._scale = scale

    def sandbox(self) -> DockerSandbox:
        """Return a new sandbox that is not open yet."""
        return DockerSandbox(self._engine, self._image, self._policy, run="bench")

    def times_of(self, repetitions: int) -> int:
        """Return a number of repetitions on the chosen scale."""
        return max(3, int(repetitions * self._scale))

    def starts(self) -> None:
        """Measure a cold sandbox's first result, alone and eight at once.

        The other side is `docker run … true` with the same options.
        """
        self.times.measure(
            self.times_of(10),
            {
                "cold sandbox": lambda _: self._open_one(),
                "docker run true": lambda _: self._docker_run(),
            },
        )
        self._row("cold sandbox, first result", "cold sandbox", "docker run true", "at most 1.2")
        eight: dict[str, Callable[[int], object]] = {
            "8 sandboxes at once": lambda _: together(self._open_one),
            "8 docker run at once": lambda _: together(self._docker_run),
        }
        self.times.measure(self.times_of(3), eight)
        self._row("8 sandboxes at once", "8 sandboxes at once", "8 docker run at once", "at most 1")

    def operations(self, host: Path) -> None:
        """Measure single operations, the checked cycle, and an output of 100 MB.

        The other side of a single operation is one `docker exec`.
        """
        plain = host_tools.plain_container(self._image.tag, self._policy.cpus)
        with self.sandbox() as sandbox, plain as container:
            sandbox.write(project())
            self._exec(container, "tar -xf -", host_tools.packed(project()))
            time.sleep(6)
            self.times.measure(
                self.times_of(40),
                {
                    "write 10 KB": lambda turn: sandbox.write({"one.txt": ten_kilobytes(turn)}),
                    "read 10 KB": lambda _: sandbox.read("one.txt"),
                    "true": lambda _: sandbox.run([Job("true", argv=("true",))]),
                    "docker exec true": lambda _: _quietly(
                        ["docker", "exec", container, "/bin/true"]
                    ),
                },
            )
            for name in ("write 10 KB", "read 10 KB"):
                self._row(
                    f"{name}, against one docker exec", name, "docker exec true", "at most 0.01"
                )
            self._row(
                "true in the sandbox, against one docker exec",
                "true",
                "docker exec true",
                "5 ms at most",
            )
            self._cycles(sandbox, container, host)
            self._output(sandbox)

    def _cycles(self, sandbox: DockerSandbox, container: str, host: Path) -> None:
        """Measure the checked cycle: write 3 files, lint 10 files, run 20 tests."""
        python = host_tools.host_python()
        sources = sorted(project())
        in_turn = host_tools.check_script(sources, at_once=False)
        at_once = host_tools.check_script(sources, at_once=True)
        self.times.measure(
            self.times_of(12),
            {
                "cycle": lambda turn: self._cycle(sandbox, turn),
                "host": lambda turn: host_tools.check_on_host(
                    python, host, three_files(turn), at_once=False
                ),
                "host, both tools at once": lambda turn: host_tools.check_on_host(
                    python, host, three_files(turn), at_once=True
                ),
                "docker exec": lambda turn: self._exec(
                    container, in_turn, host_tools.packed(three_files(turn))
                ),
                "docker exec, both tools at once": lambda turn: self._exec(
                    container, at_once, host_tools.packed(three_files(turn))
                ),
                "docker-py": lambda turn: self._docker_py(container, in_turn, turn),
            },
        )
        targets = {"host": "at most 0.5" if self._policy.runtime else "at most 0.1"}
        for other in OTHERS:
            self._row(f"checked cycle, against {other}", "cycle", other, targets.get(other, ""))
        self._processor_time(sandbox, host, python)

    def _processor_time(self, sandbox: DockerSandbox, host: Path, python: str) -> None:
        """Measure the processor time of the checked cycle on both sides.

        A busy machine hardly changes this time, unlike the waiting time.
        """
        turns = self.times_of(12)
        ours = self._used_ms(sandbox)
        for turn in range(turns):
            self._cycle(sandbox, turn)
        ours = self._used_ms(sandbox) - ours
        others = _used_ms(resource.RUSAGE_CHILDREN)
        for turn in range(turns):
            host_tools.check_on_host(python, host, three_files(turn), at_once=False)
        others = _used_ms(resource.RUSAGE_CHILDREN) - others
        self.rows.append(
            ("checked cycle, processor time, against host", "ms", ours / turns, others / turns, "")
        )

    def _used_ms(self, sandbox: DockerSandbox) -> float:
        """Return the processor time that a sandbox and this process have used."""
        seen = self._engine.api.stats(sandbox.container, stream=False, one_shot=True)
        in_container = float(seen["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e6
        return in_container + _used_ms(resource.RUSAGE_SELF)

    def turns(self) -> None:
        """Measure the control unit's own time per turn.

        The time includes all but the model and the checks, so it includes the syncs of the trace.
        """
        steps, turns = 5, 30
        with tempfile.TemporaryDirectory() as folder:
            replies = [
                _call("submit_plan", {"steps": [f"step {number}" for number in range(steps)]})
            ]
            for step in range(steps):
                replies += [_write_reply(step * turns + turn) for turn in range(turns)]
                replies += [_call("complete_instruction", {}), Reply(content="done")]
            resources = Resources(
                processor=ScriptedProcessor(replies),
                open_sandbox=lambda _: InstantSandbox(),
                limits=Limits(turns=2 * turns),
                prices=Prices(),
                model="scripted",
                image="none",
            )
            spec = RunSpec(
                task="x",
                definition=load_domain("codebase").definition.as_text(),
                context_tokens=100_000,
            )
            start = time.perf_counter()
            execute(Path(folder), spec, resources, "run")
            per_turn_ms = 1000 * (time.perf_counter() - start) / len(replies)
        self.rows.append(
            ("control unit's own time per turn", "ms", per_turn_ms, 10.0, "under 10 ms")
        )

    def memory(self) -> None:
        """Measure the memory of the host process per further sandbox."""
        with self.sandbox():
            before = _resident_bytes()
            sandboxes = [self.sandbox().open() for _ in range(6)]
            each = (_resident_bytes() - before) / 6
            for sandbox in sandboxes:
                sandbox.close()
        self.rows.append(("host memory per further sandbox", "MB", each / 1e6, 2.0, "under 2 MB"))

    def print(self, *, as_json: bool) -> None:
        """Print all rows."""
        if as_json:
            names = ("what", "unit", "value", "against", "target")
            print(json.dumps([dict(zip(names, row, strict=True)) for row in self.rows]))
            return
        print(f"{'':56} {'ours':>10} {'other':>10} {'ratio':>8}  target")
        for name, unit, ours, other, target in self.rows:
            sides = f"{ours:8.2f} {unit:2} {other:7.2f} {unit:2}"
            print(f"{name:56} {sides} {ours / other:7.3f}  {target}")

    def _row(self, name: str, ours: str, other: str, target: str) -> None:
        self.rows.append((name, "ms", self.times.median(ours), self.times.median(other), target))

    def _open_one(self) -> None:
        with self.sandbox() as sandbox:
            sandbox.run([Job("true", argv=("true",))])

    def _docker_run(self) -> None:
        policy = self._policy
        options = (
            "--network none --read-only --cap-drop ALL --security-opt no-new-privileges"
            f" --pids-limit {policy.pids} --memory {policy.memory_bytes} --user 10001:10001"
            f" --memory-swap {policy.memory_bytes} --cpus {policy.cpus} --log-driver none"
            " --tmpfs /tmp --mount type=volume,dst=/workspace,volume-nocopy=true"
        ).split()
        if policy.runtime:
            options += ["--runtime", policy.runtime]
        command = ["docker", "run", "--rm", *options, "--entrypoint", "/bin/true", self._image.tag]
        _quietly(command)

    def _cycle(self, sandbox: DockerSandbox, turn: int) -> None:
        sandbox.write(three_files(turn))
        report = python_checks.judge(sandbox.run(python_checks.jobs_for(sandbox.files())))
        assert report.accepts_completion, report.summary

    def _exec(self, container: str, script: str, archive: bytes) -> None:
        command = ["docker", "exec", "--interactive", container, "sh", "-c", script]
        subprocess.run(command, input=archive, check=True, capture_output=True)

    def _docker_py(self, container: str, script: str, turn: int) -> None:
        api = self._engine.api
        command = host_tools.in_arguments(script, host_tools.packed(three_files(turn)))
        made = api.exec_create(container, command)
        api.exec_start(made["Id"])
        assert api.exec_inspect(made["Id"])["ExitCode"] == 0

    def _output(self, sandbox: DockerSandbox) -> None:
        before = _resident_bytes()
        start = time.perf_counter()
        flood = Job("flood", argv=("head", "-c", "100000000", "/dev/zero"))
        result = sandbox.run([flood]).jobs[0]
        elapsed_ms = 1000 * (time.perf_counter() - start)
        assert result.output.total == 100_000_000
        grown = max(_resident_bytes() - before, 0) / 1e6
        self.rows.append(
            ("100 MB of output: growth of the host process", "MB", grown, 100.0, "no growth")
        )
        self.rows.append(("100 MB of output: time", "ms", elapsed_ms, elapsed_ms, ""))


class InstantSandbox(MemorySandbox):
    """A sandbox that keeps files, executes nothing, and passes every check at once.

    Its own time does not grow with the number of files.
    """

    def write(self, files: Mapping[str, bytes]) -> dict[str, str]:
        self.contents |= files
        return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}

    def run(
        self, jobs: Sequence[Job], *, stdin: bytes = b"", timeout_s: float | None = None
    ) -> RunResult:
        results = []
        for job in jobs:
            report = _LINT_REPORT if job.checker == "pylint" else _TEST_REPORT
            results.append(job_result(job.name, report=report))
        return RunResult(tuple(results), (), 0, 0, 0, 0, 0)


_LINT_REPORT = b'{"e": "end", "code": 0}\n'
_PHASES = "".join(
    f'{{"e": "phase", "id": "t", "when": "{when}", "outcome": "passed"}}\n'
    for when in ("setup", "call", "teardown")
)
_TEST_REPORT = (
    b'{"e": "declared", "ids": ["t"]}\n{"e": "collected", "ids": ["t"]}\n'
    + _PHASES.encode()
    + _LINT_REPORT
)


def _call(name: str, arguments: dict[str, object]) -> Reply:
    return Reply(content="", tool_calls=(ToolCall("1", name, json.dumps(arguments)),))


def _write_reply(turn: int) -> Reply:
    files = [{"path": f"m{turn % 40}.py", "content": f"VALUE = {turn}\n"}]
    return _call("write_files", {"files": files})


def together(work: Callable[[], object], count: int = 8) -> None:
    """Do the same in several threads at once."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _quietly(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)


def _used_ms(whose: int) -> float:
    used = resource.getrusage(whose)
    return 1000 * (used.ru_utime + used.ru_stime)


def _warn_when_busy() -> None:
    """Print a warning if other programs keep the machine busy."""
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load > processors:
        print(
            f"bench: the machine is busy (load {load:.1f} on {processors} processors)."
            " Compare processor times only, or run this again on an idle machine.",
            file=sys.stderr,
        )


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", default="")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--json", action="store_true", dest="as_json")
    words = parser.parse_args()
    _warn_when_busy()
    bench = Bench(words.runtime, 0.4 if words.quick else 1.0)
    with tempfile.TemporaryDirectory() as folder:
        for path, content in project().items():
            (Path(folder) / path).write_bytes(content)
        bench.operations(Path(folder))
    bench.starts()
    bench.memory()
    bench.turns()
    bench.print(as_json=words.as_json)


if __name__ == "__main__":
    main()
