"""`runs`, `show`: look at recorded runs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from l2mac.cli.file_history import print_heat_map, print_steps
from l2mac.cli.options import runs_dir_option, settings_from
from l2mac.cli.report import requirement_line, requirements_as_json
from l2mac.control.outcome import CLAIM
from l2mac.errors import TraceError
from l2mac.runs.folders import find_run
from l2mac.runs.recorded_input import left_out_of
from l2mac.runs.recorded_program import recorded_program
from l2mac.runs.retention import is_pinned, size_of
from l2mac.safe_text import clean, one_line
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import (
    Checked,
    Event,
    InstructionCompleted,
    ModelCalled,
    Replanned,
    RequirementsExamined,
    RunStarted,
    SessionStarted,
    ToolRan,
)
from l2mac.trace.history import (
    Step,
    accesses,
    effective,
    recorded_files,
    recorded_input,
    state_of,
    steps,
)
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.method_events import PartEnded, PartStarted
from l2mac.trace.objects import ObjectStore
from sandbox import format_size

_UNCHECKED = " without its evaluator: the work was done without checks"
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")


@click.command
@runs_dir_option
@_JSON
def runs(runs_dir: Path | None, *, as_json: bool) -> None:
    """List the recorded runs, oldest first, with their state."""
    folder = _runs_dir(runs_dir)
    rows = [_row(path.parent) for path in sorted(folder.glob("*/trace.jsonl"))]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        pinned = "  pinned" if row["pinned"] else ""
        work = f"{row['done']}/{row['planned']} {row['of']}  {format_size(row['bytes'])}"
        click.echo(f"{clean(row['run'])}  {work}  {clean(row['status'])}{pinned}")
    if not rows:
        click.echo(f"no runs in {clean(str(folder))}")


@click.command
@click.argument("name", metavar="[RUN]", default="last")
@click.option(
    "--steps", "with_steps", is_flag=True, help="The steps that rewind, fork and diff count by."
)
@click.option(
    "--files",
    "with_files",
    is_flag=True,
    help="Which instruction created, wrote, read, deleted each file.",
)
@runs_dir_option
@_JSON
def show(
    name: str, runs_dir: Path | None, *, with_steps: bool, with_files: bool, as_json: bool
) -> None:
    """Show RUN: its task, plan, state, checks, files and spending. RUN may be `last`.

    \b
    Examples:
      l2mac show last
      l2mac show last --steps
      l2mac show last --files --json
    """
    folder = find_run(_runs_dir(runs_dir), name)
    entries = read_trace(folder / "trace.jsonl")[0]
    if with_steps or with_files:
        _show_history(
            folder, entries, with_steps=with_steps, with_files=with_files, as_json=as_json
        )
        return
    facts = _facts(folder, entries)
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"run      {facts['run']}")
    click.echo(f"task     {one_line(facts['task'], 500)}")
    click.echo(f"status   {clean(facts['status'])}")
    if facts["method"] != "l2mac" or not facts["evaluator"]:
        click.echo(
            f"method   {clean(facts['method'])}"
            + (_UNCHECKED if facts["method"] == "l2mac" else "")
        )
    for number, text in enumerate(facts["plan"], 1):
        click.echo(
            f"  {'done' if number <= facts['done'] else '    '} {number:3}. {one_line(text, 120)}"
        )
    for part in facts["parts"]:
        click.echo(f"  {'done' if part['done'] else '    '}  {clean(part['name'])}")
    if facts["input"]:
        begun, out = facts["input"], sum(map(len, facts["input"]["left_out"].values()))
        click.echo(
            f"input    {begun['files']} files, {out} left out; as it came: {clean(begun['checks'])}"
        )
    click.echo(f"checks   {clean(facts['checks'])}")
    if facts["requirements"]:
        click.echo(f"required {clean(facts['requirements']['problem']) or CLAIM}")
        for row in facts["requirements"]["rows"]:
            click.echo(f"         {requirement_line(row)}")
    click.echo(
        f"model    {clean(facts['model'])}: {facts['calls']} calls, {facts['tokens']} tokens, {facts['cost_usd']} USD"
    )
    click.echo(f"tools    {facts['tool_calls']} calls, {facts['tool_failures']} of them not done")
    click.echo(f"sessions {facts['sessions']}; {facts['elapsed_s']:.0f} s of work")
    for path, digest in facts["files"].items():
        click.echo(f"  {digest[:12]} {clean(path)}")


def _show_history(
    folder: Path, entries: list[Entry], *, with_steps: bool, with_files: bool, as_json: bool
) -> None:
    found = steps(entries) if with_steps else []
    touched = accesses(entries, ObjectStore(folder / OBJECTS_FILE)) if with_files else []
    if as_json:
        content: dict[str, Any] = {"run": folder.name}
        content |= {"steps": [_step_as_json(step) for step in found]} if with_steps else {}
        click.echo(
            json.dumps(
                content | ({"accesses": [asdict(one) for one in touched]} if with_files else {})
            )
        )
        return
    if with_steps:
        print_steps(found)
    if with_files:
        print_heat_map(touched)


def _step_as_json(step: Step) -> dict[str, Any]:
    files = {path: one.digest for path, one in step.files.items()}
    place = {
        "number": step.number,
        "line": step.line,
        "instruction": step.instruction,
        "what": step.what,
    }
    return {**place, "tree": step.tree, "files": files}


def _runs_dir(runs_dir: Path | None) -> Path:
    return settings_from({"runs_dir": runs_dir}).runs_dir.expanduser()


def _row(folder: Path) -> dict[str, Any]:
    try:
        entries = read_trace(folder / "trace.jsonl")[0]
    except TraceError as error:
        return {
            "run": folder.name,
            "status": f"damaged: {error}",
            "of": "instructions",
            "planned": 0,
            "done": 0,
            **_keeping(folder),
        }
    events = [entry.event for entry in effective(entries)]
    parts = _parts(events)
    return {
        "run": folder.name,
        "status": state_of([entry.event for entry in entries]),
        "of": "parts" if parts else "instructions",
        "planned": len(recorded_program(events)) or len(parts),
        "done": sum(isinstance(event, InstructionCompleted) for event in events)
        + sum(part["done"] for part in parts),
        **_keeping(folder),
    }


def _parts(events: list[Event]) -> list[dict[str, Any]]:
    """Give the parts of a method's work, which has no program."""
    ended = {event.number for event in events if isinstance(event, PartEnded)}
    return [
        {"name": event.name, "done": event.number in ended}
        for event in events
        if isinstance(event, PartStarted)
    ]


def _method(events: list[Event]) -> dict[str, Any]:
    settings = next((event.settings for event in events if isinstance(event, RunStarted)), {})
    method, planning = str(settings.get("method", "l2mac")), settings.get("planning")
    checked = planning.get("evaluator", True) is True if isinstance(planning, dict) else True
    return {"method": method, "evaluator": method == "l2mac" and checked}


def _keeping(folder: Path) -> dict[str, Any]:
    return {"bytes": size_of(folder), "pinned": is_pinned(folder)}


def _facts(folder: Path, entries: list[Entry]) -> dict[str, Any]:
    objects = ObjectStore(folder / OBJECTS_FILE)
    everything = [entry.event for entry in entries]
    events = [entry.event for entry in effective(entries)]
    calls = [event for event in everything if isinstance(event, ModelCalled)]
    tools = [event for event in events if isinstance(event, ToolRan)]
    examined = [event for event in events if isinstance(event, RequirementsExamined)]
    tasks = [event.task_object for event in events if isinstance(event, RunStarted)]
    checks = [
        f"{event.verdict} ({event.summary})"
        for event in events
        if isinstance(event, Checked) and not event.baseline
    ]
    sessions = [event for event in everything if isinstance(event, SessionStarted)]
    return {
        "run": folder.name,
        "folder": str(folder),
        "task": objects.get_text(tasks[0]) if tasks else "",
        "status": state_of(everything),
        **_method(events),
        "parts": _parts(events),
        "plan": [objects.get_text(name) for name in recorded_program(events)],
        "done": sum(isinstance(event, InstructionCompleted) for event in events),
        "checks": checks[-1] if checks else "none yet",
        "replans": sum(isinstance(event, Replanned) and bool(event.action) for event in events),
        "requirements": _requirements(examined[-1], objects) if examined else None,
        "model": sessions[-1].model if sessions else "",
        "calls": len(calls),
        "tokens": sum(call.prompt_tokens + call.completion_tokens for call in calls),
        "cost_usd": round(sum(call.cost_usd for call in calls), 6),
        "tool_calls": len(tools),
        "tool_failures": sum(not tool.ok for tool in tools),
        "sessions": len(sessions),
        "elapsed_s": entries[-1].elapsed_s if entries else 0.0,
        "input": _input(events, objects),
        "files": {entry.path: entry.digest for entry in recorded_files(events)},
    }


def _input(events: list[Event], objects: ObjectStore) -> dict[str, Any] | None:
    """Give what the run began with, what was left out, and what was wrong with it; None where it began with nothing."""
    files = recorded_input(events)
    if not files:
        return None
    begun = [event for event in events if isinstance(event, Checked) and event.baseline]
    return {
        "files": len(files),
        "left_out": left_out_of(events, objects),
        "checks": f"{begun[-1].verdict} ({begun[-1].summary})" if begun else "not yet",
    }


def _requirements(event: RequirementsExamined, objects: ObjectStore) -> dict[str, Any] | None:
    return requirements_as_json(json.loads(objects.get_text(event.table_object)), event.problem)
