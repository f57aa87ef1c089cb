"""The judge of features: what it says is a claim, and what it names has to be there."""

import json

import pytest

from l2mac.bench.judge import FeatureJudge, FeatureRow, JudgedProgram
from l2mac.control.effects import Prices
from l2mac.errors import ContextOverflow, ModelUnavailable
from l2mac.processor.messages import Reply, ToolCall, Usage
from l2mac.testing.processor import ScriptedProcessor

FEATURES = ("It adds.", "It subtracts.")
PROGRAM = JudgedProgram(
    texts={
        "calc.py": "def add(a, b):\n    return a + b\n",
        "README.md": "Everything is done.\n",
        "test_calc.py": "x\n",
    },
    evidence=frozenset({"calc.py"}),
    passed=frozenset({"test_calc.py::test_add"}),
)


def reply(
    *claims: tuple[int, list[str], list[str]], truncated: bool = False, model: str = ""
) -> Reply:
    evidence = [
        {"requirement": number, "files": files, "tests": tests} for number, files, tests in claims
    ]
    call = ToolCall("1", "submit_evidence", json.dumps({"evidence": evidence}))
    return Reply(
        content="", tool_calls=(call,), usage=Usage(1000, 100), truncated=truncated, model=model
    )


def judge(
    *replies: Reply | Exception, context_tokens: int = 8192
) -> tuple[FeatureJudge, ScriptedProcessor]:
    processor = ScriptedProcessor(replies)
    prices = Prices(prompt_usd=2.0, completion_usd=8.0)
    return FeatureJudge(
        processor, context_tokens=context_tokens, prices=prices, prepare=lambda: None
    ), processor


def test_claim_counts_when_its_file_and_test_exist() -> None:
    one, processor = judge(reply((1, ["calc.py"], ["test_calc.py::test_add"]), (2, [], [])))
    found = one.judge(FEATURES, PROGRAM)
    assert found.rows[0] == FeatureRow(
        feature="It adds.", claimed=True, files=("calc.py",), tests=("test_calc.py::test_add",)
    )
    assert not found.rows[1].claimed
    assert (found.prompt_tokens, found.completion_tokens, found.cost_usd) == (1000, 100, 0.0028)
    (request,) = processor.requests
    assert (request.temperature, request.purpose, request.tool) == (0.0, "judge", "submit_evidence")


@pytest.mark.parametrize(
    "claim",
    [
        (1, ["made_up.py"], ["test_calc.py::test_add"]),
        (1, ["README.md"], []),
        (1, ["test_calc.py"], ["test_calc.py::test_add"]),
        (1, ["calc.py "], []),
        (1, [], ["test_calc.py::test_add"]),
        (7, ["calc.py"], []),
        (0, ["calc.py"], []),
    ],
)
def test_claims_without_existing_evidence_give_no_feature(
    claim: tuple[int, list[str], list[str]],
) -> None:
    one, _ = judge(reply(claim))
    found = one.judge(FEATURES, PROGRAM)
    assert [row.claimed for row in found.rows] == [False, False]
    assert [row.tests for row in found.rows] == [(), ()]


def test_claimed_names_that_do_not_exist_are_kept_as_refused() -> None:
    one, _ = judge(reply((1, ["calc.py", "made_up.py"], ["test_calc.py::test_other"])))
    row = one.judge(FEATURES, PROGRAM).rows[0]
    assert (row.files, row.tests, row.refused) == (
        ("calc.py",),
        (),
        ("made_up.py", "test_calc.py::test_other"),
    )


def test_program_without_code_has_no_feature_and_costs_no_request() -> None:
    one, processor = judge()
    empty = JudgedProgram(
        texts={"README.md": "All done."}, evidence=frozenset(), passed=frozenset()
    )
    assert [row.claimed for row in one.judge(FEATURES, empty).rows] == [False, False]
    assert processor.requests == []


def test_unusable_answers_are_retried_and_then_give_no_number() -> None:
    one, processor = judge(Reply(content="All of them!"), Reply(content="FEATURES_FUNCTIONAL=2"))
    found = one.judge(FEATURES, PROGRAM)
    assert found.rows == ()
    assert "no usable answer" in found.problem
    assert "submit_evidence was not called" in processor.requests[1].messages[-1].content


def test_a_page_that_does_not_fit_gives_no_number_instead_of_a_low_one() -> None:
    one, _ = judge(ContextOverflow("too long"))
    assert one.judge(FEATURES, PROGRAM).rows == ()


def test_files_count_as_evidence_only_in_the_part_that_shows_them() -> None:
    texts = {f"part{number}.py": f"VALUE = {number}\n" * 400 for number in range(4)}
    program = JudgedProgram(texts=texts, evidence=frozenset(texts), passed=frozenset())
    answers = [reply((1, ["part3.py"], [])) for _ in range(12)]
    one, processor = judge(*answers, context_tokens=3000)
    found = one.judge(("There is a value.",), program)
    assert len(processor.requests) > 2
    assert found.rows[0].claimed
    assert found.problem == ""
    one, processor = judge(
        reply((1, ["part3.py"], [])), *[reply() for _ in range(11)], context_tokens=3000
    )
    assert not one.judge(("There is a value.",), program).rows[0].claimed


def test_a_part_that_was_not_judged_is_said() -> None:
    texts = {f"part{number}.py": f"VALUE = {number}\n" * 400 for number in range(4)}
    program = JudgedProgram(texts=texts, evidence=frozenset(texts), passed=frozenset())
    answers = [
        reply((1, ["part0.py"], [])),
        Reply(content="?"),
        Reply(content="?"),
        *[reply() for _ in range(9)],
    ]
    one, _ = judge(*answers, context_tokens=3000)
    found = one.judge(("There is a value.",), program)
    assert found.rows[0].claimed
    assert "has not seen" in found.problem


def test_a_judge_that_does_not_answer_is_a_fault_of_the_world() -> None:
    one, _ = judge(ModelUnavailable("down"))
    with pytest.raises(ModelUnavailable):
        one.judge(FEATURES, PROGRAM)
