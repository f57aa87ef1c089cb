"""The last checks of a run as JUnit XML, for build servers.

Three suites: the verification of the run, each check, and each test. So a run whose tests never
ran, or never in a fresh sandbox, cannot look green.
"""

from collections import Counter
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from l2mac.evaluator.pytest_report import base_id
from l2mac.evaluator.verdict import CheckResult, Verdict
from l2mac.insight.markup import as_xml, element, short
from l2mac.insight.series import Insight

MOST_TESTS = 5000
_TEXT = 3000
_MESSAGE, _NAME = 300, 300
_MOST_FINDINGS = 50
_NOT_RUN = "declared by its file, but did not run"
_KINDS = {
    "failed": "failure",
    "error": "error",
    "skipped": "skipped",
    "xfailed": "skipped",
    _NOT_RUN: "error",
}
_COUNTS = ("tests", "failures", "errors", "skipped")


def as_junit(insight: Insight) -> str:
    """Return the run's last checks as a JUnit document."""
    results = insight.last.results if insight.last else ()
    suites = [
        _suite("l2mac.run", [_verification(insight)]),
        _suite("l2mac.checks", [_check(result) for result in results]),
        *(_tests(result) for result in results if result.outcomes or result.declared),
    ]
    totals: Counter[str] = Counter()
    for suite in suites:
        totals += Counter({name: int(suite.get(name, "0")) for name in _COUNTS})
    counts = {name: str(totals[name]) for name in _COUNTS}
    return as_xml(element("testsuites", *suites, name=short(insight.run, _NAME), **counts))


def _suite(name: str, cases: list[ET.Element]) -> ET.Element:
    kinds = Counter(child.tag for case in cases for child in case)
    counts = {"failures": kinds["failure"], "errors": kinds["error"], "skipped": kinds["skipped"]}
    numbers = {kind: str(n) for kind, n in counts.items()}
    return element("testsuite", *cases, name=name, tests=str(len(cases)), **numbers)


def _case(suite: str, name: str, kind: str = "", message: str = "", text: str = "") -> ET.Element:
    problem = element(kind, text[:_TEXT], message=short(message, _MESSAGE)) if kind else None
    classname, shown = short(suite, _NAME), short(name, _NAME) or "(no name)"
    return element("testcase", problem, classname=classname, name=shown)


def _verification(insight: Insight) -> ET.Element:
    name = "verified in a fresh sandbox"
    if not insight.verified:
        problem = "the present files were not verified in a fresh sandbox"
        status = f"{problem}; status of the run: {insight.status}"
        return _case("l2mac.run", name, "error", status)
    if insight.last is None:
        return _case("l2mac.run", name, "failure", "nothing was checked")
    if not insight.last.accepts_completion:
        return _case("l2mac.run", name, "failure", insight.last.summary)
    return _case("l2mac.run", name)


def _check(result: CheckResult) -> ET.Element:
    findings = result.findings[:_MOST_FINDINGS]
    text = "\n".join(f"{finding.where}: {finding.text}" for finding in findings)
    kinds = {Verdict.PASSED: "", Verdict.FAILED: "failure", Verdict.BROKEN: "error"}
    kind = kinds.get(result.verdict, "skipped")
    return _case("l2mac.checks", result.name, kind, result.summary, text)


def _tests(result: CheckResult) -> ET.Element:
    """Return a case for each test, failures first, so that no bound can hide them."""
    texts = {finding.where: finding.text for finding in reversed(result.findings)}
    outcomes = {**dict.fromkeys(_not_run(result), _NOT_RUN), **dict(result.outcomes)}
    order = sorted(outcomes, key=lambda test: (outcomes[test] == "passed", test))
    cases = [_test(test, outcomes[test], texts.get(test, "")) for test in order[:MOST_TESTS]]
    suite = _suite(f"l2mac.{result.name}", cases)
    if len(order) > MOST_TESTS:
        said = f"{len(order) - MOST_TESTS} more tests are omitted"
        suite.insert(0, element("properties", element("property", name="left out", value=said)))
    return suite


def _test(test: str, outcome: str, text: str) -> ET.Element:
    kind = _KINDS.get(outcome, "" if outcome == "passed" else "error")
    path, _, name = base_id(test).partition("::")
    inside, _, function = name.rpartition("::")
    module = path.removesuffix(".py").replace("/", ".")
    suite = ".".join(part for part in (module, *inside.split("::")) if part)
    parameters = test[len(base_id(test)) :]
    shown = function + parameters if name else path
    return _case(suite, shown, kind, outcome if kind else "", text)


def _not_run(result: CheckResult) -> Iterable[str]:
    run = {base_id(test) for test, _ in result.outcomes}
    return (test for test in result.declared if test not in run)
