"""Show what came of the attack suite, for a person or as JSON."""

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from l2mac.attack.suite import attack_everything
from l2mac.cli.exit_codes import ISOLATION, OK
from l2mac.settings import Settings
from l2mac.terminal import clean
from sandbox.attack.findings import AttackReport, Judged

_COLOURS = {"contained": "green", "FAILED": "bold red", "unproven": "bold yellow"}


def attack(settings: Settings, *, quiet: bool, as_json: bool) -> int:
    """Run the suite, print its report, and give the exit code."""
    report = attack_everything(settings, lambda line: None if quiet else click.echo(clean(line), err=True))
    if as_json:
        click.echo(json.dumps(_as_object(report)))
    else:
        _print_for_a_person(report)
    return OK if report.holds else ISOLATION


def _as_object(report: AttackReport) -> dict[str, Any]:
    return {
        **report.environment,
        "holds": report.holds,
        "counts": report.counts,
        "host_unchanged": not report.host_differences,
        "host_differences": list(report.host_differences),
        "elapsed_s": round(report.elapsed_s, 1),
        "rows": [_row(one) for one in report.judged],
    }


def _row(judged: Judged) -> dict[str, Any]:
    row, finding = judged.row, judged.finding
    return {
        "number": row.number,
        "section": row.section,
        "attack": row.attack,
        "expected": row.expected,
        "observed": finding.observed,
        "control": finding.control,
        "limit": finding.limit,
        "verdict": judged.verdict.value,
    }


def _print_for_a_person(report: AttackReport) -> None:
    table = Table(show_lines=True)
    for heading in ("", "attack", "expected", "observed", "control", "verdict"):
        table.add_column(heading, overflow="fold")
    section = ""
    for one in report.judged:
        row, finding = one.row, one.finding
        if row.section != section:
            section = row.section
            table.add_row("", f"[bold]{section}[/bold]")
        colour = _COLOURS.get(one.verdict.value, "cyan")
        texts = (row.attack, row.expected, finding.observed, finding.control)
        verdict = f"[{colour}]{one.verdict.value}[/]" + (f"\n{_plain(finding.limit)}" if finding.limit else "")
        table.add_row(str(row.number), *(_plain(text) for text in texts), verdict)
    Console().print(table)
    for difference in report.host_differences:
        click.echo(f"left on the host: {clean(difference)}")
    counts = ", ".join(f"{number} {verdict}" for verdict, number in report.counts.items() if number)
    facts = report.environment
    click.echo(f"engine {clean(facts['engine'])}, runtime {clean(facts['runtime'])}, image {clean(facts['image'])}")
    unchanged = "the host is as it was" if not report.host_differences else "the host is NOT as it was"
    click.echo(f"{len(report.judged)} rows: {counts}; {unchanged}; {report.elapsed_s:.0f} s")


def _plain(text: str) -> str:
    """Give text without control characters and without rich's markup."""
    return clean(text).replace("[", "\\[")
