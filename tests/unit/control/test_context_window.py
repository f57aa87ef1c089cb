import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.control.context_window import ContextWindow
from l2mac.processor.messages import Message, Role, ToolCall, ToolSpec
from l2mac.processor.token_estimate import TokenEstimator

SYSTEM = Message(Role.SYSTEM, "be good")
TASK = Message(Role.USER, "do it")
TOOL = ToolSpec("write_files", "Write files.", {"type": "object"})
TURN = (
    Message(
        Role.ASSISTANT, "", (ToolCall("1", "write_files", "{}"), ToolCall("2", "write_files", "{}"))
    ),
    Message(Role.TOOL, "done", tool_call_id="1"),
    Message(Role.TOOL, "done", tool_call_id="2"),
    Message(Role.USER, "go on"),
)


def window(tokens: int, *, reply: int = 0, tools: tuple[ToolSpec, ...] = ()) -> ContextWindow:
    return ContextWindow(
        (SYSTEM, TASK), tools, context_tokens=tokens, reply_tokens=reply, estimator=TokenEstimator()
    )


def measured(estimator: TokenEstimator, factor: float) -> int:
    """Return a server's count of tokens: `factor` times the estimate before learning."""
    return round(TokenEstimator().estimate((SYSTEM, TASK)) * factor)


def test_messages_come_in_order_behind_the_head() -> None:
    context = window(10_000)
    context.add(TURN)
    context.add((Message(Role.USER, "last"),))
    assert context.messages == (SYSTEM, TASK, *TURN, Message(Role.USER, "last"))


def test_context_has_room_up_to_the_window_less_the_reply() -> None:
    used = window(10_000).used_tokens
    assert window(used + 100, reply=100).has_room()
    assert not window(used + 99, reply=100).has_room()


def test_a_question_has_to_fit_as_well() -> None:
    question = Message(Role.USER, "x" * 1000)
    context = window(window(10_000).used_tokens + 50)
    assert context.has_room()
    assert not context.has_room((question,))


def test_tools_take_room_too() -> None:
    assert window(10_000, tools=(TOOL,)).used_tokens > window(10_000).used_tokens


def test_calls_take_room_too() -> None:
    long = Message(Role.ASSISTANT, "", (ToolCall("1", "write_files", "x" * 3200),))
    assert TokenEstimator().estimate((long,)) > 1000


def test_turns_are_dropped_whole_and_oldest_first() -> None:
    context = window(10_000)
    context.add(TURN)
    context.add((Message(Role.USER, "newer"),))
    assert context.drop_oldest()
    assert context.messages == (SYSTEM, TASK, Message(Role.USER, "newer"))


def test_the_head_is_never_dropped() -> None:
    context = window(10_000)
    context.add(TURN)
    assert [context.drop_oldest(), context.drop_oldest()] == [True, False]
    assert context.messages == (SYSTEM, TASK)


def test_the_newest_turn_can_be_replaced_by_the_one_that_repeats_it() -> None:
    context = window(10_000)
    context.add(TURN)
    context.add((Message(Role.USER, "first"),))
    context.replace_newest((Message(Role.USER, "again"),))
    assert context.messages == (SYSTEM, TASK, *TURN, Message(Role.USER, "again"))


def test_replacing_the_newest_turn_of_an_empty_window_adds_it() -> None:
    context = window(10_000)
    context.replace_newest(TURN)
    assert context.messages == (SYSTEM, TASK, *TURN)


def test_a_higher_count_is_believed_at_once() -> None:
    estimator = TokenEstimator()
    estimator.learn((SYSTEM, TASK), (), measured(estimator, 2))
    assert estimator.estimate((SYSTEM, TASK)) >= measured(estimator, 2)


def test_a_lower_count_is_approached_slowly_and_reached_in_the_end() -> None:
    estimator = TokenEstimator()
    estimator.learn((SYSTEM, TASK), (), measured(estimator, 0.5))
    assert 0.8 < estimator.ratio < 1
    for _ in range(50):
        estimator.learn((SYSTEM, TASK), (), measured(estimator, 0.5))
    assert estimator.ratio == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("count", [-5, 0, 1, 10**9])
def test_an_absurd_count_teaches_nothing(count: int) -> None:
    estimator = TokenEstimator(ratio=1.3)
    estimator.learn((SYSTEM, TASK) * 10, (), count)
    assert estimator.ratio == 1.3


def test_an_overflow_makes_the_estimate_more_careful_within_bounds() -> None:
    estimator = TokenEstimator()
    estimator.grow()
    assert estimator.ratio == 1.25
    for _ in range(100):
        estimator.grow()
    assert estimator.ratio == 4.0


@given(counts=st.lists(st.integers(-10, 10**7)))
def test_token_ratio_stays_plausible_for_any_server_count(counts: list[int]) -> None:
    estimator = TokenEstimator()
    for count in counts:
        estimator.learn((SYSTEM, TASK), (TOOL,), count)
    assert 0.2 <= estimator.ratio <= 4


@given(texts=st.lists(st.text(max_size=50), max_size=8), more=st.text(max_size=50))
def test_more_text_is_never_estimated_to_be_less(texts: list[str], more: str) -> None:
    estimator = TokenEstimator()
    messages = [Message(Role.USER, text) for text in texts]
    assert (
        estimator.estimate([*messages, Message(Role.USER, more)]) > estimator.estimate(messages) > 0
    )
