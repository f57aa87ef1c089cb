"""A language model made of a record: it gives the recorded replies again, in their order."""

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
        given: How many replies have been given.
    """

    _replies: Sequence[str]
    _objects: ObjectStore
    given: int = 0

    @classmethod
    def of(cls, events: Sequence[Event], objects: ObjectStore) -> "ReplayProcessor":
        """Take the replies of a run's events."""
        return cls(
            [event.reply_object for event in events if isinstance(event, ModelCalled)], objects
        )

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Give the next recorded reply.

        Raises:
            ContextOverflow: The recorded server said so at this point.
            ModelUnavailable: The record has no more replies.
        """
        if self.given == len(self._replies):
            raise ModelUnavailable(
                f"the record has no more than {self.given} replies; it is of a run that did not end"
            )
        name = self._replies[self.given]
        self.given += 1
        if not name:
            raise ContextOverflow(f"as recorded, for {len(request.messages)} messages")
        reply = _REPLY.validate_json(self._objects.get(name))
        watch(reply.content)
        return reply
