"""What goes to the language model and what comes back, independent of any provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call as the model wrote it; `arguments` is its text, which need not be valid JSON.

    `id` is the server's, which may be missing or given twice, until `l2mac.control.turn` numbers the calls.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a dialogue.

    `tool_calls` only for the assistant; `tool_call_id` only for a tool, naming the call that it answers.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the model may call; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call as the server counts them; None where it does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of the language model.

    Attributes:
        messages: The whole context window, system message first.
        tools: What may be called; empty for plain text.
        tool: Name of the one tool that must be called, or empty for any or none.
        temperature: 0 to 2.
        max_reply_tokens: Where the reply is cut off.
        seed: For servers that honour it.
        purpose: What for, such as `plan` or `turn`; never sent, it only chooses among models.
        within_s: How long the reply may take with all its tries and pauses, None for no bound of the run's; never sent.
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
    """What the model answered.

    Attributes:
        content: Its text, possibly empty.
        tool_calls: What it wants to call, in order.
        usage: Tokens as the server counts them.
        cut_off: Whether the reply ended because it reached `max_reply_tokens`.
        model: The model's name as the server gives it.
        cached: Whether it comes from the cache of replies, so that it cost nothing.
    """

    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = field(default_factory=Usage)
    cut_off: bool = False
    model: str = ""
    cached: bool = False

    def as_message(self) -> Message:
        """Give the reply as the message that the next request repeats."""
        return Message(Role.ASSISTANT, self.content, self.tool_calls)
