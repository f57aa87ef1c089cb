"""Show how costs grow within one run: 100 instructions, 1,000 files, 100 MB of store, 10,000 events.

    python tests/bench/scale.py [--quick] [--json]

The model is a script and the boxes of the first table execute nothing, so that what is seen is the platform's own
cost per turn: control unit, trace, syncs, prompt. The second table is a real box whose store grows. What is flat
stays near 1 in the last column, the ratio of the last row to the first.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import Bench, InstantBox

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.control.run_spec import RunSpec
from l2mac.domains.loader import load_domain
from l2mac.evaluator import python_checks
from l2mac.processor.messages import Reply, Request, ToolCall
from l2mac.processor.protocol import Watcher
from l2mac.runs.execute import Resources, execute
from l2mac.runs.recorded_spec import read_spec
from sandbox import Job

FILES_PER_INSTRUCTION = 10
TURNS_PER_INSTRUCTION = 32
FILE_BYTES = 100_000
POINTS = 5


class GrowingModel:
    """A script that fills the store instruction by instruction, and a clock of what lies between its replies.

    Attributes:
        between_s: Seconds from each reply to the next request.
        prompt_characters: Length of each request.
    """

    def __init__(self) -> None:
        self.between_s: list[float] = []
        self.prompt_characters: list[int] = []
        self._instruction, self._turn, self._replied = 0, 0, 0.0

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Write a new file, or a small one anew, or claim completion, or summarise."""
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


def long_run(instructions: int) -> dict[str, object]:
    """Execute a whole run, then resume it; gives the curve over its parts."""
    model = GrowingModel()
    means = Resources(
        processor=model,
        open_sandbox=lambda _: InstantBox(),
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
        result = execute(Path(folder), plan, means, "run")
        events = sum(1 for _ in (Path(folder) / "trace.jsonl").open("rb"))
        start = time.perf_counter()
        again = execute(Path(folder), read_spec(Path(folder)), means, "resume")
        resume_s = time.perf_counter() - start
        assert again.files == result.files
    return {
        "files": len(result.files),
        "events": events,
        "resume_s": round(resume_s, 2),
        "turn_ms": _curve(model.between_s, 1000),
        "prompt_kilobytes": _curve([float(count) for count in model.prompt_characters], 0.001),
    }


def _curve(values: list[float], unit: float) -> list[float]:
    part = len(values) // POINTS
    return [
        round(statistics.median(values[part * point : part * (point + 1)]) * unit, 2)
        for point in range(POINTS)
    ]


def growing_box(bench: Bench, files: int, size: int) -> dict[str, list[float]]:
    """Give medians in milliseconds of single requests to a real box as its store fills."""
    curves: dict[str, list[float]] = {
        "files": [],
        "write one": [],
        "true": [],
        "check two files": [],
    }
    with bench.box() as box:
        box.write({"a.py": b'"""A."""\n', "test_a.py": b"def test_a():\n    assert True\n"})
        checks = python_checks.jobs_for(
            [entry for entry in box.files() if entry.path.endswith("a.py")]
        )
        time.sleep(6)
        for point in range(POINTS):
            held = len(box.files())
            wanted = 2 + files * point // (POINTS - 1)
            for number in range(held, wanted):
                box.write({f"data/part{number % 40}/{number}.txt": b"x" * size})
            curves["files"].append(wanted)
            for name, request in _requests(box, checks).items():
                curves[name].append(_median_ms(request))
    return curves


def _requests(box: object, checks: tuple[Job, ...]) -> dict[str, Callable[[int], object]]:
    return {
        "write one": lambda turn: box.write({"one.txt": str(turn).encode()}),  # type: ignore[attr-defined]
        "true": lambda _: box.run([Job("true", argv=("true",))]),  # type: ignore[attr-defined]
        "check two files": lambda _: box.run(checks),  # type: ignore[attr-defined]
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
    box = growing_box(Bench("", 1.0), 1000 // part, FILE_BYTES)
    if words.as_json:
        print(json.dumps({"run": run, "box": box}))
        return
    print(
        f"one run: {run['files']} files, {run['events']} events, resumed in {run['resume_s']} s (under 3 s)"
    )
    for name in ("turn_ms", "prompt_kilobytes"):
        _print_curve(name, run[name])  # type: ignore[arg-type]
    print("one box")
    for name, curve in box.items():
        _print_curve(name, curve)


def _print_curve(name: str, curve: list[float]) -> None:
    print(
        f"  {name:18}"
        + "".join(f"{value:10.2f}" for value in curve)
        + f"{curve[-1] / curve[0]:10.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
