"""Estimate tokens without a tokenizer."""

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
