"""`doctor`, `images`, `clean`, `init-config`: the machine that runs take place on."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from l2mac.boxes import remove_leftovers
from l2mac.cli.exit_codes import MODEL, OK, SANDBOX
from l2mac.cli.options import box_options, model_options, output_options, settings_from
from l2mac.doctor import examine
from l2mac.errors import SettingsError
from l2mac.settings import template, user_file
from l2mac.terminal import clean
from sandbox.engine.image import recipe_folder


@click.command
@model_options
@box_options
@click.option("--attack", "with_attacks", is_flag=True, help="Attack boxes made as a run makes them, instead.")
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
            click.echo(f"{'works  ' if finding.works else 'FAILS  '} {finding.name:10} {clean(finding.text)}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    failed = {finding.name for finding in findings if not finding.works}
    if failed - {"model"}:
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
    click.echo((recipe_folder("base") / "build").read_text(encoding="utf-8"), nl=False)


@click.command("clean")
@click.option("--images", "with_images", is_flag=True, help="Remove the boxes' images, too; the next run builds anew.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
def clean_command(*, with_images: bool, yes: bool, as_json: bool) -> None:
    """Remove boxes and volumes whose process is dead; those of running ones are never touched.

    Recorded runs and exported files stay.
    """
    if with_images and not yes:
        click.confirm("Remove all images that l2mac built?", abort=True)
    boxes, built = remove_leftovers(with_images=with_images)
    if as_json:
        click.echo(json.dumps({"boxes": boxes, "images": built}))
    else:
        click.echo(f"removed {boxes} boxes and volumes" + (f", {built} images" if with_images else ""))


@click.command("init-config")
@click.option("--path", type=click.Path(path_type=Path), help="Where. Default: the user's settings file.")
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
