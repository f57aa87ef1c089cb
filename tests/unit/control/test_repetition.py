import pytest

from l2mac.control.repetition import BASE_TEMPERATURE, RepetitionDetector
from l2mac.processor.messages import Reply, ToolCall


def reply(text: str, *, id_: str = "call") -> Reply:
    return Reply(content=text, tool_calls=(ToolCall(id_, "write_files", f'{{"text": "{text}"}}'),))


def temperatures(texts: str) -> list[float]:
    detector = RepetitionDetector()
    seen = []
    for text in texts:
        detector.observe(reply(text))
        seen.append(round(detector.temperature, 3))
    return seen


def test_temperature_stays_low_without_repetition() -> None:
    assert temperatures("abcdefg") == [BASE_TEMPERATURE] * 7


def test_temperature_rises_by_a_tenth_per_repetition_up_to_one() -> None:
    assert temperatures("a" * 13) == [
        0.01,
        0.11,
        0.21,
        0.31,
        0.41,
        0.51,
        0.61,
        0.71,
        0.81,
        0.91,
        1.0,
        1.0,
        1.0,
    ]


def test_temperature_returns_to_base_after_a_different_reply() -> None:
    assert temperatures("aaaab") == [0.01, 0.11, 0.21, 0.31, 0.01]


@pytest.mark.parametrize(("texts", "repeating"), [("aa", 1), ("abab", 3), ("abcabc", 5)])
def test_repetition_with_a_period_of_one_two_or_three_is_found(texts: str, repeating: int) -> None:
    seen = temperatures(texts)
    assert [number for number, one in enumerate(seen) if one > BASE_TEMPERATURE] == [repeating]


@pytest.mark.parametrize("texts", ["abcdabcd", "aba", "abcab", "abcbacbca"])
def test_texts_without_a_short_period_are_no_repetition(texts: str) -> None:
    assert set(temperatures(texts)) == {BASE_TEMPERATURE}


def test_a_repetition_with_a_period_of_two_goes_on_rising() -> None:
    assert temperatures("ababab")[-3:] == [0.11, 0.21, 0.31]


def test_the_ids_of_calls_make_no_difference() -> None:
    detector = RepetitionDetector()
    detector.observe(reply("same", id_="call_1"))
    detector.observe(reply("same", id_="call_2"))
    assert detector.repeating


@pytest.mark.parametrize(
    "other",
    [
        Reply(content="x"),
        Reply(content="x", tool_calls=(ToolCall("1", "b", "{}"),)),
        Reply(content="x", tool_calls=(ToolCall("1", "a", "{ }"),)),
        Reply(content="y", tool_calls=(ToolCall("1", "a", "{}"),)),
        Reply(content="x", tool_calls=(ToolCall("1", "a", "{}"), ToolCall("2", "a", "{}"))),
    ],
)
def test_replies_differ_by_text_tool_name_or_argument(other: Reply) -> None:
    detector = RepetitionDetector()
    detector.observe(Reply(content="x", tool_calls=(ToolCall("1", "a", "{}"),)))
    detector.observe(other)
    assert not detector.repeating


def test_repetition_is_judged_by_the_last_reply_only() -> None:
    detector = RepetitionDetector()
    for text in "abab":
        detector.observe(reply(text))
    assert (detector.repeating, detector.repeating_last) == (True, False)
    detector.observe(reply("b"))
    assert detector.repeating_last
