"""A processor that returns the replies of a recorded run, in their order."""

from collections.abc import Sequence
from dataclasses import dataclass

import pydantic

from l2mac.errors import ContextOverflow, ModelUnavailable
from l2mac.processor.messages import Reply, Request
from l2mac.processor.protocol import Watcher
from l2mac.trace.events import Event, ModelCalled
from l2mac.trace.objects import ObjectStore

_REPLY: pydantic.TypeAdapter[Reply] = pydantic.TypeAdapter(Reply)


@dataclass(slots=True)
class ReplayProcessor:
    """Implements `l2mac.processor.protocol.Processor` from a recorded run.

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
