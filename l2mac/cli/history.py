"""`diff`, `rewind`, `fork`, `pin`, `unpin`: the history of a run, step by step."""

import json
import re
from pathlib import Path

import click

from l2mac.cli.exit_codes import FAILING, OK
from l2mac.cli.options import (
    json_option,
    run_argument,
    run_folder,
    runs_dir_option,
    runs_folder,
)
from l2mac.errors import SettingsError
from l2mac.runs.folders import new_run
from l2mac.runs.folders import pin as set_pin
from l2mac.runs.recorded_spec import read_spec
from l2mac.safe_text import clean
from l2mac.trace.branching import fork as fork_run
from l2mac.trace.branching import rewind as rewind_run
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.history import Step, find_step
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.diff import Difference, compare, read_host

_required_run = click.argument("name", metavar="RUN")


@click.command
@run_argument
@click.option(
    "--against", type=click.Path(path_type=Path), help="Compare with this folder of the host."
)
@click.option(
    "--steps", "between", metavar="A..B", help="Compare two steps of `l2mac show --steps`."
)
@runs_dir_option
@json_option
def diff(
    name: str, against: Path | None, between: str | None, runs_dir: Path | None, *, as_json: bool
) -> int:
    """Show differences between steps, or from a folder of the host.

    Without options, RUN's files are compared with its start: no files, or those of --input-dir.
    All contents come from the trace. A folder is read without following links.

    \b
    Exit codes:
      0  no differences
      1  differences
    \b
    Examples:
      l2mac diff last --steps 2..5
      l2mac diff last --against ./my-project
    """
    if against is not None and between is not None:
        problem = "--against and --steps exclude each other. Use one of them."
        raise SettingsError("--against", problem)
    folder = run_folder(name, runs_dir)
    entries = read_trace(folder / TRACE_FILE)[0]
    first, last = _two_steps(between) if between else (0, -1)
    after = _contents(folder, entries, last)
    others: list[Difference] = []
    if against is None:
        before = _contents(folder, entries, first)
    else:
        before, others = read_host(against)
    found = [*compare(before, after), *others]
    if as_json:
        rows = [{"path": one.path, "how": one.how, "diff": one.text} for one in found]
        click.echo(json.dumps(rows))
    else:
        for one in found:
            click.echo(clean(one.text), nl=False)
    return FAILING if found else OK


@click.command
@_required_run
@click.option("--to", "step", type=int, required=True, help="Step. -1 is the last one.")
@runs_dir_option
@json_option
def rewind(name: str, step: int, runs_dir: Path | None, *, as_json: bool) -> None:
    """Return a run to an earlier step.

    `l2mac resume` continues from the step. Nothing is lost: a new trace line marks the later ones
    as withdrawn. Their usage still counts towards the budgets. An active run is refused.

    \b
    Example:
      l2mac show last --steps
      l2mac rewind last --to 3
      l2mac resume last
    """
    folder = run_folder(name, runs_dir)
    done = rewind_run(folder, step)
    _print(
        {"run": folder.name, **_facts(done)},
        f"{folder.name} is at step {done.number} ({done.action})",
        as_json=as_json,
    )


@click.command
@_required_run
@click.option(
    "--at", "step", type=int, default=-1, help="Step to start from. Default: -1, the last one."
)
@click.option("--name", "title", help="Words for the name of the new run. Default: the task's.")
@runs_dir_option
@json_option
def fork(name: str, step: int, title: str | None, runs_dir: Path | None, *, as_json: bool) -> None:
    """Start a new run at a step of another run.

    The new run begins with RUN's trace up to the step. RUN stays unchanged. `l2mac resume`
    continues the new run.

    \b
    Example:
      l2mac fork last --at 3 --name "other storage"
    """
    source = run_folder(name, runs_dir)
    target = new_run(runs_folder(runs_dir), title or read_spec(source).task)
    try:
        done = fork_run(source, step, target)
    except BaseException:
        _remove_new_run(target)
        raise
    facts = {"run": target.name, "run_folder": str(target), "origin": source.name, **_facts(done)}
    sentence = f"{target.name} starts at step {done.number} of {source.name}"
    _print(facts, sentence, as_json=as_json)


@click.command
@_required_run
@runs_dir_option
@json_option
def pin(name: str, runs_dir: Path | None, *, as_json: bool) -> None:
    """Protect a run from `l2mac runs prune`.

    \b
    Example:
      l2mac pin last
    """
    folder = run_folder(name, runs_dir)
    set_pin(folder, pinned=True)
    _print({"run": folder.name, "pinned": True}, f"{folder.name} is pinned", as_json=as_json)


@click.command
@_required_run
@runs_dir_option
@json_option
def unpin(name: str, runs_dir: Path | None, *, as_json: bool) -> None:
    """Remove the protection of a pinned run.

    \b
    Example:
      l2mac unpin last
    """
    folder = run_folder(name, runs_dir)
    set_pin(folder, pinned=False)
    _print({"run": folder.name, "pinned": False}, f"{folder.name} is not pinned", as_json=as_json)


def _remove_new_run(folder: Path) -> None:
    """Remove a folder that holds the files of this command and nothing else."""
    for path in (*folder.iterdir(), folder):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


def _contents(folder: Path, entries: list[Entry], number: int) -> dict[str, bytes]:
    objects = ObjectStore(folder / OBJECTS_FILE)
    try:
        step = find_step(entries, number)
        return {path: objects.get(entry.digest) for path, entry in step.files.items()}
    finally:
        objects.close()


def _two_steps(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", text)
    if match is None:
        problem = f"--steps {text!r} is not a pair of steps. Write two numbers such as 2..5."
        raise SettingsError("--steps", problem)
    return int(match[1]), int(match[2])


def _facts(step: Step) -> dict[str, object]:
    return {"step": step.number, "line": step.line, "what": step.action, "tree": step.tree}


def _print(facts: dict[str, object], sentence: str, *, as_json: bool) -> None:
    click.echo(json.dumps(facts) if as_json else clean(sentence))
