"""The effects of each switch and each method: the same scripted tasks with it on and off.

The model is scripted and has known faults. The figures show the effect of a switch on a fault, and
its cost in calls and tokens. They do not show how often a real model has the fault.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from feature_sessions import FeatureSessions, FeatureValues, PlanningValues
from scripted_models.features import FeatureModel, task_of

from l2mac.control.budget import Limits
from l2mac.control.outcome import Status
from l2mac.control.run_spec import Method
from l2mac.runs.execute import SessionResult
from l2mac.trace.events import Checked, InstructionCompleted, ModelCalled
from l2mac.trace.objects import ObjectStore

FEATURES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
HEAD = (
    "task",
    "switch",
    "outcome",
    "calls",
    "turns",
    "tokens",
    "instructions",
    "checks",
    "features",
)


class Switch(PlanningValues, total=False):
    """The settings that a switch stands for."""

    method: Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model's fault, and the switches to compare.

    Attributes:
        fault: The fault in words.
        model: The values that give the scripted model the fault.
        switches: Name → settings.
        context_tokens: The model's window.
    """

    fault: str
    model: FeatureValues
    switches: dict[str, Switch] = field(default_factory=dict)
    context_tokens: int = 20_000


OUTCOMES = {
    Status.COMPLETED: "completed",
    Status.FAILING: "failing",
    Status.BUDGET: "budget",
    Status.REQUIREMENTS_UNVERIFIED: "unverified",
}
OFF: Switch = {}
DEFAULT: Switch = {
    "coverage": True,
    "max_replans": 3,
    "requirements": True,
    "requirement_rounds": 1,
}
COMPARED: tuple[Method, ...] = ("one-shot", "codet", "self-refine", "reflexion")
METHODS: dict[str, Switch] = {name: {"method": name} for name in COMPARED}
NO_EVALUATOR: Switch = {"evaluator": False}
CASES = (
    Case(
        fault="none",
        model={},
        switches={"all off": OFF, "defaults": DEFAULT, "--no-evaluator": NO_EVALUATOR, **METHODS},
    ),
    Case(
        fault="the plan forgets two features",
        model={"forgets": frozenset({"beta", "zeta"})},
        switches={
            "all off": OFF,
            "--reflections 1": {"reflections": 1},
            "--coverage": {"coverage": True},
        },
    ),
    Case(
        fault="an instruction is too large",
        model={"together": 3, "most": 2},
        switches={"all off": OFF, "--max-replans 3": {"max_replans": 3}},
    ),
    Case(
        fault="a part of an instruction is omitted",
        model={"neglects": frozenset({"gamma"})},
        switches={
            "all off": OFF,
            "--requirements, 0 rounds": {"requirements": True},
            "--requirements, 1 round": {"requirements": True, "requirement_rounds": 1},
        },
    ),
    Case(
        fault="it lists the files when no summary does",
        model={"looks_around": True},
        switches={"--summary": OFF, "--no-summary": {"summary": False}},
    ),
    Case(
        fault="without a summary it undoes existing files",
        model={"forgetful": True},
        switches={
            "--summary": OFF,
            "--no-summary": {"summary": False},
            "--no-summary, --no-evaluator": {"summary": False, **NO_EVALUATOR},
        },
    ),
    Case(
        fault="its plan says too little without the task",
        model={"vague": True},
        switches={"--task-in-context": OFF, "--no-task-in-context": {"task_in_context": False}},
    ),
    Case(
        fault="it claims to be done while a test fails",
        model={"sloppy": frozenset({"gamma"})},
        switches={"--evaluator": OFF, "--no-evaluator": NO_EVALUATOR, **METHODS},
    ),
    Case(
        fault="the same, and sees nothing wrong in its files",
        model={"sloppy": frozenset({"gamma"}), "blind": True},
        switches={
            "--evaluator": OFF,
            **{name: METHODS[name] for name in ("self-refine", "reflexion")},
        },
    ),
    Case(
        fault="the first attempt of three is wrong",
        model={"sloppy": frozenset({"gamma"}), "sloppy_versions": frozenset({1})},
        switches={name: METHODS[name] for name in ("one-shot", "codet")},
    ),
    Case(
        fault="all of it does not fit into one context",
        model={"filler": 6000},
        switches={"all off": OFF, **METHODS},
        context_tokens=9000,
    ),
    Case(
        fault="all of the first five",
        model={
            "together": 3,
            "most": 2,
            "forgets": frozenset({"beta", "zeta"}),
            "neglects": frozenset({"gamma"}),
            "looks_around": True,
        },
        switches={
            "all off": OFF,
            "defaults": DEFAULT,
            "defaults, --no-summary": {**DEFAULT, "summary": False},
        },
    ),
)


def rows() -> Iterator[tuple[str, ...]]:
    """Yield one row for each task and switch."""
    for case in CASES:
        for name, switch in case.switches.items():
            with tempfile.TemporaryDirectory() as folder:
                sessions, model = FeatureSessions(Path(folder) / "run"), FeatureModel(**case.model)
                task, limits = task_of(*FEATURES), Limits(turns=12)
                result = sessions.work(
                    model, task=task, limits=limits, context_tokens=case.context_tokens, **switch
                )
                yield (case.fault, name, *_figures(sessions, model, result))


def _figures(
    sessions: FeatureSessions, model: FeatureModel, result: SessionResult
) -> tuple[str, ...]:
    objects = ObjectStore(sessions.folder / "objects.pack")
    texts = {path: objects.get(name) for path, name in result.files.items()}
    right = sum(
        f"test_{name}.py" in texts
        and texts.get(f"{name}.py", b"").startswith(f"NAME = {name!r}".encode())
        for name in FEATURES
    )
    return (
        OUTCOMES[result.outcome.status],
        str(len(sessions.notes(ModelCalled))),
        str(model.asked.count("turn")),
        str(result.spending.prompt_tokens + result.spending.completion_tokens),
        f"{len(sessions.notes(InstructionCompleted))}/{len(sessions.program())}"
        if sessions.program()
        else "-",
        str(len(sessions.notes(Checked))),
        f"{right}/{len(FEATURES)}",
    )


def main() -> None:
    """Print the table."""
    table = [HEAD, *rows()]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    for row in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    print("\nfeatures: correct features with a test, counted in the files")


if __name__ == "__main__":
    main()
