"""The composition root: opens what a run needs in one `with`, joins the parts, and closes everything again."""

import contextlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from l2mac.budget import Limits, Spending
from l2mac.checks.report import CheckReport
from l2mac.context import TokenEstimator
from l2mac.control_unit import ControlUnit
from l2mac.dependencies import Dependencies, Mode, PackageMeans
from l2mac.domain import load_domain, recorded_domain
from l2mac.effects import Effects, Prices
from l2mac.errors import L2macError, RunNotFound, TraceError
from l2mac.file_store import BoxMaker, FileStore
from l2mac.job import Job, Thinking
from l2mac.outcome import Outcome, Status
from l2mac.processor import Processor, Watcher
from l2mac.roles import Role
from l2mac.trace.chain import read_trace
from l2mac.trace.events import BoxOpened, ModelCalled, ProtocolChosen, RunEnded, RunStarted, SessionStarted
from l2mac.trace.history import recorded_files
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE, Journal, Listener
from l2mac.trace.objects import ObjectStore
from l2mac.trace.report import write_receipts, write_report
from l2mac.version import VERSION
from sandbox import Sandbox, SandboxError

Reason = Literal["run", "resume", "replay"]
_LATER = {"judge": False, "thinking": asdict(Thinking())}
"""Settings that came after the first records, which lack them: not recorded while they are at their default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every setting that decides how a run goes; recorded with it and unchanged when it is resumed."""

    task: str
    domain: str = "codebase"
    definition: str = ""
    """The domain in full, as `Definition.as_text` gives it, so that a resume uses exactly that; empty in records from
    before there was any, which take the shipped domain of that name."""
    program: tuple[str, ...] = ()
    steps: int = 10
    context_tokens: int = 8192
    reply_tokens: int = 2048
    execution_timeout_s: float = 20.0
    seed: int | None = None
    dependencies: Mode = "off"
    judge: bool = False
    setup: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the model and the box, for a resume to take up again."""
    thinking: Thinking = field(default_factory=Thinking)

    @property
    def outcome_characters(self) -> int:
        """How long a tool's outcome may be: about a fifth of the window."""
        return max(1500, min(24_000, int(self.context_tokens * 0.6)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run works with; may differ from one session to the next.

    Attributes:
        processor: The language model.
        negotiate: Finds out how the processor's tools are called and says so; None when there is nothing to find out.
        use_protocol: Tells the processor what was found out before.
        open_box: Makes a verified box for the run of that name.
        packages: Where packages come from; None where there are none to be had.
        model: The model's name, for the record.
        image: The base image's name, for the record.
    """

    processor: Processor
    open_box: Callable[[str], Sandbox]
    limits: Limits
    prices: Prices
    model: str
    image: str
    packages: PackageMeans | None = None
    negotiate: Callable[[], str] | None = None
    use_protocol: Callable[[str], None] = lambda _: None
    watch: Watcher = lambda _: None
    listener: Listener | None = None
    role_prices: Mapping[Role, Prices] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a session left: the outcome, the files as path → object, and what was spent in all.

    `seal` is the last link of the record's chain: noted elsewhere, it shows any later change of the record.
    """

    run: str
    folder: Path
    outcome: Outcome
    files: Mapping[str, str]
    spending: Spending
    elapsed_s: float
    seal: str = ""


def new_run(runs_dir: Path, task: str) -> Path:
    """Make the folder of a new run, named by time and task, and give it.

    Raises:
        TraceError: It cannot be made.
    """
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(task)}-{secrets.token_hex(2)}"
    folder = runs_dir / name
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise TraceError(f"the run folder {folder} cannot be made: {error.strerror}") from error
    return folder


def find_run(runs_dir: Path, name: str) -> Path:
    """Give the folder of a run named by its name, a unique beginning of it, a path, or `last`.

    Raises:
        RunNotFound: There is none, or several.
    """
    if (Path(name) / "trace.jsonl").is_file():
        return Path(name)
    folders = sorted(path.parent for path in runs_dir.glob("*/trace.jsonl"))
    found = folders[-1:] if name == "last" else [folder for folder in folders if folder.name.startswith(name)]
    if len(found) != 1:
        problem = f"{len(found)} runs start with {name!r}" if found else f"there is no run {name!r}"
        raise RunNotFound(f"{problem} in {runs_dir}; `l2mac runs` lists them")
    return found[0]


def slug(text: str) -> str:
    """Give the first words of a text as a file name."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "-".join(words[:5])[:40].strip("-") or "run"


def recorded_plan(folder: Path) -> Plan:
    """Give what a recorded run was to do.

    Raises:
        TraceError: The record is damaged or empty.
    """
    entries, _, _ = read_trace(folder / "trace.jsonl")
    for entry in entries:
        if isinstance(entry.event, RunStarted):
            settings: dict[str, Any] = dict(entry.event.settings)
            settings["program"] = tuple(settings["program"])
            settings["thinking"] = Thinking(**settings.get("thinking", {}))
            definition = entry.event.domain_object
            if definition:
                settings["definition"] = ObjectStore(folder / OBJECTS_FILE).get_text(definition)
            return Plan(**settings)
    raise TraceError(f"the run {folder.name} was broken off before it began; start it again with `l2mac run`")


def execute(folder: Path, plan: Plan, means: Means, reason: Reason) -> RunResult:
    """Execute a run, or go on with it, until it ends in whatever way.

    Args:
        folder: The run's folder.
        plan: What to do; for a recorded run what `recorded_plan` gives.
        means: What to work with.
        reason: Why this session takes place.

    Raises:
        SandboxError, ProcessorError, TraceError, RunLocked: The world's fault; the run is kept and can be resumed.
    """
    with Journal(folder, listener=means.listener) as journal:
        journal.require_objects()
        journal.note(_started(plan, journal))  # first of all: from here on the run can be resumed
        journal.bracket(SessionStarted(reason=reason, version=VERSION, model=means.model, image=means.image))
        spending = Spending(means.limits)
        for event in journal.abandoned():
            if isinstance(event, ModelCalled):
                spending.add(event)  # paid for, although the run was taken back to before it
        dependencies = Dependencies(plan.dependencies, folder.name, journal, means.packages)
        dependencies.adopt(journal.recorded())
        make_box = _box_maker(folder, means, journal, dependencies)
        store = FileStore(make_box, journal.objects)
        with _ending(folder, journal, store) as finish:
            store.open_with(recorded_files(journal.recorded()))
            _negotiate(means, journal)
            effects = _effects(plan, means, journal, store, spending, make_box, dependencies)
            job = Job(
                task=plan.task,
                program=plan.program,
                steps=plan.steps,
                context_tokens=plan.context_tokens,
                dependencies=plan.dependencies,
                thinking=plan.thinking,
                judge=plan.judge,
            )
            outcome = finish(ControlUnit(job, effects).run())
        files = {entry.path: entry.digest for entry in store.files}
        return RunResult(folder.name, folder, outcome, files, spending, journal.elapsed_s, journal.seal)


@contextlib.contextmanager
def _ending(folder: Path, journal: Journal, store: FileStore) -> Iterator[Callable[[Outcome], Outcome]]:
    """Record how the session ends, whatever way that is, and remove the box."""

    def finish(outcome: Outcome) -> Outcome:
        journal.bracket(RunEnded(status=outcome.status, cause=outcome.cause))
        write_report(folder)
        return outcome

    try:
        yield finish
    except KeyboardInterrupt:
        finish(Outcome(Status.INTERRUPTED, "interrupted from the keyboard", CheckReport()))
        raise
    except (L2macError, SandboxError) as error:
        with contextlib.suppress(TraceError):
            finish(Outcome(Status.BROKEN_OFF, str(error), CheckReport()))
        raise
    finally:
        store.close()


def _box_maker(folder: Path, means: Means, journal: Journal, dependencies: Dependencies) -> BoxMaker:
    def make(purpose: str) -> Sandbox:
        dependencies.bring()
        box = means.open_box(folder.name)
        try:
            receipt = json.dumps(dict(box.receipt), sort_keys=True, indent=1).encode() + b"\n"
            journal.bracket(BoxOpened(receipt_object=journal.objects.put(receipt), purpose=purpose))
            write_receipts(folder, read_trace(folder / TRACE_FILE)[0])
        except BaseException:
            box.close()
            raise
        return box

    return make


def _started(plan: Plan, journal: Journal) -> RunStarted:
    settings = json.loads(json.dumps(asdict(plan)))
    definition = settings.pop("definition")
    for name, default in _LATER.items():
        if settings[name] == default:
            del settings[name]
    return RunStarted(
        task_object=journal.objects.put_text(plan.task),
        domain=plan.domain,
        domain_object=journal.objects.put_text(definition) if definition else "",
        settings=settings,
    )


def _negotiate(means: Means, journal: Journal) -> None:
    """Find out how tools are called with this model, once per run."""
    if means.negotiate is not None:
        negotiate = means.negotiate
        event = journal.effect(ProtocolChosen, "protocol", lambda: ProtocolChosen(key="protocol", protocol=negotiate()))
        means.use_protocol(event.protocol)


def _effects(
    plan: Plan,
    means: Means,
    journal: Journal,
    store: FileStore,
    spending: Spending,
    make_box: BoxMaker,
    dependencies: Dependencies,
) -> Effects:
    return Effects(
        journal=journal,
        processor=means.processor,
        store=store,
        domain=recorded_domain(plan.definition) if plan.definition else load_domain(plan.domain),
        spending=spending,
        estimator=TokenEstimator(),
        prices=means.prices,
        watch=means.watch,
        make_box=make_box,
        dependencies=dependencies,
        reply_tokens=plan.reply_tokens,
        execution_timeout_s=plan.execution_timeout_s,
        outcome_characters=plan.outcome_characters,
        seed=plan.seed,
        role_prices=means.role_prices,
    )
