"""The optional parts of the chat completions API that one server accepts."""

import re
from dataclasses import dataclass, replace

from l2mac.processor.error_mapping import ErrorKind, Failure
from l2mac.processor.messages import Request

_TOO_LARGE = re.compile(
    r"too (large|high|small)|at (most|least)|maximum|exceeds?|(less|greater|smaller) than", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCapabilities:
    """The optional parts of the API that a server accepts.

    The defaults follow OpenAI's reference.

    Attributes:
        streams: The server can stream at all.
        stream_options: The server accepts the option that asks for token counts in a stream.
        max_tokens: The server accepts `max_tokens`. Otherwise it takes `max_completion_tokens`, as
            OpenAI does for reasoning models.
        temperature: The server accepts `temperature`.
        seed: The server accepts `seed`.
        named_tool: `tool_choice` may name a tool. LM Studio accepts only strings, so that the one
            tool has to be sent alone.
    """

    streams: bool = True
    stream_options: bool = True
    max_tokens: bool = True
    temperature: bool = True
    seed: bool = True
    named_tool: bool = True

    def apply(self, request: Request, body: dict[str, object]) -> dict[str, object]:
        """Return the whole request: the tool protocol's `body` and the accepted options."""
        limit = "max_tokens" if self.max_tokens else "max_completion_tokens"
        body = {**body, limit: request.max_reply_tokens}
        if self.temperature:
            body["temperature"] = request.temperature
        if self.seed and request.seed is not None:
            body["seed"] = request.seed
        if self.streams:
            body["stream"] = True
        if self.streams and self.stream_options:
            body["stream_options"] = {"include_usage": True}
        tools = body.get("tools")
        if not self.named_tool and "tool_choice" in body and isinstance(tools, list):
            body["tools"] = [tool for tool in tools if tool["function"]["name"] == request.tool]
            body["tool_choice"] = "required"
        return body

    def without_rejected(self, failure: Failure, request: Request) -> "ServerCapabilities | None":
        """Return the capabilities without the part that the server has just rejected.

        None if the server rejected something else.
        """
        if failure.kind is not ErrorKind.REQUEST:
            return None
        for name, is_rejected in self._rejections(failure, request).items():
            if is_rejected and getattr(self, name):
                return replace(self, **{name: False})
        return None

    def _rejections(self, failure: Failure, request: Request) -> dict[str, bool]:
        """Return for each capability whether the server's words reject it."""
        words = f"{failure.parameter} {failure.text}".lower()
        of_stream = "stream_options" in words or "include_usage" in words
        return {
            "stream_options": self.streams and of_stream,
            "max_tokens": "max_tokens" in words and not _TOO_LARGE.search(words),
            "temperature": "temperature" in words,
            "seed": request.seed is not None and bool(re.search(r"\bseed\b", words)),
            "named_tool": bool(request.tool) and "tool_choice" in words,
            "streams": bool(re.search(r"\bstream(ing|ed)?\b", words)),
        }
