"""A scripted reply and its form in a model server's answer."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

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
        tool_calls: Sequence[tuple[str, Mapping[str, object] | str]] = (),
        usage: Mapping[str, object] | None = None,
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


class ChatMessage(NamedTuple):
    """A message of a request; `content` is empty where the request has none."""

    role: str
    content: str


def messages_of(body: Mapping[str, object]) -> tuple[ChatMessage, ...]:
    """Return the messages of a request.

    Raises:
        TypeError: The request has no messages in OpenAI's form.
    """
    found = body.get("messages")
    if not isinstance(found, list):
        raise TypeError("the request has no list of messages")
    return tuple(ChatMessage(one["role"], one.get("content") or "") for one in found)


def tool_names_of(body: Mapping[str, object]) -> frozenset[str]:
    """Return the names of the tools that a request offers.

    Raises:
        TypeError: The tools are not in OpenAI's form.
    """
    found = body.get("tools", [])
    if not isinstance(found, list):
        raise TypeError("the request's tools are not a list")
    return frozenset(tool["function"]["name"] for tool in found)


def whole(reply: ScriptedReply, body: Mapping[str, object]) -> dict[str, object]:
    """Return a reply to a request as one object."""
    content, calls = _shaped(reply, body)
    message: dict[str, object] = {"role": "assistant", "content": content or None}
    if calls:
        message["tool_calls"] = [
            _call(body, i, name, arguments) for i, (name, arguments) in enumerate(calls)
        ]
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(reply, calls)}
    answer = {"object": "chat.completion", "model": reply.model, "choices": [choice]}
    return {**answer, **_usage(reply, body)}


def chunks(reply: ScriptedReply, body: Mapping[str, object]) -> Iterator[dict[str, object]]:
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
    options = body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        yield {
            "object": "chat.completion.chunk",
            "model": reply.model,
            "choices": [],
            **_usage(reply, body),
        }


def chunk(
    delta: dict[str, object], model: str = "scripted", finish_reason: str | None = None
) -> dict[str, object]:
    """Return one event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"object": "chat.completion.chunk", "model": model, "choices": [choice]}


def _call(body: Mapping[str, object], index: int, name: str, arguments: str) -> dict[str, object]:
    """Return a call with an id that no earlier call of the request has."""
    replies = sum(message.role == "assistant" for message in messages_of(body))
    function = {"name": name, "arguments": arguments}
    return {
        "index": index,
        "id": f"scripted_{replies}_{index}",
        "type": "function",
        "function": function,
    }


def _shaped(
    reply: ScriptedReply, body: Mapping[str, object]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    if not body.get("response_format") or not reply.tool_calls:
        return reply.content, reply.tool_calls
    name, arguments = reply.tool_calls[0]
    thought = f'"thought": {json.dumps(reply.content)}, ' if reply.content else ""
    return f'{{{thought}"tool": {json.dumps(name)}, "arguments": {arguments}}}', ()


def _finish_reason(reply: ScriptedReply, calls: Sequence[object]) -> str:
    if reply.truncated:
        return "length"
    return "tool_calls" if calls else "stop"


def _usage(reply: ScriptedReply, body: Mapping[str, object]) -> dict[str, object]:
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


def _text(arguments: Mapping[str, object] | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)
