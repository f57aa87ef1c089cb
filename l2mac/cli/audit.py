"""`audit`: check a run's record without engine, model or network."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from l2mac.cli.exit_codes import FAILING, OK, RECORD
from l2mac.cli.options import json_option, run_argument, run_folder, runs_dir_option
from l2mac.runs.audit import ALTERED, INTACT, Audit, audit_run
from l2mac.safe_text import clean

_MOST_SHOWN = 50
_SAYINGS = {
    INTACT: "every byte is what was recorded",
    "incomplete": "consistent as far as it goes, but without a last report: nobody can say whether its end is missing",
    ALTERED: "the record is not the one that was written",
}


@click.group
def audit() -> None:
    """Check a run's record offline: every line, object, receipt and exported file.

    \b
    Example:
      l2mac audit verify last --export workspace/a-url-shortener
    """


@audit.command
@run_argument
@click.option(
    "--export",
    "exported",
    type=click.Path(path_type=Path),
    help="Compare this exported folder, too.",
)
@click.option(
    "--seal", default="", metavar="HASH", help="The seal that was noted when the run ended."
)
@runs_dir_option
@json_option
def verify(
    name: str, exported: Path | None, seal: str, runs_dir: Path | None, *, as_json: bool
) -> int:
    """Check that RUN's record is whole and unaltered; needs no engine, model or network.

    Finds any flipped, dropped, added or moved byte, line, object, receipt or file. The one thing that no look at the
    folder can find is that somebody has computed all of it anew and consistently: note the seal that `l2mac run` prints
    somewhere else, and give it with --seal.

    \b
    Exit codes: 0 intact; 1 consistent but incomplete, as after a kill; 7 altered.
    \b
    Examples:
      l2mac audit verify last
      l2mac audit verify 20260101 --seal 5f1c... --export workspace/a-to-do-list --json
    """
    folder = run_folder(name, runs_dir)
    found = audit_run(folder, seal=seal, exported=exported)
    if as_json:
        click.echo(json.dumps({"run": folder.name, "verdict": found.verdict, **asdict(found)}))
    else:
        _print(folder, found)
    return {INTACT: OK, ALTERED: RECORD}.get(found.verdict, FAILING)


def _print(folder: Path, found: Audit) -> None:
    for finding in found.findings[:_MOST_SHOWN]:
        place = f", {finding.place}" if finding.place else ""
        click.echo(f"{finding.weight:10} {clean(finding.file)}{place}: {clean(finding.problem)}")
    if len(found.findings) > _MOST_SHOWN:
        click.echo(f"and {len(found.findings) - _MOST_SHOWN} more; --json has all")
    click.echo(f"run      {clean(folder.name)}: {clean(found.state)}")
    click.echo(
        f"record   {found.events} events, {found.objects} objects, {found.receipts} receipts"
    )
    click.echo(f"seal     {found.seal}")
    click.echo(f"{found.verdict:8} {_SAYINGS[found.verdict]}")
