"""Both tool protocols, from a request to its body and from text to calls."""

import json
from collections.abc import Mapping
from typing import TypedDict

import pytest
from json_parts import part, parts

from l2mac.processor.messages import Message, Request, Role, ToolCall, ToolSpec
from l2mac.processor.tool_protocol import JsonTools, NativeTools, for_grammar

WRITE = ToolSpec(
    "write_files",
    "Write files.",
    {
        "type": "object",
        "properties": {
            "files": {
                "type": "array",
                "minItems": 1,
                "maxItems": 50,
                "items": {
                    "type": "object",
                    "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
                    "required": ["path", "content"],
                },
            },
            "title": {"type": "string", "pattern": "^a$", "maxLength": 9},
        },
        "required": ["files"],
    },
)
READ = ToolSpec(
    "read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}}
)
READ_LINE = (
    '- read: Read a file. Arguments: {"type":"object","properties":{"path":{"type":"string"}}}'
)
SYSTEM = Message(Role.SYSTEM, "You write code.")
USER = Message(Role.USER, "Begin.")
FIRST, SECOND = (
    ToolCall("a", "read", '{"path": "x"}'),
    ToolCall("b", "write_files", '{"files": []}'),
)
CALLS = Message(Role.ASSISTANT, "I look.", (FIRST, SECOND))


def answer(call_id: str, text: str = "done") -> Message:
    return Message(Role.TOOL, text, tool_call_id=call_id)


def request(
    *messages: Message, tool: str = "", tools: tuple[ToolSpec, ...] = (WRITE, READ)
) -> Request:
    return Request(messages=(SYSTEM, USER, *messages), tools=tools, tool=tool)


class SentMessage(TypedDict, total=False):
    role: str
    content: str | None
    tool_calls: list[object]
    tool_call_id: str


def messages_in(body: Mapping[str, object]) -> list[SentMessage]:
    found: list[SentMessage] = json.loads(json.dumps(body["messages"]))
    return found


def content_of(body: Mapping[str, object], number: int) -> str:
    content = messages_in(body)[number]["content"]
    assert content is not None
    return content


def schema_of(body: object) -> object:
    return part(body, "response_format", "json_schema", "schema")


# Native calls


def test_native_tools_are_declared_as_functions() -> None:
    body = NativeTools().encode(request())
    assert part(body, "tools", 1) == {
        "type": "function",
        "function": {
            "name": "read",
            "description": "Read a file.",
            "parameters": dict(READ.parameters),
        },
    }
    assert "tool_choice" not in body


def test_native_required_tool_is_named() -> None:
    body = NativeTools().encode(request(tool="read"))
    assert body["tool_choice"] == {"type": "function", "function": {"name": "read"}}


@pytest.mark.parametrize("protocol", [NativeTools(), JsonTools()])
def test_a_required_tool_that_is_not_offered_is_our_mistake(
    protocol: NativeTools | JsonTools,
) -> None:
    with pytest.raises(ValueError, match="delete"):
        protocol.encode(request(tool="delete"))


def test_native_tool_messages_stand_in_the_order_of_the_calls() -> None:
    body = NativeTools().encode(request(CALLS, answer("b", "second"), answer("a", "first"), USER))
    assert [message["role"] for message in messages_in(body)] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "user",
    ]
    assert [message.get("tool_call_id") for message in messages_in(body)[3:5]] == ["a", "b"]
    assert content_of(body, 3) == "first"


def test_native_assistant_message_repeats_its_calls_as_written() -> None:
    body = NativeTools().encode(request(CALLS, answer("a"), answer("b")))
    message = messages_in(body)[2]
    assert message["content"] == "I look."
    assert message["tool_calls"][0] == {
        "id": "a",
        "type": "function",
        "function": {"name": "read", "arguments": '{"path": "x"}'},
    }


def test_native_calls_without_text_have_no_content() -> None:
    silent = Message(Role.ASSISTANT, "", (FIRST,))
    body = NativeTools().encode(request(silent, answer("a")))
    assert messages_in(body)[2]["content"] is None


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param((CALLS, answer("a")), id="one answer missing"),
        pytest.param((CALLS, answer("a"), USER, answer("b")), id="a message between"),
        pytest.param((CALLS, answer("a"), answer("b"), answer("c")), id="an answer to no call"),
        pytest.param((answer("a"),), id="an answer without calls"),
    ],
)
@pytest.mark.parametrize("protocol", [NativeTools(), JsonTools()])
def test_calls_and_answers_that_do_not_fit_are_our_mistake(
    protocol: NativeTools | JsonTools, messages: tuple[Message, ...]
) -> None:
    with pytest.raises(ValueError, match="do not match"):
        protocol.encode(request(*messages))


def test_native_calls_come_back_as_they_are() -> None:
    assert NativeTools().decode(request(), "text", (FIRST, SECOND)) == ("text", (FIRST, SECOND))


@pytest.mark.parametrize("protocol", [NativeTools(), JsonTools()])
def test_requests_without_tools_are_plain_text(protocol: NativeTools | JsonTools) -> None:
    plain = request(tools=())
    body = protocol.encode(plain)
    assert body == {
        "messages": [
            {"role": "system", "content": "You write code."},
            {"role": "user", "content": "Begin."},
        ]
    }
    text = '{"tool": "read", "arguments": {}}'
    assert protocol.decode(plain, text, ()) == (text, ())


# JSON calls


def test_json_schema_offers_each_tool_once_and_nothing_else() -> None:
    schema = schema_of(JsonTools().encode(request()))
    assert [part(one, "properties", "tool") for one in parts(schema, "anyOf")] == [
        {"const": "write_files"},
        {"const": "read"},
    ]
    for one in parts(schema, "anyOf"):
        assert part(one, "required") == ["thought", "tool", "arguments"]
        assert part(one, "additionalProperties") is False


def test_json_schema_has_only_the_required_tool_and_no_thought() -> None:
    schema = schema_of(JsonTools().encode(request(tool="read")))
    assert part(schema, "required") == ["tool", "arguments"]
    properties = part(schema, "properties")
    assert isinstance(properties, dict)
    assert list(properties) == ["tool", "arguments"]
    assert properties["tool"] == {"const": "read"}


def test_json_tools_are_described_behind_the_system_message() -> None:
    free, bound = JsonTools().encode(request()), JsonTools().encode(request(tool="read"))
    text = content_of(free, 0)
    assert text.startswith("You write code.\n\n")
    assert READ_LINE in text
    assert bound["messages"] == free["messages"], (
        "a required tool does not change what a server has cached"
    )


def test_only_required_json_tool_is_described_beside_the_question() -> None:
    body = JsonTools().encode(request(tools=(READ,), tool="read"))
    assert len(messages_in(body)) == 2
    assert content_of(body, 0) == "You write code."
    assert content_of(body, 1).startswith("Begin.\n\n")
    assert READ_LINE in content_of(body, 1)


def test_json_tools_are_described_where_there_is_no_system_message() -> None:
    body = JsonTools().encode(Request(messages=(USER,), tools=(READ,)))
    assert [message["role"] for message in messages_in(body)] == ["system", "user"]


def test_json_dialogue_shows_calls_as_json_and_results_as_user_text() -> None:
    body = JsonTools().encode(
        request(Message(Role.ASSISTANT, "I look.", (FIRST,)), answer("a", "content of x"), USER)
    )
    _, user = messages_in(body)[2:]
    assert json.loads(content_of(body, 2)) == {
        "thought": "I look.",
        "tool": "read",
        "arguments": {"path": "x"},
    }
    assert user == {"role": "user", "content": "Result of read (a):\ncontent of x\n\nBegin."}


def test_json_dialogue_keeps_roles_alternating() -> None:
    body = JsonTools().encode(request(CALLS, answer("b"), answer("a"), USER, USER))
    assert [message["role"] for message in messages_in(body)] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert content_of(body, 3).startswith("Result of read (a)")


def test_json_call_is_read_with_its_thought() -> None:
    text = '{"thought": "First é.", "tool": "read", "arguments": {"path": "ü"}}'
    assert JsonTools().decode(request(), text, ()) == (
        "First é.",
        (ToolCall("", "read", '{"path": "ü"}'),),
    )


def test_json_call_survives_the_way_there_and_back() -> None:
    protocol = JsonTools()
    body = protocol.encode(request(Message(Role.ASSISTANT, "I look.", (FIRST,)), answer("a")))
    content, (call,) = protocol.decode(request(), content_of(body, 2), ())
    assert (content, call.name, json.loads(call.arguments)) == ("I look.", "read", {"path": "x"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would call read.",
        '{"tool": "read", "arguments": {"path": "x"',
        '```json\n{"tool": "read", "arguments": {}}\n```',
        "[]",
        "[" * 100_000,
        '{"name": "read", "arguments": {}}',
        '{"tool": "read"}',
        '{"tool": "read", "arguments": "{}"}',
        '{"tool": 1, "arguments": {}}',
        '{"thought": 1, "tool": "read", "arguments": {}}',
    ],
)
def test_json_text_that_is_no_call_comes_back_unchanged(text: str) -> None:
    assert JsonTools().decode(request(), text, ()) == (text, ())


def test_json_call_with_half_a_surrogate_pair_can_still_be_encoded() -> None:
    content, (call,) = JsonTools().decode(
        request(), r'{"thought": "\ud800", "tool": "read", "arguments": {"path": "\ud800"}}', ()
    )
    assert (content + call.arguments).encode()
    assert json.loads(call.arguments) == {"path": "\ud800"}


def test_json_history_shows_arguments_that_are_no_json_as_text() -> None:
    broken = Message(Role.ASSISTANT, "", (ToolCall("a", "read", "{oops"),))
    body = JsonTools().encode(request(broken, answer("a")))
    assert json.loads(content_of(body, 2)) == {"tool": "read", "arguments": "{oops"}


# Schemas


def test_a_grammar_keeps_a_property_called_title() -> None:
    assert part(for_grammar(WRITE.parameters), "properties", "title")
    assert "title" not in for_grammar({**WRITE.parameters, "title": "WriteFiles"})


def test_a_grammar_gets_the_shape_only() -> None:
    shape = for_grammar(WRITE.parameters)
    assert part(shape, "properties", "title") == {"type": "string"}
    assert part(shape, "properties", "files", "minItems") == 1
    assert part(shape, "properties", "files", "maxItems") == 50


def test_a_grammar_allows_no_further_properties_unless_the_schema_does() -> None:
    assert for_grammar(READ.parameters)["additionalProperties"] is False
    assert (
        for_grammar({**READ.parameters, "additionalProperties": True})["additionalProperties"]
        is True
    )


def test_alternatives_are_kept() -> None:
    schema = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None}
    assert for_grammar(schema) == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
