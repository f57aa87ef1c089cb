"""`diff`, `rewind`, `fork`, `pin`, `unpin`: a run's history, step by step."""

import json
import re
from pathlib import Path

import click

from l2mac.cli.exit_codes import FAILING, OK
from l2mac.cli.options import json_option, runs_dir_option, settings_from
from l2mac.errors import SettingsError
from l2mac.runs.folders import find_run, new_run
from l2mac.runs.recorded_spec import read_spec
from l2mac.runs.retention import pin as set_pin
from l2mac.safe_text import clean
from l2mac.trace.branching import fork as fork_run
from l2mac.trace.branching import rewind as rewind_run
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.history import Step, find_step
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.diff import Difference, compare, read_host


@click.command
@click.argument("name", metavar="[RUN]", default="last")
@click.option(
    "--against", type=click.Path(path_type=Path), help="Compare with this folder of the host."
)
@click.option(
    "--steps",
    "between",
    metavar="A..B",
    help="Compare two steps, as `l2mac show --steps` numbers them.",
)
@runs_dir_option
@json_option
def diff(
    name: str, against: Path | None, between: str | None, runs_dir: Path | None, *, as_json: bool
) -> int:
    """Show how RUN's files differ from its start, from one step to another, or from a folder of the host.

    The start is nothing, or what --input-dir gave.

    Everything comes from the record. A folder is read without following any link.

    \b
    Exit codes: 0 nothing differs; 1 something does.
    \b
    Examples:
      l2mac diff last --steps 2..5
      l2mac diff last --against ./my-project
    """
    if against is not None and between is not None:
        raise SettingsError("--against", "give either --against or --steps, not both")
    folder = _folder(name, runs_dir)
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
        click.echo(
            json.dumps([{"path": one.path, "how": one.how, "diff": one.text} for one in found])
        )
    else:
        for one in found:
            click.echo(clean(one.text), nl=False)
    return FAILING if found else OK


@click.command
@click.argument("name", metavar="RUN")
@click.option(
    "--to", "step", type=int, required=True, help="The step; negative ones count from the end."
)
@runs_dir_option
@json_option
def rewind(name: str, step: int, runs_dir: Path | None, *, as_json: bool) -> None:
    """Take RUN back to a step; `l2mac resume` goes on from there.

    Nothing is lost: a line is added that says from where on the record counts no more. What was spent stays spent, and
    counts towards the budgets. A run that a process works on is refused.

    \b
    Example:
      l2mac show last --steps
      l2mac rewind last --to 3
      l2mac resume last
    """
    folder = _folder(name, runs_dir)
    done = rewind_run(folder, step)
    _say(
        as_json,
        {"run": folder.name, **_facts(done)},
        f"{folder.name} is at step {done.number} ({done.what})",
    )


@click.command
@click.argument("name", metavar="RUN")
@click.option(
    "--at", "step", type=int, default=-1, help="The step; negative ones count from the end."
)
@click.option("--name", "title", help="Words for the new run's name. Default: those of the task.")
@runs_dir_option
@json_option
def fork(name: str, step: int, title: str | None, runs_dir: Path | None, *, as_json: bool) -> None:
    """Begin a new run with RUN's record up to a step; RUN stays as it is, and `l2mac resume` goes on with the new one.

    \b
    Example:
      l2mac fork last --at 3 --name "other storage"
    """
    source = _folder(name, runs_dir)
    target = new_run(_runs_dir(runs_dir), title or read_spec(source).task)
    try:
        done = fork_run(source, step, target)
    except BaseException:
        for path in (
            *target.iterdir(),
            target,
        ):  # it holds what this command wrote and nothing else
            path.rmdir() if path.is_dir() else path.unlink()
        raise
    facts = {"run": target.name, "run_folder": str(target), "origin": source.name, **_facts(done)}
    _say(as_json, facts, f"{target.name} begins at step {done.number} of {source.name}")


@click.command
@click.argument("name", metavar="RUN")
@runs_dir_option
@json_option
def pin(name: str, runs_dir: Path | None, *, as_json: bool) -> None:
    """Keep RUN from `l2mac clean --older-than`.

    \b
    Example:
      l2mac pin last
    """
    folder = _folder(name, runs_dir)
    set_pin(folder, pinned=True)
    _say(as_json, {"run": folder.name, "pinned": True}, f"{folder.name} is pinned")


@click.command
@click.argument("name", metavar="RUN")
@runs_dir_option
@json_option
def unpin(name: str, runs_dir: Path | None, *, as_json: bool) -> None:
    """Let `l2mac clean --older-than` remove RUN again.

    \b
    Example:
      l2mac unpin last
    """
    folder = _folder(name, runs_dir)
    set_pin(folder, pinned=False)
    _say(as_json, {"run": folder.name, "pinned": False}, f"{folder.name} is not pinned")


def _runs_dir(runs_dir: Path | None) -> Path:
    return settings_from({"runs_dir": runs_dir}).runs_dir.expanduser()


def _folder(name: str, runs_dir: Path | None) -> Path:
    return find_run(_runs_dir(runs_dir), name)


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
        raise SettingsError("--steps", f"{text!r} is not two numbers such as 2..5")
    return int(match[1]), int(match[2])


def _facts(step: Step) -> dict[str, object]:
    return {"step": step.number, "line": step.line, "what": step.what, "tree": step.tree}


def _say(as_json: bool, facts: dict[str, object], sentence: str) -> None:  # noqa: FBT001 - the commands' own flag
    click.echo(json.dumps(facts) if as_json else clean(sentence))
