"""Estimates of token counts without a tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from l2mac.processor.messages import Message, ToolSpec

_CHARACTERS_PER_TOKEN = 3.2
_TOKENS_PER_MESSAGE = 6


@dataclass(slots=True)
class TokenEstimator:
    """Estimates tokens from characters, calibrated on the server's counts.

    No tokenizer is needed, so the estimate works for every model. The first ratio is on the safe
    side. The ratio rises to a higher count of the server at once, and falls slowly to a lower one.
    """

    ratio: float = 1.0
    _tool_sizes: dict[int, tuple[Sequence[ToolSpec], int]] = field(
        default_factory=dict, init=False, repr=False
    )

    def estimate(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        """Return the tokens of a request."""
        return int(self._raw(messages, tools) * self.ratio) + 1

    def characters(self, tokens: int) -> int:
        """Return the number of characters that take so many tokens."""
        return int(tokens / self.ratio * _CHARACTERS_PER_TOKEN)

    def learn(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], prompt_tokens: int
    ) -> None:
        """Adjust the estimate to the server's count. Absurd counts are ignored."""
        measured = prompt_tokens / self._raw(messages, tools)
        if not 0.2 <= measured <= 4:
            return
        if measured > self.ratio:
            self.ratio = measured
        else:
            self.ratio += (measured - self.ratio) * 0.25

    def grow(self) -> None:
        """Raise the estimate after the server rejected a request for its size."""
        self.ratio = min(self.ratio * 1.25, 4.0)

    def _raw(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> float:
        characters = self._tool_characters(tools) if tools else 0
        for message in messages:
            characters += len(message.content)
            for call in message.tool_calls:
                characters += len(call.name) + len(call.arguments)
        overhead = _TOKENS_PER_MESSAGE * (len(messages) + len(tools))
        return characters / _CHARACTERS_PER_TOKEN + overhead + 1

    def _tool_characters(self, tools: Sequence[ToolSpec]) -> int:
        """Return the size of a set of tools.

        The size is remembered by the identity of `tools`, because every request needs it and
        schemas are not hashable. The tools are remembered with it, so that no id is used twice.
        """
        kept, size = self._tool_sizes.get(id(tools), ((), 0))
        if kept is not tools:
            size = sum(map(_spec_characters, tools))
            self._tool_sizes[id(tools)] = (tools, size)
        return size


def _spec_characters(tool: ToolSpec) -> int:
    return len(tool.name) + len(tool.description) + len(str(tool.parameters))
