"""One session of a run, shared by command line and Python API."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from l2mac.control.run_spec import RunSpec
from l2mac.errors import L2macError, SettingsError
from l2mac.evaluator.packages import PackageSource, recorded_fetch
from l2mac.processor.cancellation import CancelScope
from l2mac.runs.execute import Resources, SessionResult, execute
from l2mac.runs.folders import find_run, new_run
from l2mac.runs.recorded_input import recorded_origin, tree_of
from l2mac.runs.recorded_spec import read_spec
from l2mac.runs.replay import ReplayProcessor, recorded_limits
from l2mac.runs.wiring import (
    check_packages,
    choose_domain,
    live_packages,
    make_plan,
    make_processors,
    make_resources,
)
from l2mac.settings.settings import Settings
from l2mac.settings.toml_file import expanded
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import Checked, InstructionCompleted, PartEnded, ProtocolChosen
from l2mac.trace.history import effective
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.input_folder import Input, check_outside, read_input
from sandbox import SandboxError
from sandbox.engine.factory import SandboxFactory

MOST_TASK_BYTES = 1024 * 1024


class SessionListener(Protocol):
    """Listener of a session; an exception that it raises ends the session in order."""

    def say(self, line: str) -> None:
        """Handle a sentence about the progress."""
        ...

    def heard(self, piece: str) -> None:
        """Handle a piece of the model's text as it arrives."""
        ...

    def on(self, entry: Entry) -> None:
        """Handle an entry of the run's trace as it is written."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """A recorded run to resume or replay, with the settings to keep."""

    folder: Path
    plan: RunSpec
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """A replayed run: result, number of replies, and difference, or ''."""

    result: SessionResult
    replies: int
    difference: str


def prepare_input(settings: Settings, folder: Path | None, exclude: Sequence[str]) -> Input | None:
    """Return the input of a run from a folder; None without a folder.

    Raises:
        SettingsError: The folder is unusable, or contains the folder of the runs.
    """
    if folder is None:
        if exclude:
            raise SettingsError("--exclude", "--exclude requires --input-dir.")
        return None
    check_outside(folder, expanded(settings.runs_dir), "--runs-dir")
    return read_input(folder, exclude, settings.policy())


def prepare_plan(
    settings: Settings, task: str, program: tuple[str, ...], given: Input | None = None
) -> RunSpec:
    """Return the specification of a run, checked before anything is started.

    Raises:
        SettingsError: The task is empty, too long or not text, or a setting is invalid.
    """
    if not task.strip():
        raise SettingsError("TASK", "TASK must not be empty. Describe what to make.")
    if len(task.encode("utf-8", "replace")) > MOST_TASK_BYTES:
        raise SettingsError("TASK", f"TASK is longer than {MOST_TASK_BYTES} bytes. Shorten it.")
    try:
        task.encode("utf-8")
    except UnicodeEncodeError:
        raise SettingsError("TASK", "TASK is not valid UTF-8. Convert it to UTF-8.") from None
    settings.policy()
    plan = make_plan(settings, task.strip(), program, choose_domain(settings))
    if given is None:
        return plan
    if plan.method != "l2mac":
        problem = f"--input-dir requires --method l2mac, not {plan.method}. Omit --method."
        raise SettingsError("--input-dir", problem)
    return replace(plan, input=tree_of(given))


def find_source(runs_dir: Path, name: str) -> Source:
    """Return a recorded run by name, beginning of a name, path or `last`.

    A trace outside the user's own runs is untrusted. Such a trace chooses no server, which would
    receive the key, no image and no runtime.

    Raises:
        RunNotFound, TraceError: The run does not exist, or its trace is unreadable.
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
    listener: SessionListener,
    *,
    run_input: Input | None = None,
    cancel_scope: CancelScope | None = None,
) -> SessionResult:
    """Execute a new run.

    Args:
        settings: Settings of this session.
        plan: Specification made by `prepare_plan`.
        listener: Receives everything as it happens.
        cancel_scope: Ends the session from another thread, even while the model's server is silent.
        run_input: The input of `prepare_input`, the same as for the plan.

    Raises:
        SandboxError, L2macError: Engine, model or trace failed. The message of a started run names
            the command to resume it.
    """
    with _live_resources(settings, listener, cancel_scope) as resources:
        folder = new_run(expanded(settings.runs_dir), plan.task)
        listener.say(f"run {folder.name}")
        if run_input is not None:
            listener.say(f"input: {run_input}")
        with _resumable(folder):
            return execute(folder, plan, resources, "run", run_input=run_input)


def resume_run(
    settings: Settings,
    source: Source,
    listener: SessionListener,
    *,
    cancel_scope: CancelScope | None = None,
) -> SessionResult:
    """Continue a recorded run; see `start`."""
    check_packages(source.plan, settings)

    with _live_resources(settings, listener, cancel_scope) as resources:
        listener.say(f"resuming {source.folder.name}")
        with _resumable(source.folder):
            return execute(source.folder, source.plan, resources, "resume")


def replay_run(settings: Settings, source: Source, listener: SessionListener) -> ReplayResult:
    """Execute the recorded replies of a run again, as a new run; see `start`."""
    events = [entry.event for entry in effective(read_trace(source.folder / TRACE_FILE)[0])]
    recorded = ObjectStore(source.folder / OBJECTS_FILE)
    processor = ReplayProcessor.of(events, recorded)
    protocol = next((event.protocol for event in events if isinstance(event, ProtocolChosen)), "")
    with _factory(settings, listener) as factory:
        resources = make_resources(
            settings,
            factory,
            processor,
            watch=listener.heard,
            listener=listener.on,
            negotiate=(lambda: protocol) if protocol else None,
            use_protocol=lambda _: None,
            packages=PackageSource(recorded_fetch(events, recorded), factory.install_packages),
        )
        resources = replace(resources, limits=recorded_limits(events))
        folder = new_run(expanded(settings.runs_dir), source.plan.task)
        listener.say(f"replaying {source.folder.name} as {folder.name}")
        with _resumable(folder):
            result = execute(
                folder,
                source.plan,
                resources,
                "replay",
                run_input=recorded_origin(events, recorded),
            )
    return ReplayResult(result, processor.given, _difference(source.folder, folder))


@contextmanager
def _live_resources(
    settings: Settings, listener: SessionListener, cancel_scope: CancelScope | None
) -> Iterator[Resources]:
    """Yield the resources of a session with a live model, and close them afterwards."""
    with (
        make_processors(settings, cancel_scope=cancel_scope) as processor,
        _factory(settings, listener) as factory,
    ):
        yield make_resources(
            settings,
            factory,
            processor,
            watch=listener.heard,
            listener=listener.on,
            negotiate=lambda: processor.negotiate(listener.heard, within_s=settings.max_time),
            use_protocol=processor.use_protocol,
            packages=live_packages(settings, factory),
        )


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Add the command that resumes the run to every error and interrupt."""
    advice = f"The run is kept. Continue it with: l2mac resume {folder.name}"
    try:
        yield
    except (L2macError, SandboxError) as error:
        error.args = (f"{error}\n{advice}",)
        raise
    except KeyboardInterrupt as interrupt:
        interrupt.args = (advice,)
        raise


def _factory(settings: Settings, listener: SessionListener) -> SandboxFactory:
    return SandboxFactory.prepare(
        settings.image, settings.policy(), expanded(settings.cache_dir), listener.say
    )


def _difference(source: Path, repeated: Path) -> str:
    """Return the first difference between the files of two runs, or ''."""

    def trees(folder: Path) -> list[str]:
        events = [entry.event for entry in effective(read_trace(folder / TRACE_FILE)[0])]
        return [
            event.key if isinstance(event, Checked) else event.tree
            for event in events
            if isinstance(event, InstructionCompleted | PartEnded)
            or (isinstance(event, Checked) and event.final)
        ]

    recorded, now = trees(source), trees(repeated)
    for number, (before, after) in enumerate(zip(recorded, now, strict=False), 1):
        if before != after:
            return f"the files after instruction {number} differ from the trace"
    if len(recorded) == len(now):
        return ""
    return f"{len(now)} of {len(recorded)} recorded states were reached"
