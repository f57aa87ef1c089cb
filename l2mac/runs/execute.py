"""Execute one session of a run, with all its resources in one `with`."""

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
from l2mac.domains.loader import recorded_domain
from l2mac.errors import L2macError, TraceError
from l2mac.evaluator.evaluator import Evaluator
from l2mac.evaluator.packages import Dependencies, PackageSource
from l2mac.evaluator.project_outline import ProjectOutliner
from l2mac.evaluator.verdict import CheckReport
from l2mac.file_store import FileStore, SandboxMaker
from l2mac.processor.protocol import Processor, Watcher
from l2mac.processor.routing import ModelRole
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
    """Model, sandboxes and limits of one session. The next session may have others.

    Attributes:
        processor: The language model.
        open_sandbox: Returns a verified sandbox for the run with the given name.
        limits: Limits of the session.
        prices: Prices of the model.
        model: Name of the model, for the trace.
        image: Name of the base image, for the trace.
        packages: Source of packages, or None if the run may have none.
        negotiate: Detects the tool call format of the model; None if it needs no detection.
        use_protocol: Sets the processor to the tool call format of an earlier session.
        watch: Receives each piece of the model's text as it arrives.
        listener: Receives each entry of the trace as it is written.
        role_prices: Prices of the models of other roles.
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
    """Result of a session.

    Attributes:
        files: Path → object.
        seal: Last link of the trace's chain. A copy elsewhere reveals any later change.
        evaluator: Whether checks ran after every write.
        origin: Files at the start of the run, path → object.
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
    folder: Path,
    spec: RunSpec,
    resources: Resources,
    reason: Reason,
    *,
    run_input: Input | None = None,
) -> SessionResult:
    """Execute a run, or resume it, until it ends.

    Args:
        folder: Folder of the run.
        spec: Run specification; for a recorded run the one that `read_spec` returns.
        resources: Model, sandboxes and limits.
        reason: Command that starts this session.
        run_input: Input files; ignored if the trace already has them.

    Raises:
        SandboxError, ProcessorError, TraceError, RunLocked: The run is kept and can be resumed.
    """
    with Journal(folder, listener=resources.listener) as journal:
        session = _begin(folder, spec, resources, reason, journal)
        spending = _spending(resources, journal)
        with _ending(folder, journal, session.store) as finish:
            origin = _open(session.store, spec, journal, run_input)
            protocol = _negotiate(resources, journal)
            ports = _ports(spec, resources, session, spending, origin)
            outcome = finish(make_work(spec, ports, protocol=protocol).run())
        return SessionResult(
            folder.name,
            folder,
            outcome,
            {entry.path: entry.digest for entry in session.store.files},
            spending,
            journal.elapsed_s,
            journal.seal,
            method=spec.method,
            evaluator=spec.checks_work,
            origin=origin,
        )


@dataclass(frozen=True, slots=True)
class _Session:
    """The open trace of a session, its file store, and its source of new sandboxes."""

    journal: Journal
    store: FileStore
    make_sandbox: SandboxMaker
    dependencies: Dependencies


def _begin(
    folder: Path, spec: RunSpec, resources: Resources, reason: Reason, journal: Journal
) -> _Session:
    """Record the beginning of the session, without a sandbox yet."""
    journal.require_objects()
    # First of all: from here on the run can be resumed.
    journal.note(record_spec(spec, journal.objects))
    journal.bracket(
        SessionStarted(reason=reason, version=VERSION, model=resources.model, image=resources.image)
    )
    dependencies = Dependencies(spec.dependencies, folder.name, journal, resources.packages)
    dependencies.restore(journal.recorded())
    make_sandbox = _sandbox_maker(folder, resources, journal, dependencies)
    return _Session(journal, FileStore(make_sandbox, journal.objects), make_sandbox, dependencies)


def _spending(resources: Resources, journal: Journal) -> Spending:
    spending = Spending(resources.limits)
    for event in journal.abandoned():
        if isinstance(event, ModelCalled):
            spending.add(event)  # paid for, although the run was rewound to before it
    return spending


def _open(
    store: FileStore, spec: RunSpec, journal: Journal, run_input: Input | None
) -> Mapping[str, str]:
    """Open the sandbox with all recorded files; return the input, path → object."""
    begun = adopt(spec, journal, run_input)
    store.open_with(recorded_files(journal.recorded() or begun))
    store.apply(change for event in begun for change in event.changes)
    return recorded_input(begun)


@contextlib.contextmanager
def _ending(
    folder: Path, journal: Journal, store: FileStore
) -> Iterator[Callable[[Outcome], Outcome]]:
    """Record how the session ends, and remove the sandbox."""

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
            finish(Outcome(Status.ABORTED, str(error), CheckReport()))
        raise
    finally:
        store.close()


def _sandbox_maker(
    folder: Path, resources: Resources, journal: Journal, dependencies: Dependencies
) -> SandboxMaker:
    def make(purpose: str) -> Sandbox:
        dependencies.install()
        sandbox = resources.open_sandbox(folder.name)
        try:
            receipt = json.dumps(dict(sandbox.receipt), sort_keys=True, indent=1).encode() + b"\n"
            journal.bracket(
                SandboxOpened(receipt_object=journal.objects.put(receipt), purpose=purpose)
            )
            write_receipts(folder, [entry for entry, _ in journal.lines])
        except BaseException:
            sandbox.close()
            raise
        return sandbox

    return make


def _negotiate(resources: Resources, journal: Journal) -> str:
    """Return the tool call format of the model, detected once per run; may be empty."""
    if resources.negotiate is None:
        return ""
    negotiate = resources.negotiate
    event = journal.effect(
        ProtocolChosen, "protocol", lambda: ProtocolChosen(key="protocol", protocol=negotiate())
    )
    resources.use_protocol(event.protocol)
    return event.protocol


def _ports(
    spec: RunSpec,
    resources: Resources,
    session: _Session,
    spending: Spending,
    origin: Mapping[str, str],
) -> Ports:
    """Return the connections of the run to its surroundings."""
    journal, store = session.journal, session.store
    domain = recorded_domain(spec.definition)
    keys = RequestKeys(journal.objects)
    return Ports(
        domain=domain,
        evaluator=Evaluator(
            journal=journal,
            store=store,
            checks=domain.checks,
            make_sandbox=session.make_sandbox,
            dependencies=session.dependencies,
            origin=origin,
        ),
        model=_model(spec, resources, journal, spending, keys),
        tools=Tools(
            journal=journal,
            store=store,
            toolbelt=domain.toolbelt,
            keys=keys,
            outcome_characters=spec.outcome_characters,
            execution_timeout_s=spec.execution_timeout_s,
        ),
        files=ProjectFiles(
            store,
            journal.objects,
            origin=origin,
            listing_characters=spec.outcome_characters // 2,
        ),
        outliner=ProjectOutliner(journal, store),
        notes=Notes(journal),
        budget=TurnBudget(spending, journal),
    )


def _model(
    spec: RunSpec, resources: Resources, journal: Journal, spending: Spending, keys: RequestKeys
) -> Model:
    return Model(
        journal=journal,
        processor=resources.processor,
        spending=spending,
        keys=keys,
        context_tokens=spec.context_tokens,
        reply_tokens=spec.reply_tokens,
        seed=spec.seed,
        prices=resources.prices,
        watch=resources.watch,
        role_prices=resources.role_prices,
    )
