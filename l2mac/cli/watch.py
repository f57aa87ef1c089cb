"""`watch`: follow an active run from another terminal, by its growing trace."""

import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from l2mac.cli.exit_codes import BY_STATUS, FAILING
from l2mac.cli.options import json_option, run_argument, run_folder, runs_dir_option
from l2mac.cli.progress import Progress
from l2mac.control.outcome import Status
from l2mac.safe_text import one_line
from l2mac.trace.chain import Entry
from l2mac.trace.events import Event, Forked, Rewound, RunEnded, SessionStarted
from l2mac.trace.follow import TraceUpdate, follow

_ABANDONED = "The run has not ended, and no process works on it. Continue it with `l2mac resume`."


@click.command
@run_argument
@runs_dir_option
@json_option
def watch(name: str, runs_dir: Path | None, *, as_json: bool) -> int:
    """Follow a running run from another terminal.

    Prints the lines that `l2mac run` prints, also for a run that has ended. The command takes no
    lock and does not disturb the run. The command ends with the session, or when no process works
    on RUN.
    --json prints one event of the trace per line.

    \b
    Exit codes:
      the code of the outcome
      1  no outcome: killed, aborted or rewound
      7  the run is gone
    \b
    Examples:
      l2mac watch
      l2mac watch last --json | jq -c 'select(.event.kind == "check")'
    """
    last: Event | None = None
    updates = follow(run_folder(name, runs_dir))
    first = next(updates)
    worked_s = first.entries[-1].elapsed_s if first.entries else 0.0
    with Progress(stream=sys.stdout, quiet=as_json, worked_s=worked_s) as progress:
        for news in itertools.chain([first], updates):
            _show(news, progress, as_json=as_json)
            last = news.entries[-1].event if news.entries else last
        if not isinstance(last, RunEnded):
            progress.say(_ABANDONED)
    return _code(last)


def _code(last: Event | None) -> int:
    if isinstance(last, RunEnded) and last.status in set(Status):
        return BY_STATUS.get(Status(last.status), FAILING)
    return FAILING


def _show(news: TraceUpdate, progress: Progress, *, as_json: bool) -> None:
    if as_json:
        _print_json(news.entries)
        return
    if news.withdrawn:
        progress.say(f"The last {news.withdrawn} lines were removed from the trace.")
    for entry in news.entries:
        progress.on(entry)
        line = _session_line(entry.event)
        if line:
            progress.say(line)


def _print_json(entries: Sequence[Entry]) -> None:
    for entry in entries:
        line = {"n": entry.number, "t": entry.elapsed_s, "event": asdict(entry.event)}
        click.echo(json.dumps(line, separators=(",", ":")))
    sys.stdout.flush()


def _session_line(event: Event) -> str:
    """Return the line of an event between sessions, or ''."""
    match event:
        case SessionStarted():
            model, version = one_line(event.model, 80), one_line(event.version, 20)
            return f"{event.reason} with model {model}, l2mac {version}"
        case Rewound():
            return f"rewound to step {event.step}"
        case Forked():
            return f"forked from {one_line(event.origin, 120)} at step {event.step}"
        case RunEnded():
            return f"{one_line(event.status, 60)}: {one_line(event.cause, 300)}"
        case _:
            return ""
