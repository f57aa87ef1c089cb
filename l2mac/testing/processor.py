"""A processor that gives scripted replies, for tests of what stands above the language model."""

from collections.abc import Sequence

from l2mac.processor.messages import Reply, Request
from l2mac.processor.protocol import Watcher


class ScriptedProcessor:
    """Give replies in order.

    Args:
        replies: What each call gives; an exception is raised instead.

    Attributes:
        requests: What was asked, in order.
    """

    def __init__(self, replies: Sequence[Reply | Exception]) -> None:
        self._replies = tuple(replies)
        self.requests: list[Request] = []

    @property
    def left(self) -> int:
        """How many replies have not been given yet."""
        return max(len(self._replies) - len(self.requests), 0)

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Give the next reply and let its content be watched in one piece.

        Raises:
            AssertionError: The script has run out.
            Exception: Whatever the script has in this place.
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
