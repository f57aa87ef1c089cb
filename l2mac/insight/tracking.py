"""A run as numbers over its lines, for whatever keeps track of experiments.

Numbers, truth values and the names of models, domains and modes leave the record through here, nothing else: no task,
no prompt, no code, no path, no key, and not the run's own name, which begins the task.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from l2mac.control.outcome import Status
from l2mac.errors import TraceError
from l2mac.evaluator.verdict import CheckReport
from l2mac.insight.lines import check_point
from l2mac.trace.chain import Entry
from l2mac.trace.events import (
    Checked,
    InstructionCompleted,
    InstructionStarted,
    ModelCalled,
    Replanned,
    Rewound,
    RunEnded,
    RunStarted,
    SandboxOpened,
    ToolRan,
)
from l2mac.trace.history import RecordedStoreState, apply_event

MetricValues = Mapping[str, float]
_CHECKS = ("syntax", "lint")
_SETTINGS = (
    "steps",
    "context_tokens",
    "reply_tokens",
    "execution_timeout_s",
    "seed",
    "dependencies",
    "judge",
)
_SETUP = (
    "model",
    "tool_protocol",
    "memory",
    "cpus",
    "pids",
    "disk",
    "timeout",
    "prompt_price",
    "completion_price",
)
_PLANNING = (
    "reflections",
    "coverage",
    "max_replans",
    "requirements",
    "requirement_rounds",
    "summary",
)
_MOST_CHARACTERS = 100


class Sink(Protocol):
    """Where numbers go."""

    def open(self, run_id: str, config: Mapping[str, float | str | bool]) -> None:
        """Begin with a run, or go on with it.

        Args:
            run_id: The same for the same run, however often and from wherever it is sent.
            config: The settings that are no secret.
        """

    def log(self, line: int, numbers: MetricValues) -> None:
        """Take the numbers as they are at a line of the record; lines come in their order."""

    def close(self, numbers: MetricValues, *, completed: bool) -> None:
        """Take the final numbers, and whether the run ended with everything passing."""


class Meter:
    """Counts along a record, line by line; what a rewind takes back stays spent, and its files are undone.

    Args:
        report_of: Returns the recorded report of a check.
    """

    def __init__(self, report_of: Callable[[Checked], CheckReport]) -> None:
        self._report_of = report_of
        self._lines: list[Entry] = []
        self._spent = {
            "tokens/sent": 0.0,
            "tokens/replies": 0.0,
            "cost_usd": 0.0,
            "model_calls": 0.0,
        }
        self._restart()

    def _restart(self) -> None:
        self._files: RecordedStoreState = {}
        self._state = dict.fromkeys(
            ("instruction", "instructions_done", "turns", "restarts", "replans", "checks"), 0.0
        )
        self._state |= dict.fromkeys(("tool_calls", "tool_failures", "boxes"), 0.0)

    def take(self, entry: Entry) -> MetricValues:
        """Give the numbers as they are after this line; none where nothing has changed that is counted."""
        if isinstance(entry.event, Rewound):
            to = entry.event.to
            self._lines = [line for line in self._lines if line.number <= to]
            self._restart()
            for line in self._lines:
                self._count(line)
        self._lines.append(entry)
        extra = self._count(entry)
        if isinstance(entry.event, ModelCalled):
            self._spend(entry.event)
        elif not isinstance(
            entry.event,
            Checked | ToolRan | InstructionStarted | InstructionCompleted | Rewound | RunEnded,
        ):
            return {}
        return self.numbers(entry) | extra

    def numbers(self, entry: Entry) -> dict[str, float]:
        """Give everything that has a value at any time."""
        total = self._spent["tokens/sent"] + self._spent["tokens/replies"]
        sizes = sum(file.size for file in self._files.values())
        now = {
            "elapsed_s": entry.elapsed_s,
            "tokens/all": total,
            "files": float(len(self._files)),
            "bytes": float(sizes),
        }
        return {**self._spent, **self._state, **now}

    def _spend(self, event: ModelCalled) -> None:
        self._spent["tokens/sent"] += event.prompt_tokens
        self._spent["tokens/replies"] += event.completion_tokens
        self._spent["cost_usd"] += event.cost_usd
        self._spent["model_calls"] += 1

    def _count(self, entry: Entry) -> dict[str, float]:
        """Count a line that counts; gives what has a value at this line only."""
        state = self._state
        match entry.event:
            case ModelCalled() as event if event.purpose == "turn":
                state["turns"] += 1
                return {
                    "context/sent": float(event.prompt_tokens),
                    "context/reply": float(event.completion_tokens),
                }
            case ToolRan() as event:
                state["tool_calls"] += 1
                state["tool_failures"] += not event.ok
            case InstructionStarted() as event:
                state["instruction"] = event.number
                state["restarts"] += event.restart > 0
            case InstructionCompleted():
                state["instructions_done"] += 1
            case Replanned() as event:
                state["replans"] += bool(event.action)
            case SandboxOpened():
                state["boxes"] += 1
            case Checked() as event:
                state["checks"] += 1
                return _check(entry, event, self._report_of(event))
        apply_event(entry.event, self._files)
        return {}


def _check(entry: Entry, event: Checked, report: CheckReport) -> dict[str, float]:
    point = check_point(entry, event, report, number=0, instruction=0)
    numbers = {
        "tests/passed": point.passed,
        "tests/failed": point.failed,
        "tests/skipped": point.skipped,
    }
    for name, count in point.findings:
        if count is not None:
            kind = f"findings/{name if name in _CHECKS else 'other'}"  # a domain's own names are its author's words
            numbers[kind] = numbers.get(kind, 0) + count
    kind = "verified" if event.final else "passed"
    return {name: float(value) for name, value in numbers.items()} | {
        f"check/{kind}": float(report.accepts_completion)
    }


def config_of(begun: RunStarted) -> dict[str, float | str | bool]:
    """Give the settings of a run that say nothing about its task, its server or its keys."""
    settings = begun.settings
    setup, planning = settings.get("setup"), settings.get("planning")
    found = {"domain": begun.domain} | {name: settings.get(name) for name in _SETTINGS}
    found |= {name: setup.get(name) for name in _SETUP} if isinstance(setup, dict) else {}
    found |= (
        {f"planning/{name}": planning.get(name) for name in _PLANNING}
        if isinstance(planning, dict)
        else {}
    )
    return {
        name: _plain(value)
        for name, value in found.items()
        if isinstance(value, str | float | int) and value != ""
    }


def run_id(name: str) -> str:
    """Give a name for the run that says nothing, and is the same whenever it is sent."""
    return f"l2mac-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def track(
    name: str,
    batches: Iterable[Iterable[Entry]],
    report_of: Callable[[Checked], CheckReport],
    sink: Sink,
) -> int:
    """Send a record's numbers, batch by batch as it grows; gives how many lines had any.

    Raises:
        TraceError: The record is damaged or does not begin with a run.
    """
    meter = Meter(report_of)
    sent, last = 0, None
    for entry in (entry for batch in batches for entry in batch):
        if last is None:
            if not isinstance(entry.event, RunStarted):
                raise TraceError(
                    "the record does not begin with a run, so there is nothing to send"
                )
            sink.open(run_id(name), config_of(entry.event))
        last = entry
        numbers = meter.take(entry)
        if numbers:
            sink.log(entry.number, numbers)
            sent += 1
    if last is None:
        raise TraceError("the record is empty, so there is nothing to send")
    done = isinstance(last.event, RunEnded) and last.event.status == Status.COMPLETED
    sink.close(meter.numbers(last), completed=done)
    return sent


def _plain(value: Any) -> float | str | bool:
    return value[:_MOST_CHARACTERS] if isinstance(value, str) else value
