"""The context window of the instruction in hand: its messages and whether they fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from l2mac.processor.messages import Message, ToolSpec

_CHARACTERS_PER_TOKEN = 3.2
_TOKENS_PER_MESSAGE = 6


@dataclass(slots=True)
class TokenEstimator:
    """Estimate tokens from characters, calibrated on what the server counted.

    Starts on the safe side; needs no tokenizer, so it works for every model. The ratio follows the server's counts
    at once when they are higher than estimated and slowly when they are lower.
    """

    ratio: float = 1.0
    _tool_sizes: dict[int, tuple[Sequence[ToolSpec], int]] = field(
        default_factory=dict, init=False, repr=False
    )

    def estimate(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        """Give the tokens of a request."""
        return int(self._raw(messages, tools) * self.ratio) + 1

    def characters(self, tokens: int) -> int:
        """Give how many characters of text take so many tokens."""
        return int(tokens / self.ratio * _CHARACTERS_PER_TOKEN)

    def learn(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], prompt_tokens: int
    ) -> None:
        """Take in how many tokens the server counted for a request; absurd counts are ignored."""
        measured = prompt_tokens / self._raw(messages, tools)
        if not 0.2 <= measured <= 4:
            return
        self.ratio = (
            measured if measured > self.ratio else self.ratio + (measured - self.ratio) * 0.25
        )

    def grow(self) -> None:
        """Be more careful: the server said that something did not fit which was estimated to."""
        self.ratio = min(self.ratio * 1.25, 4.0)

    def _raw(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> float:
        characters = self._tool_characters(tools) if tools else 0
        for message in messages:
            characters += len(message.content)
            for call in message.tool_calls:
                characters += len(call.name) + len(call.arguments)
        return (
            characters / _CHARACTERS_PER_TOKEN
            + _TOKENS_PER_MESSAGE * (len(messages) + len(tools))
            + 1
        )

    def _tool_characters(self, tools: Sequence[ToolSpec]) -> int:
        """Give the size of a set of tools; by identity, as it is asked with every call and schemas have no hash."""
        kept, size = self._tool_sizes.get(id(tools), ((), 0))
        if kept is not tools:
            size = sum(
                len(tool.name) + len(tool.description) + len(str(tool.parameters)) for tool in tools
            )
            self._tool_sizes[id(tools)] = (tools, size)
        return size


class ContextWindow:
    """The messages C of one instruction: a fixed head, and turns that can be dropped oldest first.

    Turns are dropped whole: an assistant's tool calls never stand without their answers.

    Args:
        head: System message and instruction message; never dropped.
        tools: What is offered with every call; it takes room, too.
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
        """Append one turn: the reply, its tools' outcomes, what the control unit says to it."""
        self._turns.append(tuple(turn))

    def replace_newest(self, turn: Sequence[Message]) -> None:
        """Put one turn in the place of the newest, which it repeats."""
        if self._turns:
            self._turns.pop()
        self.add(turn)

    def has_room(self, extra: Sequence[Message] = ()) -> bool:
        """Whether a call with these messages and `extra` leaves room for the reply."""
        return self._estimator.estimate((*self.messages, *extra), self._tools) <= self._limit

    def drop_oldest(self) -> bool:
        """Drop the oldest turn; False when there is none."""
        if not self._turns:
            return False
        del self._turns[0]
        return True
