"""A run inside another program: its events one by one as they happen, then its result.

    with l2mac.Run("a URL shortener", model="gpt-4.1") as run:
        for event in run:
            ...
    print(run.result.status, run.result.files)

The session works in a thread of its own, so that events arrive while the model writes.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

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
    """A piece of the model's text; text from outside, to be cleaned before a terminal sees it."""

    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence about what is being done, such as preparing the box's image."""

    line: str


RunEvent = Event | TextArrived | Said


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """What a run left.

    Attributes:
        name: The run's name, for `l2mac show`, `resume` and `replay`.
        folder: Its record.
        status: Only `Status.COMPLETED` means that all checks pass in a fresh box.
        cause: The status in one sentence.
        report: The last report of the checks.
        requirements: What shows each requirement of the task, as far as the model's claims hold.
        files: Path → content.
        method: How the task was carried out.
        evaluator: Whether the control unit's evaluator had to accept the work on the way.
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
        """Path → text; bytes that are no UTF-8 stand as backslash escapes."""
        return {
            path: content.decode("utf-8", "backslashreplace")
            for path, content in self.files.items()
        }


class Run:
    """A run to be followed; use it once, in a `with`. Iterating gives its events, each one to one iterator only.

    Leaving the `with` before the end cancels the run: a call of the model is ended at once, even while its server is
    silent, other work in hand at its next event, the making of a connection after half a minute at the latest; the box
    is removed, the record is kept for `l2mac resume`. No more than 1000 events wait for a slow reader; then the run
    waits, too.

    Args:
        task: The prompt.
        input_dir: A folder with existing files to begin with; it is read before anything is started, and never written.
        exclude: Patterns of what to leave out of it.
        program: Instructions in order; empty when the model is to plan.
        settings: Given settings, taken as they are.
        more: Settings by name, in the place of the command line's flags: `model="qwen"`, `max_cost=2.0`,
            `plan_model="large"`. What is not given comes from `L2MAC_*` variables and the settings files.
    """

    def __init__(
        self,
        task: str,
        *,
        input_dir: Path | str | None = None,
        exclude: Sequence[str] = (),
        program: Sequence[str] = (),
        settings: Settings | None = None,
        **more: Any,
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
        """Begin.

        Raises:
            SettingsError: Something cannot be; nothing has been started.
        """
        if self._thread is not None:
            raise RuntimeError("a Run is used once; make another")
        settings = self._settings or load_settings(
            self._more, project=Path(PROJECT_FILE), user=user_file()
        )
        program = (
            check_program(self._program, at_most=MAX_INSTRUCTIONS, field="program")
            if self._program
            else ()
        )
        given = prepare_input(settings, self._input_dir, self._exclude)
        plan = prepare_plan(settings, self._task, program, given)
        self._thread = threading.Thread(
            target=lambda: self._work(
                lambda: start(settings, plan, self, given=given, cancel_scope=self._cancel_scope)
            ),
            daemon=True,
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cancel what still runs, and wait until its box is gone."""
        self.cancel()
        if self._thread is not None:
            self._thread.join()

    def __iter__(self) -> Iterator[RunEvent]:
        """Give the events until the run ends.

        Raises:
            SandboxError, L2macError: What ended the run, if the world did.
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
        """Ask the run to end; harmless when it has ended."""
        self._cancel_scope.cancel()

    @property
    def result(self) -> FinishedRun:
        """What the run left; waits for its end, and passes over the events that nobody took.

        Raises:
            SandboxError, L2macError: What ended the run, if the world did.
            RunCancelled: It was given up.
        """
        for _ in self:
            pass
        if self._result is None:
            raise RunCancelled("the run was cancelled before it began")
        return self._result

    def say(self, line: str) -> None:
        """Take in a sentence; the session calls this."""
        self._put(Said(line))

    def heard(self, piece: str) -> None:
        """Take in a piece of the model's text; the session calls this."""
        if piece:
            self._put(TextArrived(piece))

    def on(self, entry: Entry) -> None:
        """Take in an entry of the trace; the session calls this."""
        self._put(entry.event)

    def _started(self) -> threading.Thread:
        if self._thread is None:
            raise RuntimeError("a Run begins with its `with`")
        return self._thread

    def _work(self, session: Callable[[], SessionResult]) -> None:
        try:
            self._result = finished_run(session())
        except KeyboardInterrupt as interrupt:
            self._error = RunCancelled(
                "the run was cancelled. " + "".join(map(str, interrupt.args))
            )
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to whoever iterates, not to this thread
            self._error = error

    def _put(self, event: RunEvent) -> None:
        while not self._cancel_scope.is_cancelled:
            try:
                return self._events.put(event, timeout=_POLL_S)
            except queue.Full:
                continue
        return self._stop()

    def _stop(self) -> None:
        """End the session the way a keyboard does, once; what it says while it ends is dropped."""
        if not self._stopping:
            self._stopping = True
            raise KeyboardInterrupt


def finished_run(result: SessionResult) -> FinishedRun:
    """Give a result with its files' contents, read from the record."""
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
