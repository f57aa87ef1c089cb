"""`bench`: the evaluation of the paper."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from l2mac.bench.benchmark import TaskChoice, begin, prepare
from l2mac.bench.cell import Cell
from l2mac.bench.harness import CellResult
from l2mac.bench.measurement import write_whole
from l2mac.bench.summary import results_as_json, rows_of
from l2mac.bench.tables import markdown, table_lines
from l2mac.bench.task_file import shipped_names
from l2mac.bench.variant import method_variant, parse_variant
from l2mac.cli.exit_codes import INTERNAL, OK, code_for
from l2mac.cli.options import (
    SectionedCommand,
    output_options,
    setting_options,
    settings_from,
)
from l2mac.control.run_spec import METHODS
from l2mac.errors import SettingsError
from l2mac.evaluator.wording import how_many
from l2mac.safe_text import clean, one_line
from l2mac.settings.settings import Settings
from l2mac.trace.chain import Entry
from l2mac.trace.events import Checked, InstructionCompleted, PlanMade


@click.command(cls=SectionedCommand)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=click.Choice(shipped_names()),
    help="Shipped task (repeatable).",
)
@click.option(
    "--task-file",
    "task_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File with your own task, in TOML (repeatable).",
)
@click.option(
    "--humaneval",
    type=click.Path(path_type=Path),
    help="File with problems in HumanEval's JSONL format, or .gz.",
)
@click.option(
    "--methods", default="", help="Methods to compare, separated by commas. Default: l2mac."
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    help="Variant in TOML: 'no-summary = {summary = false}' (repeatable).",
)
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=10, help="Number of seeds. Default: 10."
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("bench-results"),
    help="Folder of the results. Default: ./bench-results.",
)
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=1, help="Number of parallel runs. Default: 1."
)
@click.option(
    "--features/--no-features", default=True, help="Let a model judge the features. Default: on."
)
@click.option("--plan-only", is_flag=True, help="Print the planned runs and start none.")
@click.option(
    "--markdown",
    "markdown_file",
    type=click.Path(path_type=Path),
    help="New file for the tables as Markdown.",
)
@setting_options("Model", "Roles and cache", "Planning", "Budget", "Sandbox")
@output_options
def bench(
    tasks: tuple[str, ...],
    task_files: tuple[Path, ...],
    humaneval: Path | None,
    methods: str,
    variants: tuple[str, ...],
    seeds: int,
    folder: Path,
    jobs: int,
    markdown_file: Path | None,
    *,
    features: bool,
    plan_only: bool,
    quiet: bool,
    as_json: bool,
    **flags: object,
) -> int:
    """Compare methods on tasks, with several seeds.

    Every task runs with every method and seed. Each result is measured in fresh sandboxes, and the
    tables show means with confidence intervals. Finished runs in --dir are kept and interrupted
    runs are resumed, so the same command can be repeated at any time. Budgets apply to each run.

    \b
    Examples:
      l2mac bench --model gpt-4.1 --task smoke --seeds 3
      l2mac bench --model gpt-4.1 --task smoke --variant 'no-summary = {summary = false}'
      l2mac bench --model gpt-4.1 --humaneval HumanEval.jsonl.gz --seeds 1 --jobs 4
    """
    named = _method_names(methods)
    choice = TaskChoice(
        tasks=tasks,
        task_files=task_files,
        humaneval=humaneval,
        variants=(*map(method_variant, named), *map(parse_variant, variants)),
        seeds=seeds,
        folder=folder,
        features=features,
    )

    def settings_for(own: Mapping[str, object]) -> Settings:
        return settings_from({**flags, **own})

    listener = _Lines(quiet=quiet)
    with prepare(choice, settings_for) as prepared:
        for line in prepared.plan_lines():
            listener.say(None, line)
        if plan_only:
            return OK
        results = begin(prepared, settings_for({}), listener, jobs=jobs)
    return _finish(results, markdown_file, as_json=as_json)


def _method_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in METHODS:
            problem = f"--methods names {name!r}, which is not a method."
            raise SettingsError("--methods", f"{problem} Choose from: {', '.join(METHODS)}.")
    return names


def _finish(results: Sequence[CellResult], markdown_file: Path | None, *, as_json: bool) -> int:
    rows = rows_of(results)
    if markdown_file is not None:
        write_whole(markdown_file, markdown(rows).encode())
    if as_json:
        click.echo(json.dumps(results_as_json(results)))
    else:
        click.echo("\n".join(map(clean, table_lines(rows))))
    faults = [result.fault for result in results if result.fault is not None]
    unfinished = sum(result.measurement is None for result in results)
    if unfinished:
        count = how_many(range(unfinished), "run")
        click.echo(f"l2mac: {count} not finished. Repeat the command to continue.", err=True)
    if faults:
        return code_for(faults[0])
    return INTERNAL if unfinished else OK


class _Lines:
    """Listener of `l2mac.bench.harness` that prints the progress of each cell."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def say(self, cell: Cell | None, line: str) -> None:
        """Print a sentence on standard error, as all progress."""
        if not self._quiet:
            click.echo(one_line(f"{cell.name}: {line}" if cell else line, 300), err=True)

    def on(self, cell: Cell, entry: Entry) -> None:
        """Print the progress of a run."""
        event = entry.event
        if isinstance(event, PlanMade):
            self.say(cell, f"plan of {len(event.instruction_objects)} instructions")
        elif isinstance(event, InstructionCompleted):
            self.say(cell, f"instruction {event.number} done")
        elif isinstance(event, Checked) and event.final:
            self.say(cell, f"verified in a fresh sandbox: {event.verdict} ({event.summary})")
