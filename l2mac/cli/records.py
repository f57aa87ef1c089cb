"""`runs`, `show`, `export`: look at recorded runs and bring out their files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from l2mac.assemble import FORMATS
from l2mac.cli.book import write_book
from l2mac.cli.options import runs_dir_option, settings_from
from l2mac.cli.report import requirement_line, requirements_as_json
from l2mac.errors import TraceError
from l2mac.export import check_new_folder, export
from l2mac.record import recorded_program
from l2mac.run import find_run, recorded_files
from l2mac.terminal import clean, one_line
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import (
    Checked,
    Event,
    InstructionCompleted,
    ModelCalled,
    Replanned,
    RequirementsExamined,
    RunEnded,
    RunStarted,
    SessionStarted,
    ToolRan,
)
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.objects import ObjectStore

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
        click.echo(f"{row['run']}  {row['done']}/{row['planned']} instructions  {clean(row['status'])}")
    if not rows:
        click.echo(f"no runs in {clean(str(folder))}")


@click.command
@click.argument("name", metavar="[RUN]", default="last")
@runs_dir_option
@_JSON
def show(name: str, runs_dir: Path | None, *, as_json: bool) -> None:
    """Show RUN: its task, plan, state, checks, files and spending. RUN may be `last`."""
    folder = find_run(_runs_dir(runs_dir), name)
    entries = read_trace(folder / "trace.jsonl")[0]
    facts = _facts(folder, entries)
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"run      {facts['run']}")
    click.echo(f"task     {one_line(facts['task'], 500)}")
    click.echo(f"status   {clean(facts['status'])}")
    for number, text in enumerate(facts["plan"], 1):
        click.echo(f"  {'done' if number <= facts['done'] else '    '} {number:3}. {one_line(text, 120)}")
    click.echo(f"checks   {clean(facts['checks'])}")
    for row in (facts["requirements"] or {"rows": []})["rows"]:
        click.echo(f"required {requirement_line(row)}")
    click.echo(
        f"model    {clean(facts['model'])}: {facts['calls']} calls, {facts['tokens']} tokens, {facts['cost_usd']} USD"
    )
    click.echo(f"tools    {facts['tool_calls']} calls, {facts['tool_failures']} of them not done")
    click.echo(f"sessions {facts['sessions']}; {facts['elapsed_s']:.0f} s of work")
    for path, digest in facts["files"].items():
        click.echo(f"  {digest[:12]} {clean(path)}")


@click.command("export")
@click.argument("name", metavar="[RUN]", default="last")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The new folder, or file with --format.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="A book as one document instead of its files.")
@click.option("--language", default="en", show_default=True, help="The book's language, for HTML and EPUB.")
@runs_dir_option
@_JSON
def export_command(
    name: str, output: Path, form: str | None, language: str, runs_dir: Path | None, *, as_json: bool
) -> None:
    """Write the files of RUN, finished or not, into a new folder: regular files only, with a manifest of hashes.

    With --format the chapters of a book become one Markdown, HTML or EPUB file.
    """
    folder = find_run(_runs_dir(runs_dir), name)
    if form is None:
        check_new_folder(output)
    events = [entry.event for entry in read_trace(folder / "trace.jsonl")[0]]
    files = {entry.path: entry.digest for entry in recorded_files(tuple(events))}
    if form is not None:
        write_book(files, ObjectStore(folder / OBJECTS_FILE), output, form, language=language)
        click.echo(json.dumps({"output": str(output)}) if as_json else f"the book is {clean(str(output))}")
        return
    done = export(files, ObjectStore(folder / OBJECTS_FILE), output)
    if as_json:
        content = {"output": str(done.folder), "written": done.written, "set_aside": dict(done.set_aside)}
        click.echo(json.dumps(content))
        return
    click.echo(f"{len(done.written)} files in {clean(str(done.folder))}")
    for path, reason in done.set_aside.items():
        click.echo(f"not exported: {clean(path)} ({clean(reason)})")


def _runs_dir(runs_dir: Path | None) -> Path:
    return settings_from({"runs_dir": runs_dir}).runs_dir.expanduser()


def _row(folder: Path) -> dict[str, Any]:
    try:
        events = [entry.event for entry in read_trace(folder / "trace.jsonl")[0]]
    except TraceError as error:
        return {"run": folder.name, "status": f"damaged: {error}", "planned": 0, "done": 0}
    return {
        "run": folder.name,
        "status": _status(events),
        "planned": len(recorded_program(events)),
        "done": sum(isinstance(event, InstructionCompleted) for event in events),
    }


def _status(events: Sequence[Event]) -> str:
    """Say how the last session ended; one without an end was killed or is still at work."""
    for event in reversed(events):
        if isinstance(event, RunEnded):
            return event.status
        if isinstance(event, SessionStarted):
            return "at work or killed"
    return "empty"


def _facts(folder: Path, entries: list[Entry]) -> dict[str, Any]:
    objects = ObjectStore(folder / OBJECTS_FILE)
    events = [entry.event for entry in entries]
    calls = [event for event in events if isinstance(event, ModelCalled)]
    tools = [event for event in events if isinstance(event, ToolRan)]
    examined = [event for event in events if isinstance(event, RequirementsExamined)]
    tasks = [event.task_object for event in events if isinstance(event, RunStarted)]
    checks = [f"{event.verdict} ({event.summary})" for event in events if isinstance(event, Checked)]
    sessions = [event for event in events if isinstance(event, SessionStarted)]
    return {
        "run": folder.name,
        "folder": str(folder),
        "task": objects.get_text(tasks[0]) if tasks else "",
        "status": _status(events),
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
        "files": {entry.path: entry.digest for entry in recorded_files(tuple(events))},
    }


def _requirements(event: RequirementsExamined, objects: ObjectStore) -> dict[str, Any] | None:
    return requirements_as_json(json.loads(objects.get_text(event.table_object)), event.problem)
