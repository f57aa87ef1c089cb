"""The figures of single trace lines: checks, calls, requirements, sessions."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from l2mac.evaluator.verdict import CheckReport, CheckResult, Verdict
from l2mac.insight.series import Call, CheckPoint, RequirementCount, Session
from l2mac.trace.chain import Entry
from l2mac.trace.events import (
    Checked,
    CoverageClaimed,
    InstructionCompleted,
    InstructionStarted,
    ModelCalled,
    RequirementsListed,
    RequirementsVerified,
    Rewound,
    RunEnded,
    SessionStarted,
)

_TESTS = "tests"


def places(counting: Iterable[Entry]) -> Iterator[tuple[Entry, int]]:
    """Yield every line with its instruction, from 1; 0 outside of instructions."""
    instruction = 0
    for entry in counting:
        if isinstance(entry.event, InstructionStarted):
            instruction = entry.event.number
        yield entry, instruction
        if isinstance(entry.event, InstructionCompleted):
            instruction = 0


def checks_of(
    counting: Sequence[Entry], report_of: Callable[[Checked], CheckReport]
) -> tuple[tuple[CheckPoint, ...], CheckReport | None]:
    """Return every check, and the newest verdict, which no baseline is.

    Args:
        counting: The lines that count.
        report_of: Returns the recorded report of a check.
    """
    found: list[CheckPoint] = []
    last: CheckReport | None = None
    for entry, instruction in places(counting):
        event = entry.event
        if not isinstance(event, Checked):
            continue
        report = report_of(event)
        number = len(found) + 1
        found.append(check_point(entry, event, report, number=number, instruction=instruction))
        last = last if event.baseline else report
    return tuple(found), last


def check_point(
    entry: Entry, event: Checked, report: CheckReport, *, number: int, instruction: int
) -> CheckPoint:
    """Return a check's numbers."""
    counts = report.counts
    return CheckPoint(
        number=number,
        line=entry.number,
        elapsed_s=entry.elapsed_s,
        instruction=instruction,
        final=event.final,
        verdict=event.verdict,
        summary=event.summary,
        findings=tuple((one.name, _findings(one)) for one in report.results if one.name != _TESTS),
        passed=counts.passed,
        failed=counts.failed + counts.errors,
        skipped=counts.skipped + counts.xfailed,
    )


def _findings(result: CheckResult) -> int | None:
    """Return the number of findings; None where another check failed first."""
    unjudged = result.verdict is Verdict.FAILED and not result.findings
    return None if unjudged else len(result.findings)


def calls_of(entries: Sequence[Entry], counting: Sequence[Entry]) -> tuple[Call, ...]:
    """Return every call of the model, including those before a rewind."""
    instructions = {entry.number: instruction for entry, instruction in places(counting)}
    return tuple(
        Call(
            line=entry.number,
            elapsed_s=entry.elapsed_s,
            instruction=instructions.get(entry.number, 0),
            purpose=entry.event.purpose,
            prompt_tokens=entry.event.prompt_tokens,
            completion_tokens=entry.event.completion_tokens,
            cost_usd=entry.event.cost_usd,
            overflow=not entry.event.reply_object,
            cached=entry.event.cached,
            counts=entry.number in instructions,
        )
        for entry in entries
        if isinstance(entry.event, ModelCalled)
    )


def kept_of(counting: Iterable[Entry]) -> tuple[RequirementCount, ...]:
    """Return how many requirements are kept at each look at them."""
    found: list[RequirementCount] = []
    total = 0
    for entry in counting:
        match entry.event:
            case RequirementsListed() as event:
                total = len(event.requirement_objects)
                found.append(RequirementCount("listed", 1, total, total, event.problem))
            case CoverageClaimed() as event:
                covered = sum(bool(steps) for steps in event.steps)
                found.append(
                    RequirementCount(
                        "plan", event.round, covered, len(event.steps) or total, event.problem
                    )
                )
            case RequirementsVerified() as event:
                found.append(
                    RequirementCount(
                        "result", event.round, event.verified, event.total or total, event.problem
                    )
                )
            case _:
                pass
    return tuple(found)


def sessions_of(entries: Sequence[Entry]) -> tuple[Session, ...]:
    """Return each process's work on the run."""
    found: list[Session] = []
    begun: tuple[SessionStarted, float] | None = None
    ended_s = 0.0
    for entry in entries:
        if isinstance(entry.event, SessionStarted):
            if begun is not None:
                found.append(_session(*begun, ended_s, None))
            begun = entry.event, entry.elapsed_s
        elif isinstance(entry.event, RunEnded) and begun is not None:
            found.append(_session(*begun, entry.elapsed_s, entry.event))
            begun = None
        ended_s = ended_s if isinstance(entry.event, Rewound) else entry.elapsed_s
    if begun is not None:
        found.append(_session(*begun, ended_s, None))
    return tuple(found)


def _session(
    event: SessionStarted, started_s: float, ended_s: float, end: RunEnded | None
) -> Session:
    return Session(
        reason=event.reason,
        version=event.version,
        model=event.model,
        started_s=started_s,
        ended_s=ended_s,
        status=end.status if end else "",
        cause=end.cause if end else "",
    )
