"""The baseline: findings of a run's input, which block nothing.

A finding is excused only where it is known to be the same. A failing test is the same as long as
its file is unchanged or its source has the same fingerprint: a test that is rewritten under an old
name is new. Any other finding is the same when its file has no more of its kind than it had. A
finding that the run has fixed is the run's own if it comes back.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from l2mac.evaluator.pytest_report import base_id
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, Verdict

_LINE = re.compile(r"\bline \d+")
_MOST_NAMED = 8
_MOST_CHARACTERS = 80
Kinds = Counter[tuple[str, str]]
FileDigests = Mapping[str, str]


class Baseline:
    """The findings that a run began with.

    Args:
        origin: The input, path → object; empty for a run that began with nothing.
    """

    def __init__(self, origin: FileDigests) -> None:
        self._origin = origin
        self._failing: set[str] = set()
        self._fingerprints: dict[str, str] = {}
        self._kinds: dict[str, Kinds] = {}
        self._left: dict[str, Kinds] = {}

    def start_from(self, report: CheckReport) -> None:
        """Store the findings of the report on the unchanged input."""
        for result in report.results:
            if result.counts is None:
                self._kinds[result.name] = _counted(result.findings)
                self._left[result.name] = self._kinds[result.name].copy()
            else:
                self._failing = {finding.where for finding in result.findings if finding.where}
                self._fingerprints = dict(zip(result.declared, result.fingerprints, strict=False))

    def learn(self, report: CheckReport) -> None:
        """Add further findings of the input; known ones are not counted twice."""
        for result in report.results:
            if result.counts is None and result.verdict is not Verdict.BROKEN:
                found = _counted(result.findings)
                for kinds in (self._kinds, self._left):
                    kinds[result.name] = kinds.get(result.name, Counter()) | found

    def judge(self, report: CheckReport, files: FileDigests) -> CheckReport:
        """Return a report with the findings of the input excused.

        Args:
            report: The report.
            files: The store that it is on, path → object.
        """
        if not self._origin:
            return CheckReport(
                tuple(replace(result, fingerprints=()) for result in report.gated().results)
            )
        return CheckReport(tuple(self._excused(result, files) for result in report.results)).gated()

    def observe(self, report: CheckReport, files: FileDigests, *, whole: bool) -> None:
        """Update the baseline by a report of `judge`: fixed findings lose their excuse.

        Args:
            report: The report.
            files: The store that it is on, path → object.
            whole: Whether all was checked that the input was checked for; otherwise only tests can
                be fixed.
        """
        for result in report.results:
            if result.verdict is Verdict.BROKEN:
                continue
            if result.counts is not None:
                self._failing -= _fixed(self._failing, result)
            elif whole and (result.verdict is Verdict.PASSED or result.findings):
                now = _counted((*result.findings, *result.excused))
                left = self._left.get(result.name, Counter())
                for kind in left:
                    if not self._as_it_came(kind[0], files):
                        left[kind] = min(left[kind], now[kind])

    def _as_it_came(self, path: str, files: FileDigests) -> bool:
        return path in files and files[path] == self._origin.get(path)

    def _excused(self, result: CheckResult, files: FileDigests) -> CheckResult:
        if rewritten := self._rewritten(result):
            said = "tests of before say something else"
            if rewritten == 1:
                said = "test of before says something else"
            result = replace(result, summary=f"{result.summary}, {rewritten} {said} now")
        if result.verdict is not Verdict.FAILED or not result.findings:
            return result
        known = self._old_kinds if result.counts is None else self._old_tests
        is_old = known(result, files)
        old = tuple(itertools.compress(result.findings, is_old))
        if not old:
            return result
        due = tuple(itertools.compress(result.findings, (not one for one in is_old)))
        summary = f"{result.summary} ({_as_before(result, old)})"
        if due:
            return replace(result, summary=summary, findings=due, excused=old)
        nothing = result.counts is not None and not result.counts.passed
        verdict = Verdict.NOTHING if nothing else Verdict.PASSED
        return replace(result, verdict=verdict, summary=summary, findings=(), excused=old)

    def _rewritten(self, result: CheckResult) -> int:
        """Count the tests of the input whose source changed, as they may be weaker now."""
        now = zip(result.declared, result.fingerprints, strict=False)
        return sum(
            bool(fingerprint) and self._fingerprints.get(test, fingerprint) not in ("", fingerprint)
            for test, fingerprint in now
        )

    def _old_tests(self, result: CheckResult, files: FileDigests) -> list[bool]:
        fingerprints = dict(zip(result.declared, result.fingerprints, strict=False))
        return [
            one.where in self._failing and self._is_same(one.where, fingerprints, files)
            for one in result.findings
        ]

    def _is_same(self, test: str, fingerprints: Mapping[str, str], files: FileDigests) -> bool:
        """Return whether a test is the input's, by its file or its fingerprint."""
        name = base_id(test)
        if self._as_it_came(test.partition("::")[0], files):
            return True
        return bool(fingerprints.get(name)) and fingerprints[name] == self._fingerprints.get(name)

    def _old_kinds(self, result: CheckResult, files: FileDigests) -> list[bool]:
        before, left = (
            self._kinds.get(result.name, Counter()),
            self._left.get(result.name, Counter()),
        )
        seen: Kinds = Counter()
        old = []
        for finding in result.findings:
            kind = _kind(finding)
            seen[kind] += finding.count
            old.append(seen[kind] <= (before if self._as_it_came(kind[0], files) else left)[kind])
        return old


def named(report: CheckReport) -> str:
    """Return the names of what fails in a report, in a few lines; empty for nothing."""
    lines = []
    for result in report.results:
        if result.verdict is Verdict.FAILED:
            places = list(
                dict.fromkeys(
                    _place(finding, result) for finding in result.findings if finding.where
                )
            )
            more = f" and {len(places) - _MOST_NAMED} more" if places[_MOST_NAMED:] else ""
            lines.append(
                f"{result.name}: {result.summary}: {', '.join(places[:_MOST_NAMED])}{more}"
            )
        elif result.verdict is Verdict.NOTHING:
            lines.append(f"{result.name}: {result.summary}")
    return "\n".join(lines)


def _fixed(failing: set[str], result: CheckResult) -> set[str]:
    """Return the failing names that a report shows to be fixed."""
    passed = {test for test, outcome in result.outcomes if outcome == "passed"}
    every = {test for test, _ in result.outcomes}
    holding = {
        test[: match.start()] for test in every for match in re.finditer("::", base_id(test))
    }
    hidden = {base_id(test) for test in passed} - every
    return failing & (passed | holding | hidden) - {finding.where for finding in result.excused}


def _place(finding: Finding, result: CheckResult) -> str:
    if result.counts is not None:
        return finding.where
    return f"{finding.where} {finding.text.partition(chr(10))[0][:_MOST_CHARACTERS]}"


def _kind(finding: Finding) -> tuple[str, str]:
    """Return the key by which two findings are the same: file and text, not the line."""
    path, _, line = finding.where.rpartition(":")
    return (
        path if line.isdigit() else finding.where,
        _LINE.sub("line", finding.sort or finding.text),
    )


def _counted(findings: Iterable[Finding]) -> Kinds:
    counts: Kinds = Counter()
    for finding in findings:
        counts[_kind(finding)] += finding.count
    return counts


def _as_before(result: CheckResult, old: tuple[Finding, ...]) -> str:
    if result.counts is None:
        which = "" if len(old) == len(result.findings) else f"{len(old)} of them "
        return f"{which}as before the run"
    count = len({finding.where for finding in old})
    return f"{count} {'test fails as it' if count == 1 else 'tests fail as they'} did before"
