"""A run as one screen of Markdown, for the summary of a build step.

Foreign text is in code spans, where Markdown, HTML, links and user names have no effect.
"""

from collections.abc import Sequence

from l2mac.control.outcome import CLAIM
from l2mac.evaluator.verdict import Verdict
from l2mac.insight.drawing import clock
from l2mac.insight.markup import MARK, harmless, short, short_path
from l2mac.insight.page import outcome_of
from l2mac.insight.series import Insight

_MOST_LISTED = 30
_MOST_FINDINGS = 10
_TEXT = 160


def as_markdown(insight: Insight) -> str:
    """Return the summary of a run."""
    _, outcome, cause = outcome_of(insight)
    parts = [MARK, f"## l2mac: {outcome}"]
    parts += [quoted(cause)] if cause else []
    parts += [_numbers(insight), _plan(insight), _checks(insight), _requirements(insight)]
    parts.append(f"Run {quoted(insight.run)}, seal `{insight.seal}`")
    return "\n\n".join(part for part in parts if part) + "\n"


def quoted(text: str, limit: int = _TEXT) -> str:
    """Return a text as a code span."""
    shown = harmless(short(text, limit)).replace("`", chr(0x2019)).strip()
    return f"`{shown or '-'}`"


def _numbers(insight: Insight) -> str:
    last = insight.checks[-1] if insight.checks else None
    tests = "none ran"
    if last is not None:
        tests = f"{last.passed} passed, {last.failed} failed, {last.skipped} skipped"
    rows = {
        "instructions done": f"{insight.done} of {len(insight.instructions)}",
        "tests": tests,
        "verified in a fresh sandbox": "yes" if insight.verified else "no",
        "tokens": f"{insight.tokens:,}",
        "cost": f"{insight.cost_usd:.2f} USD" if insight.cost_usd else "no price set",
        "working time": clock(insight.elapsed_s),
        "files": str(len(insight.files)),
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _plan(insight: Insight) -> str:
    lines = []
    for stage in insight.instructions[:_MOST_LISTED]:
        sign = "✓ " if stage.state == "done" else ""
        lines.append(f"{stage.number}. {sign}{quoted(stage.text)}")
    return _listed("### Plan", lines, len(insight.instructions))


def _checks(insight: Insight) -> str:
    if insight.last is None:
        return ""
    lines = []
    for one in insight.last.results[:_MOST_LISTED]:
        sign = "✓" if one.verdict is Verdict.PASSED else "✗"
        lines.append(f"- {sign} {quoted(one.name, 40)}: {quoted(one.summary)}")
    findings = [finding for one in insight.last.results for finding in one.findings]
    for finding in findings[:_MOST_FINDINGS]:
        where = quoted(short_path(finding.where, 120))
        lines.append(f"  - {where}: {quoted(finding.text)}")
    if len(findings) > _MOST_FINDINGS:
        lines.append(f"  - {len(findings) - _MOST_FINDINGS} more findings")
    return "\n".join(["### Last check", "", *lines])


def _requirements(insight: Insight) -> str:
    if not insight.requirements and not insight.unexamined:
        return ""
    total = len(insight.requirements)
    missing = [row.requirement for row in insight.requirements if not row.shown]
    head = f"{total - len(missing)} of {total} requirements are verified ({CLAIM})."
    lines = [f"- unverified: {quoted(text)}" for text in missing[:_MOST_LISTED]]
    problem = []
    if insight.unexamined:
        problem = [f"No usable evidence: {quoted(insight.unexamined)}", ""]
    count = len(missing) + len(problem)
    return _listed(f"### Requirements\n\n{head}", [*problem, *lines], count)


def _listed(head: str, lines: Sequence[str], count: int) -> str:
    if not lines:
        return head if "\n" in head else ""
    left = [f"\nand {count - len(lines)} more"] if count > len(lines) else []
    return "\n".join([head, "", *lines, *left])
