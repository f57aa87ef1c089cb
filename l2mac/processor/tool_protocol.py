"""Two ways to let a language model call tools: the API's own, and JSON that a schema constrains."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from l2mac.processor.json_schema import compact, for_grammar
from l2mac.processor.messages import Message, Request, Role, ToolCall, ToolSpec

_THOUGHT_CHARACTERS = 300


class ToolProtocol(Protocol):
    """How messages and tools travel to a server and how calls come back; pure, keeps nothing."""

    def encode(self, request: Request) -> dict[str, Any]:
        """Give `messages` and what else of a chat completion request concerns tools.

        Raises:
            ValueError: The required tool is not among the tools, or a call and its answers do not fit together.
        """
        ...

    def decode(
        self, request: Request, text: str, calls: Sequence[ToolCall]
    ) -> tuple[str, tuple[ToolCall, ...]]:
        """Give content and tool calls of a reply from its whole text and the calls that the API marked as such.

        Text that is not what was asked for comes back unchanged as content, without calls; nothing is repaired.
        """
        ...


class NativeTools:
    """The API's own `tools`, `tool_choice`, `tool_calls` and messages of role `tool`."""

    def encode(self, request: Request) -> dict[str, Any]:
        """Give `messages`, `tools` and `tool_choice`; see `ToolProtocol`."""
        body: dict[str, Any] = {
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
    """One call per reply, written as JSON text under a schema, for servers or models without calls of their own.

    The reply is `{"thought": …, "tool": name, "arguments": {…}}`; the thought becomes the content. The thought comes
    first and is required, because llama.cpp's grammar puts optional properties last, where it would be of no use; it
    is left out where one tool is required. All tools are described whichever is required, so that a server can keep
    what it has computed for the beginning of the dialogue; for the same reason, and because a small model heeds best
    what it has read last, a tool that is the only one and required is described at the end.
    """

    def encode(self, request: Request) -> dict[str, Any]:
        """Give `messages` of plain text and `response_format`; see `ToolProtocol`."""
        messages = list(_merged(_text_messages(ordered(request.messages))))
        body: dict[str, Any] = {"messages": messages}
        required = required_tool(request)
        if request.tools:
            _describe(messages, request.tools, last=bool(required) and len(request.tools) == 1)
            schema = _call_schema(
                (required,) if required else request.tools, thought=required is None
            )
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "tool_call", "schema": schema},
            }
        return body

    def decode(
        self, request: Request, text: str, calls: Sequence[ToolCall]
    ) -> tuple[str, tuple[ToolCall, ...]]:
        """Give the thought and the call that the text is; text that is none comes back as it is."""
        if calls or not request.tools:
            return text, tuple(calls)
        parsed = _parsed(text)
        if parsed is None:
            return text, ()
        thought, name, arguments = parsed
        return thought, (ToolCall("", name, arguments),)


def ordered(messages: Sequence[Message]) -> Iterator[Message]:
    """Give messages with the answers to each assistant message in the order of its calls.

    Raises:
        ValueError: An answer is missing, answers no call, or does not stand right behind its assistant message.
    """
    answers: dict[str, Message] = {}
    expected: tuple[str, ...] = ()
    for message in (*messages, None):
        if message is not None and message.role is Role.TOOL:
            answers[message.tool_call_id] = message
            continue
        if set(answers) != set(expected):
            raise ValueError(
                f"calls {sorted(expected)} and answers {sorted(answers)} do not fit together"
            )
        yield from (answers[call_id] for call_id in expected)
        answers, expected = {}, ()
        if message is not None:
            expected = tuple(call.id for call in message.tool_calls)
            yield message


def required_tool(request: Request) -> ToolSpec | None:
    """Give the tool that must be called, or None where the model chooses.

    Raises:
        ValueError: It is not among the request's tools.
    """
    if not request.tool:
        return None
    for tool in request.tools:
        if tool.name == request.tool:
            return tool
    raise ValueError(f"the required tool {request.tool} is not among the tools")


def _native_message(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.role is Role.TOOL:
        body["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        body["content"] = message.content or None
        body["tool_calls"] = [_native_call(call) for call in message.tool_calls]
    return body


def _native_call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _native_tool(tool: ToolSpec) -> dict[str, Any]:
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
            yield (
                "assistant",
                "\n".join(_call_text(message.content, call) for call in message.tool_calls),
            )
        else:
            yield message.role.value, message.content


def _call_text(thought: str, call: ToolCall) -> str:
    arguments: object = call.arguments
    with contextlib.suppress(
        ValueError, RecursionError
    ):  # What is no JSON is shown as the text that it is.
        arguments = json.loads(call.arguments)
    parts = {"thought": thought} if thought else {}
    return _written({**parts, "tool": call.name, "arguments": arguments})


def _merged(messages: Iterator[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Join neighbours of one role: some chat templates refuse two user messages in a row."""
    for role, group in groupby(messages, key=lambda message: message[0]):
        yield {"role": role, "content": "\n\n".join(content for _, content in group)}


def _describe(messages: list[dict[str, Any]], tools: Sequence[ToolSpec], *, last: bool) -> None:
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
    lines += [
        f"- {tool.name}: {tool.description} Arguments: {compact(tool.parameters)}" for tool in tools
    ]
    text = "\n".join(lines)
    place, role = (-1, Role.USER) if last else (0, Role.SYSTEM)
    if messages and messages[place]["role"] == role.value:
        messages[place]["content"] += "\n\n" + text
    else:
        messages.insert(len(messages) if last else 0, {"role": role.value, "content": text})


def _call_schema(tools: Sequence[ToolSpec], *, thought: bool) -> dict[str, Any]:
    schemas = [_one_call_schema(tool.name, tool.parameters, thought=thought) for tool in tools]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _one_call_schema(name: str, parameters: Mapping[str, Any], *, thought: bool) -> dict[str, Any]:
    properties: dict[str, Any] = (
        {"thought": {"type": "string", "maxLength": _THOUGHT_CHARACTERS}} if thought else {}
    )
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
    return (
        thought.encode(errors="replace").decode(),
        name.encode(errors="replace").decode(),
        _written(arguments),
    )


def _written(value: object) -> str:
    """Write JSON, with characters as they are unless one is half a surrogate pair, which no encoding carries."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value)
    return text
