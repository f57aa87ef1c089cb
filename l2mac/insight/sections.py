"""The tables of the page, each of bounded length with a note about the rest."""

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from l2mac.control.outcome import CLAIM, RequirementRow
from l2mac.evaluator.verdict import CheckResult, Verdict
from l2mac.insight.drawing import clock
from l2mac.insight.markup import element, short, short_path
from l2mac.insight.series import CheckPoint, Insight, SandboxSummary, Session, Stage
from sandbox import format_size

MOST_STAGES = 120
MOST_CHECKS = 60
MOST_FINDINGS = 20
MOST_REQUIREMENTS = 120
MOST_SANDBOXES = 20
MOST_FILES = 300
MOST_SESSIONS = 30
_MANY_STAGES = 30
_TEXT, _NAME, _PATH = 400, 160, 120
_PHASES = {
    "planning": "planning",
    "verification": "verification and later work",
    "rewound": "rewound",
}
_STATES = {
    "done": "✓ done",
    "at work": "… in progress",
    "to come": "pending",
    "replaced": "replaced",
    "": "",
}
_PLAN_NAMES = (
    "",
    "instruction",
    "",
    "#turns",
    "#restarts",
    "#checks",
    "#sent",
    "#replies",
    "#USD",
    "#time",
    "#files",
)
_COST_COLUMN = _PLAN_NAMES.index("#USD")
TableCell = ET.Element | str


def plan(insight: Insight) -> list[ET.Element]:
    """Return the plan with the cost of each instruction, and the total."""
    stages = insight.stages
    most = _TEXT if len(stages) <= _MANY_STAGES else _TEXT // 3
    rows = []
    for stage in stages[:MOST_STAGES]:
        counted = stage.phase == "instruction" and stage.number
        rows.append((_stage(stage, most), "" if counted else "quiet"))
    total = Stage(
        phase="verification",
        turns=sum(stage.turns for stage in stages),
        restarts=sum(stage.restarts for stage in stages),
        checks=sum(stage.checks for stage in stages),
        prompt_tokens=sum(stage.prompt_tokens for stage in stages),
        completion_tokens=sum(stage.completion_tokens for stage in stages),
        cost_usd=sum(stage.cost_usd for stage in stages),
        elapsed_s=sum(stage.elapsed_s for stage in stages),
        files=tuple({path for stage in stages for path in stage.files}),
    )
    rows.append((["", "all", "", *_stage(total)[3:]], "total"))
    names = list(_PLAN_NAMES)
    if not any(stage.cost_usd for stage in stages):
        del names[_COST_COLUMN]
        for cells, _ in rows:
            del cells[_COST_COLUMN]
    return [*_table(names, rows), *_left_out(len(stages), MOST_STAGES, "parts")]


def _stage(stage: Stage, text_characters: int = 0) -> list[TableCell]:
    numbers = (
        stage.turns,
        stage.restarts,
        stage.checks,
        stage.prompt_tokens,
        stage.completion_tokens,
    )
    text = _PHASES.get(stage.phase) or short(stage.text, text_characters)
    kind = "state good-text" if stage.state == "done" else "state"
    return [
        str(stage.number or ""),
        text,
        element("span", _STATES[stage.state], class_=kind),
        *(f"{number:,}" for number in numbers),
        f"{stage.cost_usd:.4f}",
        clock(stage.elapsed_s),
        str(len(stage.files)),
    ]


def checks(insight: Insight) -> list[ET.Element]:
    """Return the verdicts, newest last, and the findings of the last check."""
    if not insight.checks:
        return []
    shown = insight.checks[-MOST_CHECKS:]
    rows = [(_check(one), "") for one in shown]
    found: list[ET.Element] = [element("h2", "Checks"), *_findings(insight)]
    listed = _table(["#", "#after", "#instr.", "where", "verdict", "summary"], rows)
    head = element("summary", f"{len(shown)} checks, newest last")
    rest = _left_out(len(insight.checks), MOST_CHECKS, "earlier checks")
    return [*found, element("details", head, *listed, *rest)]


def _check(check: CheckPoint) -> list[TableCell]:
    return [
        str(check.number),
        clock(check.elapsed_s),
        str(check.instruction or ""),
        "fresh sandbox" if check.final else "during the run",
        verdict(check.verdict),
        short(check.summary, _TEXT),
    ]


def verdict(name: str) -> ET.Element:
    """Return a verdict with a sign and a colour of its own."""
    sign, kind = "0", "state soft"
    if name == Verdict.PASSED:
        sign, kind = "✓", "state good-text"
    elif name in (Verdict.FAILED, Verdict.BROKEN):
        sign, kind = "✗", "state bad-text"
    return element("span", f"{sign} {short(name, 40)}", class_=kind)


def _findings(insight: Insight) -> list[ET.Element]:
    report = insight.last
    if report is None:
        return []
    where = "during the run; not verified in a fresh sandbox"
    if insight.verified:
        where = "in a fresh sandbox, on the present files"
    parts: list[ET.Element] = [
        element("p", "The last check, ", where, ": ", verdict(report.verdict))
    ]
    results = [_plain(_result(one)) for one in report.results]
    parts += _table(["check", "verdict", "summary"], results)
    findings = [(one.name, finding) for one in report.results for finding in one.findings]
    if findings:
        rows = []
        for name, finding in findings[:MOST_FINDINGS]:
            where, text = short_path(finding.where, _PATH), short(finding.text, _TEXT)
            rows.append(_plain([short(name, 40), where, text]))
        parts += _table(["check", "where", "finding"], rows)
        parts += _left_out(len(findings), MOST_FINDINGS, "findings")
    return parts


def _result(result: CheckResult) -> list[TableCell]:
    return [short(result.name, _NAME), verdict(result.verdict), short(result.summary, _TEXT)]


def requirements(insight: Insight) -> list[ET.Element]:
    """Return the table of requirements, labelled as a model's claim."""
    if not insight.requirements and not insight.unexamined:
        return []
    total = len(insight.requirements)
    verified = sum(row.shown for row in insight.requirements)
    parts = [
        element("h2", "Requirements"),
        element("p", f"{verified} of {total} requirements are verified. This is {CLAIM}."),
    ]
    if insight.unexamined:
        parts.append(element("p", short(insight.unexamined, _TEXT), class_="bad-text"))
    rows = [_plain(_requirement(row)) for row in insight.requirements[:MOST_REQUIREMENTS]]
    parts += _table(["", "requirement", "files", "tests"], rows)
    return [*parts, *_left_out(total, MOST_REQUIREMENTS, "requirements")]


def _requirement(row: RequirementRow) -> list[TableCell]:
    sign, kind = ("✓ verified", "good") if row.shown else ("✗ unverified", "bad")
    state = element("span", sign, class_=f"state {kind}-text")
    return [state, short(row.requirement, _TEXT), _names(row.files), _names(row.tests)]


def sandboxes(insight: Insight) -> list[ET.Element]:
    """Return the receipts: verdicts of each sandbox's properties, and its runtime."""
    if not insight.sandboxes:
        return []
    rows = [_plain(_sandbox(one)) for one in insight.sandboxes[:MOST_SANDBOXES]]
    names = ["sandbox", "runtime", "properties", "not available here", "image", "digest"]
    note = (
        "Each sandbox was verified before anything ran in it. A mismatch would have ended the"
        " session."
    )
    return [
        element("h2", "Sandboxes"),
        element("p", note),
        *_table(names, rows),
        *_left_out(len(insight.sandboxes), MOST_SANDBOXES, "sandboxes"),
    ]


def _sandbox(sandbox: SandboxSummary) -> list[TableCell]:
    kernel = " (a kernel of its own)" if sandbox.own_kernel else ""
    verdicts = [f"{count} {short(name, 40)}" for name, count in sandbox.rows]
    return [
        short(sandbox.purpose, 40),
        short(sandbox.runtime, 60) + kernel,
        ", ".join(verdicts) or "the receipt has no rows",
        _names(sandbox.unavailable),
        short(sandbox.image, _NAME),
        element("code", short(sandbox.digest, 100)),
    ]


def files(insight: Insight) -> list[ET.Element]:
    """Return the run's present files."""
    if not insight.files:
        return []
    rows = []
    for one in insight.files[:MOST_FILES]:
        path, digest = short_path(one.path, _PATH), element("code", one.digest)
        rows.append(_plain([path, format_size(one.size), digest]))
    total = sum(one.size for one in insight.files)
    listed = _table(["path", "#size", "SHA-256"], rows)
    rest = _left_out(len(insight.files), MOST_FILES, "files")
    head = element("summary", f"{len(insight.files)} files, {format_size(total)}")
    return [element("h2", "Files"), element("details", head, *listed, *rest, open="open")]


def sessions(insight: Insight) -> list[ET.Element]:
    """Return the processes that worked on the run."""
    if not insight.sessions:
        return []
    rows = [_plain(_session(one)) for one in insight.sessions[-MOST_SESSIONS:]]
    return [
        element("h2", "Sessions"),
        *_table(["reason", "l2mac", "model", "#from", "#to", "status"], rows),
        *_left_out(len(insight.sessions), MOST_SESSIONS, "earlier sessions"),
    ]


def _session(session: Session) -> list[TableCell]:
    status = f"{session.status}: {session.cause}" if session.status else "in progress or killed"
    return [
        short(session.reason, 20),
        short(session.version, 20),
        short(session.model, 60),
        clock(session.started_s),
        clock(session.ended_s),
        short(status, _TEXT),
    ]


def _table(
    names: Sequence[str], rows: Iterable[tuple[Sequence[TableCell], str]]
) -> list[ET.Element]:
    """Return a table; a name that begins with `#` heads a right-aligned column."""
    kinds, heads, lines = [], [], []
    for name in names:
        kinds.append("n" if name.startswith("#") else "")
        heads.append(element("th", name.removeprefix("#") or name, class_=kinds[-1]))
    for cells, row_kind in rows:
        data = [element("td", cell, class_=kind) for cell, kind in zip(cells, kinds, strict=True)]
        lines.append(element("tr", *data, class_=row_kind))
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *lines))
    return [element("div", table, class_="scroll")]


def _left_out(count: int, most: int, things: str) -> list[ET.Element]:
    if count <= most:
        return []
    note = f"{count - most} {things} are omitted. --json lists all of them."
    return [element("p", note, class_="note")]


def _plain(cells: list[TableCell]) -> tuple[list[TableCell], str]:
    return cells, ""


def _names(names: Sequence[str]) -> str:
    listed = ", ".join(short_path(name, 80) for name in names[:4])
    return listed + (f" and {len(names) - 4} more" if len(names) > 4 else "")
