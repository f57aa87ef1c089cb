"""`export`: bring a run's files out, into a new folder, one document, or an existing folder."""

import json
from pathlib import Path

import click

from l2mac.cli.book import write_book
from l2mac.cli.exit_codes import OK
from l2mac.cli.options import json_option, run_argument, run_folder, runs_dir_option
from l2mac.domains.book.document import FORMATS
from l2mac.errors import SettingsError
from l2mac.safe_text import clean
from l2mac.trace.chain import read_trace
from l2mac.trace.history import effective, recorded_files, recorded_input
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.export import check_new_folder, export, quarantine
from l2mac.workspace.merge import MergePlan, merge, plan_merge


@click.command("export")
@run_argument
@click.option(
    "--output", type=click.Path(path_type=Path), help="The new folder, or file with --format."
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="An existing folder to merge into; shows what changes.",
)
@click.option(
    "--quarantine",
    "aside_folder",
    type=click.Path(path_type=Path),
    help="New folder for what is set aside.",
)
@click.option(
    "--overwrite", is_flag=True, help="With --into: write over files that changed on the host, too."
)
@click.option("--yes", is_flag=True, help="With --into: do not ask.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="A book as one document instead of its files.",
)
@click.option(
    "--language", default="en", show_default=True, help="The book's language, for HTML and EPUB."
)
@runs_dir_option
@json_option
def export_command(
    name: str,
    output: Path | None,
    into: Path | None,
    aside_folder: Path | None,
    form: str | None,
    language: str,
    runs_dir: Path | None,
    *,
    overwrite: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Write the files of RUN, finished or not: regular files only, with a manifest of hashes.

    Names that act by themselves on a host, such as .git or .envrc, are set aside and listed; --quarantine writes them
    under harmless names. With --into, of a run that began with --input-dir only what it changed is written; what you
    changed meanwhile is left alone. With --format the chapters of a book become one Markdown, HTML or EPUB file.

    \b
    Examples:
      l2mac export last --output ./result --quarantine ./set-aside
      l2mac export last --into ./my-project
    """
    if (output is None) == (into is None) or (into is not None and form is not None):
        raise SettingsError(
            "--output", "give either --output or --into; --format goes with --output"
        )
    folder = run_folder(name, runs_dir)
    if output is not None and form is None:
        check_new_folder(output)
    if aside_folder is not None:
        check_new_folder(aside_folder)
    events = [entry.event for entry in effective(read_trace(folder / TRACE_FILE)[0])]
    files = {entry.path: entry.digest for entry in recorded_files(events)}
    objects = ObjectStore(folder / OBJECTS_FILE)
    if into is not None:
        plan = plan_merge(files, into, recorded_input(events))
        facts = _merged(plan, files, objects, overwrite=overwrite, yes=yes, as_json=as_json)
    elif output is not None and form is not None:
        write_book(files, objects, output, form, language=language)
        facts = {"output": str(output)}
        _say(f"the book is {clean(str(output))}", as_json=as_json)
    else:
        done = export(files, objects, output or Path())
        facts = {
            "output": str(done.folder),
            "written": done.written,
            "set_aside": dict(done.set_aside),
        }
        _say(f"{len(done.written)} files in {clean(str(done.folder))}", as_json=as_json)
    aside = facts.get("set_aside", {})
    if aside_folder is not None and isinstance(aside, dict) and aside:
        facts["quarantine"] = str(quarantine(files, aside, objects, aside_folder))
    _finish(facts, as_json=as_json)
    return OK


def _merged(
    plan: MergePlan,
    files: dict[str, str],
    objects: ObjectStore,
    *,
    overwrite: bool,
    yes: bool,
    as_json: bool,
) -> dict[str, object]:
    for sign, paths in (
        ("+", plan.added),
        ("~", plan.updated),
        ("!", plan.conflicts),
        ("-", plan.gone),
    ):
        for path in paths:
            _say(f"{sign} {clean(path)}", as_json=as_json)
    for path, reason in plan.blocked.items():
        _say(f"x {clean(path)} {clean(reason)}", as_json=as_json)
    _say(
        "+ new, ~ updated, ! changed on the host, x in the way, - no longer in the run (stays)",
        as_json=as_json,
    )
    refused = plan.blocked or (plan.conflicts and not overwrite)
    if not yes and not refused:
        click.confirm(f"Write into {clean(str(plan.folder))}?", abort=True, err=True)
    written = merge(plan, files, objects, overwrite=overwrite)
    _say(f"{len(written)} files written into {clean(str(plan.folder))}", as_json=as_json)
    return {
        "into": str(plan.folder),
        "written": written,
        "same": plan.same,
        "gone": plan.gone,
        "set_aside": dict(plan.set_aside),
    }


def _say(text: str, *, as_json: bool) -> None:
    if not as_json:
        click.echo(text)


def _finish(facts: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts))
        return
    aside = facts.get("set_aside", {})
    for path, reason in aside.items() if isinstance(aside, dict) else ():
        click.echo(f"not exported: {clean(path)} ({clean(reason)})")
    if "quarantine" in facts:
        click.echo(
            f"set aside in {clean(str(facts['quarantine']))}, under numbers; index.json names them"
        )
