"""The requests to a language model and its replies, independent of any provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """The author of a message in the context window."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call as the model wrote it; `arguments` need not be valid JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a context window.

    Attributes:
        role: The author.
        content: The text.
        tool_calls: The calls of an assistant's message, in order.
        tool_call_id: For a tool's message, the id of the call that it answers.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool on offer; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one call by the server's count, None where it is unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of the language model.

    Attributes:
        messages: The whole context window, system message first.
        tools: The tools on offer, empty for a reply in plain text.
        tool: The name of the one tool that must be called, or empty for a free choice.
        temperature: The sampling temperature, 0 to 2.
        max_reply_tokens: The number of tokens after which the reply is truncated.
        seed: The sampling seed, for servers that honour it.
        purpose: The reason for the call, such as `plan` or `turn`. Never sent, but chooses among
            models.
        within_s: The time for the reply with all retries and pauses, None for no bound. Never sent.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool: str = ""
    temperature: float = 0.0
    max_reply_tokens: int = 4096
    seed: int | None = None
    purpose: str = ""
    within_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The model's answer to a request.

    Attributes:
        content: The text, possibly empty.
        tool_calls: The calls, in order.
        usage: The tokens as the server counts them.
        truncated: Whether the reply ended because it reached `max_reply_tokens`.
        model: The model's name as the server states it.
        cached: Whether the response cache answered, so that nothing was spent.
    """

    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = field(default_factory=Usage)
    truncated: bool = False
    model: str = ""
    cached: bool = False

    def as_message(self) -> Message:
        """Return the reply as the message that the next request repeats."""
        return Message(Role.ASSISTANT, self.content, self.tool_calls)
