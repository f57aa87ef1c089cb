"""`doctor --attack`: print the report of the attack suite, as text or JSON."""

import json
import textwrap
from collections.abc import Callable

import click
from rich.console import Console

from l2mac.cli.attack_rows import outputs, verdicts
from l2mac.cli.exit_codes import ISOLATION, OK
from l2mac.safe_text import clean
from l2mac.settings.settings import Settings
from l2mac.settings.toml_file import expanded
from sandbox.attack.findings import AttackReport, Judged
from sandbox.attack.suite import Scene, run_suite
from sandbox.engine.factory import SandboxFactory

_COLOURS = {"contained": "green", "FAILED": "red", "unproven": "yellow"}
_BOLD = ("FAILED", "unproven")
_LEAST_COLUMNS = 60


def attack(settings: Settings, *, quiet: bool, as_json: bool) -> int:
    """Run the suite, print its report, and return the exit code."""
    report = _attack_everything(
        settings, lambda line: None if quiet else click.echo(clean(line), err=True)
    )
    if as_json:
        click.echo(json.dumps(_as_object(report)))
    else:
        _print_for_a_person(report)
    return OK if report.holds else ISOLATION


def _attack_everything(settings: Settings, progress: Callable[[str], None]) -> AttackReport:
    """Run every row with engine, image and runtime of the settings.

    Raises:
        SandboxError: Engine or image is missing.
    """
    cache = expanded(settings.cache_dir)
    scenes = (
        Scene("verdicts", (53, 54, 55), verdicts.attack),
        Scene("reports", (15,), verdicts.bombs),
        Scene("outputs", (49, 50, 51, 52), lambda site: outputs.attack(site, cache / site.run)),
    )
    with SandboxFactory.prepare(settings.image, settings.policy(), cache, progress) as factory:
        return factory.lend(
            lambda engine, image, policy: run_suite(
                engine, image, policy.runtime, more=scenes, progress=progress
            )
        )


def _as_object(report: AttackReport) -> dict[str, object]:
    return {
        **report.environment,
        "holds": report.holds,
        "counts": report.counts,
        "host_unchanged": not report.host_differences,
        "host_differences": list(report.host_differences),
        "elapsed_s": round(report.elapsed_s, 1),
        "rows": [_row(one) for one in report.judged],
    }


def _row(judged: Judged) -> dict[str, object]:
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
    section = ""
    for one in report.judged:
        if one.row.section != section:
            section = one.row.section
            click.secho(f"\n{section}", bold=True)
        _print_row(one)
    click.echo()
    for difference in report.host_differences:
        click.echo(f"difference on the host: {clean(difference)}")
    counts = ", ".join(f"{number} {verdict}" for verdict, number in report.counts.items() if number)
    facts = {name: clean(text) for name, text in report.environment.items()}
    click.echo(f"engine {facts['engine']}, runtime {facts['runtime']}, image {facts['image']}")
    state = "changed" if report.host_differences else "unchanged"
    click.echo(f"{len(report.judged)} rows: {counts}. Host {state}. {report.elapsed_s:.0f} s")


def _print_row(judged: Judged) -> None:
    row, finding = judged.row, judged.finding
    verdict = judged.verdict.value
    styled = click.style(
        f"{verdict:14}", fg=_COLOURS.get(verdict, "cyan"), bold=verdict in _BOLD or None
    )
    click.echo(f"{row.number:3} {styled} {clean(row.attack)}")
    texts = {
        "expected": row.expected,
        "observed": finding.observed,
        "control": finding.control,
        "limit": finding.limit,
    }
    for name, text in texts.items():
        if text:
            click.echo(_paragraph(name, clean(text)))


def _paragraph(name: str, text: str) -> str:
    """Return a named text below its row, wrapped to the width of the terminal."""
    width = max(Console().width, _LEAST_COLUMNS)
    return textwrap.fill(text, width, initial_indent=f"{'':4}{name:9} ", subsequent_indent=" " * 14)
