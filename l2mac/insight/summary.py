"""A run in a screen of Markdown, for the summary of a build's step.

Whatever is not ours stands in code spans, in which Markdown, HTML, links and names of people mean nothing.
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
    """Return the summary."""
    _, said, cause = outcome_of(insight)
    parts = [MARK, f"## l2mac: {said}"]
    parts += [quoted(cause)] if cause else []
    parts += [_numbers(insight), _plan(insight), _checks(insight), _requirements(insight)]
    parts.append(f"Run {quoted(insight.run)}, seal `{insight.seal}`")
    return "\n\n".join(part for part in parts if part) + "\n"


def quoted(text: str, limit: int = _TEXT) -> str:
    """Return a text as a code span."""
    return f"`{harmless(short(text, limit)).replace('`', chr(0x2019)).strip() or '-'}`"


def _numbers(insight: Insight) -> str:
    last = insight.checks[-1] if insight.checks else None
    rows = {
        "instructions done": f"{insight.done} of {len(insight.instructions)}",
        "tests": f"{last.passed} passed, {last.failed} failed, {last.skipped} skipped"
        if last
        else "none ran",
        "verified in a fresh sandbox": "yes" if insight.verified else "no",
        "tokens": f"{insight.tokens:,}",
        "cost": f"{insight.cost_usd:.2f} USD" if insight.cost_usd else "no price set",
        "time of work": clock(insight.elapsed_s),
        "files": str(len(insight.files)),
    }
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    )


def _plan(insight: Insight) -> str:
    lines = [
        f"{stage.number}. {'✓ ' if stage.state == 'done' else ''}{quoted(stage.text)}"
        for stage in insight.instructions[:_MOST_LISTED]
    ]
    return _listed("### Plan", lines, len(insight.instructions))


def _checks(insight: Insight) -> str:
    if insight.last is None:
        return ""
    lines = [
        f"- {'✓' if one.verdict is Verdict.PASSED else '✗'} {quoted(one.name, 40)}: {quoted(one.summary)}"
        for one in insight.last.results[:_MOST_LISTED]
    ]
    findings = [finding for one in insight.last.results for finding in one.findings]
    lines += [
        f"  - {quoted(short_path(finding.where, 120))}: {quoted(finding.text)}"
        for finding in findings[:_MOST_FINDINGS]
    ]
    if len(findings) > _MOST_FINDINGS:
        lines.append(f"  - {len(findings) - _MOST_FINDINGS} more findings")
    return "\n".join(["### Last check", "", *lines])


def _requirements(insight: Insight) -> str:
    if not insight.requirements and not insight.unexamined:
        return ""
    missing = [row.requirement for row in insight.requirements if not row.shown]
    said = f"{len(insight.requirements) - len(missing)} of {len(insight.requirements)} are shown ({CLAIM})."
    lines = [f"- not shown: {quoted(text)}" for text in missing[:_MOST_LISTED]]
    problem = [f"No usable account: {quoted(insight.unexamined)}", ""] if insight.unexamined else []
    return _listed(f"### Requirements\n\n{said}", [*problem, *lines], len(missing) + len(problem))


def _listed(head: str, lines: Sequence[str], count: int) -> str:
    if not lines:
        return head if "\n" in head else ""
    left = [f"\nand {count - len(lines)} more"] if count > len(lines) else []
    return "\n".join([head, "", *lines, *left])
