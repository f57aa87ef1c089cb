"""A run as numbers along its trace, for experiment trackers.

Only numbers, truth values and the names of models, domains and modes leave the trace here: no task,
no prompt, no code, no path, no key. The run's own name, which begins with the task, does not leave
it either.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

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
    """The receiver of a run's numbers."""

    def open(self, run_id: str, config: Mapping[str, float | str | bool]) -> None:
        """Open a run, new or known.

        Args:
            run_id: Id of the run, the same for every sending from any machine.
            config: The settings that are not secret.
        """

    def log(self, line: int, numbers: MetricValues) -> None:
        """Receive the numbers at a line of the trace; lines come in order."""

    def close(self, numbers: MetricValues, *, completed: bool) -> None:
        """Receive the final numbers, and whether the run completed."""


class Meter:
    """Count along a trace, line by line.

    Rewound calls stay spent; rewound changes of files are undone.

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
        self._state |= dict.fromkeys(("tool_calls", "tool_failures", "sandboxes"), 0.0)

    def take(self, entry: Entry) -> MetricValues:
        """Return the numbers after this line; empty if no counted number has changed."""
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
        """Return the numbers that have a value at any time."""
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
        """Count an effective line and return the numbers of this line only."""
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
                state["sandboxes"] += 1
            case Checked() as event:
                state["checks"] += 1
                return _check(entry, event, self._report_of(event))
            case _:
                pass
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
            # Names of a domain's own checks are its author's words, which must not be sent.
            kind = f"findings/{name if name in _CHECKS else 'other'}"
            numbers[kind] = numbers.get(kind, 0) + count
    verdict = "check/verified" if event.final else "check/passed"
    values = {name: float(value) for name, value in numbers.items()}
    return values | {verdict: float(report.accepts_completion)}


def config_of(begun: RunStarted) -> dict[str, float | str | bool]:
    """Return the settings of a run that reveal nothing of its task, server or keys."""
    settings = begun.settings
    setup, planning = settings.get("setup"), settings.get("planning")
    found: dict[str, object] = {"domain": begun.domain}
    found |= {name: settings.get(name) for name in _SETTINGS}
    if isinstance(setup, dict):
        found |= {name: setup.get(name) for name in _SETUP}
    if isinstance(planning, dict):
        found |= {f"planning/{name}": planning.get(name) for name in _PLANNING}
    config = {}
    for name, value in found.items():
        if isinstance(value, str | float | int) and value != "":
            config[name] = _plain(value)
    return config


def run_id(name: str) -> str:
    """Return an id that reveals nothing of the run's name and is always the same."""
    return f"l2mac-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def track(
    name: str,
    batches: Iterable[Iterable[Entry]],
    report_of: Callable[[Checked], CheckReport],
    sink: Sink,
) -> int:
    """Send a trace's numbers, batch by batch as it grows.

    Returns:
        The number of lines with numbers.

    Raises:
        TraceError: The trace is damaged or does not begin with a run.
    """
    meter = Meter(report_of)
    sent, last = 0, None
    for entry in (entry for batch in batches for entry in batch):
        if last is None:
            if not isinstance(entry.event, RunStarted):
                raise TraceError("The trace does not begin with a run. There is nothing to send.")
            sink.open(run_id(name), config_of(entry.event))
        last = entry
        numbers = meter.take(entry)
        if numbers:
            sink.log(entry.number, numbers)
            sent += 1
    if last is None:
        raise TraceError("The trace is empty. There is nothing to send.")
    done = isinstance(last.event, RunEnded) and last.event.status == Status.COMPLETED
    sink.close(meter.numbers(last), completed=done)
    return sent


def _plain(value: float | str) -> float | str | bool:
    return value[:_MOST_CHARACTERS] if isinstance(value, str) else value
