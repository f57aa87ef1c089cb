"""`watch`: follow a run that is at work from another terminal, from its trace as it grows."""

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


@click.command
@run_argument
@runs_dir_option
@json_option
def watch(name: str, runs_dir: Path | None, *, as_json: bool) -> int:
    """Follow RUN while another process works on it; of a run that has ended it prints what happened.

    Prints the lines that `l2mac run` prints. Nothing is locked: the run is not in any way disturbed. Ends when the
    session ends, or when no process works on the run any more. --json prints one event per line, as in the trace.

    \b
    Exit codes: that of the run's outcome; 1 where it has none: killed, broken off, taken back; 7 the run is gone.
    \b
    Examples:
      l2mac watch
      l2mac watch last --json | jq -c 'select(.event.kind == "check")'
    """
    folder = run_folder(name, runs_dir)
    last: Event | None = None
    looks = follow(folder)
    first = next(looks)
    worked_s = first.entries[-1].elapsed_s if first.entries else 0.0
    with Progress(stream=sys.stdout, quiet=as_json, worked_s=worked_s) as progress:
        for news in itertools.chain([first], looks):
            _show(news, progress, as_json=as_json)
            last = news.entries[-1].event if news.entries else last
        if not isinstance(last, RunEnded):
            progress.say(
                "no process works on the run, and it has not ended; `l2mac resume` goes on with it"
            )
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
        progress.say(
            f"the last {news.withdrawn} lines are gone from the record; it goes on from before them"
        )
    for entry in news.entries:
        progress.on(entry)
        said = _bracket(entry)
        if said:
            progress.say(said)


def _print_json(entries: Sequence[Entry]) -> None:
    for entry in entries:
        line = {"n": entry.number, "t": entry.elapsed_s, "event": asdict(entry.event)}
        click.echo(json.dumps(line, separators=(",", ":")))
    sys.stdout.flush()


def _bracket(entry: Entry) -> str:
    """Say who works on the run; `l2mac run` says this otherwise, or not at all."""
    match entry.event:
        case SessionStarted() as event:
            return f"{event.reason} with {one_line(event.model, 80)}, l2mac {one_line(event.version, 20)}"
        case Rewound() as event:
            return f"taken back to step {event.step}"
        case Forked() as event:
            return f"forked from {one_line(event.origin, 120)} at step {event.step}"
        case RunEnded() as event:
            return f"{one_line(event.status, 60)}: {one_line(event.cause, 300)}"
    return ""
