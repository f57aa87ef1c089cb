"""Work through a benchmark's cells, several at a time, each only once.

Each cell's run is one session like that of `l2mac run`, and its measurement follows at once. A
fault of the environment, such as a server that is down, leaves its cell to the next `l2mac bench`
in the same folder; three such faults in a row end the work.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from l2mac.bench.cell import Cell, CellState
from l2mac.bench.measurement import Measurement, write_measurement
from l2mac.errors import L2macError, ModelNotConfigured, SettingsError
from l2mac.processor.cancellation import CancelScope
from l2mac.runs.session import SessionListener
from l2mac.trace.chain import Entry
from sandbox import SandboxError, SandboxLost

_FAULTS_IN_A_ROW = 3
_SESSIONS = 3
_POLL_S = 0.1
_RESUME = "Finished cells and begun runs are kept. Repeat the same command to resume."


class Worker(Protocol):
    """Run and measure cells; called from several threads."""

    def run(self, cell: Cell, listener: SessionListener, scope: CancelScope) -> None:
        """Run a cell to its end, resuming a run that has begun.

        Raises:
            SandboxError, L2macError: A fault of the environment; the run is kept.
        """
        ...

    def measure(self, cell: Cell, progress: Callable[[str], None]) -> Measurement:
        """Measure a cell's run."""
        ...


class BenchListener(Protocol):
    """Follow a benchmark; called from several threads, one at a time."""

    def say(self, cell: Cell | None, line: str) -> None:
        """Receive a message about a cell, or about all."""
        ...

    def on(self, cell: Cell, entry: Entry) -> None:
        """Receive an entry of a cell's trace."""
        ...


@dataclass(frozen=True, slots=True)
class CellResult:
    """The result of a cell: a measurement, or the fault that prevented one."""

    cell: Cell
    measurement: Measurement | None
    fault: L2macError | SandboxError | None = None


class Harness:
    """Work through cells; use once.

    Args:
        cells: The cells.
        worker: Runs and measures them.
        listener: Informed about every event.
        jobs: Number of cells that are worked on at a time.
    """

    def __init__(
        self, cells: Sequence[Cell], worker: Worker, listener: BenchListener, *, jobs: int
    ) -> None:
        self._waiting = list(cells)
        self._results: dict[int, CellResult] = {}
        self._numbers = {id(cell): number for number, cell in enumerate(cells)}
        self._worker = worker
        self._listener = listener
        self._jobs = jobs
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._interrupted = threading.Event()
        self._scopes: list[CancelScope] = []
        self._faults = self._at_work = 0
        self._fatal: BaseException | None = None

    def run(self) -> tuple[CellResult, ...]:
        """Process every cell and return one result for each, in their order.

        Raises:
            KeyboardInterrupt: The work was interrupted; runs in progress are kept and can be
                resumed.
            SettingsError: A setting that all cells share is invalid.
        """
        cells = tuple(self._waiting)
        try:
            for _ in range(max(1, self._jobs)):
                threading.Thread(target=self._work, daemon=True).start()
            self._wait()
        except KeyboardInterrupt:
            self._stopped.set()
            self._interrupt()
            self._say(None, "stopping: runs in progress are ended and kept")
            self._wait()
            raise KeyboardInterrupt(_RESUME) from None
        if self._fatal is not None:
            raise self._fatal
        nothing = [CellResult(cell, None) for cell in cells]
        return tuple(self._results.get(number, none) for number, none in enumerate(nothing))

    def _wait(self) -> None:
        """Wait until no cell is in progress and no further cell will be started.

        The threads are not joined: after a Ctrl-C, join reports running threads as ended
        (bpo-45274).
        """
        while True:
            with self._lock:
                if not self._at_work and (self._stopped.is_set() or not self._waiting):
                    return
            time.sleep(_POLL_S)

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._stopped.is_set() or not self._waiting:
                    return
                cell = self._waiting.pop(0)
                self._at_work += 1
            try:
                self._work_on(cell)
            finally:
                with self._lock:
                    self._at_work -= 1

    def _work_on(self, cell: Cell) -> None:
        try:
            result = CellResult(cell, self._finished(cell))
        except KeyboardInterrupt:
            return
        except (SettingsError, ModelNotConfigured) as error:
            self._end(error)
        except (L2macError, SandboxError) as error:
            self._note(CellResult(cell, None, error))
        except BaseException as error:  # noqa: BLE001 - a defect is raised in the caller's thread
            self._end(error)
        else:
            self._note(result)

    def _end(self, error: BaseException) -> None:
        self._fatal = self._fatal or error
        self._stopped.set()

    def _note(self, result: CellResult) -> None:
        with self._lock:
            self._results[self._numbers[id(result.cell)]] = result
            self._faults = self._faults + 1 if result.fault is not None else 0
            too_many = self._faults >= _FAULTS_IN_A_ROW
        if result.fault is not None:
            self._say(result.cell, f"not finished: {result.fault}")
        if too_many:
            failed = f"{_FAULTS_IN_A_ROW} cells in a row could not be finished"
            self._say(None, f"{failed}; no further one is started")
            self._stopped.set()

    def _finished(self, cell: Cell) -> Measurement | None:
        """Finish a cell from its present state and return its measurement."""
        state = cell.state()
        if state != "measured":
            self._run(cell, state)
            self._measure(cell)
        return cell.measurement()

    def _run(self, cell: Cell, state: CellState) -> None:
        """Run the cell to its end, or as far as its lost sandboxes allow."""
        if state == "ended":
            return
        listener = _CellListener(cell, self._listener, self._lock, self._interrupted)
        scope = CancelScope(listener.check)
        with self._lock:
            self._scopes.append(scope)
        if self._interrupted.is_set():
            scope.cancel()
        if state == "new":
            cell.begin()
        for session in range(1, _SESSIONS + 1):
            try:
                self._worker.run(cell, listener, scope)
                break
            except SandboxLost as loss:
                if cell.run is None:
                    raise
                self._say(cell, f"its sandbox was lost in session {session} of {_SESSIONS}: {loss}")

    def _interrupt(self) -> None:
        """Cancel every session in progress, even if its model's server is silent."""
        self._interrupted.set()
        with self._lock:
            scopes = tuple(self._scopes)
        for scope in scopes:
            scope.cancel()

    def _measure(self, cell: Cell) -> None:
        self._say(cell, "measuring")
        measured = self._worker.measure(cell, lambda line: self._say(cell, line))
        write_measurement(cell.folder, measured)
        self._say(cell, f"measured ({measured.status})")

    def _say(self, cell: Cell | None, line: str) -> None:
        with self._lock:
            self._listener.say(cell, line)


class _CellListener:
    """Follow one cell's session, and end it when the benchmark is interrupted.

    Implements `l2mac.runs.session.SessionListener`.
    """

    def __init__(
        self,
        cell: Cell,
        listener: BenchListener,
        lock: threading.Lock,
        interrupted: threading.Event,
    ) -> None:
        self._cell = cell
        self._listener = listener
        self._lock = lock
        self._interrupted = interrupted
        self._stopping = False

    def say(self, line: str) -> None:
        self.check()
        with self._lock:
            self._listener.say(self._cell, line)

    def heard(self, _: str) -> None:
        self.check()

    def on(self, entry: Entry) -> None:
        self.check()
        with self._lock:
            self._listener.on(self._cell, entry)

    def check(self) -> None:
        """Raise KeyboardInterrupt once; accept later messages of the session."""
        if self._interrupted.is_set() and not self._stopping:
            self._stopping = True
            raise KeyboardInterrupt
