"""The context window C of the current instruction."""

from collections.abc import Sequence

from l2mac.processor.messages import Message, ToolSpec
from l2mac.processor.token_estimate import TokenEstimator


class ContextWindow:
    """The messages C of one instruction: a fixed head, and turns.

    Turns are dropped whole, oldest first: a tool call never stands without its answer.

    Args:
        head: System message and instruction message; never dropped.
        tools: The tools offered with every call; they take room, too.
        context_tokens: The model's declared window, prompt and reply together.
        reply_tokens: Room kept for the reply.
        estimator: Shared by all windows of a run.
    """

    def __init__(
        self,
        head: tuple[Message, ...],
        tools: tuple[ToolSpec, ...],
        *,
        context_tokens: int,
        reply_tokens: int,
        estimator: TokenEstimator,
    ) -> None:
        self._head = head
        self._tools = tools
        self._limit = context_tokens - reply_tokens
        self._estimator = estimator
        self._turns: list[tuple[Message, ...]] = []

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages, oldest first."""
        return (*self._head, *(message for turn in self._turns for message in turn))

    @property
    def used_tokens(self) -> int:
        """The estimated tokens of a call with these messages."""
        return self._estimator.estimate(self.messages, self._tools)

    def add(self, turn: Sequence[Message]) -> None:
        """Append one turn: the reply, its tools' outcomes, and the control unit's answer."""
        self._turns.append(tuple(turn))

    def replace_newest(self, turn: Sequence[Message]) -> None:
        """Put one turn in the place of the newest, which it repeats."""
        if self._turns:
            self._turns.pop()
        self.add(turn)

    def has_room(self, extra: Sequence[Message] = ()) -> bool:
        """Return whether a call with these messages and `extra` leaves room for a reply."""
        return self._estimator.estimate((*self.messages, *extra), self._tools) <= self._limit

    def drop_oldest(self) -> bool:
        """Drop the oldest turn; False when there is none."""
        if not self._turns:
            return False
        del self._turns[0]
        return True
