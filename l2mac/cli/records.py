"""`runs`, `runs prune`, `show`: list, remove and show recorded runs."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from l2mac.cli.options import (
    json_option,
    run_argument,
    run_folder,
    runs_dir_option,
    runs_folder,
)
from l2mac.cli.report import requirement_line
from l2mac.cli.run_facts import RunFacts, facts_of, summary_of
from l2mac.control.outcome import CLAIM
from l2mac.errors import SettingsError
from l2mac.runs.folders import RetentionDecision, prune_runs
from l2mac.safe_text import clean, one_line
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.history import Access, Step, accesses, steps
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore
from sandbox import format_size

_NO_EVALUATOR = "l2mac without its evaluator: no checks before the final verification"
_MARKS = {"created": "C", "deleted": "D", "wrote": "W", "ran": "x", "read": "r"}
"""By weight: if an instruction touched a file in several ways, the first one is shown."""
_MOST_WIDTH = 40
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@click.group(invoke_without_command=True)
@runs_dir_option
@json_option
@click.pass_context
def runs(context: click.Context, runs_dir: Path | None, *, as_json: bool) -> None:
    """List recorded runs, or remove old ones.

    Without a command: list the runs, oldest first, with their state.

    \b
    Examples:
      l2mac runs
      l2mac runs prune --older-than 30d
    """
    if context.invoked_subcommand is not None:
        return
    folder = runs_folder(runs_dir)
    summaries = [summary_of(path.parent) for path in sorted(folder.glob(f"*/{TRACE_FILE}"))]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in summaries]))
        return
    for one in summaries:
        pinned = "  pinned" if one.pinned else ""
        work = f"{one.done}/{one.planned} {one.of}  {format_size(one.bytes)}"
        click.echo(f"{clean(one.run)}  {work}  {clean(one.status)}{pinned}")
    if not summaries:
        click.echo(f"no runs in {clean(str(folder))}")


@runs.command
@click.option(
    "--older-than", "age", metavar="AGE", required=True, help="Minimum age, such as 30d or 12h."
)
@click.option("--dry-run", is_flag=True, help="Print the decisions and remove nothing.")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@runs_dir_option
@json_option
@click.pass_context
def prune(
    context: click.Context,
    age: str,
    runs_dir: Path | None,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove the folders of old recorded runs.

    A run is as old as the last line of its trace. Pinned runs, active runs and folders with foreign
    files are kept. Exported files always stay.

    \b
    Examples:
      l2mac runs prune --older-than 30d --dry-run
      l2mac runs prune --older-than 12h --yes
    """
    seconds = _seconds(age)
    parent = context.parent.params if context.parent else {}
    folder = runs_folder(runs_dir or parent.get("runs_dir"))
    old = [one for one in prune_runs(folder, older_than_s=seconds, dry_run=True) if one.removed]
    if old and not (dry_run or yes):
        click.confirm(f"Remove {len(old)} recorded runs?", abort=True, err=True)
    decisions = prune_runs(folder, older_than_s=seconds, dry_run=dry_run)
    if as_json or parent.get("as_json"):
        rows = [
            {"run": one.folder.name, "bytes": one.size_bytes, "kept": one.reason}
            for one in decisions
        ]
        click.echo(json.dumps({"dry_run": dry_run, "runs": rows}))
        return
    for one in decisions:
        text = clean(_decision_text(one, dry_run=dry_run))
        click.echo(f"{clean(one.folder.name)}  {format_size(one.size_bytes)}  {text}")


def _decision_text(decision: RetentionDecision, *, dry_run: bool) -> str:
    if decision.reason:
        return f"stays: {decision.reason}"
    return "would be removed" if dry_run else "removed"


def _seconds(age: str) -> float:
    match = re.fullmatch(r"(\d{1,6})([smhdw])", age)
    if match is None:
        problem = f"--older-than {age!r} is not an age. Write a number and s, m, h, d or w."
        raise SettingsError("--older-than", problem)
    return int(match[1]) * _SECONDS[match[2]]


@click.command
@run_argument
@click.option(
    "--steps", "with_steps", is_flag=True, help="Show the steps, as rewind, fork and diff count."
)
@click.option("--files", "with_files", is_flag=True, help="Show which instruction used which file.")
@runs_dir_option
@json_option
def show(
    name: str, runs_dir: Path | None, *, with_steps: bool, with_files: bool, as_json: bool
) -> None:
    """Show the plan, state, checks, files and usage of a run.

    \b
    Examples:
      l2mac show last
      l2mac show last --steps
      l2mac show last --files --json
    """
    folder = run_folder(name, runs_dir)
    entries = read_trace(folder / TRACE_FILE)[0]
    if with_steps or with_files:
        _show_history(
            folder, entries, with_steps=with_steps, with_files=with_files, as_json=as_json
        )
        return
    facts = facts_of(folder, entries)
    if as_json:
        content = asdict(facts)
        click.echo(json.dumps(content | content.pop("usage")))
        return
    _print_work(facts)
    _print_results(facts)


def _print_work(facts: RunFacts) -> None:
    click.echo(f"run      {clean(facts.run)}")
    click.echo(f"task     {one_line(facts.task, 500)}")
    click.echo(f"status   {clean(facts.status)}")
    if facts.method != "l2mac":
        click.echo(f"method   {clean(facts.method)}")
    elif not facts.evaluator:
        click.echo(f"method   {_NO_EVALUATOR}")
    for number, text in enumerate(facts.plan, 1):
        mark = "done" if number <= facts.done else ""
        click.echo(f"  {mark:4} {number:3}. {one_line(text, 120)}")
    for part in facts.parts:
        click.echo(f"  {'done' if part.done else '':4}  {clean(part.name)}")


def _print_results(facts: RunFacts) -> None:
    if facts.input:
        excluded = sum(map(len, facts.input.left_out.values()))
        click.echo(f"input    {facts.input.files} files, {excluded} excluded")
        click.echo(f"baseline {clean(facts.input.checks)}")
    click.echo(f"checks   {clean(facts.checks)}")
    if facts.requirements:
        click.echo(f"required {clean(facts.requirements.problem) or CLAIM}")
        for row in facts.requirements.rows:
            click.echo(f"         {requirement_line(row)}")
    used = facts.usage
    usage = f"{used.calls} calls, {used.tokens} tokens, {used.cost_usd} USD"
    click.echo(f"model    {clean(used.model)}: {usage}")
    click.echo(f"tools    {used.tool_calls} calls, {used.tool_failures} failed")
    click.echo(f"sessions {used.sessions}, {facts.elapsed_s:.0f} s of work")
    for path, digest in facts.files.items():
        click.echo(f"  {digest[:12]} {clean(path)}")


def _show_history(
    folder: Path, entries: list[Entry], *, with_steps: bool, with_files: bool, as_json: bool
) -> None:
    found = steps(entries) if with_steps else []
    touched = accesses(entries, ObjectStore(folder / OBJECTS_FILE)) if with_files else []
    if as_json:
        content: dict[str, object] = {"run": folder.name}
        if with_steps:
            content["steps"] = [_step_as_json(step) for step in found]
        if with_files:
            content["accesses"] = [asdict(one) for one in touched]
        click.echo(json.dumps(content))
        return
    for step in found:
        click.echo(_step_line(step))
    if with_files:
        _print_accesses(touched)


def _step_as_json(step: Step) -> dict[str, object]:
    return {
        "number": step.number,
        "line": step.line,
        "instruction": step.instruction,
        "what": step.action,
        "tree": step.tree,
        "files": {path: one.digest for path, one in step.files.items()},
    }


def _step_line(step: Step) -> str:
    place = f"instruction {step.instruction}" if step.instruction else "start"
    files = f"{len(step.files):4} files"
    return f"{step.number:4}  {place:15} {clean(step.action):22} {files}  {step.tree[:12]}"


def _print_accesses(touched: Sequence[Access]) -> None:
    """Print a row per file and a column per instruction, as in the paper."""
    touches: dict[tuple[str, int], list[str]] = {}
    for access in touched:
        touches.setdefault((access.path, access.instruction), []).append(access.how)
    columns = sorted({instruction for _, instruction in touches})
    paths = sorted({path for path, _ in touches})
    width = min(max((len(clean(path)) for path in paths), default=0), _MOST_WIDTH)
    click.echo(f"{'':{width}}  " + "".join(f"{number:>4}" for number in columns))
    for path in paths:
        cells = "".join(_cell(touches.get((path, number), [])) for number in columns)
        click.echo(f"{clean(path)[-width:]:{width}}  {cells}")
    click.echo("C created, W wrote, D deleted, x ran, r read. Numbers count accesses.")


def _cell(here: Sequence[str]) -> str:
    mark = next((letter for how, letter in _MARKS.items() if how in here), "·")
    count = str(len(here)) if len(here) > 1 else ""
    return f"{mark + count:>4}"
