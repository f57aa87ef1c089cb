"""The seam to the language model: P_LLM of the paper.

A module of its own, so that code above the seam imports no client of a server.
"""

from collections.abc import Callable
from typing import Protocol

from l2mac.processor.messages import Reply, Request

Watcher = Callable[[str], None]
"""A function that is called with each piece of a reply's text as it arrives."""


class Processor(Protocol):
    """A language model that completes a context window."""

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Return the model's reply.

        Args:
            request: The context window and the tools on offer.
            watch: Shows the reply to a person while it arrives. The result does not depend on it.

        Raises:
            ContextOverflow: The server says that the messages do not fit.
            ModelUnavailable: The server gave no complete reply after all retries.
            ModelRejected: The server refuses the key, the model's name or the request.
            OutOfTime: `request.within_s` is over. A processor that cannot cancel a call may return
                the reply late instead.
        """
        ...
