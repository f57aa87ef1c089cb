"""The results of checks: a verdict each, findings, and the outcomes of tests."""

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """The result of a check in one word. Only `PASSED` is a pass."""

    PASSED = "passed"
    FAILED = "failed"
    NOTHING = "nothing to check"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, or several of a sort in one file.

    Attributes:
        where: `path:line`, a test's id, or empty.
        text: The fault, for the model that fixes it.
        sort: The text as far as it does not depend on the place; empty where all of it does not.
        count: How often it was found.
    """

    where: str
    text: str
    sort: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCounts:
    """The tests by their outcomes; `collected` are all that pytest found."""

    __test__ = False

    collected: int = 0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    xfailed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check's verdict, in one line and in findings.

    Attributes:
        outcomes: For tests: every collected test's id and how it ended.
        declared: For tests: the ids, without parameters, that the files themselves declare.
        fingerprints: A hash of the source of each declared id; empty where it is not known.
        excused: Findings that the run's input had already; the verdict ignores them.
        gates: The results that are meaningless as long as this one has failed.
    """

    name: str
    verdict: Verdict
    summary: str
    findings: tuple[Finding, ...] = ()
    counts: TestCounts | None = None
    outcomes: tuple[tuple[str, str], ...] = ()
    declared: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    excused: tuple[Finding, ...] = ()
    gates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All checks of one state of the store: the evaluator's answer E(D)."""

    results: tuple[CheckResult, ...] = field(default=())

    @property
    def verdict(self) -> Verdict:
        """The worst of all verdicts, where nothing to check is worse than passed."""
        verdicts = {result.verdict for result in self.results}
        for verdict in (Verdict.BROKEN, Verdict.FAILED, Verdict.NOTHING, Verdict.PASSED):
            if verdict in verdicts:
                return verdict
        return Verdict.NOTHING

    @property
    def accepts_completion(self) -> bool:
        """Whether every check that is due has passed; without code no check is due."""
        return self.verdict is Verdict.PASSED or not self.results

    @property
    def counts(self) -> TestCounts:
        """The tests' counts; zeros when there are none."""
        return next(
            (result.counts for result in self.results if result.counts is not None), TestCounts()
        )

    @property
    def summary(self) -> str:
        """All checks in one line."""
        return (
            "; ".join(f"{result.name}: {result.summary}" for result in self.results)
            or "nothing to check"
        )

    def gated(self) -> "CheckReport":
        """Return the report without the findings that a failed gate makes meaningless."""
        failed = [one for one in self.results if one.verdict is Verdict.FAILED]
        gates = {name: one.name for one in failed for name in one.gates}
        return CheckReport(tuple(_closed(one, gates.get(one.name, "")) for one in self.results))


def _closed(result: CheckResult, gate: str) -> CheckResult:
    """Return a result, or one without findings where its gate has failed."""
    if not gate:
        return result
    return CheckResult(
        name=result.name, verdict=Verdict.FAILED, summary=f"not judged before the {gate} is right"
    )
