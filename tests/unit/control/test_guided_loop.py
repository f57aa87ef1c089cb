"""Guided mode: its questions, the effects of answers, and no acceptance without checks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Unpack

import pytest
from run_specs import SpecValues, run_spec
from sandbox_scripts import FAILED, HANGING, LINT, NO_TESTS, PASSED, checked, job, report_of_tests
from scripted_sessions import ScriptedSessions, call

from l2mac.control.budget import Limits
from l2mac.control.guided.guided_answers import edited, is_a_paragraph, numbered, severity
from l2mac.control.guided.guided_planner import groups
from l2mac.control.outcome import Status
from l2mac.control.run_spec import ExecutionMode
from l2mac.errors import ContextOverflow, SettingsError
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, TestCounts, Verdict
from l2mac.processor.messages import Reply
from l2mac.runs.execute import SessionResult
from l2mac.runs.recorded_spec import read_spec
from l2mac.runs.wiring import choose_domain
from l2mac.settings.settings import Settings, load_settings
from l2mac.tools.forms import EditLines, PlannedFile
from l2mac.trace.chain import read_trace
from l2mac.trace.events import ToolRan
from sandbox.testing import ScriptedRun

DONE = call("submit_done", done=True, missing="", path="")
CODE = Reply(content="```python\nA = 1\n```")
TEST = Reply(content="```python\nfrom a import A\n\ndef test_a():\n    assert A == 1\n```")


def files(*paths: str) -> Reply:
    return call("submit_files", files=[{"path": path, "holds": f"all of {path}"} for path in paths])


def choose(path: str, wrong: str = "a number") -> Reply:
    return call("choose_file", wrong=wrong, path=path)


def edit(line: int, text: str, action: str = "replace") -> Reply:
    return call("edit_lines", action=action, line=line, last_line=line, text=text)


A_LINE = Finding("a.py:1", "is wrong")


def of_tests(**counts: int) -> CheckResult:
    return CheckResult(
        name="tests", verdict=Verdict.FAILED, summary="", counts=TestCounts(**counts)
    )


NO_EDIT = (Reply(content="I do not know."),) * 2


@pytest.fixture
def sessions(tmp_path: Path) -> ScriptedSessions:
    return ScriptedSessions(tmp_path)


def lead(
    sessions: ScriptedSessions,
    replies: Sequence[Reply | Exception],
    runs: Sequence[ScriptedRun] = (),
    *,
    limits: Limits | None = None,
    **more: Unpack[SpecValues],
) -> SessionResult:
    plan: SpecValues = {"mode": "guided", "program": ("Do it.",), **more}
    return sessions.work(replies, runs, limits=limits, **plan)


def asked(sessions: ScriptedSessions, number: int) -> str:
    return sessions.processor.requests[number].messages[-1].content


def test_files_are_named_written_one_by_one_checked_and_done(sessions: ScriptedSessions) -> None:
    result = lead(
        sessions, [files("a.py", "test_a.py"), CODE, TEST, DONE], [NO_TESTS, PASSED, PASSED]
    )
    assert result.outcome.status is Status.COMPLETED
    assert set(result.files) == {"a.py", "test_a.py"}
    assert [request.purpose for request in sessions.processor.requests] == [
        "choose",
        "turn",
        "turn",
        "choose",
    ]
    assert "all of test_a.py" in asked(sessions, 2)


def test_every_question_stands_alone_and_shows_the_files_as_they_are(
    sessions: ScriptedSessions,
) -> None:
    lead(sessions, [files("a.py", "test_a.py"), CODE, TEST, DONE], [NO_TESTS, PASSED, PASSED])
    assert all(len(request.messages) == 2 for request in sessions.processor.requests)
    assert "a.py:\n```\nA = 1\n```" in asked(sessions, 2)
    assert "Make it." in asked(sessions, 2)


def test_a_model_that_is_asked_for_a_file_is_offered_no_tools(sessions: ScriptedSessions) -> None:
    lead(sessions, [files("a.py"), CODE, DONE], [PASSED, PASSED])
    assert sessions.processor.requests[1].tools == ()


def test_findings_lead_to_the_file_that_is_chosen(sessions: ScriptedSessions) -> None:
    replies = [files("a.py"), CODE, choose("a.py", "A must be 2"), edit(1, "A = 2"), DONE]
    result = lead(sessions, replies, [FAILED, PASSED, PASSED])
    assert result.outcome.status is Status.COMPLETED
    assert "assert 1 == 2" in asked(sessions, 2)
    assert "by one change of its lines: A must be 2" in asked(sessions, 3)
    assert "1: A = 1" in asked(sessions, 3)
    assert "assert 1 == 2" in asked(sessions, 3)


def test_whole_file_is_requested_after_an_unusable_edit(sessions: ScriptedSessions) -> None:
    whole = Reply(content="```\nA = 2\n```")
    replies = [
        files("a.py"),
        CODE,
        choose("a.py", "A must be 2"),
        edit(7, "A = 2"),
        edit(1, "A = 1"),
        whole,
        DONE,
    ]
    result = lead(sessions, replies, [FAILED, PASSED, PASSED])
    assert result.outcome.status is Status.COMPLETED
    assert "there is no line 7; the file has 1 lines" in asked(sessions, 4)
    assert "Correct a.py: A must be 2" in asked(sessions, 5)


def test_a_change_that_leads_nowhere_is_followed_by_the_whole_file(
    sessions: ScriptedSessions,
) -> None:
    whole = Reply(content="```\nA = 3\n```")
    replies = [files("a.py"), CODE, choose("a.py"), edit(1, "A = 2"), choose("a.py"), whole, DONE]
    assert (
        lead(sessions, replies, [FAILED, FAILED, PASSED, PASSED]).outcome.status is Status.COMPLETED
    )


def test_a_correction_that_makes_it_worse_is_undone_and_said(sessions: ScriptedSessions) -> None:
    replies = [
        files("a.py"),
        CODE,
        choose("a.py"),
        edit(1, "A = ("),
        choose("a.py"),
        Reply(content="```\nA = 2\n```"),
        DONE,
    ]
    result = lead(sessions, replies, [FAILED, HANGING, FAILED, PASSED, PASSED])
    assert result.outcome.status is Status.COMPLETED
    assert "Your last change of a.py made it worse, so it was undone." in asked(sessions, 4)
    assert "a.py:\n```\nA = 1\n```" in asked(sessions, 4)


def test_a_correction_that_shows_more_is_no_worse() -> None:
    unread = CheckReport(
        (
            of_tests(errors=1),
            CheckResult(name="lint", verdict=Verdict.FAILED, summary="", findings=(A_LINE,)),
        )
    )
    read = CheckReport((of_tests(failed=3),))
    invalid = CheckReport(
        (CheckResult(name="syntax", verdict=Verdict.FAILED, summary="", findings=(A_LINE,)),)
    )
    hanging = CheckReport((CheckResult(name="tests", verdict=Verdict.BROKEN, summary=""),))
    worse_and_worse = [
        CheckReport(),
        CheckReport((of_tests(failed=1),)),
        read,
        unread,
        hanging,
        invalid,
    ]
    assert [severity(report) for report in worse_and_worse] == sorted(
        {severity(report) for report in worse_and_worse}
    )


@pytest.mark.parametrize("verdict", [FAILED, HANGING, NO_TESTS])
def test_completion_is_not_asked_about_while_a_check_fails(
    sessions: ScriptedSessions, verdict: ScriptedRun
) -> None:
    replies = [files("a.py"), CODE, choose("a.py"), *NO_EDIT, CODE, choose("a.py"), CODE]
    result = lead(sessions, replies, [verdict], limits=Limits(turns=3))
    assert result.outcome.status is Status.BUDGET
    assert not any("submit_done" in str(request.tools) for request in sessions.processor.requests)


def test_missing_file_is_written_next(sessions: ScriptedSessions) -> None:
    missing = call("submit_done", done=False, missing="it lacks B", path="b.py")
    replies = [files("a.py"), CODE, missing, Reply(content="```\nB = 1\n```"), DONE]
    result = lead(sessions, replies, [PASSED, PASSED, PASSED])
    assert result.outcome.status is Status.COMPLETED
    assert set(result.files) == {"a.py", "b.py"}
    assert "Write b.py now. It has to hold: it lacks B" in asked(sessions, 3)


def test_an_answer_that_says_neither_is_asked_again(sessions: ScriptedSessions) -> None:
    neither = call("submit_done", done=False, missing="", path="")
    result = lead(sessions, [files("a.py"), CODE, neither, DONE], [PASSED, PASSED])
    assert result.outcome.status is Status.COMPLETED
    assert "name it and the path" in asked(sessions, 3)


def test_a_truncated_reply_writes_nothing_and_is_asked_for_again(
    sessions: ScriptedSessions,
) -> None:
    cut = Reply(content="```python\nA = 1\n", truncated=True)
    lead(sessions, [files("a.py"), cut, CODE, DONE], [PASSED, PASSED])
    assert "was cut off" in asked(sessions, 2)
    assert sessions.processor.requests[2].temperature > sessions.processor.requests[1].temperature


def test_a_path_that_cannot_be_is_refused_by_the_store_and_said(sessions: ScriptedSessions) -> None:
    result = lead(sessions, [files("../a.py"), CODE, CODE], limits=Limits(turns=2))
    assert result.outcome.status is Status.BUDGET
    assert "refused" in asked(sessions, 2)
    assert result.files == {}


def test_repeating_model_gets_warmer_and_ends_at_its_turn_limit(sessions: ScriptedSessions) -> None:
    replies = [files("a.py"), CODE, *[choose("a.py"), *NO_EDIT, CODE, choose("a.py"), CODE] * 5]
    result = lead(sessions, replies, [FAILED] * 10, limits=Limits(turns=10))
    assert result.outcome.status is Status.BUDGET
    assert "an instruction took 10 turns without being done (--max-turns)" in result.outcome.cause
    temperatures = [request.temperature for request in sessions.processor.requests]
    assert temperatures[-1] > temperatures[3]


def test_guided_mode_rewrites_a_file_from_scratch_after_failed_edits(
    sessions: ScriptedSessions,
) -> None:
    replies = [files("a.py"), CODE, *[choose("a.py"), *NO_EDIT, CODE, choose("a.py"), CODE] * 3]
    lead(sessions, replies, [FAILED] * 10, limits=Limits(turns=7))
    anew = [
        request
        for request in sessions.processor.requests
        if "did not help" in request.messages[-1].content
    ]
    assert anew
    assert "A = 1" not in anew[0].messages[-1].content


def test_the_next_file_is_written_after_two_corrections_in_vain(sessions: ScriptedSessions) -> None:
    replies = [
        files("a.py", "b.py"),
        CODE,
        choose("a.py"),
        *NO_EDIT,
        CODE,
        choose("a.py"),
        CODE,
        CODE,
    ]
    lead(sessions, replies, [FAILED], limits=Limits(turns=4))
    assert "Write b.py now" in sessions.last_words()


def test_a_prompt_that_does_not_fit_is_a_turn_without_result(sessions: ScriptedSessions) -> None:
    result = lead(
        sessions, [files("a.py"), ContextOverflow("too long"), CODE, DONE], [PASSED, PASSED]
    )
    assert result.outcome.status is Status.COMPLETED


def test_instruction_without_a_file_list_begins_with_the_check_findings(
    sessions: ScriptedSessions,
) -> None:
    nothing = Reply(content="I do not know.")
    replies = [nothing, nothing, choose("a.py"), CODE, DONE]
    assert lead(sessions, replies, [PASSED, PASSED]).outcome.status is Status.COMPLETED


def test_the_plan_in_guided_mode_is_the_files_of_the_model(sessions: ScriptedSessions) -> None:
    plan = files("a.py", "test_a.py")
    result = lead(sessions, [plan, CODE, TEST, DONE], [NO_TESTS, PASSED, PASSED], program=())
    assert result.outcome.status is Status.COMPLETED
    assert "- a.py: all of a.py\n- test_a.py: all of test_a.py" in asked(sessions, 1)


def test_task_is_the_only_instruction_without_a_usable_plan(sessions: ScriptedSessions) -> None:
    twice = files("a.py", "a.py")
    replies = [twice, twice, files("a.py"), CODE, DONE]
    assert lead(sessions, replies, [PASSED, PASSED], program=()).outcome.status is Status.COMPLETED
    assert "You are at step 1 of 1:\n\nMake it." in asked(sessions, 3)


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (4, [4]), (5, [2, 3]), (9, [3, 3, 3])])
def test_files_are_grouped_evenly(count: int, sizes: list[int]) -> None:
    planned = tuple(PlannedFile(path=f"{number}.py", holds="x") for number in range(count))
    grouped = groups(planned)
    assert [len(group) for group in grouped] == sizes
    assert sum(grouped, ()) == planned


def test_aborted_instruction_resumes_without_repeating_questions(
    sessions: ScriptedSessions, tmp_path: Path
) -> None:
    replies = [files("a.py", "test_a.py"), CODE]
    with pytest.raises(AssertionError, match="one more was asked for"):
        lead(sessions, replies, [NO_TESTS])
    again = sessions.work([TEST, DONE], [PASSED, PASSED], mode="guided", program=("Do it.",))
    assert again.outcome.status is Status.COMPLETED
    assert len(sessions.processor.requests) == 2


@pytest.mark.parametrize(
    ("mode", "protocol", "guided"),
    [
        ("auto", "json", True),
        ("auto", "native", False),
        ("auto", "", False),
        ("guided", "native", True),
        ("agentic", "json", False),
    ],
)
def test_auto_mode_guides_models_that_call_tools_by_json(
    mode: ExecutionMode, protocol: str, guided: bool
) -> None:
    assert run_spec(mode=mode).is_guided(protocol) is guided


def test_guided_mode_is_recorded(sessions: ScriptedSessions) -> None:
    lead(sessions, [files("a.py"), CODE, DONE], [PASSED, PASSED])
    assert read_spec(sessions.folder).mode == "guided"


def test_the_report_of_a_guided_run_names_the_tests(sessions: ScriptedSessions) -> None:
    result = lead(sessions, [files("a.py"), CODE, DONE], [PASSED, checked("failed")])
    assert result.outcome.status is Status.FAILING
    assert json.loads((sessions.folder / "report.json").read_text())


def linted(path: str, line: int, text: str) -> ScriptedRun:
    message = {
        "e": "message",
        "path": path,
        "line": line,
        "code": "E1",
        "symbol": "s",
        "text": "x",
        "hint": text,
    }
    lint = json.dumps(message).encode() + b"\n" + LINT
    return ScriptedRun(jobs=(job("lint", lint), job("tests", report_of_tests("failed", 1), code=1)))


def test_a_finding_that_names_its_file_leads_there_without_a_question(
    sessions: ScriptedSessions,
) -> None:
    replies = [files("a.py"), CODE, edit(1, "import math", "insert_before"), DONE]
    wrong = linted("a.py", 3, "insert before line 1: import math")
    result = lead(sessions, replies, [wrong, PASSED, PASSED])
    assert result.outcome.status is Status.COMPLETED
    assert "by one change of its lines: E1 s: x; insert before line 1: import math" in asked(
        sessions, 2
    )
    tools = [
        event
        for event in read_trace(sessions.folder / "trace.jsonl")[0]
        if isinstance(event.event, ToolRan)
    ]
    assert len(tools) == 2


def test_a_finding_that_leads_nowhere_is_left_to_the_model(sessions: ScriptedSessions) -> None:
    replies = [
        files("a.py"),
        CODE,
        *NO_EDIT,
        CODE,
        CODE,
        choose("b.py"),
        Reply(content="```\nB = 2\n```"),
        DONE,
    ]
    wrong = linted("a.py", 3, "no name B in module b")
    assert lead(sessions, replies, [wrong, PASSED, PASSED]).outcome.status is Status.COMPLETED


def prose(*missing: str) -> ScriptedRun:
    found = [
        {"e": "finding", "rule": "missing", "path": path, "line": 0, "text": "is not written yet"}
        for path in missing
    ]
    end = {
        "e": "end",
        "code": 0,
        "chapters": 1,
        "written": 1 - len(missing),
        "words": 10,
        "unreported": 0,
    }
    return ScriptedRun(
        jobs=(job("prose", b"".join(json.dumps(line).encode() + b"\n" for line in (*found, end))),)
    )


def test_later_chapters_are_not_missing_while_files_remain_to_write(
    sessions: ScriptedSessions,
) -> None:
    outline, chapter = (
        Reply(content="# Bread\n\n## Chapter 1: Flour\n"),
        Reply(content="# Chapter 1: Flour\n\nText."),
    )
    replies = [files("outline.md", "chapters/01-flour.md"), outline, chapter, DONE]
    result = lead(
        sessions, replies, [prose("chapters/01-flour.md"), prose(), prose()], domain="book"
    )
    assert result.outcome.status is Status.COMPLETED
    assert "Write chapters/01-flour.md now" in asked(sessions, 2)
    assert "not written yet" not in asked(sessions, 2)


def test_a_chapter_that_is_missing_in_the_end_is_asked_for(sessions: ScriptedSessions) -> None:
    outline, chapter = (
        Reply(content="# Bread\n\n## Chapter 1: Flour\n"),
        Reply(content="# Chapter 1: Flour\n\nText."),
    )
    replies = [files("outline.md"), outline, chapter, DONE]
    result = lead(
        sessions, replies, [prose("chapters/01-flour.md"), prose(), prose()], domain="book"
    )
    assert result.outcome.status is Status.COMPLETED
    assert "chapters/01-flour.md: is not written yet" in asked(sessions, 2)


TEXT = "one\ntwo\nthree\n"
Action = Literal["insert_before", "replace", "delete"]


@pytest.mark.parametrize(
    ("action", "line", "last", "text", "after"),
    [
        ("insert_before", 1, 1, "zero", "zero\none\ntwo\nthree\n"),
        ("insert_before", 4, 4, "four\n", "one\ntwo\nthree\nfour\n"),
        ("replace", 2, 2, "2a\n2b", "one\n2a\n2b\nthree\n"),
        ("replace", 2, 99, "rest", "one\nrest\n"),
        ("replace", 2, 0, "2", "one\n2\nthree\n"),
        ("delete", 1, 2, "", "three\n"),
    ],
)
def test_line_edits_insert_replace_and_delete(
    action: Action, line: int, last: int, text: str, after: str
) -> None:
    assert edited(TEXT, EditLines(action=action, line=line, last_line=last, text=text)) == after


@pytest.mark.parametrize(
    ("action", "line", "text"),
    [("replace", 4, "x"), ("insert_before", 5, "x"), ("delete", 9, ""), ("replace", 2, "two")],
)
def test_a_change_of_lines_that_are_not_there_or_of_nothing_is_refused(
    action: Action, line: int, text: str
) -> None:
    with pytest.raises(ValueError, match=r"there is no line|as it is"):
        edited(TEXT, EditLines(action=action, line=line, last_line=line, text=text))


def test_a_change_that_drops_the_indentation_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="line 2 begins with spaces, and the new text does not"):
        edited(
            "def f():\n    return 1\n",
            EditLines(action="replace", line=2, last_line=2, text="return 2"),
        )
    indented = EditLines(action="replace", line=2, last_line=2, text="    return 2")
    assert edited("def f():\n    return 1\n", indented) == "def f():\n    return 2\n"


@pytest.mark.parametrize(
    ("text", "where", "paragraph"),
    [
        ("short\nlines\n", "a.md:1", False),
        (f"# Title\n{'word ' * 60}\n", "a.md:1", False),
        (f"# Title\n{'word ' * 60}\n", "a.md:2", True),
        (f"# Title\n{'word ' * 60}\n", "a.md", True),
        (f"# Title\n{'word ' * 60}\n", "b.md:1", True),
    ],
)
def test_a_heading_is_changed_by_its_line_and_a_paragraph_is_not(
    text: str, where: str, paragraph: bool
) -> None:
    failed = CheckResult(
        name="text", verdict=Verdict.FAILED, summary="x", findings=(Finding(where, "wrong"),)
    )
    assert is_a_paragraph(text, CheckReport((failed,)), "a.md") is paragraph


def test_lines_are_numbered_as_changes_count_them() -> None:
    assert numbered(TEXT) == "1: one\n2: two\n3: three"


def test_missing_part_of_an_existing_file_becomes_a_line_edit(sessions: ScriptedSessions) -> None:
    missing = call("submit_done", done=False, missing="it lacks B", path="a.py")
    replies = [files("a.py"), CODE, missing, edit(2, "B = 1", "insert_before"), DONE]
    result = lead(sessions, replies, [PASSED, PASSED, PASSED])
    assert result.outcome.status is Status.COMPLETED
    assert "by one change of its lines: it lacks B" in asked(sessions, 3)


def test_a_task_that_leaves_no_room_ends_the_run_and_says_so(sessions: ScriptedSessions) -> None:
    result = lead(sessions, [], task="word " * 5000, context_tokens=4096)
    assert result.outcome.status is Status.BUDGET
    assert "(--context-tokens)" in result.outcome.cause
    assert sessions.processor.requests == []


def test_files_that_find_no_room_are_named(sessions: ScriptedSessions) -> None:
    large = Reply(content=f"```\n{'A = 1' * 3000}\n```")
    lead(
        sessions,
        [files("a.py", "b.py"), large, CODE, DONE],
        [PASSED] * 3,
        context_tokens=6000,
        reply_tokens=1500,
    )
    assert "(not shown, for want of room: a.py)" in asked(sessions, 2)


def test_packages_that_may_be_named_are_spoken_of_in_every_question(
    sessions: ScriptedSessions,
) -> None:
    lead(sessions, [files("a.py"), CODE, DONE], [PASSED, PASSED], dependencies="resolve")
    assert all(
        "requirements.txt" in request.messages[0].content for request in sessions.processor.requests
    )


def test_guided_mode_needs_the_tool_that_writes_files(tmp_path: Path) -> None:
    def settings(**flags: str) -> Settings:
        return load_settings(flags, project=tmp_path / "none.toml", user=tmp_path / "none.toml")

    with pytest.raises(SettingsError, match="--mode guided requires the tool write_files"):
        choose_domain(settings(mode="guided", tools="edit_file"))
    assert choose_domain(settings(mode="auto", tools="edit_file")).name == "codebase"


def test_prose_is_asked_for_as_a_whole_and_warm(sessions: ScriptedSessions) -> None:
    outline, chapter = (
        Reply(content="# Bread\n\n## Chapter 1: Flour\n"),
        Reply(content=f"# Flour\n\n{'word ' * 60}"),
    )
    replies = [
        files("outline.md", "chapters/01-flour.md"),
        outline,
        chapter,
        Reply(content="# Flour\n\nText."),
        DONE,
    ]
    wrong = prose("chapters/01-flour.md")
    assert (
        lead(sessions, replies, [prose(), wrong, prose(), prose()], domain="book").outcome.status
        is Status.COMPLETED
    )
    assert "Reply with the whole corrected text of chapters/01-flour.md" in asked(sessions, 3)
    assert sessions.processor.requests[3].temperature == 0.5
