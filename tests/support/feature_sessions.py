"""Runs with a scripted model and sandboxes in memory, and the contents of their traces."""

from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar, Unpack

from run_specs import PlanningValues, run_spec
from scripted_models.features import FeatureModel, FeatureValues, run_checks

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.control.run_spec import Method, PlanningOptions
from l2mac.processor.protocol import Processor
from l2mac.runs.execute import Resources, SessionResult, execute
from l2mac.runs.replay import recorded_program
from l2mac.trace.chain import read_trace
from l2mac.trace.events import Event, RunEnded, SandboxOpened, SessionStarted
from l2mac.trace.objects import ObjectStore
from sandbox import Job
from sandbox.testing import SandboxScript, ScriptedRun

E = TypeVar("E", bound=Event)


class FeatureSessions:
    """A run's folder, and sessions on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)

    def work(
        self,
        model: Processor,
        *,
        task: str = "",
        program: tuple[str, ...] = (),
        steps: int = 10,
        context_tokens: int = 20_000,
        limits: Limits | None = None,
        checks: Callable[[tuple[Job, ...]], ScriptedRun] | None = None,
        method: Method = "l2mac",
        lost_at: Collection[int] = (),
        **planning: Unpack[PlanningValues],
    ) -> SessionResult:
        """Execute one session."""

        def by_contents(jobs: tuple[Job, ...]) -> ScriptedRun:
            return run_checks(
                jobs, [one for one in script.sandboxes if not one.closed][-1].contents
            )

        script = SandboxScript(runs=checks or by_contents, lost_at=lost_at)
        resources = Resources(
            processor=model,
            open_sandbox=lambda _: script.make_sandbox(),
            limits=limits or Limits(),
            prices=Prices(),
            model="scripted",
            image="none",
        )
        spec = run_spec(
            task=task,
            program=program,
            steps=steps,
            context_tokens=context_tokens,
            method=method,
            planning=PlanningOptions(**planning),
        )
        return execute(self.folder, spec, resources, "run")

    def events(self) -> list[Event]:
        """Return the recorded effects and notes."""
        entries = read_trace(self.folder / "trace.jsonl")[0]
        return [
            entry.event
            for entry in entries
            if not isinstance(entry.event, SessionStarted | SandboxOpened | RunEnded)
        ]

    def notes(self, kind: type[E]) -> list[E]:
        """Return the recorded events of one kind."""
        return [event for event in self.events() if isinstance(event, kind)]

    def program(self) -> list[str]:
        """Return the instructions at the end of the run."""
        objects = ObjectStore(self.folder / "objects.pack")
        return [objects.get_text(name) for name in recorded_program(self.events())]

    def told(self) -> list[dict[str, object]]:
        """Return the recorded events as data, for a comparison."""
        return [asdict(event) for event in self.events()]


__all__ = ["FeatureModel", "FeatureSessions", "FeatureValues", "PlanningValues"]
