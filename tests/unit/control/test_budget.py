import pytest

from l2mac.control.budget import BudgetExhausted, InstructionExhausted, Limits, Spending
from l2mac.trace.events import ModelCalled


def call(prompt: int, completion: int, cost_usd: float = 0.0) -> ModelCalled:
    return ModelCalled(
        key="",
        purpose="turn",
        message_objects=(),
        tools_object="",
        tool="",
        temperature=0,
        max_reply_tokens=0,
        reply_object="",
        prompt_tokens=prompt,
        completion_tokens=completion,
        counted=True,
        cost_usd=cost_usd,
    )


def test_budget_without_limits_is_never_exhausted() -> None:
    spending = Spending(Limits())
    spending.add(call(10**9, 10**9, 10**6))
    spending.check(elapsed_s=10**9)
    assert (spending.prompt_tokens, spending.completion_tokens, spending.cost_usd) == (
        10**9,
        10**9,
        10**6,
    )


def test_tokens_of_prompts_and_replies_count_together() -> None:
    spending = Spending(Limits(tokens=100))
    spending.add(call(60, 39))
    spending.check(0)
    spending.add(call(1, 0))
    with pytest.raises(BudgetExhausted, match=r"100 tokens are spent \(--max-tokens\)"):
        spending.check(0)


def test_cost_adds_up() -> None:
    spending = Spending(Limits(cost_usd=0.001))
    spending.add(call(0, 0, 0.0009))
    spending.check(0)
    spending.add(call(0, 0, 0.0002))
    with pytest.raises(BudgetExhausted, match=r"^0.001 USD are spent \(--max-cost\)"):
        spending.check(0)


def test_time_is_spent_when_it_is_over() -> None:
    spending = Spending(Limits(time_s=1.5))
    spending.check(1.4)
    with pytest.raises(BudgetExhausted, match=r"1.5 seconds of work are over \(--max-time\)"):
        spending.check(1.5)


def test_an_instruction_gets_exactly_its_turns() -> None:
    spending = Spending(Limits(turns=3))
    for _ in range(3):
        spending.count_turn()
        spending.check_instruction()
    spending.count_turn()
    with pytest.raises(InstructionExhausted, match=r"3 turns without being done \(--max-turns\)"):
        spending.check_instruction()


@pytest.mark.parametrize("restarts", [0, 2])
def test_an_instruction_gets_exactly_its_restarts(restarts: int) -> None:
    spending = Spending(Limits(restarts=restarts))
    for _ in range(restarts):
        spending.count_restart()
    spending.check_instruction()
    spending.count_restart()
    with pytest.raises(
        InstructionExhausted, match=rf"ran out of context {restarts + 1} times.*--max-restarts"
    ):
        spending.check_instruction()


def test_the_budget_of_an_instruction_is_none_of_the_run() -> None:
    spending = Spending(Limits(turns=1, restarts=0))
    spending.count_turn()
    spending.count_turn()
    spending.count_restart()
    spending.check(0)
    assert spending.turns == 2


def test_turns_and_restarts_count_per_instruction_and_money_per_run() -> None:
    spending = Spending(Limits(turns=1, restarts=1, tokens=10))
    spending.count_turn()
    spending.count_restart()
    spending.add(call(5, 0))
    spending.start_instruction()
    assert (spending.turns, spending.restarts, spending.prompt_tokens) == (0, 0, 5)
    spending.count_turn()
    spending.check_instruction()
    assert spending.turns == 1


def test_the_cause_is_the_message() -> None:
    spending = Spending(Limits(time_s=1))
    with pytest.raises(BudgetExhausted) as caught:
        spending.check(2)
    assert caught.value.cause == str(caught.value)
