"""The prompt program and the limits of a run, from its trace."""

from collections.abc import Iterable

from l2mac.control.budget import Limits
from l2mac.trace.events import (
    Event,
    InstructionAborted,
    InstructionsAdded,
    ModelCalled,
    PlanMade,
    Replanned,
)


def recorded_program(events: Iterable[Event]) -> tuple[str, ...]:
    """Return the objects of the program's instructions, after all recorded changes."""
    program: list[str] = []
    for event in events:
        if isinstance(event, PlanMade | InstructionsAdded):
            program += event.instruction_objects
        elif isinstance(event, Replanned) and event.instruction_objects:
            place = event.number - 1
            program[place : place + (event.action == "split")] = event.instruction_objects
    return tuple(program)


def recorded_limits(events: Iterable[Event]) -> Limits:
    """Return limits that end each instruction where a recorded run ended it, for a replay."""
    ends: dict[int, str] = {}
    calls = 0
    for event in events:
        calls += isinstance(event, ModelCalled)
        if isinstance(event, InstructionAborted):
            ends[calls] = event.cause
    return Limits(ends=ends)
