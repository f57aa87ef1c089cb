"""`report`, `track`: see into a run, from its record alone."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from l2mac.cli.options import json_option, run_argument, run_folder, runs_dir_option
from l2mac.errors import SettingsError, TraceError
from l2mac.insight.junit import as_junit
from l2mac.insight.output import write_report
from l2mac.insight.page import as_page
from l2mac.insight.reading import read_insight, report_reader
from l2mac.insight.series import Insight
from l2mac.insight.summary import as_markdown
from l2mac.insight.tracking import track as send
from l2mac.insight.wandb_sink import WandbSink
from l2mac.safe_text import clean
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.follow import follow
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore

FORMAT = 1
_FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
_FORMS = {"--output": as_page, "--junit": as_junit, "--markdown": as_markdown}


@click.command
@run_argument
@click.option("--output", type=_FILE, metavar="FILE", help="The page. Default: ./RUN.html.")
@click.option(
    "--junit",
    type=_FILE,
    metavar="FILE",
    help="The last checks as JUnit XML; - for standard output.",
)
@click.option(
    "--markdown", type=_FILE, metavar="FILE", help="A short summary; - for standard output."
)
@click.option("--force", is_flag=True, help="Write over a file that is no report of l2mac, too.")
@runs_dir_option
@json_option
def report(
    name: str,
    output: Path | None,
    junit: Path | None,
    markdown: Path | None,
    runs_dir: Path | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Draw RUN as one HTML page: plan, figures, checks, spending, boxes, files. RUN may be at work.

    The page needs no script and loads nothing; names and texts of a model in it are inert. With --json the series
    behind the figures go to standard output. With --json, --junit or --markdown the page is written only where --output
    names it. An earlier report is replaced; any other file only with --force.

    \b
    Examples:
      l2mac report last --output report.html
      l2mac report last --json | jq .checks
      l2mac report last --junit results.xml --markdown - >> "$GITHUB_STEP_SUMMARY"
    """
    targets = {"--output": output, "--junit": junit, "--markdown": markdown}
    on_stdout = [option for option, target in targets.items() if str(target) == "-"] + [
        "--json"
    ] * as_json
    if len(on_stdout) > 1:
        raise SettingsError(
            on_stdout[0], f"standard output is for one thing, and {on_stdout[1]} takes it, too"
        )
    folder = run_folder(name, runs_dir)
    insight = read_insight(folder)
    if not (output or as_json or junit or markdown):
        targets["--output"] = Path(f"{folder.resolve().name}.html")
    for option, target in targets.items():
        if str(target) == "-":
            click.echo(_FORMS[option](insight), nl=False)
        elif target is not None:
            write_report(target, _FORMS[option](insight), option=option, force=force)
            click.echo(f"written  {clean(str(target))}", err=bool(on_stdout))
    if as_json:
        click.echo(json.dumps(as_series(insight)))


def as_series(insight: Insight) -> dict[str, object]:
    """Give everything that the figures are drawn from, for others to plot."""
    totals = {
        "tokens": insight.tokens,
        "cost_usd": round(insight.cost_usd, 6),
        "done": insight.done,
    }
    return {"format": FORMAT, **totals, **asdict(insight)}


@click.command
@run_argument
@click.option("--project", required=True, help="The project there.")
@click.option("--entity", default="", help="Whose project. Default: your own.")
@click.option(
    "--name",
    "title",
    default="",
    help="What the run is called there. Default: a hash, which says nothing.",
)
@click.option("--follow", "following", is_flag=True, help="Go on until the run's session ends.")
@runs_dir_option
@json_option
def track(
    name: str,
    project: str,
    entity: str,
    title: str,
    runs_dir: Path | None,
    *,
    following: bool,
    as_json: bool,
) -> None:
    """Send RUN's numbers to Weights & Biases: tokens, cost, tests, findings, time. RUN may be at work.

    From the record, by a process of its own, so that no run depends on it. Only numbers and settings that are no secret
    are sent: no task, prompt, code, path, key, command line or host name. Sending again adds what is new. Needs
    `pip install 'l2mac[wandb]'`; key and server are those of that client, and with WANDB_MODE=offline it writes a
    folder for its `wandb sync`.

    \b
    Examples:
      l2mac track last --project l2mac
      l2mac track last --project l2mac --follow
    """
    folder = run_folder(name, runs_dir)
    sink = WandbSink(project, entity=entity, run_name=title)
    objects = ObjectStore(folder / OBJECTS_FILE)
    batches = _growing(folder) if following else iter([read_trace(folder / TRACE_FILE)[0]])
    try:
        sent = send(folder.resolve().name, batches, report_reader(objects), sink)
    finally:
        objects.close()
    facts = {"run": folder.name, "lines": sent, "place": sink.place}
    click.echo(
        json.dumps(facts) if as_json else f"{sent} lines of numbers are at {clean(sink.place)}"
    )


def _growing(folder: Path) -> Iterator[Sequence[Entry]]:
    for news in follow(folder):
        if news.withdrawn:
            raise TraceError(
                "lines that were sent are gone from the record since; send it again under another --name"
            )
        yield news.entries
