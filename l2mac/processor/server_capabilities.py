"""What one server of the chat completions API has been found not to accept."""

import re
from dataclasses import dataclass, replace
from typing import Any

from l2mac.processor.error_mapping import ErrorKind, Failure
from l2mac.processor.messages import Request

_TOO_LARGE = re.compile(
    r"too (large|high|small)|at (most|least)|maximum|exceeds?|(less|greater|smaller) than", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCapabilities:
    """Which optional parts of the API a server takes; starts as OpenAI's documentation has it.

    Attributes:
        streams: It can stream at all.
        stream_options: It takes the option that asks for token counts in a stream.
        max_tokens: It takes `max_tokens`; otherwise `max_completion_tokens`, as OpenAI's reasoning models do.
        temperature: It takes `temperature`.
        seed: It takes `seed`.
        named_tool: `tool_choice` may name a tool; LM Studio takes only strings, so the one tool is sent alone.
    """

    streams: bool = True
    stream_options: bool = True
    max_tokens: bool = True
    temperature: bool = True
    seed: bool = True
    named_tool: bool = True

    def say(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Give the whole request: `body` as a tool protocol made it, and the options that the server takes."""
        body = {
            **body,
            "max_tokens" if self.max_tokens else "max_completion_tokens": request.max_reply_tokens,
        }
        if self.temperature:
            body["temperature"] = request.temperature
        if self.seed and request.seed is not None:
            body["seed"] = request.seed
        if self.streams:
            body["stream"] = True
        if self.streams and self.stream_options:
            body["stream_options"] = {"include_usage": True}
        if not self.named_tool and "tool_choice" in body:
            body["tools"] = [
                tool for tool in body["tools"] if tool["function"]["name"] == request.tool
            ]
            body["tool_choice"] = "required"
        return body

    def after(self, failure: Failure, request: Request) -> "ServerCapabilities | None":
        """Give the dialect without what the server has just refused; None if it refused something else."""
        if failure.kind is not ErrorKind.REQUEST:
            return None
        about = f"{failure.parameter} {failure.text}".lower()
        refused = {
            "stream_options": self.streams
            and ("stream_options" in about or "include_usage" in about),
            "max_tokens": "max_tokens" in about and not _TOO_LARGE.search(about),
            "temperature": "temperature" in about,
            "seed": request.seed is not None and bool(re.search(r"\bseed\b", about)),
            "named_tool": bool(request.tool) and "tool_choice" in about,
            "streams": bool(re.search(r"\bstream(ing|ed)?\b", about)),
        }
        for name, is_refused in refused.items():
            if is_refused and getattr(self, name):
                return replace(self, **{name: False})
        return None
