"""Replay of a recorded run: its replies, its prompt program and its limits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pydantic

from l2mac.control.budget import Limits
from l2mac.errors import ContextOverflow, ModelUnavailable
from l2mac.processor.messages import Reply, Request
from l2mac.processor.protocol import Watcher
from l2mac.trace.events import (
    Event,
    InstructionAborted,
    InstructionsAdded,
    ModelCalled,
    PlanMade,
    Replanned,
)
from l2mac.trace.objects import ObjectStore

_REPLY: pydantic.TypeAdapter[Reply] = pydantic.TypeAdapter(Reply)


@dataclass(slots=True)
class ReplayProcessor:
    """`l2mac.processor.protocol.Processor` made of a recorded run.

    Attributes:
        given: Number of replies returned so far.
    """

    _replies: Sequence[str]
    _objects: ObjectStore
    given: int = 0

    @classmethod
    def of(cls, events: Sequence[Event], objects: ObjectStore) -> "ReplayProcessor":
        """Return a processor with the replies of a run's events."""
        return cls(
            [event.reply_object for event in events if isinstance(event, ModelCalled)], objects
        )

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Return the next recorded reply.

        Raises:
            ContextOverflow: The recorded call overflowed the context window.
            ModelUnavailable: The trace has no more replies.
        """
        if self.given == len(self._replies):
            raise ModelUnavailable(
                f"The trace has only {self.given} replies, because the recorded run did not end."
            )
        name = self._replies[self.given]
        self.given += 1
        if not name:
            raise ContextOverflow(
                f"The recorded server refused {len(request.messages)} messages as too long."
            )
        reply = _REPLY.validate_json(self._objects.get(name))
        watch(reply.content)
        return reply


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
    """Return limits that end each instruction where a recorded run ended it."""
    ends: dict[int, str] = {}
    calls = 0
    for event in events:
        calls += isinstance(event, ModelCalled)
        if isinstance(event, InstructionAborted):
            ends[calls] = event.cause
    return Limits(ends=ends)
