"""A whole benchmark: check the user's choice, make cells and run them."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from l2mac.bench.cell import Cell, CellState, facts_of
from l2mac.bench.harness import BenchListener, CellResult, Harness
from l2mac.bench.humaneval import read_problems
from l2mac.bench.judge import FeatureJudge
from l2mac.bench.measurement import Measurement
from l2mac.bench.measuring import measure
from l2mac.bench.recorded_store import recorded_wheels
from l2mac.bench.task import Task
from l2mac.bench.task_file import read_task, shipped_task
from l2mac.bench.variant import L2MAC, Variant, check_variants, method_of
from l2mac.control.effects import Prices
from l2mac.errors import RunLocked, SettingsError, TraceError
from l2mac.evaluator.wording import how_many
from l2mac.processor.cancellation import CancelScope
from l2mac.runs.recorded_spec import read_spec
from l2mac.runs.session import (
    SessionListener,
    Source,
    prepare_input,
    prepare_plan,
    resume_run,
    start,
)
from l2mac.runs.wiring import make_processors, role_prices
from l2mac.settings.role_settings import RoleSettings
from l2mac.settings.settings import Settings
from l2mac.settings.toml_file import expanded
from l2mac.trace.journal import lock_run
from l2mac.workspace.input_folder import Input
from sandbox.engine.factory import SandboxFactory

SettingsFor = Callable[[Mapping[str, object]], Settings]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChoice:
    """The user's choice; see `l2mac bench --help`."""

    tasks: tuple[str, ...]
    task_files: tuple[Path, ...]
    humaneval: Path | None
    variants: tuple[Variant, ...]
    seeds: int
    folder: Path
    features: bool = True


@dataclass(frozen=True, slots=True)
class Prepared:
    """Cells that are ready to run; nothing has been started."""

    choice: TaskChoice
    cells: tuple[Cell, ...]
    states: tuple[CellState, ...]

    def plan_lines(self) -> tuple[str, ...]:
        """Return two lines about the amount of work and its bounds."""
        tasks = how_many({cell.task.name for cell in self.cells}, "task")
        variants = how_many({cell.variant.name for cell in self.cells}, "method")
        seeds = how_many({cell.seed for cell in self.cells}, "seed")
        new, begun = self.states.count("new"), self.states.count("begun")
        ended, measured = self.states.count("ended"), self.states.count("measured")
        runs = f"{how_many(self.cells, 'run')}: {tasks}, {variants}, {seeds}"
        states = f"{new} new, {begun} to be resumed, {ended} to be measured, {measured} done"
        return (
            f"{runs}, in {self.choice.folder}",
            f"{states}; {_bounds(self.cells[0].settings)}",
        )


class LiveWorker:
    """Run cells on a real engine with a real model.

    Implements `l2mac.bench.harness.Worker`.

    Args:
        judge: Judges features; None if features are not judged.
    """

    def __init__(self, judge: FeatureJudge | None) -> None:
        self._judge = judge

    def run(self, cell: Cell, listener: SessionListener, scope: CancelScope) -> None:
        """Start a cell's run, or resume the run that has begun."""
        run = cell.run
        if run is None:
            start(cell.settings, cell.plan, listener, run_input=cell.given, cancel_scope=scope)
        else:
            resume_run(cell.settings, Source(run, read_spec(run), {}), listener, cancel_scope=scope)

    def measure(self, cell: Cell, progress: Callable[[str], None]) -> Measurement:
        """Measure a cell's run, with the packages that its files need."""
        run, settings = cell.run, cell.settings
        if run is None:
            raise TraceError(f"The run in {cell.folder} is gone. Repeat the same command.")
        with SandboxFactory.prepare(
            settings.image, settings.policy(), expanded(settings.cache_dir), progress
        ) as sandboxes:
            if wheels := recorded_wheels(run):
                sandboxes.install_packages(run.name, wheels)
            return measure(run, cell.task, sandboxes.open_sandbox, self._judge)


@contextmanager
def prepare(choice: TaskChoice, settings_for: SettingsFor) -> Iterator[Prepared]:
    """Yield the cells of a benchmark, whose folder is locked meanwhile.

    Args:
        choice: The user's choice.
        settings_for: Returns the common settings with some of them replaced.

    Raises:
        SettingsError: A task, a variant or a setting is invalid; nothing has been started.
        ModelNotConfigured: No model is named.
        RunLocked: Another bench works in the folder.
        TraceError: The folder's content cannot be read.
    """
    tasks = _tasks(choice)
    variants = check_variants(choice.variants, method_of(settings_for({})))
    inputs = {task.name: _input(choice, task, settings_for) for task in tasks}
    cells = tuple(
        _cell(choice, task, variant, seed, settings_for, inputs[task.name])
        for task in tasks
        for variant in variants
        for seed in range(choice.seeds)
    )
    for own in {id(cell.variant): cell.settings for cell in cells}.values():
        make_processors(own).close()  # refuses settings with which no model can be called
    with _locked(choice.folder):
        yield Prepared(choice, cells, tuple(cell.state() for cell in cells))


def begin(
    prepared: Prepared, settings: Settings, listener: BenchListener, *, jobs: int
) -> tuple[CellResult, ...]:
    """Run and measure the cells; see `Harness.run`.

    Args:
        prepared: The cells.
        settings: The common settings, which also name the judge.
        listener: Informed about every event.
        jobs: Number of runs at a time.
    """
    common = Prices(prompt_usd=settings.prompt_price, completion_usd=settings.completion_price)
    own = settings.roles.judge
    with make_processors(settings) as processor:
        judge = FeatureJudge(
            processor,
            context_tokens=own.context_tokens or settings.context_tokens,
            prices=role_prices(settings).get("judge", common),
            prepare=lambda: None if own != RoleSettings() else processor.negotiate(lambda _: None),
        )
        worker = LiveWorker(judge if prepared.choice.features else None)
        return Harness(prepared.cells, worker, listener, jobs=jobs).run()


def _bounds(settings: Settings) -> str:
    bounds = [f"{settings.max_tokens} tokens"] if settings.max_tokens else []
    bounds += [f"{settings.max_cost:g} USD"] if settings.max_cost else []
    bounds += [f"{settings.max_time:g} s"] if settings.max_time else []
    if not bounds:
        return "no run has a bound on tokens or cost (--max-tokens, --max-cost)"
    return f"each run may use {' and '.join(bounds)}"


def _tasks(choice: TaskChoice) -> tuple[Task, ...]:
    tasks = [shipped_task(name) for name in dict.fromkeys(choice.tasks)]
    tasks += [read_task(path) for path in choice.task_files]
    tasks += read_problems(choice.humaneval) if choice.humaneval else ()
    if not tasks:
        raise SettingsError(
            "--task", "No task is given. Use --task NAME, --task-file FILE or --humaneval FILE."
        )
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(
                "--task", f"--task and --task-file name {name!r} twice. Rename one of them."
            )
    return tuple(tasks)


def _cell(
    choice: TaskChoice,
    task: Task,
    variant: Variant,
    seed: int,
    settings_for: SettingsFor,
    given: Input | None,
) -> Cell:
    folder = choice.folder / task.name / variant.name / f"seed-{seed}"
    own = {**task.settings, **variant.settings, "seed": seed, "runs_dir": folder}
    settings = settings_for(own)
    # Only l2mac's own method follows a prompt program.
    program = task.program if method_of(settings) == L2MAC else ()
    plan = prepare_plan(settings, task.text, program, given)
    facts = {**facts_of(task, variant, seed, settings, plan), "features": choice.features}
    return Cell(
        task=task,
        variant=variant,
        seed=seed,
        folder=folder,
        settings=settings,
        plan=plan,
        facts=facts,
        given=given,
    )


def _input(choice: TaskChoice, task: Task, settings_for: SettingsFor) -> Input | None:
    """Return the existing files that a task begins with.

    Raises:
        SettingsError: The files cannot be read as input.
    """
    try:
        return prepare_input(settings_for({"runs_dir": choice.folder}), task.input_dir, ())
    except SettingsError as error:
        field = f"{task.name}: input_dir"
        raise SettingsError(field, f"{field} is invalid. {error}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TraceError(f"{folder} cannot be created: {error.strerror}") from error
    try:
        held = lock_run(folder)
    except RunLocked as error:
        raise RunLocked(
            f"Another `l2mac bench` works in {folder}. Wait for it or choose another folder."
        ) from error
    try:
        yield
    finally:
        os.close(held)
