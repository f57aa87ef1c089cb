"""`report`, `track`: reports of a run, from its trace alone."""

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
@click.option("--output", type=_FILE, metavar="FILE", help="HTML page. Default: ./RUN.html.")
@click.option("--junit", type=_FILE, metavar="FILE", help="Last checks as JUnit XML. -: stdout.")
@click.option("--markdown", type=_FILE, metavar="FILE", help="Short summary. -: standard output.")
@click.option("--force", is_flag=True, help="Overwrite files that l2mac did not create.")
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
    """Write a report as HTML, JSON, JUnit XML or Markdown.

    The HTML page shows plan, figures, checks, usage, sandboxes and files. RUN may be active. The
    page contains no script and loads nothing. Texts of a model in it are inert. --json prints the
    series behind the figures. With --json, --junit or --markdown the page is written only if
    --output is given. An earlier report is replaced, any other file only with --force.

    \b
    Examples:
      l2mac report last --output report.html
      l2mac report last --json | jq .checks
      l2mac report last --junit results.xml --markdown - >> "$GITHUB_STEP_SUMMARY"
    """
    targets = {"--output": output, "--junit": junit, "--markdown": markdown}
    on_stdout = [option for option, target in targets.items() if str(target) == "-"]
    if as_json:
        on_stdout.append("--json")
    if len(on_stdout) > 1:
        both = " and ".join(on_stdout[:2])
        problem = f"{both} cannot both write to standard output. Give one of them a file."
        raise SettingsError(on_stdout[0], problem)
    folder = run_folder(name, runs_dir)
    insight = read_insight(folder)
    if not (output or as_json or junit or markdown):
        targets["--output"] = Path(f"{folder.resolve().name}.html")
    for option, target in targets.items():
        if str(target) == "-":
            click.echo(_FORMS[option](insight), nl=False)
        elif target is not None:
            write_report(target, _FORMS[option](insight), option=option, force=force)
            click.echo(f"wrote {clean(str(target))}", err=bool(on_stdout))
    if as_json:
        click.echo(json.dumps(as_series(insight)))


def as_series(insight: Insight) -> dict[str, object]:
    """Return all data of the figures, for other programs to plot."""
    totals = {
        "tokens": insight.tokens,
        "cost_usd": round(insight.cost_usd, 6),
        "done": insight.done,
    }
    return {"format": FORMAT, **totals, **asdict(insight)}


@click.command
@run_argument
@click.option("--project", required=True, help="Project at Weights & Biases.")
@click.option("--entity", default="", help="Owner of the project. Default: your account.")
@click.option(
    "--name", "title", default="", help="Name of the run there. Default: a hash without meaning."
)
@click.option("--follow", "following", is_flag=True, help="Send until the session of RUN ends.")
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
    """Send the numbers of a run to Weights & Biases.

    The numbers are tokens, cost, tests, findings and time. RUN may be active. The command reads the
    trace in its own process, and no run depends on it. Only numbers and settings without secrets
    are sent: no task, prompt, code, path, key, command line or host name. Sending again adds new
    lines only. The command needs `pip install 'l2mac[wandb]'` and uses key and server of the wandb
    client. With WANDB_MODE=offline it writes a folder for `wandb sync`.

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
    sentence = f"{sent} lines of numbers sent to {clean(sink.place)}"
    click.echo(json.dumps(facts) if as_json else sentence)


def _growing(folder: Path) -> Iterator[Sequence[Entry]]:
    for news in follow(folder):
        if news.withdrawn:
            raise TraceError(
                "The trace was rewound behind lines that were already sent."
                " Send the run again under another --name."
            )
        yield news.entries
