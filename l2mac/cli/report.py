"""Print the result of a run, for a person or as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from l2mac.control.outcome import CLAIM, Outcome, RequirementRow, Status
from l2mac.safe_text import clean, one_line
from l2mac.workspace.export import Export

if TYPE_CHECKING:  # `l2mac show` needs a line of this module, and nothing that executes a run
    from l2mac.runs.execute import SessionResult

_MOST_LISTED = 40
_MOST_NAMED = 4


def print_result(
    result: "SessionResult", exported: Export | None, *, replayed: int | None, difference: str
) -> None:
    """Print the result for a person."""
    outcome, spent = result.outcome, result.spending
    click.echo(f"{outcome.status}: {one_line(outcome.cause, 300)}")
    if exported is not None:
        _print_export(exported)
    _print_changes(result)
    _print_requirements(outcome)
    for opinion in outcome.opinions:
        click.echo(f"opinion  {clean(opinion.path)}: {one_line(opinion.text, 500)}")
    if outcome.opinions:
        click.echo("         Opinions come from a model and do not affect the result.")
    tokens = spent.prompt_tokens + spent.completion_tokens
    cost = f", {spent.cost_usd:.2f} USD" if spent.cost_usd else ""
    click.echo(f"usage    {tokens} tokens{cost}, {result.elapsed_s:.0f} s")
    if replayed is not None:
        same = difference or "all files have the recorded hashes"
        click.echo(f"replay   {replayed} recorded replies, {same}")
    click.echo(f"run      {result.run}")
    click.echo(f"seal     {result.seal}")
    if result.origin:
        click.echo(f"Show the changes:       l2mac diff {result.run}")
        click.echo(f"Write the changes back: l2mac export {result.run} --into FOLDER")
    if outcome.status in (Status.BUDGET, Status.NO_PLAN):
        click.echo(f"Continue with a larger budget: l2mac resume {result.run}")


def print_quarantined(paths: Mapping[str, str]) -> None:
    """Print the quarantined paths of an export, path → reason."""
    for path, reason in paths.items():
        click.echo(f"not exported: {clean(path)} ({clean(reason)})")


def _print_export(exported: Export) -> None:
    click.echo(f"files    {clean(str(exported.folder))}")
    for path in exported.written[:_MOST_LISTED]:
        click.echo(f"         {clean(path)}")
    if len(exported.written) > _MOST_LISTED:
        click.echo(f"         and {len(exported.written) - _MOST_LISTED} more")
    print_quarantined(exported.quarantined)


def changes_of(origin: Mapping[str, str], files: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the changes of a run to its input, both path → object."""
    common = files.keys() & origin.keys()
    return {
        "added": sorted(files.keys() - origin.keys()),
        "changed": sorted(path for path in common if files[path] != origin[path]),
        "deleted": sorted(origin.keys() - files.keys()),
    }


def _print_changes(result: "SessionResult") -> None:
    if not result.origin:
        return
    changes = changes_of(result.origin, result.files)
    signs = {"added": "+", "changed": "~", "deleted": "-"}
    listed = [(signs[kind], path) for kind, paths in changes.items() for path in paths]
    click.echo(f"changes  {len(listed)} of {len({*result.origin, *result.files})} files")
    for sign, path in listed[:_MOST_LISTED]:
        click.echo(f"       {sign} {clean(path)}")
    if len(listed) > _MOST_LISTED:
        click.echo(f"         and {len(listed) - _MOST_LISTED} more")


@dataclass(frozen=True, slots=True)
class RequirementTable:
    """The table of requirements, its source, and the reason if it is empty."""

    rows: tuple[RequirementRow, ...]
    problem: str
    by: str = CLAIM


def requirement_table(rows: tuple[RequirementRow, ...], problem: str) -> RequirementTable | None:
    """Return the table of requirements, or None without one."""
    return RequirementTable(rows, problem) if rows or problem else None


def requirement_line(row: RequirementRow) -> str:
    """Return one row of the table for a person."""
    state = "verified  " if row.shown else "UNVERIFIED"
    evidence = ", ".join([*row.files, *row.tests][:_MOST_NAMED])
    shown_evidence = f" ({one_line(evidence, 200)})" if evidence else ""
    return f"{state} {one_line(row.requirement, 160)}{shown_evidence}"


def _print_requirements(outcome: Outcome) -> None:
    if not outcome.requirements:
        return
    verified = sum(row.shown for row in outcome.requirements)
    click.echo(f"required {verified} of {len(outcome.requirements)} verified: {CLAIM}")
    for row in outcome.requirements:
        click.echo(f"         {requirement_line(row)}")


def result_as_json(
    result: "SessionResult",
    exported: Export | None,
    exit_code: int,
    *,
    replayed: int | None,
    difference: str,
) -> str:
    """Return the result as one JSON object."""
    outcome, spent = result.outcome, result.spending
    requirements = requirement_table(outcome.requirements, outcome.unexamined)
    content: dict[str, object] = {
        "run": result.run,
        "run_folder": str(result.folder),
        "method": result.method,
        "evaluator": result.evaluator,
        "status": outcome.status,
        "cause": outcome.cause,
        "exit_code": exit_code,
        "output": str(exported.folder) if exported else None,
        "files": result.files,
        "changes": changes_of(result.origin, result.files) if result.origin else None,
        "quarantined": dict(exported.quarantined) if exported else {},
        "checks": [
            {"name": one.name, "verdict": one.verdict, "summary": one.summary}
            for one in outcome.report.results
        ],
        "tests": asdict(outcome.report.counts),
        "requirements": asdict(requirements) if requirements else None,
        "opinions": [asdict(opinion) for opinion in outcome.opinions],
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "cost_usd": round(spent.cost_usd, 6),
        "elapsed_s": result.elapsed_s,
        "seal": result.seal,
    }
    if replayed is not None:
        content |= {"replayed": replayed, "difference": difference}
    return json.dumps(content)
