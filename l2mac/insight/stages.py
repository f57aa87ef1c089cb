"""The cost of each instruction: turns, restarts, tokens, time, files."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from l2mac.insight.series import InstructionState, Phase, Stage
from l2mac.trace.chain import Entry
from l2mac.trace.events import (
    Checked,
    Event,
    InstructionCompleted,
    InstructionsAdded,
    InstructionStarted,
    ModelCalled,
    PlanMade,
    Replanned,
    StoreRestored,
    ToolRan,
)


@dataclass(slots=True, eq=False)
class _StageCount:
    """A stage during counting."""

    phase: Phase
    text_object: str = ""
    state: InstructionState = ""
    turns: int = 0
    restarts: int = 0
    calls: int = 0
    checks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    elapsed_s: float = 0.0
    files: dict[str, None] = field(default_factory=dict)

    @property
    def is_shown(self) -> bool:
        if self.phase == "instruction":
            return True
        return bool(self.calls or self.checks or self.elapsed_s)

    def take(self, event: Event, took_s: float) -> None:
        self.elapsed_s += took_s
        if isinstance(event, ModelCalled):
            self.calls += 1
            self.turns += event.purpose == "turn"
            self.prompt_tokens += event.prompt_tokens
            self.completion_tokens += event.completion_tokens
            self.cost_usd += event.cost_usd
        elif isinstance(event, Checked):
            self.checks += 1
        elif isinstance(event, InstructionStarted):
            self.restarts += event.restart > 0
        elif isinstance(event, ToolRan | StoreRestored):
            self.files |= dict.fromkeys(change.path for change in event.changes)

    def as_stage(self, number: int, text_of: Callable[[str], str]) -> Stage:
        return Stage(
            phase=self.phase,
            number=number,
            text=text_of(self.text_object) if self.text_object else "",
            state=self.state,
            turns=self.turns,
            restarts=self.restarts,
            calls=self.calls,
            checks=self.checks,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost_usd=self.cost_usd,
            elapsed_s=round(self.elapsed_s, 3),
            files=tuple(self.files),
        )


class _StageList:
    """The stages in their displayed order, and the program among them."""

    def __init__(self) -> None:
        self.planning = _StageCount("planning")
        self.verification = _StageCount("verification")
        self.rewound = _StageCount("rewound")
        self.shown: list[_StageCount] = []
        self.program: list[_StageCount] = []
        self._current = self.planning

    def take(self, event: Event, took_s: float) -> None:
        """Add an event to its stage; events after the last instruction are verification."""
        if isinstance(event, InstructionStarted):
            self._begin(event)
        self._current.take(event, took_s)
        match event:
            case PlanMade() | InstructionsAdded():
                self._put(event.instruction_objects, len(self.program))
            case Replanned() if event.instruction_objects:
                self._replan(event)
            case InstructionCompleted() if event.number <= len(self.program):
                self.program[event.number - 1].state = "done"
                self._current = self.verification

    def _begin(self, event: InstructionStarted) -> None:
        if event.number <= len(self.program):
            self._current = self.program[event.number - 1]
            self._current.state = "at work"

    def _replan(self, event: Replanned) -> None:
        place = event.number - 1
        if event.action == "split" and place < len(self.program):
            self.program.pop(place).state = "replaced"
        elif place < len(self.program):
            self.program[place].state = "to come"
        self._put(event.instruction_objects, place)

    def _put(self, objects: Iterable[str], place: int) -> None:
        """Add instructions to the program, behind one that they replace."""
        added = [_StageCount("instruction", name, "to come") for name in objects]
        behind = self.program[place] if place < len(self.program) else None
        shown = self.shown.index(behind) if behind is not None else len(self.shown)
        self.shown[shown:shown] = added
        self.program[place:place] = added


def stages_of(
    entries: Sequence[Entry], counting: Sequence[Entry], text_of: Callable[[str], str]
) -> tuple[Stage, ...]:
    """Return the cost of every part of the run.

    Args:
        entries: All trace entries.
        counting: The entries of the effective history.
        text_of: Returns an object's text.
    """
    stages = _StageList()
    standing = {entry.number for entry in counting}
    before_s = 0.0
    for entry in entries:
        took_s, before_s = max(entry.elapsed_s - before_s, 0.0), max(entry.elapsed_s, before_s)
        if entry.number in standing:
            stages.take(entry.event, took_s)
        else:
            stages.rewound.take(entry.event, took_s)
    numbers = {id(stage): number for number, stage in enumerate(stages.program, 1)}
    every = (stages.planning, *stages.shown, stages.verification, stages.rewound)
    shown = [stage for stage in every if stage.is_shown]
    return tuple(stage.as_stage(numbers.get(id(stage), 0), text_of) for stage in shown)
