"""`doctor`, `images`, `clean`, `init-config`: the machine that executes runs."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from l2mac.cli.exit_codes import MODEL, OK, SANDBOX
from l2mac.cli.options import (
    SectionedCommand,
    json_option,
    output_options,
    setting_options,
    settings_from,
)
from l2mac.errors import SettingsError
from l2mac.runs.doctor import examine
from l2mac.safe_text import clean as safe
from l2mac.settings.settings import template, user_file
from sandbox.engine.factory import offline_base_script, remove_leftovers


@click.command(cls=SectionedCommand)
@setting_options("Model", "Sandbox")
@click.option(
    "--attack", "with_attacks", is_flag=True, help="Attack sandboxes instead of testing a run."
)
@output_options
def doctor(*, quiet: bool, as_json: bool, with_attacks: bool, **flags: object) -> int:
    """Test engine, image, sandbox, checks and model.

    Every part is tested for real. Each failure names a remedy.

    --attack runs 66 attacks on sandboxes, and on the results that leave a sandbox, with your
    engine, image and runtime. The programs are harmless and the limits small. Each attack also
    runs in a control without the protection, to prove that the attack can succeed. Without this
    proof, its row is "unproven". The attacks take about two minutes, need no model, and use no
    network but their own. All traces of them are removed. A row that is FAILED or unproven, or
    anything left on the host, ends with exit code 5. Do not run generated code on such a machine.

    \b
      l2mac doctor                              engine, image, sandbox, checks, model
      l2mac doctor --attack                     the attacks, as a table
      l2mac doctor --attack --json              the same for a build machine
      l2mac doctor --attack --runtime runsc     against gVisor
    """
    settings = settings_from(flags)
    if with_attacks:
        from l2mac.cli.attack import attack  # noqa: PLC0415 - no other command needs the attacks

        return attack(settings, quiet=quiet, as_json=as_json)
    findings = []
    for finding in examine(settings, lambda line: None if quiet else click.echo(line, err=True)):
        findings.append(finding)
        if not as_json:
            mark = "works" if finding.works else "FAILS"
            click.echo(f"{mark}   {finding.name:10} {safe(finding.text)}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    failed = {finding.name for finding in findings if not finding.works}
    if any(not name.endswith("model") for name in failed):
        return SANDBOX
    return MODEL if failed else OK


@click.group
def images() -> None:
    """Build a base image where no registry answers."""


@images.command("offline-base")
def offline_base() -> None:
    """Print a script that builds l2mac-base:latest from distribution packages.

    Read the script, then run it as root: l2mac images offline-base | sudo sh
    """
    click.echo(offline_base_script(), nl=False)


@click.command
@click.option(
    "--images", "with_images", is_flag=True, help="Remove all images that l2mac built, too."
)
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@json_option
def clean(*, with_images: bool, yes: bool, as_json: bool) -> None:
    """Remove leftovers of dead runs from the engine.

    The leftovers are sandboxes and volumes whose process is dead. Those of active runs are never
    touched. With --images, the next run builds its image again. Recorded runs stay:
    `l2mac runs prune` removes them.

    \b
    Examples:
      l2mac clean
      l2mac clean --images --yes
    """
    if with_images and not yes:
        click.confirm("Remove all images that l2mac built?", abort=True)
    sandboxes, built = remove_leftovers(with_images=with_images)
    if as_json:
        click.echo(json.dumps({"sandboxes": sandboxes, "images": built}))
        return
    click.echo(f"{sandboxes} sandboxes and volumes removed")
    if with_images:
        click.echo(f"{built} images removed")


@click.command("init-config")
@click.option(
    "--path", type=click.Path(path_type=Path), help="New file. Default: the user's settings file."
)
def init_config(path: Path | None) -> None:
    """Write a settings file with every setting and its default.

    Every setting is commented out. An existing file is kept beside the new one, with the ending
    .bak, or .bak2 and so on.
    """
    target = path or user_file()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            kept = _free_name(target)
            target.rename(kept)
            click.echo(f"The earlier file is now {safe(str(kept))}")
        target.write_text(template(), encoding="utf-8")
        target.chmod(0o600)
    except OSError as error:
        problem = f"--path {target} cannot be written: {error.strerror}. Name another file."
        raise SettingsError("--path", problem) from error
    click.echo(f"wrote {safe(str(target))}")


def _free_name(target: Path) -> Path:
    """Return the first name for a copy of the file that no earlier copy has."""
    number = 1
    while True:
        free = target.with_name(f"{target.name}.bak{number if number > 1 else ''}")
        if not (free.exists() or free.is_symlink()):
            return free
        number += 1
