"""Runs for other Python programs: events as they happen, then the result.

    with l2mac.Run("a URL shortener", model="gpt-4.1") as run:
        for event in run:
            ...
    print(run.result.status, run.result.files)

The session has its own thread, so that events arrive while the model writes.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from l2mac.control.outcome import RequirementRow, Status
from l2mac.control.registry import MAX_INSTRUCTIONS, check_program
from l2mac.errors import RunCancelled
from l2mac.evaluator.verdict import CheckReport
from l2mac.processor.cancellation import CancelScope
from l2mac.runs.execute import SessionResult
from l2mac.runs.session import prepare_input, prepare_plan, start
from l2mac.settings.settings import PROJECT_FILE, Settings, load_settings, user_file
from l2mac.trace.chain import Entry
from l2mac.trace.events import Event
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.objects import ObjectStore

_MOST_WAITING = 1000
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class TextArrived:
    """A piece of the model's text, not yet safe for a terminal."""

    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence about the progress, such as the preparation of the sandbox's image."""

    line: str


RunEvent = Event | TextArrived | Said


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """The result of a run.

    Attributes:
        name: Name of the run, for `l2mac show`, `resume` and `replay`.
        folder: Folder of the run, with its trace.
        status: Only `Status.COMPLETED` means that all checks pass in a fresh sandbox.
        cause: Reason for the status, in one sentence.
        report: Last report of the checks.
        requirements: Files and tests for each requirement, as far as the model's claims hold.
        files: Path → content.
        method: `l2mac` or a comparison method.
        evaluator: Whether checks ran after every write.
    """

    name: str
    folder: Path
    status: Status
    cause: str
    report: CheckReport
    requirements: tuple[RequirementRow, ...]
    files: Mapping[str, bytes]
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    elapsed_s: float
    method: str = "l2mac"
    evaluator: bool = True

    @property
    def texts(self) -> Mapping[str, str]:
        """Path → text, with backslash escapes for bytes that are not UTF-8."""
        return {
            path: content.decode("utf-8", "backslashreplace")
            for path, content in self.files.items()
        }


class Run:
    """A run to follow; use it once, in a `with`.

    Iteration yields each event to one iterator only.

    Leaving the `with` before the end cancels the run. A model call ends at once, even if the server
    is silent. Other work ends at its next event, and opening a connection within half a minute. The
    sandbox is removed, and the trace is kept for `l2mac resume`. At most 1000 events wait for a
    slow reader. Then the run waits, too.

    Args:
        task: The prompt.
        input_dir: Folder with existing files to start from; it is only read, before the start.
        exclude: Patterns of paths to exclude from the folder.
        program: Instructions in order; if empty, the model plans.
        settings: Complete settings, used as they are.
        more: Settings by name, in the place of flags: `model="qwen"`, `max_cost=2.0`,
            `plan_model="large"`. Other settings come from variables and the settings files.
    """

    def __init__(
        self,
        task: str,
        *,
        input_dir: Path | str | None = None,
        exclude: Sequence[str] = (),
        program: Sequence[str] = (),
        settings: Settings | None = None,
        **more: object,
    ) -> None:
        self._task = task
        self._input_dir = None if input_dir is None else Path(input_dir)
        self._exclude = tuple(exclude)
        self._program = list(program)
        self._settings = settings
        self._more = more
        self._events: queue.Queue[RunEvent] = queue.Queue(_MOST_WAITING)
        self._cancel_scope = CancelScope(self._stop)
        self._stopping = False
        self._result: FinishedRun | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start the run.

        Raises:
            SettingsError: A setting, the task or the input is invalid; nothing has been started.
        """
        if self._thread is not None:
            raise RuntimeError("A Run can be used only once. Make a new one.")
        settings = self._settings or load_settings(
            self._more, project=Path(PROJECT_FILE), user=user_file()
        )
        program: tuple[str, ...] = ()
        if self._program:
            program = check_program(self._program, at_most=MAX_INSTRUCTIONS, field="program")
        given = prepare_input(settings, self._input_dir, self._exclude)
        plan = prepare_plan(settings, self._task, program, given)

        def session() -> SessionResult:
            return start(settings, plan, self, run_input=given, cancel_scope=self._cancel_scope)

        self._thread = threading.Thread(target=self._work, args=(session,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cancel the run if it is active, and wait until its sandbox is removed."""
        self.cancel()
        if self._thread is not None:
            self._thread.join()

    def __iter__(self) -> Iterator[RunEvent]:
        """Yield the events until the run ends.

        Raises:
            SandboxError, L2macError: Engine, model or trace failed.
        """
        thread = self._started()
        while True:
            try:
                yield self._events.get(timeout=_POLL_S)
            except queue.Empty:
                if not thread.is_alive() and self._events.empty():
                    break
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Cancel the run; harmless after its end."""
        self._cancel_scope.cancel()

    @property
    def result(self) -> FinishedRun:
        """Result of the run; waits for its end and drops the remaining events.

        Raises:
            SandboxError, L2macError: Engine, model or trace failed.
            RunCancelled: The run was cancelled.
        """
        for _ in self:
            pass
        if self._result is None:
            raise RunCancelled("The run was cancelled before it started.")
        return self._result

    def say(self, line: str) -> None:
        """Queue a sentence; the session calls this."""
        self._put(Said(line))

    def heard(self, piece: str) -> None:
        """Queue a piece of the model's text; the session calls this."""
        if piece:
            self._put(TextArrived(piece))

    def on(self, entry: Entry) -> None:
        """Queue an entry of the trace; the session calls this."""
        self._put(entry.event)

    def _started(self) -> threading.Thread:
        if self._thread is None:
            raise RuntimeError("A Run starts with its `with` block. Enter the block first.")
        return self._thread

    def _work(self, session: Callable[[], SessionResult]) -> None:
        try:
            self._result = finished_run(session())
        except KeyboardInterrupt as interrupt:
            self._error = RunCancelled(
                "The run was cancelled. " + "".join(map(str, interrupt.args))
            )
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that iterates
            self._error = error

    def _put(self, event: RunEvent) -> None:
        while not self._cancel_scope.is_cancelled:
            try:
                return self._events.put(event, timeout=_POLL_S)
            except queue.Full:
                continue
        return self._stop()

    def _stop(self) -> None:
        """End the session once, like an interrupt; later events are dropped."""
        if not self._stopping:
            self._stopping = True
            raise KeyboardInterrupt


def finished_run(result: SessionResult) -> FinishedRun:
    """Return the result with the contents of its files, read from the trace."""
    objects = ObjectStore(result.folder / OBJECTS_FILE)
    return FinishedRun(
        name=result.run,
        folder=result.folder,
        status=result.outcome.status,
        cause=result.outcome.cause,
        report=result.outcome.report,
        requirements=result.outcome.requirements,
        files={path: objects.get(digest) for path, digest in result.files.items()},
        prompt_tokens=result.spending.prompt_tokens,
        completion_tokens=result.spending.completion_tokens,
        cost_usd=result.spending.cost_usd,
        elapsed_s=result.elapsed_s,
        method=result.method,
        evaluator=result.evaluator,
    )
