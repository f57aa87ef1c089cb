"""`export`: write a run's files to a new folder, a document or a project."""

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from l2mac.cli.exit_codes import OK
from l2mac.cli.options import json_option, run_argument, run_folder, runs_dir_option
from l2mac.cli.report import print_quarantined
from l2mac.domains.book.document import FORMATS, as_epub, as_html, as_markdown, read_manuscript
from l2mac.errors import SettingsError
from l2mac.safe_text import clean
from l2mac.trace.chain import read_trace
from l2mac.trace.history import effective, recorded_files, recorded_input
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.export import check_new_folder, export, quarantine
from l2mac.workspace.merge import MergePlan, merge, plan_merge

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_LEGEND = "+ new, ~ updated, ! conflict with the host, x blocked, - stays, not in the run"
Print = Callable[[str], None]


@click.command("export")
@run_argument
@click.option(
    "--output", type=click.Path(path_type=Path), help="New folder, or new file with --format."
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="Existing folder to merge into. Shows the changes first.",
)
@click.option(
    "--quarantine",
    "quarantine_folder",
    type=click.Path(path_type=Path),
    help="New folder for the quarantined files.",
)
@click.option("--overwrite", is_flag=True, help="With --into: replace files changed on the host.")
@click.option("--yes", is_flag=True, help="With --into: skip the confirmation.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Write a book as one document.")
@click.option(
    "--language", default="en", help="Language of the book, for HTML and EPUB. Default: en."
)
@runs_dir_option
@json_option
def export_command(
    name: str,
    output: Path | None,
    into: Path | None,
    quarantine_folder: Path | None,
    form: str | None,
    language: str,
    runs_dir: Path | None,
    *,
    overwrite: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Write the files of a run to a folder of the host.

    RUN may be finished or not. Only regular files are written, with a manifest of their hashes.
    Names that act on a host by themselves, such as .git or .envrc, are quarantined and listed.
    --quarantine writes these files under harmless names.

    With --into, a run with --input-dir writes only its own changes. Files that changed on the host
    since are kept. With --format, the chapters of a book become one Markdown, HTML or EPUB file.

    \b
    Examples:
      l2mac export last --output ./result --quarantine ./quarantine
      l2mac export last --into ./my-project
    """
    _check_targets(output, into, quarantine_folder, form)
    folder = run_folder(name, runs_dir)
    events = [entry.event for entry in effective(read_trace(folder / TRACE_FILE)[0])]
    files = {entry.path: entry.digest for entry in recorded_files(events)}
    objects = ObjectStore(folder / OBJECTS_FILE)
    say: Print = (lambda _: None) if as_json else click.echo
    quarantined: Mapping[str, str] = {}
    if into is not None:
        plan = plan_merge(files, into, recorded_input(events))
        quarantined = plan.quarantined
        facts = _merge(plan, files, objects, say, overwrite=overwrite, yes=yes)
    elif form is not None and output is not None:
        write_book(files, objects, output, form, language=language)
        facts = {"output": str(output)}
        say(f"wrote {clean(str(output))}")
    else:
        done = export(files, objects, output or Path())
        quarantined = done.quarantined
        facts = {"output": str(done.folder), "written": done.written}
        say(f"{len(done.written)} files in {clean(str(done.folder))}")
    facts["quarantined"] = dict(quarantined)
    if quarantine_folder is not None and quarantined:
        facts["quarantine"] = str(quarantine(files, quarantined, objects, quarantine_folder))
    if as_json:
        click.echo(json.dumps(facts))
    else:
        print_quarantined(quarantined)
        if "quarantine" in facts:
            click.echo(f"quarantine: {clean(str(quarantine_folder))}, names in index.json")
    return OK


def _check_targets(
    output: Path | None, into: Path | None, quarantine_folder: Path | None, form: str | None
) -> None:
    if output is None and into is None:
        problem = "--output is missing. Name a new folder, or an existing one with --into."
        raise SettingsError("--output", problem)
    if into is not None and output is not None:
        problem = "--output and --into exclude each other. Use one of them."
        raise SettingsError("--output", problem)
    if into is not None and form is not None:
        problem = "--format requires --output, not --into. Name a new file with --output."
        raise SettingsError("--format", problem)
    if output is not None and form is None:
        check_new_folder(output, "--output")
    if quarantine_folder is not None:
        check_new_folder(quarantine_folder, "--quarantine")


def _merge(
    plan: MergePlan,
    files: dict[str, str],
    objects: ObjectStore,
    say: Print,
    *,
    overwrite: bool,
    yes: bool,
) -> dict[str, object]:
    signs = {"+": plan.added, "~": plan.updated, "!": plan.conflicts, "-": plan.gone}
    for sign, paths in signs.items():
        for path in paths:
            say(f"{sign} {clean(path)}")
    for path, reason in plan.blocked.items():
        say(f"x {clean(path)} {clean(reason)}")
    say(_LEGEND)
    refused = plan.blocked or (plan.conflicts and not overwrite)
    if not yes and not refused:
        click.confirm(f"Write into {clean(str(plan.folder))}?", abort=True, err=True)
    written = merge(plan, files, objects, overwrite=overwrite)
    say(f"{len(written)} files written into {clean(str(plan.folder))}")
    return {
        "into": str(plan.folder),
        "written": written,
        "same": plan.same,
        "gone": plan.gone,
    }


def write_book(
    files: Mapping[str, str], objects: ObjectStore, target: Path, form: str, *, language: str
) -> None:
    """Write the book as one new file; an existing file is never touched.

    Raises:
        SettingsError: The run holds no book, the language is invalid, or the file exists or cannot
            be written.
        TraceError: An object is missing or altered.
    """
    if not _LANGUAGE.fullmatch(language):
        problem = f"--language {language!r} is not a language tag. Use a tag such as en or pt-BR."
        raise SettingsError("--language", problem)
    chapters = {path: objects.get(name) for path, name in files.items() if path.endswith(".md")}
    book = read_manuscript(chapters)
    if form == "md":
        content = as_markdown(book)
    elif form == "html":
        content = as_html(book, language=language)
    else:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        content = as_epub(book, language=language, modified=now)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(target, flags, 0o644), "wb") as file:
            file.write(content)
    except OSError as error:
        problem = f"--output {target} cannot be written: {error.strerror}. Name a new file."
        raise SettingsError("--output", problem) from error
