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
@output_options
def doctor(*, quiet: bool, as_json: bool, **flags: Any) -> int:
    """Try everything that a run needs, for real, and say what to do about what does not work."""
    settings = settings_from(flags)
    findings = []
    for finding in examine(settings, lambda line: None if quiet else click.echo(line, err=True)):
        findings.append(finding)
        if not as_json:
            click.echo(f"{'works  ' if finding.works else 'FAILS  '} {finding.name:10} {clean(finding.text)}")
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
