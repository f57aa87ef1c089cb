"""The composition root: opens what a run needs in one `with`, joins the parts, and closes everything again."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from l2mac.control.budget import Limits, Spending, TurnBudget
from l2mac.control.effects import Model, Notes, Prices, Tools
from l2mac.control.outcome import Outcome, Status
from l2mac.control.project_files import ProjectFiles
from l2mac.control.request_keys import RequestKeys
from l2mac.control.run_spec import Method, RunSpec
from l2mac.domains.loader import Domain, recorded_domain
from l2mac.errors import L2macError, TraceError
from l2mac.evaluator.evaluator import Evaluator
from l2mac.evaluator.packages import Dependencies, PackageSource
from l2mac.evaluator.project_outline import ProjectOutliner
from l2mac.evaluator.verdict import CheckReport
from l2mac.file_store import FileStore, SandboxMaker
from l2mac.processor.model_roles import ModelRole
from l2mac.processor.protocol import Processor, Watcher
from l2mac.runs.composition import Ports, make_work
from l2mac.runs.recorded_input import adopt
from l2mac.runs.recorded_spec import record_spec
from l2mac.trace.events import ModelCalled, ProtocolChosen, RunEnded, SandboxOpened, SessionStarted
from l2mac.trace.history import recorded_files, recorded_input
from l2mac.trace.journal import EntryListener, Journal
from l2mac.trace.run_report import write_receipts, write_report
from l2mac.version import VERSION
from l2mac.workspace.input_folder import Input
from sandbox import Sandbox, SandboxError

Reason = Literal["run", "resume", "replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a run works with; may differ from one session to the next.

    Attributes:
        processor: The language model.
        negotiate: Finds out how the processor's tools are called and says so; None when there is
            nothing to find out.
        use_protocol: Tells the processor what was found out before.
        open_box: Makes a verified box for the run of that name.
        packages: Where packages come from; None where there are none to be had.
        model: The model's name, for the record.
        image: The base image's name, for the record.
    """

    processor: Processor
    open_sandbox: Callable[[str], Sandbox]
    limits: Limits
    prices: Prices
    model: str
    image: str
    packages: PackageSource | None = None
    negotiate: Callable[[], str] | None = None
    use_protocol: Callable[[str], None] = lambda _: None
    watch: Watcher = lambda _: None
    listener: EntryListener | None = None
    role_prices: Mapping[ModelRole, Prices] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What a session left: the outcome, the files as path → object, and what was spent in all.

    `origin` are the files that the run began with, path → object. `seal` is the last link of the
    record's chain: noted elsewhere, it shows any later change of the record. `evaluator` is whether
    the control unit's evaluator was on.
    """

    run: str
    folder: Path
    outcome: Outcome
    files: Mapping[str, str]
    spending: Spending
    elapsed_s: float
    seal: str = ""
    method: Method = "l2mac"
    evaluator: bool = True
    origin: Mapping[str, str] = field(default_factory=dict)


def execute(
    folder: Path, plan: RunSpec, means: Resources, reason: Reason, *, given: Input | None = None
) -> SessionResult:
    """Execute a run, or go on with it, until it ends in whatever way.

    Args:
        folder: The run's folder.
        plan: What to do; for a recorded run what `read_spec` gives.
        means: What to work with.
        reason: Why this session takes place.
        given: The files to begin with; a run that has recorded them needs them no more.

    Raises:
        SandboxError, ProcessorError, TraceError, RunLocked: The world's fault; the run is kept and
            can be resumed.
    """
    with Journal(folder, listener=means.listener) as journal:
        journal.require_objects()
        journal.note(
            record_spec(plan, journal.objects)
        )  # first of all: from here on the run can be resumed
        journal.bracket(
            SessionStarted(reason=reason, version=VERSION, model=means.model, image=means.image)
        )
        spending = _spending(means, journal)
        dependencies = Dependencies(plan.dependencies, folder.name, journal, means.packages)
        dependencies.adopt(journal.recorded())
        make_sandbox = _box_maker(folder, means, journal, dependencies)
        store = FileStore(make_sandbox, journal.objects)
        with _ending(folder, journal, store) as finish:
            origin = _open(store, plan, journal, given)
            protocol = _negotiate(means, journal)
            domain = recorded_domain(plan.definition)
            evaluator = Evaluator(
                journal=journal,
                store=store,
                checks=domain.checks,
                make_sandbox=make_sandbox,
                dependencies=dependencies,
                origin=origin,
            )
            ports = _ports(plan, means, journal, store, spending, domain, evaluator, origin)
            outcome = finish(make_work(plan, ports, protocol=protocol).run())
        files = {entry.path: entry.digest for entry in store.files}
        return SessionResult(
            folder.name,
            folder,
            outcome,
            files,
            spending,
            journal.elapsed_s,
            journal.seal,
            method=plan.method,
            evaluator=plan.checks_work,
            origin=origin,
        )


def _spending(means: Resources, journal: Journal) -> Spending:
    spending = Spending(means.limits)
    for event in journal.abandoned():
        if isinstance(event, ModelCalled):
            spending.add(event)  # paid for, although the run was taken back to before it
    return spending


def _open(
    store: FileStore, plan: RunSpec, journal: Journal, given: Input | None
) -> Mapping[str, str]:
    """Make the box with all that is recorded in it; gives the files that the run begins with, path → object."""
    begun = adopt(plan, journal, given)
    store.open_with(recorded_files(journal.recorded() or begun))
    store.apply(change for event in begun for change in event.changes)
    return recorded_input(begun)


@contextlib.contextmanager
def _ending(
    folder: Path, journal: Journal, store: FileStore
) -> Iterator[Callable[[Outcome], Outcome]]:
    """Record how the session ends, whatever way that is, and remove the box."""

    def finish(outcome: Outcome) -> Outcome:
        journal.bracket(RunEnded(status=outcome.status, cause=outcome.cause))
        write_report(folder, journal.lines)
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


def _box_maker(
    folder: Path, means: Resources, journal: Journal, dependencies: Dependencies
) -> SandboxMaker:
    def make(purpose: str) -> Sandbox:
        dependencies.bring()
        box = means.open_sandbox(folder.name)
        try:
            receipt = json.dumps(dict(box.receipt), sort_keys=True, indent=1).encode() + b"\n"
            journal.bracket(
                SandboxOpened(receipt_object=journal.objects.put(receipt), purpose=purpose)
            )
            write_receipts(folder, [entry for entry, _ in journal.lines])
        except BaseException:
            box.close()
            raise
        return box

    return make


def _negotiate(means: Resources, journal: Journal) -> str:
    """Find out how tools are called with this model, once per run; empty where there is nothing to find out."""
    if means.negotiate is None:
        return ""
    negotiate = means.negotiate
    event = journal.effect(
        ProtocolChosen, "protocol", lambda: ProtocolChosen(key="protocol", protocol=negotiate())
    )
    means.use_protocol(event.protocol)
    return event.protocol


def _ports(
    plan: RunSpec,
    means: Resources,
    journal: Journal,
    store: FileStore,
    spending: Spending,
    domain: Domain,
    evaluator: Evaluator,
    origin: Mapping[str, str],
) -> Ports:
    """Return the ways of the run to its surroundings."""
    keys = RequestKeys(journal.objects)
    model = Model(
        journal=journal,
        processor=means.processor,
        spending=spending,
        keys=keys,
        context_tokens=plan.context_tokens,
        reply_tokens=plan.reply_tokens,
        seed=plan.seed,
        prices=means.prices,
        watch=means.watch,
        role_prices=means.role_prices,
    )
    tools = Tools(
        journal=journal,
        store=store,
        toolbelt=domain.toolbelt,
        keys=keys,
        outcome_characters=plan.outcome_characters,
        execution_timeout_s=plan.execution_timeout_s,
    )
    files = ProjectFiles(
        store,
        journal.objects,
        origin=origin,
        listing_characters=plan.outcome_characters // 2,
    )
    return Ports(
        domain=domain,
        evaluator=evaluator,
        model=model,
        tools=tools,
        files=files,
        outliner=ProjectOutliner(journal, store),
        notes=Notes(journal),
        budget=TurnBudget(spending, journal),
    )
