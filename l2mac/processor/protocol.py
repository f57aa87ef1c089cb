"""The seam to the language model: P_LLM of the paper."""

from collections.abc import Callable
from typing import Protocol

from l2mac.processor.messages import Reply, Request

Watcher = Callable[[str], None]


class Processor(Protocol):
    """A language model that completes a context window."""

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Give the model's reply.

        Args:
            request: The context window and what may be called.
            watch: Called with each piece of text as it arrives, for a person to see; nothing depends on it.

        Raises:
            ContextOverflow: The server says that the messages do not fit.
            ModelUnavailable: No whole reply after all retries.
            ModelRejected: The server refuses the key, the model's name or the request.
            OutOfTime: `request.within_s` is over; a processor that cannot end a call may give the reply later instead.
        """
        ...
