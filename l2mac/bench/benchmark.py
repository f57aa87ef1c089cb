"""A whole benchmark: from what was chosen to cells, everything refused beforehand that can be, then the work."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2mac.bench.cell import Cell, CellState, facts_of
from l2mac.bench.harness import BenchListener, CellResult, Harness
from l2mac.bench.humaneval import read_problems
from l2mac.bench.judge import Judge
from l2mac.bench.task import Task
from l2mac.bench.task_file import read_task, shipped_task
from l2mac.bench.variant import L2MAC, Variant, check_variants, method_of
from l2mac.bench.worker import LiveWorker
from l2mac.control.effects import Prices
from l2mac.errors import RunLocked, SettingsError, TraceError
from l2mac.evaluator.wording import how_many
from l2mac.runs.session import prepare_input, prepare_plan
from l2mac.runs.wiring import make_processors, role_prices
from l2mac.settings.role_settings import RoleSettings
from l2mac.settings.settings import Settings
from l2mac.trace.journal import lock_run
from l2mac.workspace.input_folder import Input

SettingsFor = Callable[[Mapping[str, Any]], Settings]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChoice:
    """What the user asked for; see `l2mac bench --help`."""

    tasks: tuple[str, ...]
    task_files: tuple[Path, ...]
    humaneval: Path | None
    variants: tuple[Variant, ...]
    seeds: int
    folder: Path
    features: bool = True


@dataclass(frozen=True, slots=True)
class Prepared:
    """Cells that can be worked on; nothing has been started yet."""

    choice: TaskChoice
    cells: tuple[Cell, ...]
    states: tuple[CellState, ...]

    def plan_lines(self) -> tuple[str, ...]:
        """Say what there is to do and what it may cost."""
        tasks = how_many({cell.task.name for cell in self.cells}, "task")
        variants = how_many({cell.variant.name for cell in self.cells}, "method")
        seeds = how_many({cell.seed for cell in self.cells}, "seed")
        count = {state: self.states.count(state) for state in ("new", "begun", "ended", "measured")}
        settings = self.cells[0].settings
        bounds = [f"{settings.max_tokens} tokens"] if settings.max_tokens else []
        bounds += [f"{settings.max_cost:g} USD"] if settings.max_cost else []
        bounds += [f"{settings.max_time:g} s"] if settings.max_time else []
        most = (
            f"each run may take {' and '.join(bounds)}"
            if bounds
            else ("no run has a bound on tokens or cost (--max-tokens, --max-cost)")
        )
        what = f"{tasks}, {variants}, {seeds}, in {self.choice.folder}"
        states = (
            f"{count['new']} new, {count['begun']} to be taken up, {count['ended']} to be measured"
        )
        return (
            f"{how_many(self.cells, 'run')}: {what}",
            f"{states}, {count['measured']} done; {most}",
        )


@contextmanager
def prepare(choice: TaskChoice, settings_for: SettingsFor) -> Iterator[Prepared]:
    """Give the cells of a benchmark, whose folder is nobody else's meanwhile.

    Args:
        choice: What was asked for.
        settings_for: Gives the common settings with some in another's place.

    Raises:
        SettingsError: Something cannot be, in whatever task or variant; nothing has been started.
        ModelNotConfigured: No model is named.
        RunLocked: Another bench works in the folder.
        TraceError: What lies in the folder cannot be read.
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
        make_processors(own).close()  # refuses what no model can be called with
    with _locked(choice.folder):
        yield Prepared(choice, cells, tuple(cell.state() for cell in cells))


def begin(
    prepared: Prepared, settings: Settings, listener: BenchListener, *, jobs: int
) -> tuple[CellResult, ...]:
    """Do the work; see `Harness.run`.

    Args:
        prepared: What there is to do.
        settings: The common ones, which also say who judges.
        listener: Told about everything as it happens.
        jobs: How many runs at a time.
    """
    with make_processors(settings) as processor:
        own = settings.roles.judge
        judge = Judge(
            processor,
            context_tokens=own.context_tokens or settings.context_tokens,
            prices=role_prices(settings).get(
                "judge",
                Prices(prompt_usd=settings.prompt_price, completion_usd=settings.completion_price),
            ),
            prepare=lambda: None if own != RoleSettings() else processor.negotiate(lambda _: None),
        )
        worker = LiveWorker(judge if prepared.choice.features else None)
        return Harness(prepared.cells, worker, listener, jobs=jobs).run()


def _tasks(choice: TaskChoice) -> tuple[Task, ...]:
    tasks = [shipped_task(name) for name in dict.fromkeys(choice.tasks)]
    tasks += [read_task(path) for path in choice.task_files]
    tasks += read_problems(choice.humaneval) if choice.humaneval else ()
    if not tasks:
        raise SettingsError(
            "--task", "say what to run: --task NAME, --task-file FILE or --humaneval FILE"
        )
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError("--task", f"two tasks are called {name!r}")
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
    program = task.program if method_of(settings) == L2MAC else ()  # no other method has a program
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
    """Give the existing files that a task begins with.

    Raises:
        SettingsError: They cannot be taken.
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
        raise TraceError(f"{folder} cannot be made: {error.strerror}") from error
    try:
        held = lock_run(folder)
    except RunLocked as error:
        raise RunLocked(
            f"another `l2mac bench` works in {folder}; wait for it or choose another folder"
        ) from error
    try:
        yield
    finally:
        os.close(held)
