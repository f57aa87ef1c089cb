"""A scripted reply and its form in a model server's answer."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PIECE_CHARACTERS = 16


class ScriptedReply:
    """A reply of a scripted model server.

    Args:
        content: The text.
        tool_calls: Pairs of a name and arguments. The arguments may be text that is not JSON. In
            the answer to a request with `response_format` the first call is the content, in the
            form of `JsonTools`.
        usage: The `usage` object, None for counts estimated from lengths, empty for no object.
        truncated: Whether `finish_reason` is `length`.
        model: The model's name in the answer.
        streamed: Whether to stream if the client asks for it. Otherwise the answer is whole.
    """

    def __init__(
        self,
        content: str = "",
        *,
        tool_calls: Sequence[tuple[str, Mapping[str, Any] | str]] = (),
        usage: Mapping[str, Any] | None = None,
        truncated: bool = False,
        model: str = "scripted",
        streamed: bool = True,
    ) -> None:
        self.content = content
        self.tool_calls = tuple((name, _text(arguments)) for name, arguments in tool_calls)
        self.usage = usage
        self.truncated = truncated
        self.model = model
        self.streamed = streamed


def whole(reply: ScriptedReply, body: dict[str, Any]) -> dict[str, Any]:
    """Return a reply to a request as one object."""
    content, calls = _shaped(reply, body)
    message: dict[str, Any] = {"role": "assistant", "content": content or None}
    if calls:
        message["tool_calls"] = [
            _call(body, i, name, arguments) for i, (name, arguments) in enumerate(calls)
        ]
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(reply, calls)}
    answer = {"object": "chat.completion", "model": reply.model, "choices": [choice]}
    return {**answer, **_usage(reply, body)}


def chunks(reply: ScriptedReply, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a reply to a request as the events of a stream."""
    content, calls = _shaped(reply, body)
    yield chunk({"role": "assistant", "content": None}, reply.model)
    for piece in _pieces(content):
        yield chunk({"content": piece}, reply.model)
    for index, (name, arguments) in enumerate(calls):
        yield chunk({"tool_calls": [_call(body, index, name, "")]}, reply.model)
        for piece in _pieces(arguments):
            yield chunk(
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, reply.model
            )
    yield chunk({}, reply.model, _finish_reason(reply, calls))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {
            "object": "chat.completion.chunk",
            "model": reply.model,
            "choices": [],
            **_usage(reply, body),
        }


def chunk(
    delta: dict[str, Any], model: str = "scripted", finish_reason: str | None = None
) -> dict[str, Any]:
    """Return one event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"object": "chat.completion.chunk", "model": model, "choices": [choice]}


def _call(body: dict[str, Any], index: int, name: str, arguments: str) -> dict[str, Any]:
    """Return a call with an id that no earlier call of the request has."""
    replies = sum(message["role"] == "assistant" for message in body["messages"])
    function = {"name": name, "arguments": arguments}
    return {
        "index": index,
        "id": f"scripted_{replies}_{index}",
        "type": "function",
        "function": function,
    }


def _shaped(reply: ScriptedReply, body: dict[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]]:
    if not body.get("response_format") or not reply.tool_calls:
        return reply.content, reply.tool_calls
    name, arguments = reply.tool_calls[0]
    thought = f'"thought": {json.dumps(reply.content)}, ' if reply.content else ""
    return f'{{{thought}"tool": {json.dumps(name)}, "arguments": {arguments}}}', ()


def _finish_reason(reply: ScriptedReply, calls: Sequence[object]) -> str:
    if reply.truncated:
        return "length"
    return "tool_calls" if calls else "stop"


def _usage(reply: ScriptedReply, body: dict[str, Any]) -> dict[str, Any]:
    if reply.usage is not None:
        return {"usage": dict(reply.usage)} if reply.usage else {}
    prompt = len(json.dumps(body["messages"])) // 4
    completion = (
        len(reply.content) + sum(len(arguments) for _, arguments in reply.tool_calls)
    ) // 4 + 1
    return {
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
    }


def _pieces(text: str) -> list[str]:
    return [
        text[start : start + _PIECE_CHARACTERS] for start in range(0, len(text), _PIECE_CHARACTERS)
    ]


def _text(arguments: Mapping[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)
