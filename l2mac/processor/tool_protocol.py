"""Two protocols for tool calls: the API's own, and JSON under a schema."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Protocol

from l2mac.processor.messages import Message, Request, Role, ToolCall, ToolSpec
from l2mac.safe_text import has_surrogates, replace_surrogates

_THOUGHT_CHARACTERS = 300

# The parts of a JSON schema that decide the shape of a value. Schemas hold no `$ref`:
# `l2mac.tools.base.plain_schema` has put the definitions in place.
_NAMED = "properties"
_SINGLE = ("items", "additionalProperties")
_LISTED = ("anyOf", "oneOf", "allOf")
_KEPT = frozenset({"type", "enum", "const", "required", "minItems", "maxItems", *_SINGLE})


class ToolProtocol(Protocol):
    """The encoding of messages, tools and calls for a server.

    Implementations hold no state.
    """

    def encode(self, request: Request) -> dict[str, object]:
        """Return `messages` and the request's fields that concern tools.

        Raises:
            ValueError: The required tool is not among the tools, or calls and answers do not match.
        """
        ...

    def decode(
        self, request: Request, text: str, calls: Sequence[ToolCall]
    ) -> tuple[str, tuple[ToolCall, ...]]:
        """Return the content and the tool calls of a reply.

        Text in another form than requested is returned unchanged as content, without calls. Replies
        are never repaired.

        Args:
            request: The request.
            text: The whole text of the reply.
            calls: The calls in the API's own `tool_calls`.
        """
        ...


class NativeTools:
    """The API's own `tools`, `tool_choice`, `tool_calls` and messages of role `tool`."""

    def encode(self, request: Request) -> dict[str, object]:
        """Return `messages`, `tools` and `tool_choice`; see `ToolProtocol`."""
        body: dict[str, object] = {
            "messages": [_native_message(message) for message in ordered(request.messages)]
        }
        if request.tools:
            body["tools"] = [_native_tool(tool) for tool in request.tools]
        if required := required_tool(request):
            body["tool_choice"] = {"type": "function", "function": {"name": required.name}}
        return body

    def decode(
        self,
        request: Request,  # noqa: ARG002 - as `ToolProtocol.decode`
        text: str,
        calls: Sequence[ToolCall],
    ) -> tuple[str, tuple[ToolCall, ...]]:
        """Return the text and the calls, with the server's ids, on which nothing relies."""
        return text, tuple(calls)


class JsonTools:
    """One call per reply, as JSON under a schema.

    This protocol is for servers or models without tool calls of their own.

    The reply is `{"thought": …, "tool": name, "arguments": {…}}`. The thought becomes the content.

    - The thought is required and comes first. llama.cpp's grammar would put an optional property
      last, after the decision. Where one tool is required, there is no thought.
    - All tools are described even if one of them is required, so that the beginning of the messages
      stays the same and a server can reuse its cache.
    - A tool that is the only one and required is described at the end: small models follow best the
      text that they have read last.
    """

    def encode(self, request: Request) -> dict[str, object]:
        """Return `messages` of plain text and `response_format`; see `ToolProtocol`."""
        messages = list(_merged(_text_messages(ordered(request.messages))))
        body: dict[str, object] = {"messages": messages}
        required = required_tool(request)
        if request.tools:
            _describe(messages, request.tools, last=bool(required) and len(request.tools) == 1)
            callable_tools = (required,) if required else request.tools
            schema = _call_schema(callable_tools, thought=required is None)
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "tool_call", "schema": schema},
            }
        return body

    def decode(
        self, request: Request, text: str, calls: Sequence[ToolCall]
    ) -> tuple[str, tuple[ToolCall, ...]]:
        """Return the thought and the call; text that is not a call is returned unchanged."""
        if calls or not request.tools:
            return text, tuple(calls)
        parsed = _parsed(text)
        if parsed is None:
            return text, ()
        thought, name, arguments = parsed
        return thought, (ToolCall("", name, arguments),)


def ordered(messages: Sequence[Message]) -> Iterator[Message]:
    """Yield the messages, with the answers to calls in the order of the calls.

    Raises:
        ValueError: An answer is missing, answers no call, or does not follow its assistant message.
    """
    answers: dict[str, Message] = {}
    expected: tuple[str, ...] = ()
    for message in (*messages, None):
        if message is not None and message.role is Role.TOOL:
            answers[message.tool_call_id] = message
            continue
        if set(answers) != set(expected):
            raise ValueError(f"calls {sorted(expected)} and answers {sorted(answers)} do not match")
        yield from (answers[call_id] for call_id in expected)
        answers, expected = {}, ()
        if message is not None:
            expected = tuple(call.id for call in message.tool_calls)
            yield message


def required_tool(request: Request) -> ToolSpec | None:
    """Return the tool that must be called, or None where the model chooses.

    Raises:
        ValueError: The tool is not among the request's tools.
    """
    if not request.tool:
        return None
    for tool in request.tools:
        if tool.name == request.tool:
            return tool
    raise ValueError(f"the required tool {request.tool} is not among the tools")


def for_grammar(schema: Mapping[str, object]) -> dict[str, object]:
    """Return the parts of a schema that decide the shape of a value.

    Lengths of text, patterns and formats are dropped: releases of llama.cpp differ in the ones that
    they reject, and the tool checks them anyway. Objects get no further properties unless the
    schema allows them.
    """
    shape: dict[str, object] = {}
    for key, value in schema.items():
        if key == _NAMED and isinstance(value, Mapping):
            shape[key] = {name: for_grammar(part) for name, part in value.items()}
        elif key in _SINGLE and isinstance(value, Mapping):
            shape[key] = for_grammar(value)
        elif key in _LISTED and isinstance(value, list):
            shape[key] = [for_grammar(part) for part in value]
        elif key in _KEPT:
            shape[key] = value
    if _NAMED in shape:
        shape.setdefault("additionalProperties", False)
    return shape


def _native_message(message: Message) -> dict[str, object]:
    body: dict[str, object] = {"role": message.role.value, "content": message.content}
    if message.role is Role.TOOL:
        body["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        body["content"] = message.content or None
        body["tool_calls"] = [_native_call(call) for call in message.tool_calls]
    return body


def _native_call(call: ToolCall) -> dict[str, object]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _native_tool(tool: ToolSpec) -> dict[str, object]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": function}


def _text_messages(messages: Iterator[Message]) -> Iterator[tuple[str, str]]:
    names: dict[str, str] = {}
    for message in messages:
        names.update({call.id: call.name for call in message.tool_calls})
        if message.role is Role.TOOL:
            name = names[message.tool_call_id]
            yield "user", f"Result of {name} ({message.tool_call_id}):\n{message.content}"
        elif message.tool_calls:
            texts = [_call_text(message.content, call) for call in message.tool_calls]
            yield "assistant", "\n".join(texts)
        else:
            yield message.role.value, message.content


def _call_text(thought: str, call: ToolCall) -> str:
    arguments: object = call.arguments
    # Arguments that are not JSON are shown as text.
    with contextlib.suppress(ValueError, RecursionError):
        arguments = json.loads(call.arguments)
    parts = {"thought": thought} if thought else {}
    return _to_json({**parts, "tool": call.name, "arguments": arguments})


def _merged(messages: Iterator[tuple[str, str]]) -> Iterator[dict[str, str]]:
    """Join neighbours of one role.

    Some chat templates reject two user messages in a row.
    """
    for role, group in groupby(messages, key=lambda message: message[0]):
        yield {"role": role, "content": "\n\n".join(content for _, content in group)}


def _describe(messages: list[dict[str, str]], tools: Sequence[ToolSpec], *, last: bool) -> None:
    example = '{"thought": "one short sentence", "tool": "name of the tool", "arguments": {…}}'
    lines = [
        "Every reply is one JSON object that calls one tool, and nothing else:",
        example,
        "Tools, each with the JSON schema of its arguments:",
    ]
    if last:
        lines = [
            "Reply with one JSON object and nothing else:",
            '{"tool": "name of the tool", "arguments": {…}}',
        ]
    lines += map(_description, tools)
    text = "\n".join(lines)
    place, role = (-1, Role.USER) if last else (0, Role.SYSTEM)
    if messages and messages[place]["role"] == role.value:
        messages[place]["content"] += "\n\n" + text
    else:
        messages.insert(len(messages) if last else 0, {"role": role.value, "content": text})


def _description(tool: ToolSpec) -> str:
    schema = json.dumps(dict(tool.parameters), ensure_ascii=False, separators=(",", ":"))
    return f"- {tool.name}: {tool.description} Arguments: {schema}"


def _call_schema(tools: Sequence[ToolSpec], *, thought: bool) -> dict[str, object]:
    schemas = [_one_call_schema(tool.name, tool.parameters, thought=thought) for tool in tools]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _one_call_schema(
    name: str, parameters: Mapping[str, object], *, thought: bool
) -> dict[str, object]:
    properties: dict[str, object] = {}
    if thought:
        properties["thought"] = {"type": "string", "maxLength": _THOUGHT_CHARACTERS}
    properties["tool"] = {"const": name}
    properties["arguments"] = for_grammar(parameters)
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _parsed(text: str) -> tuple[str, str, str] | None:
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(reply, dict):
        return None
    thought, name, arguments = reply.get("thought", ""), reply.get("tool"), reply.get("arguments")
    if not isinstance(thought, str) or not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    return replace_surrogates(thought), replace_surrogates(name), _to_json(arguments)


def _to_json(value: object) -> str:
    """Return JSON, with characters escaped only for a lone surrogate's sake."""
    text = json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if has_surrogates(text) else text
