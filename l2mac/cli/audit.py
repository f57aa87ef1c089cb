"""`audit`: verify the trace of a run without engine, model or network."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from l2mac.cli.exit_codes import FAILING, OK, RECORD
from l2mac.cli.options import json_option, run_argument, run_folder, runs_dir_option
from l2mac.runs.audit import ALTERED, INCOMPLETE, INTACT, Audit, audit_run
from l2mac.safe_text import clean

_MOST_SHOWN = 50
_EXPLANATIONS = {
    INTACT: "every byte is as recorded",
    INCOMPLETE: "consistent, but without a last report: lines may be missing at the end",
    ALTERED: "the trace is not the one that was written",
}


@click.group
def audit() -> None:
    """Verify the trace of a run offline.

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
    help="Exported folder to compare with the trace.",
)
@click.option("--seal", default="", metavar="HASH", help="Seal noted when the run ended.")
@runs_dir_option
@json_option
def verify(
    name: str, exported: Path | None, seal: str, runs_dir: Path | None, *, as_json: bool
) -> int:
    """Verify that the trace of RUN is complete and unaltered.

    The command needs no engine, model or network. Every changed, removed, added or reordered byte,
    line, object, receipt or file is detected. An attacker who recomputes the whole chain is
    detected only with --seal: store the seal that `l2mac run` prints outside of the run's folder.

    \b
    Exit codes:
      0  intact
      1  consistent but incomplete, as after a kill
      7  altered
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
        click.echo(f"and {len(found.findings) - _MOST_SHOWN} more, see --json")
    click.echo(f"run      {clean(folder.name)}: {clean(found.state)}")
    counts = f"{found.events} events, {found.objects} objects, {found.receipts} receipts"
    click.echo(f"trace    {counts}")
    click.echo(f"seal     {found.seal}")
    click.echo(f"{found.verdict:8} {_EXPLANATIONS[found.verdict]}")
