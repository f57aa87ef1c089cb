"""One session of a run, from settings to result: the one composition that command line and Python API share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from l2mac.control.run_spec import RunSpec
from l2mac.errors import L2macError, SettingsError
from l2mac.evaluator.packages import PackageSource, recorded_fetch
from l2mac.processor.cancellation import CancelScope
from l2mac.runs.execute import Reason, SessionResult, execute
from l2mac.runs.folders import find_run, new_run
from l2mac.runs.recorded_input import recorded_origin, tree_of
from l2mac.runs.recorded_program import recorded_limits
from l2mac.runs.recorded_spec import read_spec
from l2mac.runs.replay import ReplayProcessor
from l2mac.runs.wiring import (
    check_packages,
    choose_domain,
    live_packages,
    make_plan,
    make_processors,
    make_resources,
)
from l2mac.settings.settings import Settings
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import Checked, InstructionCompleted, ProtocolChosen
from l2mac.trace.history import effective
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.method_events import PartEnded
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.input_folder import Input, check_outside, read_input
from sandbox import SandboxError
from sandbox.engine.factory import SandboxFactory

MOST_TASK_BYTES = 1024 * 1024


class SessionListener(Protocol):
    """Whoever follows a session; what it raises ends the session in order."""

    def say(self, line: str) -> None:
        """Take in a sentence about what is being done."""
        ...

    def heard(self, piece: str) -> None:
        """Take in a piece of the model's text as it arrives."""
        ...

    def on(self, entry: Entry) -> None:
        """Take in an entry of the run's trace as it is written."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """A recorded run to take up or repeat: its folder, what it was to do, and the settings that it stays with."""

    folder: Path
    plan: RunSpec
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """A repeated run: its result, how many replies the record gave, and where it parts from the record, if it does."""

    result: SessionResult
    replies: int
    difference: str


def prepare_input(settings: Settings, folder: Path | None, exclude: Sequence[str]) -> Input | None:
    """Give the files of the folder that a run is to begin with; None without a folder.

    Raises:
        SettingsError: They cannot be taken, or the record would be written among them.
    """
    if folder is None:
        if exclude:
            raise SettingsError(
                "--exclude", "says what of --input-dir to leave out; name the folder, too"
            )
        return None
    check_outside(folder, settings.runs_dir.expanduser(), "--runs-dir")
    return read_input(folder, exclude, settings.policy())


def prepare_plan(
    settings: Settings, task: str, program: tuple[str, ...], given: Input | None = None
) -> RunSpec:
    """Give what is to be done, with everything refused that can be before anything is started.

    Raises:
        SettingsError: The task is empty, too long or no text, or the settings cannot be.
    """
    if not task.strip():
        raise SettingsError("TASK", "is empty; say what to make")
    if len(task.encode("utf-8", "replace")) > MOST_TASK_BYTES:
        raise SettingsError("TASK", f"is longer than {MOST_TASK_BYTES} bytes")
    try:
        task.encode("utf-8")
    except UnicodeEncodeError:
        raise SettingsError("TASK", "is not valid UTF-8") from None
    settings.policy()
    plan = make_plan(settings, task.strip(), program, choose_domain(settings))
    if given is None:
        return plan
    if plan.method != "l2mac":
        raise SettingsError(
            "--input-dir", f"the method {plan.method} begins with nothing; leave out --method"
        )
    return replace(plan, input=tree_of(given))


def find_source(runs_dir: Path, name: str) -> Source:
    """Give a recorded run by name, beginning, path or `last`.

    A record that does not lie among the user's own runs can have been made by anybody: it names no server that the key
    would be sent to, no image and no runtime.

    Raises:
        RunNotFound, TraceError: There is none, or its record cannot be read.
    """
    folder = find_run(runs_dir, name)
    plan = read_spec(folder)
    own = folder.parent.resolve() == runs_dir.resolve()
    kept = {
        **(plan.setup if own else {}),
        "context_tokens": plan.context_tokens,
        "domain": plan.domain,
    }
    return Source(folder, plan, kept)


def start(
    settings: Settings,
    plan: RunSpec,
    audience: SessionListener,
    *,
    given: Input | None = None,
    fuse: CancelScope | None = None,
) -> SessionResult:
    """Execute a new run.

    Args:
        settings: What to work with.
        plan: What to do, as `prepare_plan` gives it.
        audience: Told about everything as it happens.
        fuse: Ends the session from another thread, even while the model's server is silent.
        given: The files to begin with, as `prepare_input` gives them; those that the plan was made with.

    Raises:
        SandboxError, L2macError: The world's fault; once a run has begun, the message names it for a resume.
    """

    def folder() -> Path:
        made = new_run(settings.runs_dir.expanduser(), plan.task)
        audience.say(f"run {made.name}")
        if given is not None:
            audience.say(f"input: {given}")
        return made

    return _with_model(settings, plan, audience, "run", folder, fuse, given)


def take_up(
    settings: Settings,
    source: Source,
    audience: SessionListener,
    *,
    fuse: CancelScope | None = None,
) -> SessionResult:
    """Go on with a recorded run; see `start`."""
    check_packages(source.plan, settings)

    def folder() -> Path:
        audience.say(f"resuming {source.folder.name}")
        return source.folder

    return _with_model(settings, source.plan, audience, "resume", folder, fuse)


def repeat(settings: Settings, source: Source, audience: SessionListener) -> ReplayResult:
    """Perform a recorded run's replies again, in a new run and without a model; see `start`."""
    events = [entry.event for entry in effective(read_trace(source.folder / "trace.jsonl")[0])]
    recorded = ObjectStore(source.folder / OBJECTS_FILE)
    processor = ReplayProcessor.of(events, recorded)
    protocol = next((event.protocol for event in events if isinstance(event, ProtocolChosen)), "")
    with _boxes(settings, audience) as boxes:
        means = make_resources(
            settings,
            boxes,
            processor,
            watch=audience.heard,
            listener=audience.on,
            negotiate=(lambda: protocol) if protocol else None,
            use_protocol=lambda _: None,
            packages=PackageSource(recorded_fetch(events, recorded), boxes.install_packages),
        )
        means = replace(means, limits=recorded_limits(events))
        folder = new_run(settings.runs_dir.expanduser(), source.plan.task)
        audience.say(f"replaying {source.folder.name} as {folder.name}")
        with _naming(folder):
            result = execute(
                folder, source.plan, means, "replay", given=recorded_origin(events, recorded)
            )
    return ReplayResult(result, processor.given, _difference(source.folder, folder))


def _with_model(
    settings: Settings,
    plan: RunSpec,
    audience: SessionListener,
    reason: Reason,
    make_folder: Callable[[], Path],
    fuse: CancelScope | None,
    given: Input | None = None,
) -> SessionResult:
    with make_processors(settings, fuse=fuse) as processor, _boxes(settings, audience) as boxes:
        means = make_resources(
            settings,
            boxes,
            processor,
            watch=audience.heard,
            listener=audience.on,
            negotiate=lambda: processor.negotiate(audience.heard, within_s=settings.max_time),
            use_protocol=processor.use_protocol,
            packages=live_packages(settings, boxes),
        )
        folder = make_folder()
        with _naming(folder):
            return execute(folder, plan, means, reason, given=given)


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Let whatever ends the session say how to go on."""
    advice = f"The run is kept; go on with: l2mac resume {folder.name}"
    try:
        yield
    except (L2macError, SandboxError) as error:
        error.args = (f"{error}\n{advice}",)
        raise
    except KeyboardInterrupt as interrupt:
        interrupt.args = (advice,)
        raise


def _boxes(settings: Settings, audience: SessionListener) -> SandboxFactory:
    return SandboxFactory.prepare(
        settings.image, settings.policy(), settings.cache_dir.expanduser(), audience.say
    )


def _difference(source: Path, repeated: Path) -> str:
    """Say where two records' stores part, by their hashes after each instruction and at the end."""

    def trees(folder: Path) -> list[str]:
        events = [entry.event for entry in effective(read_trace(folder / "trace.jsonl")[0])]
        return [
            event.key if isinstance(event, Checked) else event.tree
            for event in events
            if isinstance(event, InstructionCompleted | PartEnded)
            or (isinstance(event, Checked) and event.final)
        ]

    recorded, now = trees(source), trees(repeated)
    for number, (before, after) in enumerate(zip(recorded, now, strict=False), 1):
        if before != after:
            return f"the files after instruction {number} are not those of the record"
    return (
        ""
        if len(recorded) == len(now)
        else f"{len(now)} of {len(recorded)} recorded states were reached"
    )
