"""Detection of a model that repeats itself, and the temperature against it.

The paper (appendix F) raises the temperature by 0.1 up to 1.0 while the last messages repeat and
returns to 0.01 afterwards. Here replies are compared by what they say and call, without the ids of
calls, which differ every time; and repetition with a period of two or three is found, too.
"""

from l2mac.processor.messages import Reply

BASE_TEMPERATURE = 0.01
_STEP = 0.1
_LONGEST_PERIOD = 3


class RepetitionDetector:
    """The detector of repetitions among the replies of one instruction.

    Args:
        base: The temperature without repetition.
    """

    def __init__(self, base: float = BASE_TEMPERATURE) -> None:
        self._base = base
        self._replies: list[tuple[object, ...]] = []
        self.temperature = base

    def observe(self, reply: Reply) -> None:
        """Record a reply and set the temperature for the next call."""
        self._replies.append(
            (reply.content, *((call.name, call.arguments) for call in reply.tool_calls))
        )
        self.temperature = min(self.temperature + _STEP, 1.0) if self.repeating else self._base

    @property
    def repeating_last(self) -> bool:
        """Whether the last reply is the one before it again."""
        return len(self._replies) >= 2 and self._replies[-1] == self._replies[-2]

    @property
    def repeating(self) -> bool:
        """Whether the last replies are the ones before them again."""
        replies = self._replies
        return any(
            len(replies) >= 2 * period and replies[-period:] == replies[-2 * period : -period]
            for period in range(1, _LONGEST_PERIOD + 1)
        )
