"""What each switch of thinking changes, side by side: the same scripted tasks with it on and off.

The model is scripted and has known faults, so that the figures show what a switch does about which fault, and what it
costs in calls and tokens; how often a real model has the fault they do not show.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from feature_model import FeatureModel, task_of
from thinking_room import ThinkingRoom

from l2mac.budget import Limits
from l2mac.outcome import Status
from l2mac.run import RunResult
from l2mac.trace.events import Checked, InstructionCompleted, ModelCalled

FEATURES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
HEAD = ("task", "switch", "outcome", "calls", "turns", "tokens", "instructions", "checks", "features")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model's fault, and the switches to compare.

    Attributes:
        fault: In words.
        model: What makes the scripted model have it.
        switches: Name → settings.
    """

    fault: str
    model: dict[str, Any]
    switches: dict[str, dict[str, Any]] = field(default_factory=dict)


OFF: dict[str, Any] = {}
DEFAULT = {"coverage": True, "max_replans": 3, "requirements": True, "requirement_rounds": 1}
CASES = (
    Case(fault="none", model={}, switches={"all off": OFF, "defaults": DEFAULT}),
    Case(
        fault="the plan forgets two features",
        model={"forgets": frozenset({"beta", "zeta"})},
        switches={"all off": OFF, "--reflections 1": {"reflections": 1}, "--coverage": {"coverage": True}},
    ),
    Case(
        fault="an instruction is too large",
        model={"together": 3, "most": 2},
        switches={"all off": OFF, "--max-replans 3": {"max_replans": 3}},
    ),
    Case(
        fault="what an instruction says is left out",
        model={"neglects": frozenset({"gamma"})},
        switches={
            "all off": OFF,
            "--requirements, 0 rounds": {"requirements": True},
            "--requirements, 1 round": {"requirements": True, "requirement_rounds": 1},
        },
    ),
    Case(
        fault="it looks around when nobody says what exists",
        model={"looks_around": True},
        switches={"--summary": OFF, "--no-summary": {"summary": False}},
    ),
    Case(
        fault="all of these",
        model={
            "together": 3,
            "most": 2,
            "forgets": frozenset({"beta", "zeta"}),
            "neglects": frozenset({"gamma"}),
            "looks_around": True,
        },
        switches={"all off": OFF, "defaults": DEFAULT, "defaults, --no-summary": {**DEFAULT, "summary": False}},
    ),
)


def rows() -> Iterator[tuple[str, ...]]:
    """Give one row for each task and switch."""
    for case in CASES:
        for name, thinking in case.switches.items():
            with tempfile.TemporaryDirectory() as folder:
                room, model = ThinkingRoom(Path(folder) / "run"), FeatureModel(**case.model)
                result = room.work(model, task=task_of(*FEATURES), limits=Limits(turns=6), **thinking)
                yield (case.fault, name, *_figures(room, model, result))


def _figures(room: ThinkingRoom, model: FeatureModel, result: RunResult) -> tuple[str, ...]:
    written = sum(f"{name}.py" in result.files and f"test_{name}.py" in result.files for name in FEATURES)
    outcome = {Status.COMPLETED: "completed", Status.BUDGET: "budget", Status.UNSHOWN: "not shown"}
    return (
        outcome[result.outcome.status],
        str(len(room.notes(ModelCalled))),
        str(model.asked.count("turn")),
        str(result.spending.prompt_tokens + result.spending.completion_tokens),
        f"{len(room.notes(InstructionCompleted))}/{len(room.program())}",
        str(len(room.notes(Checked))),
        f"{written}/{len(FEATURES)}",
    )


def main() -> None:
    """Print the table."""
    table = [HEAD, *rows()]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print("\nfeatures: written together with their test, counted in the files, whatever the model claims")


if __name__ == "__main__":
    main()
