"""`doctor`, `images`, `clean`, `init-config`: the machine that runs take place on."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from l2mac.cli.exit_codes import MODEL, OK, SANDBOX
from l2mac.cli.options import (
    SectionedCommand,
    json_option,
    output_options,
    runs_dir_option,
    runs_folder,
    setting_options,
    settings_from,
)
from l2mac.errors import SettingsError
from l2mac.runs.doctor import examine
from l2mac.runs.retention import clean_runs
from l2mac.safe_text import clean
from l2mac.settings.settings import template, user_file
from sandbox import format_size
from sandbox.engine.factory import offline_base_script, remove_leftovers


@click.command(cls=SectionedCommand)
@setting_options("Model", "Sandbox")
@click.option(
    "--attack", "with_attacks", is_flag=True, help="Attack boxes made as a run makes them, instead."
)
@output_options
def doctor(*, quiet: bool, as_json: bool, with_attacks: bool, **flags: Any) -> int:
    """Try everything that a run needs, for real, and say what to do about what does not work.

    With --attack: 66 attacks on boxes and on what comes out of them, on your engine, image and runtime, with
    harmless programs and small limits. Each is also tried where a protection is missing, to show that it can
    succeed; if it cannot be shown there, the row is "unproven". Takes about two minutes, needs no model, speaks to
    no network but one of its own, and removes all that it made. A row that is FAILED or unproven, or anything left
    on the host, ends with exit code 5: do not run generated code there.

    \b
      l2mac doctor                              engine, image, box, checks, model
      l2mac doctor --attack                     the attacks, as a table
      l2mac doctor --attack --json              the same for a build machine
      l2mac doctor --attack --runtime runsc     against gVisor
    """
    settings = settings_from(flags)
    if with_attacks:
        from l2mac.cli.attack import attack  # noqa: PLC0415 - all other commands do without the attacks

        return attack(settings, quiet=quiet, as_json=as_json)
    findings = []
    for finding in examine(settings, lambda line: None if quiet else click.echo(line, err=True)):
        findings.append(finding)
        if not as_json:
            click.echo(
                f"{'works  ' if finding.works else 'FAILS  '} {finding.name:10} {clean(finding.text)}"
            )
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    failed = {finding.name for finding in findings if not finding.works}
    if any(not name.endswith("model") for name in failed):
        return SANDBOX
    return MODEL if failed else OK


@click.group
def images() -> None:
    """Base images where no registry answers."""


@images.command("offline-base")
def offline_base() -> None:
    """Print the script that builds l2mac-base:latest from distribution packages.

    Read it, then run it as root: l2mac images offline-base | sudo sh
    """
    click.echo(offline_base_script(), nl=False)


@click.command("clean")
@click.option(
    "--images",
    "with_images",
    is_flag=True,
    help="Remove the boxes' images, too; the next run builds anew.",
)
@click.option(
    "--older-than", "age", metavar="AGE", help="Remove recorded runs instead, such as 30d or 12h."
)
@click.option("--dry-run", is_flag=True, help="With --older-than: only say what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@runs_dir_option
@json_option
def clean_command(
    age: str | None,
    runs_dir: Path | None,
    *,
    with_images: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove boxes and volumes whose process is dead; those of running ones are never touched.

    Recorded runs stay, unless --older-than names an age: then the folders of runs that nothing was written to for that
    long are removed, never a pinned one, never one that a process works on, and only folders that hold what runs write
    and nothing else. Exported files always stay.

    \b
    Examples:
      l2mac clean
      l2mac clean --older-than 30d --dry-run
    """
    if age is not None:
        _clean_runs(runs_folder(runs_dir), age, dry_run, yes, as_json)
        return
    if dry_run:
        raise SettingsError("--dry-run", "goes with --older-than")
    if with_images and not yes:
        click.confirm("Remove all images that l2mac built?", abort=True)
    boxes, built = remove_leftovers(with_images=with_images)
    if as_json:
        click.echo(json.dumps({"boxes": boxes, "images": built}))
    else:
        click.echo(
            f"removed {boxes} boxes and volumes" + (f", {built} images" if with_images else "")
        )


def _clean_runs(folder: Path, age: str, dry_run: bool, yes: bool, as_json: bool) -> None:  # noqa: FBT001 - flags
    seconds = _seconds(age)
    old = [one for one in clean_runs(folder, older_than_s=seconds, dry_run=True) if one.removed]
    if old and not (dry_run or yes):
        click.confirm(f"Remove {len(old)} recorded runs?", abort=True, err=True)
    verdicts = clean_runs(folder, older_than_s=seconds, dry_run=dry_run)
    if as_json:
        rows = [
            {"run": one.folder.name, "bytes": one.size_bytes, "kept": one.reason}
            for one in verdicts
        ]
        click.echo(json.dumps({"dry_run": dry_run, "runs": rows}))
        return
    for one in verdicts:
        what = (
            f"stays: {one.reason}" if one.reason else "would be removed" if dry_run else "removed"
        )
        click.echo(f"{clean(one.folder.name)}  {format_size(one.size_bytes)}  {clean(what)}")


def _seconds(age: str) -> float:
    match = re.fullmatch(r"(\d{1,6})([smhdw])", age)
    if match is None:
        raise SettingsError("--older-than", f"{age!r} is not an age such as 30d, 12h or 2w")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[match[2]]


@click.command("init-config")
@click.option(
    "--path", type=click.Path(path_type=Path), help="Where. Default: the user's settings file."
)
def init_config(path: Path | None) -> None:
    """Write a settings file in which every setting stands commented out at its default.

    An existing file is kept beside it with the ending .bak.
    """
    target = path or user_file()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(target.with_name(target.name + ".bak"))
        target.write_text(template(), encoding="utf-8")
        target.chmod(0o600)
    except OSError as error:
        raise SettingsError("--path", f"{target} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {clean(str(target))}")
