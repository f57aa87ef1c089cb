"""A processor with scripted replies, for tests of the code above the model.

A module of its own, because it needs no server.
"""

from collections.abc import Sequence

from l2mac.processor.messages import Reply, Request
from l2mac.processor.protocol import Watcher


class ScriptedProcessor:
    """A `Processor` that returns scripted replies in order.

    Args:
        replies: The reply to each call, or an exception to raise.

    Attributes:
        requests: The requests received, in order.
    """

    def __init__(self, replies: Sequence[Reply | Exception]) -> None:
        self._replies = tuple(replies)
        self.requests: list[Request] = []

    @property
    def left(self) -> int:
        """The number of replies that are left."""
        return max(len(self._replies) - len(self.requests), 0)

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Return the next reply, watched in one piece.

        Raises:
            AssertionError: The script has run out.
            Exception: The script has an exception in this place.
        """
        self.requests.append(request)
        if len(self.requests) > len(self._replies):
            raise AssertionError(
                f"the script has {len(self._replies)} replies, and one more was asked for"
            )
        reply = self._replies[len(self.requests) - 1]
        if isinstance(reply, Exception):
            raise reply
        if reply.content:
            watch(reply.content)
        return reply
