"""Cells are worked through several at a time, none twice; a fault leaves the others alone."""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from recorded_run import record

from l2mac.bench.benchmark import TaskChoice, prepare
from l2mac.bench.cell import Cell
from l2mac.bench.harness import CellResult, Harness
from l2mac.bench.measurement import Measurement
from l2mac.errors import L2macError, ModelNotConfigured, ModelUnavailable, SettingsError
from l2mac.processor.cancellation import CancelScope
from l2mac.runs.session import SessionListener
from l2mac.settings.settings import Settings, load_settings
from l2mac.trace.chain import read_trace
from sandbox import EngineUnavailable, SandboxDied, SandboxError

PATIENCE_S, LONG_S = 60, 3600


def cells(folder: Path, seeds: int) -> tuple[Cell, ...]:
    def settings_for(own: Mapping[str, object]) -> Settings:
        given = {"model": "m", "base_url": "http://127.0.0.1:9/v1", **own}
        return load_settings(given, project=folder / "none", user=folder / "none")

    choice = TaskChoice(
        tasks=("smoke",),
        task_files=(),
        humaneval=None,
        variants=(),
        seeds=seeds,
        folder=folder / "bench",
    )
    with prepare(choice, settings_for) as prepared:
        return prepared.cells


class Quiet:
    """Hears what a harness says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, cell: Cell | None, line: str) -> None:
        self.lines.append(f"{f'seed {cell.seed}' if cell else ''}: {line}")

    def on(self, cell: Cell, entry: object) -> None:
        raise AssertionError("no trace is followed here")


class Recorder:
    """A worker whose runs are those of `recorded_run`; before each it does what the test says.

    Attributes:
        ran: The seeds of the runs that were begun or taken up, in order.
        measured: The seeds that were measured.
        at_once: The most runs that were at work at the same time.
    """

    def __init__(
        self, before: Callable[[Cell, SessionListener, CancelScope], None] = lambda *_: None
    ) -> None:
        self._before = before
        self._lock = threading.Lock()
        self._at_work = 0
        self.ran: list[int] = []
        self.measured: list[int] = []
        self.at_once = 0

    def run(self, cell: Cell, audience: SessionListener, cancel_scope: CancelScope) -> None:
        with self._lock:
            self.ran.append(cell.seed)
            self._at_work += 1
            self.at_once = max(self.at_once, self._at_work)
        try:
            self._before(cell, audience, cancel_scope)
            record(cell.run or cell.folder / "20260101-a-run")
        finally:
            with self._lock:
                self._at_work -= 1

    def measure(self, cell: Cell, say: Callable[[str], None]) -> Measurement:
        run = cell.run
        assert run is not None
        say("counting")
        self.measured.append(cell.seed)
        seal = read_trace(run / "trace.jsonl")[2]
        return Measurement(
            run=run.name, seal=seal, status="completed", cause="", metrics={"turns": 1}
        )


def work(
    some: tuple[Cell, ...], worker: Recorder, listener: Quiet | None = None, jobs: int = 1
) -> list[CellResult]:
    return list(Harness(some, worker, listener or Quiet(), jobs=jobs).run())


def failing(error: L2macError | SandboxError, *seeds: int) -> Recorder:
    def before(cell: Cell, *_: object) -> None:
        if cell.seed in seeds:
            raise error

    return Recorder(before)


def test_every_cell_is_run_and_measured_once_with_ordered_results(tmp_path: Path) -> None:
    some, worker = cells(tmp_path, 6), Recorder()
    results = work(some, worker, jobs=3)
    assert sorted(worker.ran) == sorted(worker.measured) == list(range(6))
    assert [result.cell for result in results] == list(some)
    assert all(result.measurement for result in results)


def test_no_more_runs_are_at_work_than_jobs_allow(tmp_path: Path) -> None:
    two = threading.Barrier(2)

    def meet(*_: object) -> None:
        two.wait(PATIENCE_S)
        time.sleep(0.05)  # a third one that is not allowed has time to begin

    worker = Recorder(meet)
    work(cells(tmp_path, 6), worker, jobs=2)
    assert worker.at_once == 2


def test_finished_cells_are_not_repeated(tmp_path: Path) -> None:
    some = cells(tmp_path, 3)
    work(some, Recorder())
    before = {path: path.read_bytes() for path in (tmp_path / "bench").rglob("*") if path.is_file()}
    again = Recorder()
    results = work(some, again, jobs=2)
    assert (again.ran, again.measured) == ([], [])
    assert all(result.measurement for result in results)
    assert {
        path: path.read_bytes() for path in (tmp_path / "bench").rglob("*") if path.is_file()
    } == before


def test_a_run_that_has_ended_is_only_measured(tmp_path: Path) -> None:
    some = cells(tmp_path, 1)
    some[0].begin()
    record(some[0].folder / "20260101-a-run")
    worker = Recorder()
    work(some, worker)
    assert (worker.ran, worker.measured) == ([], [0])


def test_a_truncated_run_is_resumed_in_its_own_folder(tmp_path: Path) -> None:
    some = cells(tmp_path, 1)
    some[0].begin()
    trace = record(some[0].folder / "20250101-cut").folder / "trace.jsonl"
    trace.write_bytes(b"".join(trace.read_bytes().splitlines(keepends=True)[:3]))
    worker = Recorder()
    (result,) = work(some, worker)
    assert worker.ran == [0]
    assert result.measurement is not None
    assert result.measurement.run == "20250101-cut"


def test_a_fault_of_the_world_leaves_its_cell_for_the_next_time(tmp_path: Path) -> None:
    some = cells(tmp_path, 4)
    results = work(some, failing(ModelUnavailable("down"), 1, 2))
    assert [result.measurement is None for result in results] == [False, True, True, False]
    assert isinstance(results[1].fault, ModelUnavailable)
    again = Recorder()
    assert all(result.measurement for result in work(some, again))
    assert again.ran == [1, 2]


def test_three_faults_in_a_row_end_the_work(tmp_path: Path) -> None:
    worker, listener = failing(EngineUnavailable("no engine"), *range(9)), Quiet()
    results = work(cells(tmp_path, 9), worker, listener)
    assert worker.ran == [0, 1, 2]
    assert [result.fault is None for result in results] == [False] * 3 + [True] * 6
    assert "3 cells in a row could not be finished" in listener.lines[-1]


@pytest.mark.parametrize(
    "error", [SettingsError("--steps", "cannot be"), ModelNotConfigured("no model")]
)
def test_errors_shared_by_all_cells_end_the_benchmark_at_once(
    tmp_path: Path, error: L2macError
) -> None:
    worker = failing(error, *range(5))
    with pytest.raises(type(error)):
        work(cells(tmp_path, 5), worker)
    assert worker.ran == [0]


def test_a_defect_is_no_fault_of_the_world(tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work(cells(tmp_path, 2), Recorder(broken))


def test_run_that_keeps_losing_its_sandbox_is_measured_as_it_is(tmp_path: Path) -> None:
    def dies(cell: Cell, *_: object) -> None:
        if cell.run is None:
            trace = record(cell.folder / "20260101-a-run").folder / "trace.jsonl"
            trace.write_bytes(b"".join(trace.read_bytes().splitlines(keepends=True)[:5]))
        raise SandboxDied("it ran out of memory")

    worker, listener = Recorder(dies), Quiet()
    (result,) = work(cells(tmp_path, 1), worker, listener)
    assert (worker.ran, worker.measured) == ([0, 0, 0], [0])
    assert result.measurement is not None
    assert sum("its sandbox was lost in session" in line for line in listener.lines) == 3


def test_sandbox_lost_before_the_first_event_is_an_external_fault(tmp_path: Path) -> None:
    (result,) = work(cells(tmp_path, 1), failing(SandboxDied("the engine is gone"), 0))
    assert isinstance(result.fault, SandboxDied)


def test_interrupt_ends_active_cells_in_order_and_starts_no_others(
    tmp_path: Path, interruptible: None
) -> None:
    ended: list[int] = []
    at_work = threading.Barrier(2, action=lambda: os.kill(os.getpid(), signal.SIGINT))

    def waits(cell: Cell, audience: SessionListener, cancel_scope: CancelScope) -> None:
        try:
            at_work.wait(PATIENCE_S)
            cancel_scope.sleep(LONG_S)  # as behind a server that says nothing
        except KeyboardInterrupt:
            audience.say("said while it ends, which is let pass")
            ended.append(cell.seed)
            raise

    harness = Harness(cells(tmp_path, 5), worker := Recorder(waits), Quiet(), jobs=2)
    with pytest.raises(KeyboardInterrupt, match="Repeat the same command to resume"):
        harness.run()
    assert sorted(worker.ran) == sorted(ended) == [0, 1]
    assert worker.measured == []
