"""Read the report that the preloaded pytest leaves in the box, and judge the tests by it.

A pass needs all of it: exit code 0, a complete report whose own end agrees, every collected test accounted for, at
least one passed, none failed. The report comes from the process that ran the tests, so a test that sets out to
forge it can; see SECURITY.md.
"""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from l2mac.checks.report import CheckResult, Finding, TestCounts, Verdict
from l2mac.checks.wording import cause_sentence
from sandbox import Cause, JobResult

_NO_TESTS = 5
_TEXT_CHARACTERS = 2500


class _Tally:
    """What the report says, line by line."""

    def __init__(self) -> None:
        self.collected: list[str] = []
        self.outcomes: dict[str, str] = {}
        self.findings: list[Finding] = []
        self.running = ""
        self.end_code: int | None = None
        self.collect_errors = 0
        self.deselected = 0

    def read(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            event = json.loads(line)
            getattr(self, "_on_" + str(event["e"]))(event)

    def _on_collected(self, event: dict[str, Any]) -> None:
        self.collected = [str(test) for test in event["ids"]]

    def _on_deselected(self, event: dict[str, Any]) -> None:
        self.deselected += len(event["ids"])

    def _on_collect(self, event: dict[str, Any]) -> None:
        if event["outcome"] == "failed":
            self.collect_errors += 1
            self.findings.append(Finding(str(event["id"]), f"could not be imported:\n{_short(event['text'])}"))

    def _on_start(self, event: dict[str, Any]) -> None:
        self.running = str(event["id"])

    def _on_phase(self, event: dict[str, Any]) -> None:
        test, when, outcome = str(event["id"]), event["when"], event["outcome"]
        if event.get("xfail"):
            outcome = "xfailed" if outcome == "skipped" else "failed" if outcome == "failed" else "passed"
        if outcome == "failed":
            self.outcomes[test] = "failed" if when == "call" else "error"
            self.findings.append(Finding(test, _short(event.get("text", ""))))
        elif outcome in ("skipped", "xfailed") or (when == "call" and test not in self.outcomes):
            self.outcomes[test] = str(outcome)
        if when == "teardown":
            self.running = ""

    def _on_internal(self, event: dict[str, Any]) -> None:
        self.findings.append(Finding("", f"pytest itself failed:\n{_short(event['text'])}"))

    def _on_end(self, event: dict[str, Any]) -> None:
        self.end_code = int(event["code"])


def judge_tests(job: JobResult) -> CheckResult:
    """Give the verdict on the tests."""
    tally = _Tally()
    readable = not job.report.elided
    try:
        tally.read((job.report.head + job.report.tail).splitlines())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        readable = False
    counts = _counts(tally)
    verdict, summary = _verdict(job, tally, counts, readable=readable)
    findings = tuple(tally.findings)
    if verdict in (Verdict.BROKEN, Verdict.FAILED) and (verdict is Verdict.BROKEN or not findings):
        findings = (Finding(tally.running, f"{summary}\n{job.output.text(_TEXT_CHARACTERS)}"), *findings)
    return CheckResult(
        name="tests",
        verdict=verdict,
        summary=summary,
        findings=findings,
        counts=counts,
        outcomes=tuple(sorted(tally.outcomes.items())),
    )


def _verdict(job: JobResult, tally: _Tally, counts: TestCounts, *, readable: bool) -> tuple[Verdict, str]:
    if job.cause is not Cause.EXITED:
        where = f" while running {tally.running}" if tally.running else ""
        return Verdict.BROKEN, f"the tests have no result: {cause_sentence(job)}{where}"
    if not readable or tally.end_code is None or tally.end_code != job.code:
        where = f" in {tally.running}" if tally.running else ""
        return Verdict.BROKEN, f"the tests ended before their report was complete{where} (exit code {job.code})"
    if job.code == _NO_TESTS and not tally.collected and not tally.collect_errors:
        return Verdict.NOTHING, "there are no tests yet; write them into a file named test_*.py"
    missing = len(set(tally.collected) - set(tally.outcomes))
    if missing:
        return Verdict.BROKEN, f"{missing} of {counts.collected} collected tests have no result"
    summary = _summary(counts, tally)
    if job.code != 0 or counts.failed or counts.errors or tally.collect_errors:
        return Verdict.FAILED, summary
    if not counts.passed:
        return Verdict.NOTHING, f"no test has passed ({summary})"
    return Verdict.PASSED, summary


def _counts(tally: _Tally) -> TestCounts:
    by_outcome = Counter(tally.outcomes.values())
    return TestCounts(
        collected=len(tally.collected),
        passed=by_outcome["passed"],
        failed=by_outcome["failed"],
        errors=by_outcome["error"] + tally.collect_errors,
        skipped=by_outcome["skipped"],
        xfailed=by_outcome["xfailed"],
    )


def _summary(counts: TestCounts, tally: _Tally) -> str:
    parts = [f"{counts.passed} passed"]
    named = {"failed": counts.failed, "errors": counts.errors, "skipped": counts.skipped, "xfailed": counts.xfailed}
    parts += [f"{count} {name}" for name, count in {**named, "deselected": tally.deselected}.items() if count]
    return ", ".join(parts)


def _short(text: object) -> str:
    whole = str(text)
    return whole if len(whole) <= _TEXT_CHARACTERS else f"{whole[:_TEXT_CHARACTERS]}\n[... cut ...]"
