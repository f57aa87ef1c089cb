"""Compose the work of a run: control unit or comparison method, with its parts.

Modes, ablations and methods are chosen here, as objects. No part asks for them later.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from l2mac.control.acceptance import Acceptance
from l2mac.control.agentic_executor import AgenticExecutor, Steering
from l2mac.control.budget import TurnBudget
from l2mac.control.control_unit import ControlUnit
from l2mac.control.effects import Model, Notes, Tools
from l2mac.control.guided.guided_loop import GuidedExecutor
from l2mac.control.guided.guided_planner import GuidedPlanner
from l2mac.control.methods.codet import CodeT
from l2mac.control.methods.one_shot import OneShot
from l2mac.control.methods.reflexion import Reflexion
from l2mac.control.methods.self_refine import SelfRefine
from l2mac.control.methods.single_window import SingleWindowAgent
from l2mac.control.outcome import Outcome
from l2mac.control.planner import GivenProgram, ModelPlanner
from l2mac.control.ports import EvaluatorModule, Executor, Opinions, Planner
from l2mac.control.project_briefing import ProjectBriefing
from l2mac.control.project_files import ProjectFiles
from l2mac.control.replanner import Replanner
from l2mac.control.requirements import TaskRequirements
from l2mac.control.run_spec import RunSpec
from l2mac.control.second_opinion import NoOpinion, SecondOpinion
from l2mac.control.structured_output import Asker, StructuredOutput
from l2mac.control.summariser import ModelSummariser, NoSummaries
from l2mac.control.traceability import Traceability
from l2mac.control.turn import TurnRunner
from l2mac.domains.loader import Domain
from l2mac.evaluator.evaluator import Evaluator
from l2mac.evaluator.project_outline import ProjectOutliner
from l2mac.evaluator.unchecked import UncheckedEvaluator
from l2mac.processor.messages import Message, Role
from l2mac.tools.forms import complete_spec


class Work(Protocol):
    """Work on a task, such as that of a control unit or of a comparison method."""

    def run(self) -> Outcome:
        """Perform the task and return the outcome."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Connections of a run to its surroundings. Each part gets those that it uses.

    Attributes:
        domain: The prompts, tools and checks of the run.
        evaluator: E(D) of the paper.
        model: P_LLM of the paper.
        tools: The tools that the model may call.
        files: The file store D, as prompts show it.
        outliner: Outlines the files that the run began with.
        notes: Records decisions.
        budget: Counts the turns and restarts of an instruction.
    """

    domain: Domain
    evaluator: Evaluator
    model: Model
    tools: Tools
    files: ProjectFiles
    outliner: ProjectOutliner
    notes: Notes
    budget: TurnBudget


def make_work(spec: RunSpec, ports: Ports, *, protocol: str) -> Work:
    """Return the control unit, or a comparison method of the paper.

    Args:
        spec: The run specification.
        ports: Connections of the run to its surroundings.
        protocol: Tool call format of the model, or empty if unknown.
    """
    if spec.method != "l2mac":
        return _METHODS[spec.method](spec, ports)
    guided = (
        spec.is_guided(protocol)
        and ports.domain.toolbelt.has("write_files")
        and not ports.files.began_with_files
    )
    return _ControlUnitMaker(spec, ports, guided=guided).make()


class _ControlUnitMaker:
    """Maker of one control unit and its parts."""

    def __init__(self, spec: RunSpec, ports: Ports, *, guided: bool) -> None:
        self._spec = spec
        self._ports = ports
        self._guided = guided
        self._prompts = ports.domain.prompts
        self._evaluator: EvaluatorModule = ports.evaluator
        if not spec.planning.evaluator:
            self._evaluator = UncheckedEvaluator(ports.evaluator)
        system = Message(Role.SYSTEM, self._prompts.render("system"))
        if guided:
            system = self._system("guided_system")
        self._structured = StructuredOutput(ports.model, self._prompts, system=system)
        self._requirements = TaskRequirements(
            spec.task, prompts=self._prompts, structured=self._structured, notes=ports.notes
        )
        self._asker = Asker(
            task=spec.task,
            model=ports.model,
            structured=self._structured,
            prompts=self._prompts,
            files=ports.files,
        )
        self._briefing = ProjectBriefing(
            files=ports.files,
            outliner=ports.outliner,
            prompts=self._prompts,
            task=spec.task,
            outline_characters=spec.outcome_characters,
        )

    def make(self) -> ControlUnit:
        """Return the control unit of the run."""
        planner, executor = self._guided_parts() if self._guided else self._agentic_parts()
        if self._spec.program:
            planner = GivenProgram(self._spec.program)
        return ControlUnit(
            evaluator=self._evaluator,
            briefing=self._briefing,
            planner=planner,
            executor=executor,
            replanner=self._replanner(),
            acceptance=self._acceptance(),
            budget=self._ports.budget,
            files=self._ports.files,
            notes=self._ports.notes,
        )

    def _agentic_parts(self) -> tuple[Planner, Executor]:
        spec, ports, planning = self._spec, self._ports, self._spec.planning
        planner = ModelPlanner(
            steps=spec.steps,
            reflections=planning.reflections,
            asker=self._asker,
            notes=ports.notes,
            requirements=self._requirements if planning.coverage else None,
            briefing=self._briefing,
        )
        summaries = ModelSummariser(ports.model, self._prompts)
        executor = AgenticExecutor(
            steering=self._steering(),
            model=ports.model,
            turns=TurnRunner(ports.tools),
            prompts=self._prompts,
            evaluator=self._evaluator,
            summariser=summaries if planning.summary else NoSummaries(),
            files=ports.files,
            budget=ports.budget,
            notes=ports.notes,
            briefing=self._briefing,
        )
        return planner, executor

    def _guided_parts(self) -> tuple[Planner, Executor]:
        spec, ports = self._spec, self._ports
        planner = GuidedPlanner(
            task=spec.task, most=spec.steps, prompts=self._prompts, structured=self._structured
        )
        executor = GuidedExecutor(
            asker=self._asker,
            tools=ports.tools,
            evaluator=self._evaluator,
            budget=ports.budget,
            notes=ports.notes,
            files_of=planner.files_of,
            findings_characters=spec.outcome_characters // 2,
        )
        return planner, executor

    def _steering(self) -> Steering:
        checked = self._spec.planning.evaluator
        complete = complete_spec(checked=checked)
        task = self._spec.task
        if not self._spec.planning.task_in_context:
            task = self._prompts.render("task_not_shown")
        return Steering(
            system=self._system("system"),
            task=task,
            tools=(*self._ports.domain.toolbelt.specs, complete),
            deciding_tools=(*self._ports.domain.toolbelt.writing_specs, complete),
            completed_prompt="completed" if checked else "completed_unchecked",
            idle_prompt="idle" if checked else "cycle",
            findings_characters=self._spec.outcome_characters,
        )

    def _system(self, kind: str) -> Message:
        checked = self._spec.planning.evaluator
        return _system_message(self._spec, self._ports, kind, checked=checked)

    def _replanner(self) -> Replanner:
        return Replanner(
            max_replans=self._spec.planning.max_replans,
            asker=self._asker,
            evaluator=self._evaluator,
            notes=self._ports.notes,
            findings_characters=self._spec.outcome_characters,
        )

    def _acceptance(self) -> Acceptance:
        ports, planning = self._ports, self._spec.planning
        traceability = Traceability(
            enabled=planning.requirements,
            rounds=planning.requirement_rounds,
            asker=self._asker,
            requirements=self._requirements,
            jobs_for=ports.domain.checks.jobs_for,
            notes=ports.notes,
        )
        return Acceptance(
            evaluator=self._evaluator,
            traceability=traceability,
            opinions=_opinions(self._spec, ports),
            files=ports.files,
            tools=ports.tools,
            budget=ports.budget,
        )


def _one_shot(spec: RunSpec, ports: Ports) -> Work:
    return OneShot(_agent(spec, ports), ports.domain.prompts)


def _codet(spec: RunSpec, ports: Ports) -> Work:
    return CodeT(
        _agent(spec, ports),
        ports.domain.prompts,
        files=ports.files,
        tools=ports.tools,
        check_candidate=ports.evaluator.check_candidate,
        notes=ports.notes,
    )


def _self_refine(spec: RunSpec, ports: Ports) -> Work:
    return SelfRefine(_agent(spec, ports), ports.domain.prompts)


def _reflexion(spec: RunSpec, ports: Ports) -> Work:
    return Reflexion(
        _agent(spec, ports),
        ports.domain.prompts,
        files=ports.files,
        findings_characters=spec.outcome_characters // 2,
    )


_METHODS: Mapping[str, Callable[[RunSpec, Ports], Work]] = {
    "one-shot": _one_shot,
    "codet": _codet,
    "self-refine": _self_refine,
    "reflexion": _reflexion,
}


def _agent(spec: RunSpec, ports: Ports) -> SingleWindowAgent:
    """Return the agent of a comparison method, without any check results."""
    return SingleWindowAgent(
        task=spec.task,
        system=_system_message(spec, ports, "system", checked=False),
        specs=(*ports.domain.toolbelt.specs, complete_spec(checked=False)),
        model=ports.model,
        turns=TurnRunner(ports.tools),
        prompts=ports.domain.prompts,
        files=ports.files,
        evaluator=ports.evaluator,
        opinions=_opinions(spec, ports),
        budget=ports.budget,
        notes=ports.notes,
    )


def _opinions(spec: RunSpec, ports: Ports) -> Opinions:
    judging = ports.domain.definition.judge
    if not spec.judge or judging is None:
        return NoOpinion()
    return SecondOpinion(
        task=spec.task,
        judging=judging,
        model=ports.model,
        prompts=ports.domain.prompts,
        files=ports.files,
    )


def _system_message(spec: RunSpec, ports: Ports, kind: str, *, checked: bool) -> Message:
    """Return the message M_s at the beginning of every window.

    Args:
        spec: The run specification.
        ports: Connections of the run to its surroundings.
        kind: Kind of the first prompt in the message.
        checked: Whether the model receives the results of the checks.
    """
    prompts = ports.domain.prompts
    parts = [prompts.render(kind)]
    if spec.dependencies != "off":
        parts.append(prompts.render(f"packages_{spec.dependencies}"))
    if not checked:
        parts.append(prompts.render("unchecked"))
    return Message(Role.SYSTEM, "\n\n".join(parts))
