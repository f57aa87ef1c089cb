"""The tables of the page, each of bounded length, with what was left out said below it."""

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from l2mac.control.outcome import CLAIM, RequirementRow
from l2mac.evaluator.verdict import Verdict
from l2mac.insight.drawing import clock
from l2mac.insight.markup import element, short, short_path
from l2mac.insight.series import CheckPoint, Insight, Sandbox, Stage
from sandbox import format_size

MOST_STAGES = 120
MOST_CHECKS = 60
MOST_FINDINGS = 20
MOST_REQUIREMENTS = 120
MOST_BOXES = 20
MOST_FILES = 300
MOST_SESSIONS = 30
_MANY_STAGES = 30
_TEXT, _NAME, _PATH = 400, 160, 120
_PHASES = {
    "planning": "planning",
    "verification": "verification and what follows it",
    "taken back": "taken back by a rewind",
}
_STATES = {
    "done": "✓ done",
    "at work": "… at work",
    "to come": "to come",
    "replaced": "replaced",
    "": "",
}
TableCell = ET.Element | str


def plan(insight: Insight) -> list[ET.Element]:
    """Return the plan with what each instruction took, and the whole."""
    stages = insight.stages
    names = [
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
    ]
    priced = any(stage.cost_usd for stage in stages)
    most = _TEXT if len(stages) <= _MANY_STAGES else _TEXT // 3
    rows = [
        (_stage(stage, most), "" if stage.phase == "instruction" and stage.number else "quiet")
        for stage in stages[:MOST_STAGES]
    ]
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
    if not priced:
        names.pop(8)
        rows = [([*cells[:8], *cells[9:]], kind) for cells, kind in rows]
    return [*_table(names, rows), *_left_out(len(stages), MOST_STAGES, "parts")]


def _stage(stage: Stage, text_characters: int = 0) -> list[TableCell]:
    numbers = (
        stage.turns,
        stage.restarts,
        stage.checks,
        stage.prompt_tokens,
        stage.completion_tokens,
    )
    return [
        str(stage.number or ""),
        short(stage.text, text_characters)
        if stage.phase == "instruction"
        else _PHASES[stage.phase],
        element(
            "span",
            _STATES[stage.state],
            class_="state good-text" if stage.state == "done" else "state",
        ),
        *(f"{number:,}" for number in numbers),
        f"{stage.cost_usd:.4f}",
        clock(stage.elapsed_s),
        str(len(stage.files)),
    ]


def checks(insight: Insight) -> list[ET.Element]:
    """Return the verdicts, newest last, and what the last check found."""
    if not insight.checks:
        return []
    shown = insight.checks[-MOST_CHECKS:]
    rows = [(_check(one), "") for one in shown]
    found: list[ET.Element] = [element("h2", "Checks"), *_findings(insight)]
    listed = _table(["#", "#after", "#instr.", "where", "verdict", "summary"], rows)
    head = element("summary", f"{len(shown)} checks, newest last")
    return [
        *found,
        element(
            "details", head, *listed, *_left_out(len(insight.checks), MOST_CHECKS, "earlier checks")
        ),
    ]


def _check(check: CheckPoint) -> list[TableCell]:
    return [
        str(check.number),
        clock(check.elapsed_s),
        str(check.instruction or ""),
        "fresh sandbox" if check.final else "at work",
        verdict(check.verdict),
        short(check.summary, _TEXT),
    ]


def verdict(name: str) -> ET.Element:
    """Return a verdict that stands out by its sign and its colour."""
    passed = name == Verdict.PASSED
    bad = name in (Verdict.FAILED, Verdict.BROKEN)
    kind = "state good-text" if passed else "state bad-text" if bad else "state soft"
    return element(
        "span", f"{'✓' if passed else '✗' if bad else '0'} {short(name, 40)}", class_=kind
    )


def _findings(insight: Insight) -> list[ET.Element]:
    report = insight.last
    if report is None:
        return []
    where = (
        "in a fresh sandbox, on the files as they are"
        if insight.verified
        else "at work; not verified in a fresh sandbox"
    )
    said: list[ET.Element] = [
        element("p", "The last check, ", where, ": ", verdict(report.verdict)),
        *_table(
            ["check", "verdict", "summary"],
            [
                ([short(one.name, _NAME), verdict(one.verdict), short(one.summary, _TEXT)], "")
                for one in report.results
            ],
        ),
    ]
    findings = [(one.name, finding) for one in report.results for finding in one.findings]
    if findings:
        rows = [
            ([short(name, 40), short_path(finding.where, _PATH), short(finding.text, _TEXT)], "")
            for name, finding in findings[:MOST_FINDINGS]
        ]
        said += [
            *_table(["check", "where", "finding"], rows),
            *_left_out(len(findings), MOST_FINDINGS, "findings"),
        ]
    return said


def requirements(insight: Insight) -> list[ET.Element]:
    """Return the table of requirements, labelled as the claim that it is."""
    if not insight.requirements and not insight.unexamined:
        return []
    rows = [(_requirement(row), "") for row in insight.requirements[:MOST_REQUIREMENTS]]
    shown = sum(row.shown for row in insight.requirements)
    return [
        element("h2", "Requirements"),
        element("p", f"{shown} of {len(insight.requirements)} are shown. This is {CLAIM}."),
        *(
            [element("p", short(insight.unexamined, _TEXT), class_="bad-text")]
            if insight.unexamined
            else []
        ),
        *_table(["", "requirement", "files", "tests"], rows),
        *_left_out(len(insight.requirements), MOST_REQUIREMENTS, "requirements"),
    ]


def _requirement(row: RequirementRow) -> list[TableCell]:
    sign = element(
        "span",
        "✓ shown" if row.shown else "✗ not shown",
        class_="state good-text" if row.shown else "state bad-text",
    )
    return [sign, short(row.requirement, _TEXT), _names(row.files), _names(row.tests)]


def sandboxes(insight: Insight) -> list[ET.Element]:
    """Return what the receipts show: how many properties of each sandbox are as they must be, and on what it ran."""
    if not insight.sandboxes:
        return []
    rows = [(_sandbox(one), "") for one in insight.sandboxes[:MOST_BOXES]]
    return [
        element("h2", "SandboxFactory"),
        element(
            "p",
            "Each sandbox was verified before anything ran in it; a mismatch would have ended the session.",
        ),
        *_table(
            ["sandbox", "runtime", "properties", "cannot be shown here", "image", "digest"], rows
        ),
        *_left_out(len(insight.sandboxes), MOST_BOXES, "sandboxes"),
    ]


def _sandbox(sandbox: Sandbox) -> list[TableCell]:
    kernel = " (a kernel of its own)" if sandbox.own_kernel else ""
    rows = (
        ", ".join(f"{count} {short(name, 40)}" for name, count in sandbox.rows)
        or "the receipt has none"
    )
    return [
        short(sandbox.purpose, 40),
        short(sandbox.runtime, 60) + kernel,
        rows,
        _names(sandbox.unavailable),
        short(sandbox.image, _NAME),
        element("code", short(sandbox.digest, 100)),
    ]


def files(insight: Insight) -> list[ET.Element]:
    """Return the files as they are now."""
    if not insight.files:
        return []
    rows = [
        _plain([short_path(one.path, _PATH), format_size(one.size), element("code", one.digest)])
        for one in insight.files[:MOST_FILES]
    ]
    total = sum(one.size for one in insight.files)
    listed = _table(["path", "#size", "SHA-256"], rows)
    head = element("summary", f"{len(insight.files)} files, {format_size(total)}")
    return [
        element("h2", "Files"),
        element(
            "details",
            head,
            *listed,
            *_left_out(len(insight.files), MOST_FILES, "files"),
            open="open",
        ),
    ]


def sessions(insight: Insight) -> list[ET.Element]:
    """Return the processes that worked on the run."""
    if not insight.sessions:
        return []
    rows: list[tuple[list[TableCell], str]] = [
        (
            [
                short(one.reason, 20),
                short(one.version, 20),
                short(one.model, 60),
                clock(one.started_s),
                clock(one.ended_s),
                short(f"{one.status}: {one.cause}" if one.status else "at work or killed", _TEXT),
            ],
            "",
        )
        for one in insight.sessions[-MOST_SESSIONS:]
    ]
    return [
        element("h2", "Sessions"),
        *_table(["why", "l2mac", "model", "#from", "#to", "ended as"], rows),
        *_left_out(len(insight.sessions), MOST_SESSIONS, "earlier sessions"),
    ]


def _table(
    names: Sequence[str], rows: Iterable[tuple[Sequence[TableCell], str]]
) -> list[ET.Element]:
    """Return a table; a name that begins with `#` is that of numbers, which stand to the right."""
    kinds = ["n" if name.startswith("#") else "" for name in names]
    heads = [
        element("th", name.removeprefix("#") or "#" * (name == "#"), class_=kind)
        for name, kind in zip(names, kinds, strict=True)
    ]
    lines = [
        element(
            "tr",
            *(element("td", cell, class_=kind) for cell, kind in zip(cells, kinds, strict=True)),
            class_=line,
        )
        for cells, line in rows
    ]
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *lines))
    return [element("div", table, class_="scroll")]


def _left_out(count: int, most: int, what: str) -> list[ET.Element]:
    if count <= most:
        return []
    return [
        element("p", f"{count - most} {what} are left out; --json has them all.", class_="note")
    ]


def _plain(cells: list[TableCell]) -> tuple[list[TableCell], str]:
    return cells, ""


def _names(names: Sequence[str]) -> str:
    listed = ", ".join(short_path(name, 80) for name in names[:4])
    return listed + (f" and {len(names) - 4} more" if len(names) > 4 else "")
