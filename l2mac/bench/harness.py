"""Work through the cells of a benchmark, several at a time; what is finished is not repeated.

Each cell's run is one session like that of `l2mac run`, and its measuring follows at once. A fault of the world, such
as a server that is down, leaves its cell as it is, to be taken up by the next `l2mac bench` on the same folder; three
in a row end the work.
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
_GO_ON = (
    "What is finished is kept, and so are the runs at work; give the same command again to go on."
)


class Worker(Protocol):
    """Whoever does what a cell needs; called from several threads."""

    def run(self, cell: Cell, audience: SessionListener, cancel_scope: CancelScope) -> None:
        """Begin a cell's run, or take up the one that has begun, and bring it to its end.

        Raises:
            SandboxError, L2macError: The world's fault; the run is kept.
        """
        ...

    def measure(self, cell: Cell, say: Callable[[str], None]) -> Measurement:
        """Measure a cell's run."""
        ...


class BenchListener(Protocol):
    """Whoever follows a benchmark; called from several threads, one at a time."""

    def say(self, cell: Cell | None, line: str) -> None:
        """Take in a sentence about a cell, or about all."""
        ...

    def on(self, cell: Cell, entry: Entry) -> None:
        """Take in an entry of a cell's trace."""
        ...


@dataclass(frozen=True, slots=True)
class CellResult:
    """What came of a cell: a measurement, or why there is none yet."""

    cell: Cell
    measurement: Measurement | None
    fault: L2macError | SandboxError | None = None


class Harness:
    """Works through cells; use once.

    Args:
        cells: What is to be done.
        worker: Does what a cell needs.
        listener: Told about everything as it happens.
        jobs: How many cells are worked on at a time.
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
        self._cancel_scopes: list[CancelScope] = []
        self._faults = self._at_work = 0
        self._fatal: BaseException | None = None

    def run(self) -> tuple[CellResult, ...]:
        """Work until nothing is left that can be done; gives one result for each cell, in their order.

        Raises:
            KeyboardInterrupt: Interrupted; every run that was at work is kept and will be taken up.
            SettingsError: Something cannot be, which all cells share.
        """
        cells = tuple(self._waiting)
        try:
            for _ in range(max(1, self._jobs)):
                threading.Thread(target=self._work, daemon=True).start()
            self._wait()
        except KeyboardInterrupt:
            self._stopped.set()
            self._interrupt()
            self._say(None, "stopping: what is at work is brought to an end and kept")
            self._wait()
            raise KeyboardInterrupt(_GO_ON) from None
        if self._fatal is not None:
            raise self._fatal
        return tuple(
            self._results.get(number, CellResult(cell, None)) for number, cell in enumerate(cells)
        )

    def _wait(self) -> None:
        """Wait until nothing is at work and nothing more will be.

        The threads are not joined: a join that Ctrl-C interrupts takes one that still works for ended (bpo-45274).
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
        except BaseException as error:  # noqa: BLE001 - a defect belongs to whoever called, not to this thread
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
            self._say(
                None,
                f"{_FAULTS_IN_A_ROW} cells in a row could not be finished; no further one is begun",
            )
            self._stopped.set()

    def _finished(self, cell: Cell) -> Measurement | None:
        """Bring a cell to its end from wherever it is."""
        state = cell.state()
        if state != "measured":
            self._run(cell, state)
            self._measure(cell)
        return cell.measurement()

    def _run(self, cell: Cell, state: CellState) -> None:
        """Bring the run to its end; one whose code keeps ending its sandboxes is measured as it is, not left out."""
        if state == "ended":
            return
        audience = _Audience(cell, self._listener, self._lock, self._interrupted)
        cancel_scope = CancelScope(audience.check)
        with self._lock:
            self._cancel_scopes.append(cancel_scope)
        if self._interrupted.is_set():
            cancel_scope.cancel()
        if state == "new":
            cell.begin()
        for session in range(1, _SESSIONS + 1):
            try:
                self._worker.run(cell, audience, cancel_scope)
                break
            except SandboxLost as loss:
                if cell.run is None:
                    raise
                self._say(cell, f"its sandbox was lost in session {session} of {_SESSIONS}: {loss}")

    def _interrupt(self) -> None:
        """End every session that is at work, also one whose model's server is silent."""
        self._interrupted.set()
        with self._lock:
            cancel_scopes = tuple(self._cancel_scopes)
        for cancel_scope in cancel_scopes:
            cancel_scope.cancel()

    def _measure(self, cell: Cell) -> None:
        self._say(cell, "measuring")
        measured = self._worker.measure(cell, lambda line: self._say(cell, line))
        write_measurement(cell.folder, measured)
        self._say(cell, f"measured ({measured.status})")

    def _say(self, cell: Cell | None, line: str) -> None:
        with self._lock:
            self._listener.say(cell, line)


class _Audience:
    """Follows one cell's session, and ends it when the benchmark is interrupted: see `l2mac.runs.session.SessionListener`."""

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
        """Raise what a keyboard would, once; what is said while the session ends is let pass."""
        if self._interrupted.is_set() and not self._stopping:
            self._stopping = True
            raise KeyboardInterrupt
