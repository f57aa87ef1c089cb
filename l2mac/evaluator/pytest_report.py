"""The report that the preloaded pytest leaves in the sandbox, and its verdict.

A pass needs all of these: exit code 0, a complete report whose own end agrees, every declared test
collected, every collected test accounted for from its start to its end, none deselected, at least
one passed, none failed. The report comes from the process that ran the tests, so a test that sets
out to forge it can; see SECURITY.md.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

import pydantic

from l2mac.evaluator.checker_report import ReportLine, report_lines
from l2mac.evaluator.verdict import CheckResult, Finding, TestCounts, Verdict
from l2mac.evaluator.wording import cause_sentence, how_many, valid_text
from sandbox import Cause, JobResult

_NO_TESTS = 5
_TEXT_CHARACTERS = 2500
_HIDDEN = (
    "is written in its file, but pytest did not collect it: a conftest.py hides it, its folder is"
    " one that pytest skips, or its class has an __init__"
)
HOOK = "{name} decides how tests are reported; code may not judge itself: remove it"
_WORST_LAST = ("passed", "xfailed", "skipped", "failed", "error")


class _Deselected(ReportLine):
    e: Literal["deselected"]
    ids: list[str]


class _Declared(ReportLine):
    e: Literal["declared"]
    ids: list[str]
    fingerprints: list[str] = pydantic.Field(default_factory=list)


class _Collected(ReportLine):
    e: Literal["collected"]
    ids: list[str]


class _NotCollected(ReportLine):
    e: Literal["collect"]
    id: str
    outcome: Literal["failed", "skipped"]
    text: object


class _Start(ReportLine):
    e: Literal["start"]
    id: str


class _Hook(ReportLine):
    e: Literal["hook"]
    name: str
    plugin: str


class _Phase(ReportLine):
    e: Literal["phase"]
    id: str
    when: Literal["setup", "call", "teardown"]
    outcome: Literal["passed", "failed", "skipped"]
    xfail: bool = False
    text: object = ""


class _Internal(ReportLine):
    e: Literal["internal"]
    text: object


class _PytestEnd(ReportLine):
    e: Literal["end"]
    code: int


_Line = (
    _Declared
    | _Deselected
    | _Collected
    | _NotCollected
    | _Start
    | _Hook
    | _Phase
    | _Internal
    | _PytestEnd
)
_LINE: pydantic.TypeAdapter[_Line] = pydantic.TypeAdapter(
    Annotated[_Line, pydantic.Field(discriminator="e")]
)


class _TestTally:
    """The counts and findings of a report, line by line."""

    def __init__(self) -> None:
        self.declared: dict[str, str] | None = None
        self.collected: frozenset[str] | None = None
        self.outcomes: dict[str, str] = {}
        self.ended: set[str] = set()
        self.findings: list[Finding] = []
        self.running = ""
        self.end_code: int | None = None
        self.unread: dict[str, str] = {}
        self.collect_errors = 0
        self.deselected = 0
        self.hooks: list[str] = []

    @property
    def missing(self) -> int:
        """The number of collected tests without a result or an end."""
        return len((self.collected or frozenset()) - (self.outcomes.keys() & self.ended))

    def hidden(self) -> list[str]:
        """Return the declared tests of readable files that were not collected."""
        known = {base_id(test) for test in (*(self.collected or ()), *self.outcomes)}
        return sorted(
            test
            for test in (self.declared or {})
            if test not in known and test.partition("::")[0] not in self.unread
        )

    def unfair(self) -> str:
        """Return how the store tampered with its own tests; empty when it did not."""
        if self.hooks:
            return (
                f"how they are reported was decided by {how_many(self.hooks, 'hook')} of the store"
            )
        return "every test has to run, or has to go" if self.deselected else ""

    def skip_unread(self) -> None:
        """Count every test of a file that skips itself as a whole as skipped."""
        for test in self.declared or ():
            if self.unread.get(test.partition("::")[0]) == "skipped":
                self.outcomes.setdefault(test, "skipped")

    def read(self, lines: Iterable[object]) -> None:
        """Read the lines of a report.

        Raises:
            ValueError, RecursionError: A line is not one that `sandbox.checkers.jobs` writes there.
        """
        for line in lines:
            if self.end_code is not None:
                raise ValueError("something stands behind the end")
            self._take(_LINE.validate_python(line))

    def _take(self, event: _Line) -> None:
        match event:
            case _Declared():
                self._take_declared(event)
            case _Collected():
                self._take_collected(event)
            case _Deselected():
                self.deselected += len(event.ids)
            case _NotCollected():
                self._take_unread(event)
            case _Start():
                self.running = event.id
            case _Hook():
                self._take_hook(event)
            case _Phase():
                self._take_phase(event)
            case _Internal():
                self.findings.append(Finding("", f"pytest itself failed:\n{_short(event.text)}"))
            case _PytestEnd():
                self.end_code = event.code

    def _take_collected(self, event: _Collected) -> None:
        if self.collected is not None:
            raise ValueError("the tests were collected twice")
        self.collected = frozenset(event.ids)

    def _take_hook(self, event: _Hook) -> None:
        self.hooks.append(event.name)
        text = HOOK.format(name=valid_text(event.name))
        self.findings.append(Finding(valid_text(event.plugin), text))

    def _take_unread(self, event: _NotCollected) -> None:
        self.unread[event.id] = event.outcome
        if event.outcome == "failed":
            self.collect_errors += 1
            self.findings.append(Finding(event.id, f"could not be imported:\n{_short(event.text)}"))

    def _take_declared(self, event: _Declared) -> None:
        if self.declared is not None or self.collected is not None:
            raise ValueError("the tests were declared twice, or too late")
        fingerprints = event.fingerprints or [""] * len(event.ids)
        self.declared = dict(zip(event.ids, fingerprints, strict=True))

    def _take_phase(self, phase: _Phase) -> None:
        if phase.id not in (self.collected or ()):
            raise ValueError("a test ran that was not collected")
        if phase.outcome == "failed":
            self.findings.append(Finding(phase.id, _short(phase.text)))
        if phase.outcome != "passed" or phase.when == "call":
            before = self.outcomes.get(phase.id, "passed")
            self.outcomes[phase.id] = max(before, _outcome(phase), key=_WORST_LAST.index)
        if phase.when == "teardown":
            self.ended.add(phase.id)
            self.running = ""


def _outcome(phase: _Phase) -> str:
    if phase.outcome == "failed":
        return "failed" if phase.when == "call" else "error"
    return "xfailed" if phase.xfail and phase.outcome == "skipped" else phase.outcome


def base_id(test: str) -> str:
    """Return a test's id without its parameters."""
    return test.partition("[")[0]


def judge_tests(job: JobResult) -> CheckResult:
    """Return the verdict on the tests."""
    tally = _TestTally()
    readable = not job.report.elided
    try:
        tally.read(report_lines(job))
    except (ValueError, RecursionError):
        readable = False
    tally.skip_unread()
    counts = _counts(tally)
    verdict, summary = _verdict(job, tally, counts, readable=readable)
    findings = tuple(tally.findings)
    hidden = tally.hidden() if tally.collected is not None or verdict is Verdict.NOTHING else []
    if hidden and verdict is not Verdict.BROKEN:
        before = "" if verdict is Verdict.NOTHING else f"{summary}, "
        verdict, summary = Verdict.FAILED, f"{before}{how_many(hidden, 'test')} not collected"
        findings = (*findings, *(Finding(test, _HIDDEN) for test in hidden))
    is_odd = tally.deselected or tally.collected is None or job.code not in (0, 1)
    if verdict is Verdict.FAILED and is_odd:
        # No single test causes such a failure, so no test of the input can excuse it.
        findings = (*findings, Finding("", summary))
    if verdict in (Verdict.BROKEN, Verdict.FAILED) and (verdict is Verdict.BROKEN or not findings):
        findings = (
            Finding(tally.running, f"{summary}\n{job.output.text(_TEXT_CHARACTERS)}"),
            *findings,
        )
    if verdict is Verdict.BROKEN and tally.running:
        tally.outcomes[tally.running] = "error"
    return CheckResult(
        name="tests",
        verdict=verdict,
        summary=summary,
        findings=findings,
        counts=counts,
        outcomes=tuple(sorted(tally.outcomes.items())),
        declared=tuple(sorted(tally.declared or ())),
        fingerprints=tuple(one for _, one in sorted((tally.declared or {}).items())),
    )


def _verdict(
    job: JobResult, tally: _TestTally, counts: TestCounts, *, readable: bool
) -> tuple[Verdict, str]:
    if job.cause is not Cause.EXITED:
        where = f" while running {tally.running}" if tally.running else ""
        return Verdict.BROKEN, f"the tests have no result: {cause_sentence(job)}{where}"
    if not readable or tally.end_code is None or tally.end_code != job.code:
        where = f" in {tally.running}" if tally.running else ""
        return (
            Verdict.BROKEN,
            f"the tests ended before their report was complete{where} (exit code {job.code})",
        )
    if tally.declared is None:
        return Verdict.BROKEN, "the report does not say which tests the files declare"
    summary = _summary(counts, tally)
    if job.code == _NO_TESTS and not (tally.collected or tally.collect_errors or tally.deselected):
        return Verdict.NOTHING, "there are no tests yet; write them into a file named test_*.py"
    if tally.missing:
        return (
            Verdict.BROKEN,
            f"{tally.missing} of {counts.collected} collected tests have no result",
        )
    if job.code != 0 or counts.failed or counts.errors:
        return Verdict.FAILED, summary
    if tally.collected is None:
        return Verdict.BROKEN, "the tests ended without saying which there are"
    if unfair := tally.unfair():
        return Verdict.FAILED, f"{summary}; {unfair}"
    if not counts.passed:
        return Verdict.NOTHING, f"no test has passed ({summary})"
    return Verdict.PASSED, summary


def _counts(tally: _TestTally) -> TestCounts:
    by_outcome = Counter(tally.outcomes.values())
    return TestCounts(
        collected=len(tally.collected or ()),
        passed=by_outcome["passed"],
        failed=by_outcome["failed"],
        errors=by_outcome["error"] + tally.collect_errors,
        skipped=by_outcome["skipped"],
        xfailed=by_outcome["xfailed"],
    )


def _summary(counts: TestCounts, tally: _TestTally) -> str:
    parts = [f"{counts.passed} passed"]
    named = {
        "failed": counts.failed,
        "errors": counts.errors,
        "skipped": counts.skipped,
        "xfailed": counts.xfailed,
    }
    parts += [
        f"{count} {name}"
        for name, count in {**named, "deselected": tally.deselected}.items()
        if count
    ]
    return ", ".join(parts)


def _short(text: object) -> str:
    whole = valid_text(str(text))
    return whole if len(whole) <= _TEXT_CHARACTERS else f"{whole[:_TEXT_CHARACTERS]}\n[... cut ...]"
