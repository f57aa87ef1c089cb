"""The turns, restarts, tokens, time and files of each instruction."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from l2mac.insight.series import Phase, RunState, Stage
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
class _Tally:
    """A stage while it is counted."""

    phase: Phase
    text_object: str = ""
    state: RunState = ""
    turns: int = 0
    restarts: int = 0
    calls: int = 0
    checks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    elapsed_s: float = 0.0
    files: dict[str, None] = field(default_factory=dict)

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


class _Ledger:
    """The stages in the order in which they are shown, and the program among them."""

    def __init__(self) -> None:
        self.planning = _Tally("planning")
        self.verification = _Tally("verification")
        self.taken_back = _Tally("taken back")
        self.shown: list[_Tally] = []
        self.program: list[_Tally] = []
        self._current = self.planning

    def take(self, event: Event, took_s: float) -> None:
        """Count an event in its stage; verification follows the last instruction."""
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
        """Add instructions to the program; a replaced one stays in sight before them."""
        added = [_Tally("instruction", name, "to come") for name in objects]
        behind = self.program[place] if place < len(self.program) else None
        shown = self.shown.index(behind) if behind is not None else len(self.shown)
        self.shown[shown:shown] = added
        self.program[place:place] = added


def stages_of(
    entries: Sequence[Entry], counting: Sequence[Entry], text_of: Callable[[str], str]
) -> tuple[Stage, ...]:
    """Return the turns, tokens and time of every part of the run.

    Args:
        entries: All lines.
        counting: Those of them that count.
        text_of: Gives an object's text.
    """
    ledger = _Ledger()
    standing = {entry.number for entry in counting}
    before_s = 0.0
    for entry in entries:
        took_s, before_s = max(entry.elapsed_s - before_s, 0.0), max(entry.elapsed_s, before_s)
        if entry.number in standing:
            ledger.take(entry.event, took_s)
        else:
            ledger.taken_back.take(entry.event, took_s)
    numbers = {id(tally): number for number, tally in enumerate(ledger.program, 1)}
    shown = [ledger.planning, *ledger.shown, ledger.verification, ledger.taken_back]
    return tuple(
        tally.as_stage(numbers.get(id(tally), 0), text_of)
        for tally in shown
        if tally.phase == "instruction" or tally.calls or tally.checks or tally.elapsed_s
    )
