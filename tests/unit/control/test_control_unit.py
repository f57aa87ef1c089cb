"""The control unit with scripted replies and sandboxes: its questions, refusals and ends."""

import json
from pathlib import Path

import pytest
from sandbox_scripts import FAILED, HANGING, NO_TESTS, PASSED, job
from scripted_sessions import ScriptedSessions, call, write

from l2mac.control.budget import Limits
from l2mac.control.outcome import Opinion, Status
from l2mac.domains.loader import load_domain_file
from l2mac.errors import ContextOverflow, ModelUnavailable, TraceError
from l2mac.evaluator.verdict import Verdict
from l2mac.processor.messages import Reply, Role, ToolCall, Usage
from l2mac.runs.recorded_spec import read_spec
from sandbox import SandboxDied
from sandbox.testing import ScriptedRun

PLAN = call("submit_plan", steps=["Do it."])
DONE = call("complete_instruction")
SUMMARY = Reply(content="It is done.")


@pytest.fixture
def sessions(tmp_path: Path) -> ScriptedSessions:
    return ScriptedSessions(tmp_path)


def test_a_plan_is_made_written_checked_completed_and_verified(sessions: ScriptedSessions) -> None:
    result = sessions.work([PLAN, write(), DONE, SUMMARY], [PASSED, PASSED])
    assert result.outcome.status is Status.COMPLETED
    assert set(result.files) == {"a.py"}
    assert len(sessions.script.sandboxes) == 2


def test_a_claim_is_not_accepted_while_a_check_fails(sessions: ScriptedSessions) -> None:
    replies = [PLAN, write(), DONE, write("A = 2\n"), DONE, SUMMARY]
    assert sessions.work(replies, [FAILED, PASSED, PASSED]).outcome.status is Status.COMPLETED
    refusal = sessions.processor.requests[3].messages[-2]
    assert (refusal.role, refusal.content) == (Role.TOOL, "not accepted: the checks do not pass")
    assert "assert 1 == 2" in sessions.processor.requests[3].messages[-1].content


@pytest.mark.parametrize("verdict", [FAILED, HANGING, NO_TESTS])
def test_no_verdict_but_a_pass_lets_an_instruction_be_done(
    sessions: ScriptedSessions, verdict: ScriptedRun
) -> None:
    result = sessions.work([PLAN, write(), DONE], [verdict], limits=Limits(turns=2))
    assert result.outcome.status is Status.BUDGET


def test_missing_tests_are_asked_for_by_name(sessions: ScriptedSessions) -> None:
    sessions.work([PLAN, write(), DONE], [NO_TESTS], limits=Limits(turns=2))
    assert (
        "write a test file named test_*.py" in sessions.processor.requests[-1].messages[-1].content
    )


def test_a_final_verification_that_fails_makes_the_run_fail(sessions: ScriptedSessions) -> None:
    result = sessions.work([PLAN, write(), DONE, SUMMARY], [PASSED, FAILED])
    assert result.outcome.status is Status.FAILING
    assert "in a fresh sandbox" in result.outcome.cause


def test_a_program_of_the_user_needs_no_plan_and_keeps_its_order(
    sessions: ScriptedSessions,
) -> None:
    result = sessions.work(
        [write(), DONE, SUMMARY, DONE, SUMMARY], [PASSED, PASSED], program=("one", "two")
    )
    assert result.outcome.status is Status.COMPLETED
    assert "It is done." in sessions.processor.requests[3].messages[1].content


@pytest.mark.parametrize(
    "bad",
    [
        Reply(content="I would rather talk."),
        call("submit_plan", steps=[]),
        call("submit_plan", steps=["same", "same"]),
        call("submit_plan", steps=["1", "2", "3"]),
        call("submit_plan", steps=[" "]),
        call("submit_plan"),
        Reply(
            content="",
            tool_calls=(ToolCall("x", "submit_plan", '{"steps": ["cut'),),
            truncated=True,
        ),
    ],
)
def test_an_unusable_plan_is_asked_for_again_and_five_end_the_run(
    sessions: ScriptedSessions, bad: Reply
) -> None:
    assert sessions.work([bad] * 5, steps=2).outcome.status is Status.NO_PLAN
    assert "A first plan could not be used" in sessions.last_words()


def test_exhausted_context_restarts_its_instruction_with_a_summary(
    sessions: ScriptedSessions,
) -> None:
    overflow = ContextOverflow("too long")
    replies: list[Reply | Exception] = [
        PLAN,
        write(),
        overflow,
        Reply(content="Half of it."),
        DONE,
        SUMMARY,
    ]
    result = sessions.work(replies, [PASSED, PASSED])
    assert result.outcome.status is Status.COMPLETED
    restarted = sessions.processor.requests[4].messages
    assert len(restarted) == 2
    assert "Half of it." in restarted[1].content


def test_a_server_that_never_accepts_the_messages_ends_in_a_named_budget(
    sessions: ScriptedSessions,
) -> None:
    result = sessions.work([PLAN, *[ContextOverflow("no")] * 40], limits=Limits(restarts=3))
    assert result.outcome.status is Status.BUDGET
    assert "--max-restarts" in result.outcome.cause


def test_a_window_too_small_for_the_task_is_said_so_before_any_turn(
    sessions: ScriptedSessions,
) -> None:
    result = sessions.work([PLAN], context_tokens=2100, reply_tokens=500, task="x" * 9000)
    assert "--context-tokens" in result.outcome.cause


@pytest.mark.parametrize(
    ("limits", "flag"),
    [
        (Limits(turns=3), "--max-turns"),
        (Limits(tokens=500), "--max-tokens"),
        (Limits(cost_usd=0.5), "--max-cost"),
        (Limits(time_s=1e-9), "--max-time"),
    ],
)
def test_each_budget_ends_the_run_with_its_own_cause_and_keeps_the_files(
    sessions: ScriptedSessions, limits: Limits, flag: str
) -> None:
    usage = Usage(300, 300)
    replies = [
        PLAN,
        *(
            Reply(content=str(n), tool_calls=write(f"A = {n}\n").tool_calls, usage=usage)
            for n in range(9)
        ),
    ]
    result = sessions.work(replies, [PASSED] * 9, limits=limits)
    assert result.outcome.status is Status.BUDGET
    assert flag in result.outcome.cause


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(sessions: ScriptedSessions) -> None:
    sessions.work([PLAN, write()], [FAILED], limits=Limits(turns=1))
    result = sessions.work(
        [write("A = 2\n"), DONE, SUMMARY], [PASSED, PASSED], limits=Limits(turns=9)
    )
    assert result.outcome.status is Status.COMPLETED
    assert sessions.processor.left == 0


def test_a_repeating_model_is_warmed_up_sees_its_reply_once_and_is_told(
    sessions: ScriptedSessions,
) -> None:
    sessions.work([PLAN, *[write()] * 4], [FAILED], limits=Limits(turns=4))
    temperatures = [request.temperature for request in sessions.processor.requests[1:]]
    assert temperatures == [0.01, 0.01, 0.11, 0.21]
    last = sessions.processor.requests[-1].messages
    assert sum(message.role is Role.ASSISTANT for message in last) == 1
    assert "You have given this reply before" in last[-1].content


def test_talk_without_a_tool_call_is_answered_with_a_request_to_act(
    sessions: ScriptedSessions,
) -> None:
    sessions.work([PLAN, Reply(content="I think..."), DONE, SUMMARY])
    assert "You called no tool" in sessions.processor.requests[2].messages[-1].content


def test_calls_after_an_accepted_claim_are_not_performed(sessions: ScriptedSessions) -> None:
    both = Reply(content="", tool_calls=(*DONE.tool_calls, *write().tool_calls))
    result = sessions.work([PLAN, both, SUMMARY])
    assert result.files == {}


def test_command_that_ends_its_sandbox_is_a_reply_and_keeps_the_files(
    sessions: ScriptedSessions,
) -> None:
    run = call("run_python_file", path="a.py")
    result = sessions.work(
        [PLAN, write(), run, DONE, SUMMARY], [PASSED, SandboxDied("out of memory"), PASSED]
    )
    assert result.outcome.status is Status.COMPLETED
    answer = sessions.processor.requests[3].messages[-2].content
    assert "this ended the sandbox (out of memory)" in answer
    assert [set(one.contents) for one in sessions.script.sandboxes[1:]] == [{"a.py"}, {"a.py"}]


def test_session_after_a_dead_model_repeats_the_lost_request(sessions: ScriptedSessions) -> None:
    with pytest.raises(ModelUnavailable):
        sessions.work([PLAN, write(), ModelUnavailable("down")], [PASSED])
    lost = sessions.processor.requests[-1]
    result = sessions.work([DONE, SUMMARY], [PASSED])
    assert result.outcome.status is Status.COMPLETED
    assert sessions.processor.requests[0] == lost


def test_a_run_that_is_over_is_over_again_without_model_or_checks(
    sessions: ScriptedSessions,
) -> None:
    first = sessions.work([PLAN, write(), DONE, SUMMARY], [PASSED, PASSED])
    again = sessions.work([])
    assert (again.outcome.status, again.files) == (first.outcome.status, first.files)


def test_a_record_of_another_task_does_not_fit(sessions: ScriptedSessions) -> None:
    sessions.work([PLAN, write(), DONE, SUMMARY], [PASSED, PASSED])
    with pytest.raises(TraceError, match="does not fit"):
        sessions.work([], task="Make another.")


def test_the_nth_call_of_the_model_may_fail_for_every_n(tmp_path: Path) -> None:
    replies = [PLAN, write(), DONE, SUMMARY]
    for n in range(len(replies)):
        sessions = ScriptedSessions(tmp_path / str(n))
        sessions.folder.mkdir()
        with pytest.raises(ModelUnavailable):
            sessions.work([*replies[:n], ModelUnavailable("down")], [PASSED])
        result = sessions.work(replies[n:], [PASSED, PASSED] if n < 2 else [PASSED])
        assert result.outcome.status is Status.COMPLETED
        assert set(result.files) == {"a.py"}


def prose(missing: bool) -> ScriptedRun:
    found = {
        "e": "finding",
        "rule": "missing",
        "path": "outline.md",
        "line": 3,
        "text": "chapter 1 is not written",
    }
    end = {
        "e": "end",
        "code": 0,
        "chapters": 1,
        "written": int(not missing),
        "words": 9,
        "unreported": 0,
    }
    lines = ([found] if missing else []) + [end]
    return ScriptedRun(
        jobs=(job("prose", b"".join(json.dumps(line).encode() + b"\n" for line in lines)),)
    )


BOOK_PLAN = call("submit_plan", steps=["Write the outline.", "Write the chapter."])
OUTLINE, CHAPTER = write("# T\n", "outline.md"), write("# One\n", "chapters/1.md")
MISSING, WHOLE = prose(missing=True), prose(missing=False)


def test_missing_chapters_are_due_only_in_the_last_instruction(sessions: ScriptedSessions) -> None:
    replies = [BOOK_PLAN, OUTLINE, DONE, SUMMARY, DONE, CHAPTER, DONE, SUMMARY]
    result = sessions.work(replies, [MISSING, MISSING, WHOLE, WHOLE], domain="book")
    assert result.outcome.status is Status.COMPLETED
    assert "chapter 1 is not written" in sessions.processor.requests[5].messages[-1].content


def test_a_book_of_nothing_is_not_done(sessions: ScriptedSessions) -> None:
    result = sessions.work([PLAN, DONE], [MISSING], domain="book", limits=Limits(turns=1))
    assert (result.outcome.status, result.files) == (Status.BUDGET, {})
    assert result.outcome.report.verdict is Verdict.FAILED


@pytest.mark.parametrize(("last", "status"), [(WHOLE, Status.COMPLETED), (MISSING, Status.FAILING)])
def test_an_opinion_is_kept_and_changes_no_verdict(
    sessions: ScriptedSessions, last: ScriptedRun, status: Status
) -> None:
    replies = [PLAN, CHAPTER, DONE, SUMMARY, Reply(content="All of it is wrong.")]
    result = sessions.work(replies, [WHOLE, last], domain="book", judge=True)
    assert result.outcome.status is status
    assert result.outcome.opinions == (Opinion("chapters/1.md", "All of it is wrong."),)
    assert "# One" in sessions.last_words()


def test_second_opinion_is_requested_only_with_its_switch(sessions: ScriptedSessions) -> None:
    assert (
        sessions.work(
            [PLAN, CHAPTER, DONE, SUMMARY], [WHOLE, WHOLE], domain="book"
        ).outcome.opinions
        == ()
    )


@pytest.mark.parametrize("trouble", [ModelUnavailable("gone"), ContextOverflow("too long")])
def test_an_opinion_that_cannot_be_had_ends_nothing(
    sessions: ScriptedSessions, trouble: Exception
) -> None:
    result = sessions.work(
        [PLAN, CHAPTER, DONE, SUMMARY, trouble], [WHOLE, WHOLE], domain="book", judge=True
    )
    assert result.outcome.status is Status.COMPLETED
    assert [opinion.text.startswith("(none: ") for opinion in result.outcome.opinions] == [True]


def test_a_spent_budget_ends_the_asking_for_opinions_and_not_the_run(
    sessions: ScriptedSessions,
) -> None:
    replies, runs = [PLAN, CHAPTER, DONE, SUMMARY], [WHOLE, WHOLE]
    cost = sessions.work(replies, runs, domain="book").spending.cost_usd
    (sessions.folder / "other").mkdir()
    other = ScriptedSessions(sessions.folder / "other")
    result = other.work(replies, runs, domain="book", judge=True, limits=Limits(cost_usd=cost))
    assert result.outcome.status is Status.COMPLETED
    assert "(none: " in result.outcome.opinions[0].text


def test_a_resumed_run_uses_the_domain_that_it_was_recorded_with(
    sessions: ScriptedSessions, tmp_path: Path
) -> None:
    file = tmp_path / "my.toml"
    text = 'name = "my"\nchecks = ["book"]\n[prompts]\nsystem = "The first text."\n'
    file.write_text(text)
    definition = load_domain_file(file).definition.as_text()
    sessions.work(
        [PLAN, CHAPTER], [WHOLE], domain="my", definition=definition, limits=Limits(turns=1)
    )
    file.write_text(text.replace("first", "second"))
    plan = read_spec(sessions.folder)
    assert (plan.domain, plan.definition) == ("my", definition)
    sessions.work([DONE, SUMMARY], [WHOLE], domain="my", definition=plan.definition)
    assert {request.messages[0].content for request in sessions.processor.requests} == {
        "The first text."
    }
