"""The growth of costs in one run: 100 instructions, 1,000 files, 100 MB, 10,000 events.

    python tests/bench/scale.py [--quick] [--json]

The model is scripted, and the sandboxes of the first table execute nothing, so its figures are the
platform's own cost per turn: control unit, trace, syncs, prompt. The second table is a real sandbox
whose file store grows. The last column is the ratio of the last value to the first: near 1 for a
constant cost.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import Bench, InstantSandbox

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.control.run_spec import RunSpec
from l2mac.domains.loader import load_domain
from l2mac.evaluator import python_checks
from l2mac.processor.messages import Reply, Request, ToolCall
from l2mac.processor.protocol import Watcher
from l2mac.runs.execute import Resources, execute
from l2mac.runs.recorded_spec import read_spec
from sandbox import Job, Sandbox

FILES_PER_INSTRUCTION = 10
TURNS_PER_INSTRUCTION = 32
FILE_BYTES = 100_000
POINTS = 5


class GrowingModel:
    """A scripted model that fills the store, and a clock of the time between its replies.

    Attributes:
        between_s: Seconds from each reply to the next request.
        prompt_characters: Length of each request.
    """

    def __init__(self) -> None:
        self.between_s: list[float] = []
        self.prompt_characters: list[int] = []
        self._instruction, self._turn, self._replied = 0, 0, 0.0

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Write a new file, write a small one again, complete the instruction, or summarise."""
        if self._replied:
            self.between_s.append(time.perf_counter() - self._replied)
            self.prompt_characters.append(sum(len(message.content) for message in request.messages))
        reply = self._reply(request)
        self._replied = time.perf_counter()
        return reply

    def _reply(self, request: Request) -> Reply:
        if not request.tools:
            self._instruction, self._turn = self._instruction + 1, 0
            return Reply(content="done")
        self._turn += 1
        if self._turn == TURNS_PER_INSTRUCTION:
            return _call("complete_instruction", {})
        number = self._turn % FILES_PER_INSTRUCTION
        size = FILE_BYTES if self._turn <= FILES_PER_INSTRUCTION else 0
        content = f"VALUE = {self._turn}\n" + "#" * size
        path = f"part{self._instruction}/module{number}.py"
        return _call(
            "write_files", {"files": [{"path": path if size else "notes.py", "content": content}]}
        )


def _call(name: str, arguments: dict[str, object]) -> Reply:
    return Reply(content="", tool_calls=(ToolCall("1", name, json.dumps(arguments)),))


@dataclass(frozen=True, slots=True, kw_only=True)
class LongRun:
    """The figures of a long run; the curves have a median for each part of the run."""

    files: int
    events: int
    resume_s: float
    turn_ms: list[float]
    prompt_kilobytes: list[float]


def long_run(instructions: int) -> LongRun:
    """Execute a whole run, resume it, and return the curve over its parts."""
    model = GrowingModel()
    resources = Resources(
        processor=model,
        open_sandbox=lambda _: InstantSandbox(),
        limits=Limits(turns=2 * TURNS_PER_INSTRUCTION),
        prices=Prices(),
        model="scripted",
        image="none",
    )
    program = tuple(f"Write part {number}." for number in range(instructions))
    plan = RunSpec(
        task="x",
        definition=load_domain("codebase").definition.as_text(),
        program=program,
        context_tokens=2_000_000,
    )
    with tempfile.TemporaryDirectory() as folder:
        result = execute(Path(folder), plan, resources, "run")
        events = sum(1 for _ in (Path(folder) / "trace.jsonl").open("rb"))
        start = time.perf_counter()
        again = execute(Path(folder), read_spec(Path(folder)), resources, "resume")
        resume_s = time.perf_counter() - start
        assert again.files == result.files
    return LongRun(
        files=len(result.files),
        events=events,
        resume_s=round(resume_s, 2),
        turn_ms=_curve(model.between_s, 1000),
        prompt_kilobytes=_curve([float(count) for count in model.prompt_characters], 0.001),
    )


def _curve(values: list[float], unit: float) -> list[float]:
    part = len(values) // POINTS
    return [
        round(statistics.median(values[part * point : part * (point + 1)]) * unit, 2)
        for point in range(POINTS)
    ]


def growing_sandbox(bench: Bench, files: int, size: int) -> dict[str, list[float]]:
    """Return medians in milliseconds of single requests to a real sandbox as its store fills."""
    curves: dict[str, list[float]] = {
        "files": [],
        "write one": [],
        "true": [],
        "check two files": [],
    }
    with bench.sandbox() as sandbox:
        sandbox.write({"a.py": b'"""A."""\n', "test_a.py": b"def test_a():\n    assert True\n"})
        checks = python_checks.jobs_for(
            [entry for entry in sandbox.files() if entry.path.endswith("a.py")]
        )
        time.sleep(6)
        for point in range(POINTS):
            held = len(sandbox.files())
            wanted = 2 + files * point // (POINTS - 1)
            for number in range(held, wanted):
                sandbox.write({f"data/part{number % 40}/{number}.txt": b"x" * size})
            curves["files"].append(wanted)
            for name, request in _requests(sandbox, checks).items():
                curves[name].append(_median_ms(request))
    return curves


def _requests(sandbox: Sandbox, checks: tuple[Job, ...]) -> dict[str, Callable[[int], object]]:
    return {
        "write one": lambda turn: sandbox.write({"one.txt": str(turn).encode()}),
        "true": lambda _: sandbox.run([Job("true", argv=("true",))]),
        "check two files": lambda _: sandbox.run(checks),
    }


def _median_ms(request: Callable[[int], object]) -> float:
    times = []
    for turn in range(12):
        start = time.perf_counter()
        request(turn)
        times.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(times), 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the size")
    parser.add_argument("--json", action="store_true", dest="as_json")
    words = parser.parse_args()
    part = 5 if words.quick else 1
    run = long_run(100 // part)
    sandbox = growing_sandbox(Bench("", 1.0), 1000 // part, FILE_BYTES)
    if words.as_json:
        print(json.dumps({"run": asdict(run), "sandbox": sandbox}))
        return
    print(
        f"one run: {run.files} files, {run.events} events, resumed in {run.resume_s} s (under 3 s)"
    )
    _print_curve("turn_ms", run.turn_ms)
    _print_curve("prompt_kilobytes", run.prompt_kilobytes)
    print("one sandbox")
    for name, curve in sandbox.items():
        _print_curve(name, curve)


def _print_curve(name: str, curve: list[float]) -> None:
    print(
        f"  {name:18}"
        + "".join(f"{value:10.2f}" for value in curve)
        + f"{curve[-1] / curve[0]:10.2f}"
    )


if __name__ == "__main__":
    main()
