"""Replies that are put together from the pieces of different servers."""

from collections.abc import Mapping

import pytest

from l2mac.processor.error_mapping import ErrorKind
from l2mac.processor.messages import ToolCall, Usage
from l2mac.processor.response_parser import MalformedAnswer, ResponseParser


def piece(
    index: int | None = None, call_id: str | None = None, name: str | None = None, text: str = ""
) -> dict[str, object]:
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": text}}


def read(*deltas: Mapping[str, object], most_characters: int = 1000) -> ResponseParser:
    reader = ResponseParser(most_characters)
    for delta in deltas:
        reader.feed({"choices": [{"delta": delta, "finish_reason": None}]})
    return reader


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [piece(0, "a", "f", "{"), piece(0, None, None, "}"), piece(1, "b", "g", "[]")],
            id="OpenAI",
        ),
        pytest.param([piece(0, "a", "f", "{}"), piece(0, "b", "g", "[]")], id="all at index 0"),
        pytest.param(
            [piece(0, "a", "f", "{"), piece(0, "z", None, "}"), piece(1, "b", "g", "[]")],
            id="ids anew",
        ),
        pytest.param(
            [piece(0, "a", "f", "{"), piece(0, "a", "f", "}"), piece(1, "b", "g", "[]")],
            id="names anew",
        ),
        pytest.param([piece(None, "a", "f", "{}"), piece(None, "b", "g", "[]")], id="no index"),
        pytest.param(
            [piece(0, "a"), piece(1, "b"), piece(0, None, "f", "{}"), piece(1, None, "g", "[]")],
            id="mixed",
        ),
    ],
)
def test_pieces_of_calls_are_joined(pieces: list[dict[str, object]]) -> None:
    reader = read(*({"tool_calls": [one]} for one in pieces))
    assert reader.tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", "[]"))


def test_calls_without_index_and_id_are_told_apart_by_their_names() -> None:
    reader = read({"tool_calls": [piece(None, None, "f", "{}"), piece(None, None, "g", "[]")]})
    assert [(call.name, call.arguments) for call in reader.tool_calls] == [("f", "{}"), ("g", "[]")]


def test_refusal_text_is_the_reply() -> None:
    assert read({"content": None, "refusal": "I will not."}).content == "I will not."


def test_a_surrogate_pair_split_over_two_pieces_is_joined() -> None:
    assert read({"content": "\ud83d"}, {"content": "\ude00"}).content == "😀"


def test_half_a_surrogate_pair_can_still_be_encoded() -> None:
    assert read({"content": "a\ud83d"}).content.encode() == "a�".encode()


@pytest.mark.parametrize(
    "delta", [{"content": "x" * 50}, {"tool_calls": [piece(0, "a", "f", "x" * 50)]}]
)
def test_long_replies_are_truncated(delta: dict[str, object]) -> None:
    reader = read({"content": "abc"}, delta, {"content": "more"}, most_characters=20)
    assert reader.is_over_limit
    assert reader.is_truncated
    assert reader.failure is None
    assert (
        len(
            reader.content
            + "".join(call.id + call.name + call.arguments for call in reader.tool_calls)
        )
        <= 20
    )


def test_many_empty_calls_are_too_long_as_well() -> None:
    assert read(
        {"tool_calls": [piece(index) for index in range(100)]}, most_characters=50
    ).is_over_limit


def test_a_reply_without_an_end_is_aborted() -> None:
    failure = read({"content": "abc"}).failure
    assert failure is not None
    assert failure.kind is ErrorKind.TRANSIENT


def test_the_last_usage_counts() -> None:
    reader = ResponseParser(10)
    for count in (1, 2):
        reader.feed({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": count}})
    reader.feed({"choices": [], "usage": None})
    assert reader.usage == Usage(5, 2)


@pytest.mark.parametrize(
    "data",
    [
        None,
        "text",
        [],
        {"choices": 1},
        {"choices": [None]},
        {"choices": [{"delta": {"content": ["a"]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": {}}}]}}]},
        {"model": 5},
    ],
)
def test_data_that_is_no_completion_is_malformed(data: object) -> None:
    with pytest.raises(MalformedAnswer):
        ResponseParser(10).feed(data)


@pytest.mark.parametrize("again", ["def f():\n    # write it\n\n", "0, ", "\n", "ab" * 100])
def test_a_reply_that_runs_in_circles_is_given_up_long_before_it_is_full(again: str) -> None:
    reader = read(
        *({"content": again} for _ in range(10_000 // len(again))), most_characters=100_000
    )
    assert reader.is_truncated
    assert reader.failure is None


def test_arguments_of_a_call_that_run_in_circles_are_given_up_as_well() -> None:
    pieces = ({"tool_calls": [piece(0, "a", "f", "x = 1\\n")]} for _ in range(1000))
    assert read(*pieces, most_characters=100_000).is_truncated


def test_long_texts_that_resemble_themselves_are_not_taken_for_circles() -> None:
    lines = "".join(f"    assert to_roman({number}) == ROMAN[{number}]\n" for number in range(2000))
    assert not read({"content": lines}, most_characters=200_000).is_over_limit
    assert not read(
        {"content": "=" * 2000 + "\ntitle\n" + "=" * 2000}, most_characters=200_000
    ).is_over_limit
