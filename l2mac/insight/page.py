"""One HTML page about a run: self-contained, without scripts, of bounded size."""

import base64
import hashlib
from xml.etree import ElementTree as ET

from l2mac.control.outcome import Status
from l2mac.insight import figures, sections
from l2mac.insight.drawing import clock, compact
from l2mac.insight.heat_figure import heat_map
from l2mac.insight.markup import append, as_html, element, short
from l2mac.insight.reading import RECORDED
from l2mac.insight.series import Insight
from l2mac.insight.style import STYLE
from l2mac.version import VERSION

_TASK_CHARACTERS = 1500
_GOOD = (Status.COMPLETED,)
_BAD = (
    Status.FAILING,
    Status.REQUIREMENTS_UNVERIFIED,
    Status.ABORTED,
    Status.NO_PLAN,
    Status.BUDGET,
)


def as_page(insight: Insight) -> str:
    """Return the page; it loads nothing, and its policy allows only its own style."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"l2mac: {short(insight.run, 100)}"),
        _style(),
    )
    body = element("body", *_top(insight), *_plan(insight), *_figures(insight))
    for section in (
        sections.checks,
        sections.requirements,
        sections.sandboxes,
        sections.files,
        sections.sessions,
    ):
        for part in section(insight):
            append(body, part)
    append(body, _foot(insight))
    return as_html(element("html", head, body, lang="en"))


def _style() -> ET.Element:
    style = ET.Element("style")
    style.text = STYLE  # not through `element`: the policy contains the hash of this text
    return style


def outcome_of(insight: Insight) -> tuple[str, str, str]:
    """Return the outcome: sign (good, bad or empty), words, and cause."""
    if insight.status in _GOOD:
        return "good", f"✓ {insight.status}", insight.cause
    if insight.status in _BAD:
        return "bad", f"✗ {insight.status}", insight.cause
    if insight.status == RECORDED:
        verified = "; its last check ran in a fresh sandbox" if insight.verified else ""
        return "", "recorded", f"no session recorded how the run ended{verified}"
    return "", insight.status, insight.cause


def _top(insight: Insight) -> list[ET.Element]:
    kind, outcome, cause = outcome_of(insight)
    last = insight.checks[-1] if insight.checks else None
    passed = "none"
    if last is not None:
        passed = f"{last.passed} of {last.passed + last.failed + last.skipped}"
    tiles = {
        "instructions": f"{insight.done} of {len(insight.instructions)}",
        "tests passed": passed,
        "checks": compact(len(insight.checks)),
        "model calls": compact(len(insight.calls)),
        "tokens": compact(insight.tokens),
        "cost": f"{insight.cost_usd:.2f} USD" if insight.cost_usd else "no price",
        "working time": clock(insight.elapsed_s),
        "files": str(len(insight.files)),
    }
    cards = [element("div", element("dt", name), element("dd", tiles[name])) for name in tiles]
    models = insight.models or dict.fromkeys(one.model for one in insight.sessions[-4:])
    names = ", ".join(short(name, 60) for name in list(models)[:4])
    about = [f"domain {short(insight.domain, 40)}", f"model {names}" if names else ""]
    described = [element("strong", outcome), element("span", short(cause, 500))]
    lines = f" · {insight.events} lines"
    return [
        element("h1", short(insight.run, 120)),
        element("p", " · ".join(part for part in about if part), class_="run"),
        element("p", short(insight.task, _TASK_CHARACTERS), class_="task"),
        element("div", *described, class_=f"outcome {kind}"),
        element("dl", *cards, class_="tiles"),
        element("p", "seal ", element("code", insight.seal), lines, class_="seal"),
    ]


def _plan(insight: Insight) -> list[ET.Element]:
    return [element("h2", "Plan"), *sections.plan(insight)]


def _figures(insight: Insight) -> list[ET.Element]:
    drawn: list[ET.Element | None] = []
    if insight.kept:
        drawn.append(figures.features(insight.kept))
    if insight.checks:
        drawn += [figures.errors(insight.checks), figures.tests(insight.checks)]
    if insight.calls:
        drawn += [
            figures.context_use(insight.calls, insight.context_tokens),
            figures.spending(insight.calls),
            figures.costs(insight.calls),
        ]
    if insight.checks:
        drawn.append(figures.verdicts(insight.checks))
    if insight.heat_map.rows:
        drawn.append(heat_map(insight.heat_map))
    if not any(part is not None for part in drawn):
        return []
    return [element("h2", "Figures"), element("div", *drawn, class_="figures")]


def _foot(insight: Insight) -> ET.Element:
    note = (
        f"Drawn by l2mac {VERSION} from the trace alone. Names and texts are a model's or a"
        " sandbox's. To verify that the trace is complete and unaltered, run "
    )
    command = element("code", f"l2mac audit verify {short(insight.run, 120)}")
    return element("footer", note, command, ".")
