"""The comparison methods as runs like any other, with trace, resume, replay and audit."""

import json
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TypedDict, Unpack, cast, get_args

import pytest
from click.testing import CliRunner
from feature_sessions import FeatureSessions
from run_specs import run_spec
from scripted_models.features import FeatureModel, call, run_checks, task_of

from l2mac.api import finished_run
from l2mac.cli.progress import Progress
from l2mac.cli.records import runs, show
from l2mac.cli.report import result_as_json
from l2mac.control.budget import Limits
from l2mac.control.methods.codet import best_agreement, is_test_file, with_tests
from l2mac.control.outcome import Status
from l2mac.control.run_spec import METHODS, Method, PlanningOptions
from l2mac.domains.loader import load_domain
from l2mac.errors import ContextOverflow, SettingsError, TraceError
from l2mac.processor.messages import Reply, Request, Role, ToolCall
from l2mac.processor.protocol import Watcher
from l2mac.runs.audit import audit_run
from l2mac.runs.recorded_spec import read_spec, record_spec
from l2mac.runs.replay import ReplayProcessor, recorded_limits
from l2mac.runs.wiring import choose_domain, make_plan
from l2mac.settings.settings import Settings
from l2mac.testing.processor import ScriptedProcessor
from l2mac.trace.branching import fork, rewind
from l2mac.trace.chain import read_trace
from l2mac.trace.events import (
    CandidateChosen,
    Checked,
    InstructionCompleted,
    InstructionStarted,
    PartEnded,
    PartStarted,
    PlanMade,
    SandboxOpened,
)
from l2mac.trace.history import accesses, recorded_files, steps
from l2mac.trace.journal import Journal
from l2mac.trace.objects import ObjectStore
from sandbox import FileEntry, Job
from sandbox.testing import ScriptedRun

TASK = task_of("alpha", "beta")
BASELINES = tuple(method for method in METHODS if method != "l2mac")
SLOPPY = frozenset({"beta"})
DONE = call("complete_instruction")


def write(**files: str) -> Reply:
    return call(
        "write_files",
        files=[{"path": f"{name}.py", "content": text} for name, text in files.items()],
    )


class Ablation(TypedDict, total=False):
    evaluator: bool
    task_in_context: bool
    max_replans: int


class Listening(FeatureModel):
    """A model that keeps the requests."""

    requests: list[Request]

    def complete(self, request: Request, watch: Watcher) -> Reply:
        self.requests = [*getattr(self, "requests", []), request]
        return super().complete(request, watch)

    def windows(self) -> list[str]:
        """Return the first question of each window of writing."""
        return list(
            dict.fromkeys(one.messages[1].content for one in self.requests if one.purpose == "turn")
        )


@pytest.fixture
def sessions(memory: Path) -> FeatureSessions:
    return FeatureSessions(memory / "run")


def parts(sessions: FeatureSessions) -> list[str]:
    return [note.name for note in sessions.notes(PartStarted)]


# All of them


@pytest.mark.parametrize("method", BASELINES)
def test_each_method_makes_the_task_with_the_same_tools_and_without_a_plan(
    sessions: FeatureSessions, method: Method
) -> None:
    model = Listening()
    result = sessions.work(model, task=TASK, method=method)
    assert result.outcome.status is Status.COMPLETED
    assert {f"{kind}{name}.py" for kind in ("", "test_") for name in ("alpha", "beta")} == set(
        result.files
    )
    tools = {spec.name for request in model.requests for spec in request.tools}
    assert tools == {spec.name for spec in load_domain("codebase").toolbelt.specs} | {
        "complete_instruction"
    }
    assert not sessions.notes(PlanMade)
    assert not sessions.notes(InstructionStarted)


@pytest.mark.parametrize("method", METHODS)
def test_final_verification_decides_the_outcome_of_every_method(
    sessions: FeatureSessions, method: Method
) -> None:
    def failing(jobs: tuple[Job, ...]) -> ScriptedRun:
        tests = [
            f"{path}::test_it" for job in jobs for path in job.paths if path.startswith("test_")
        ]
        return run_checks(jobs, {path.partition("::")[0][5:]: b"'WRONG'" for path in tests})

    def passing(jobs: tuple[Job, ...]) -> ScriptedRun:
        asked.append(jobs)
        return run_checks(jobs)

    def failing_last(jobs: tuple[Job, ...]) -> ScriptedRun:
        asked.append(jobs)
        return failing(jobs) if len(asked) == count else run_checks(jobs)

    asked: list[object] = []
    whole = sessions.work(FeatureModel(), task=TASK, method=method, checks=passing)
    assert whole.outcome.status is Status.COMPLETED
    count, asked = len(asked), []
    other = FeatureSessions(sessions.folder.parent / "other")
    outcome = other.work(FeatureModel(), task=TASK, method=method, checks=failing_last).outcome
    assert outcome.status is Status.FAILING
    assert "in a fresh sandbox" in outcome.cause


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_wrote_nothing_has_not_completed(
    sessions: FeatureSessions, method: Method
) -> None:
    model = FeatureModel(neglects=frozenset({"alpha", "beta"}))
    outcome = sessions.work(model, task=TASK, method=method).outcome
    assert outcome.status is Status.FAILING
    assert "no files were written" in outcome.cause


@pytest.mark.parametrize("method", BASELINES)
def test_methods_get_no_check_results_while_they_write(
    sessions: FeatureSessions, method: Method
) -> None:
    model = Listening(sloppy=SLOPPY)
    sessions.work(model, task=TASK, method=method)
    turns = [request for request in model.requests if request.purpose == "turn"]
    assert {message.role for request in turns for message in request.messages[2:]} <= {
        Role.ASSISTANT,
        Role.TOOL,
    }
    assert all(
        "nothing is checked while you work" in request.messages[0].content
        for request in model.requests
    )


@pytest.mark.parametrize("method", BASELINES)
def test_an_exhausted_budget_ends_each_and_a_larger_one_resumes(
    sessions: FeatureSessions, method: Method
) -> None:
    spent = sessions.work(FeatureModel(), task=TASK, method=method, limits=Limits(tokens=1000))
    assert spent.outcome.status is Status.BUDGET
    assert spent.outcome.cause.startswith("1000 tokens are spent (--max-tokens); by " + method)
    assert (
        sessions.work(FeatureModel(), task=TASK, method=method).outcome.status is Status.COMPLETED
    )


def test_turns_are_counted_for_each_part_of_the_work(sessions: FeatureSessions) -> None:
    assert (
        sessions.work(
            FeatureModel(), task=TASK, method="one-shot", limits=Limits(turns=2)
        ).outcome.status
        == "budget exhausted"
    )
    other = FeatureSessions(sessions.folder.parent / "other")
    assert (
        other.work(
            FeatureModel(), task=TASK, method="self-refine", limits=Limits(turns=3)
        ).outcome.status
        == "completed"
    )


# One shot


def test_one_shot_has_one_context_and_checks_nothing_before_the_end(
    sessions: FeatureSessions,
) -> None:
    model = Listening(sloppy=SLOPPY)
    outcome = sessions.work(model, task=TASK, method="one-shot").outcome
    assert len(model.windows()) == 1
    assert set(model.asked) == {"turn"}
    assert [note.final for note in sessions.notes(Checked)] == [True]
    assert outcome.status is Status.FAILING
    assert outcome.cause.endswith("by one-shot, without checks on the way")


def test_full_context_ends_the_draft_and_verifies_its_files(sessions: FeatureSessions) -> None:
    features = [f"f{number}" for number in range(20)]
    model = FeatureModel(filler=2000)
    result = sessions.work(model, task=task_of(*features), method="one-shot", context_tokens=6000)
    assert 2 <= len(result.files) < 40
    assert [note.claimed_done for note in sessions.notes(PartEnded)] == [False]
    assert result.outcome.status is Status.BUDGET
    assert result.outcome.cause.startswith(
        "the context was full before the draft was done (--context-tokens); syntax"
    )
    assert result.outcome.report.counts.passed == len(result.files) // 2


def test_a_server_that_says_that_it_does_not_fit_ends_the_draft_too(
    sessions: FeatureSessions,
) -> None:
    replies: list[Reply | Exception] = [
        write(alpha="A = 1", test_alpha="def test_it():\n    assert 1\n"),
        ContextOverflow("no"),
    ]
    outcome = sessions.work(
        ScriptedProcessor(replies), task=TASK, method="one-shot", checks=run_checks
    ).outcome
    assert outcome.status is Status.BUDGET
    assert "the context was full" in outcome.cause


def test_a_task_without_room_for_a_reply_is_a_sentence(sessions: FeatureSessions) -> None:
    outcome = sessions.work(
        FeatureModel(), task=TASK + "x" * 9000, method="one-shot", context_tokens=4000
    ).outcome
    assert outcome.status is Status.BUDGET
    assert "--context-tokens" in outcome.cause


def test_second_reply_without_a_tool_call_ends_the_draft(sessions: FeatureSessions) -> None:
    talk = Reply(content="Here it is.")
    replies = [
        talk,
        write(alpha="A = 1", test_alpha="def test_it():\n    assert 1\n"),
        talk,
        Reply(content="Done."),
    ]
    processor = ScriptedProcessor(replies)
    assert (
        sessions.work(processor, task=TASK, method="one-shot", checks=run_checks).outcome.status
        is Status.COMPLETED
    )
    assert processor.left == 0
    assert processor.requests[1].messages[-1].content.startswith("You called no tool")


def test_a_truncated_reply_does_not_end_the_draft(sessions: FeatureSessions) -> None:
    torn = Reply(
        content="", tool_calls=(ToolCall("x", "write_files", '{"files": [{"pa'),), truncated=True
    )
    replies = [
        torn,
        Reply(content="It is", truncated=True),
        Reply(content="It is", truncated=True),
        write(a="A = 1"),
        DONE,
    ]
    processor = ScriptedProcessor(replies)
    sessions.work(processor, task=TASK, method="one-shot", checks=run_checks)
    assert processor.left == 0
    assert all("cut off" in request.messages[-1].content for request in processor.requests[1:4])


# CodeT


@pytest.mark.parametrize(
    ("passed", "kept"),
    [
        ([{"a", "b"}, {"a"}, {"a"}], 0),  # 2 against 2: more tests
        ([{"a"}, {"b", "c"}, {"b", "c"}], 1),
        ([{"a", "b", "c"}, {"a"}, {"a"}], 0),
        ([{"a"}, {"a"}, {"b", "c", "d"}], 2),
        ([{"a"}, {"b"}, {"c"}], 0),
        ([set(), set(), {"a"}], 2),
        ([set(), set(), set()], 0),
    ],
)
def test_the_first_of_the_best_consensus_set_is_kept(passed: list[set[str]], kept: int) -> None:
    assert best_agreement([frozenset(tests) for tests in passed]) == kept


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("test_a.py", True),
        ("t/a_test.py", True),
        ("conftest.py", False),
        ("test_a/b.py", False),
        ("test_a.txt", False),
    ],
)
def test_files_are_tests_by_their_names_as_for_pytest(path: str, is_one: bool) -> None:
    assert is_test_file(path) is is_one


def test_generated_tests_replace_conflicting_files() -> None:
    files = [
        FileEntry(path, 1, "a")
        for path in ("a.py", "tests", "t/test_b.py", "t/test_c.py/data", "t/other")
    ]
    tests = (
        FileEntry("tests/test_a.py", 1, "b"),
        FileEntry("t/test_b.py", 1, "b"),
        FileEntry("t/test_c.py", 1, "b"),
    )
    together = with_tests(tuple(files), tests)
    assert [(entry.path, entry.digest) for entry in together] == [
        ("a.py", "a"),
        ("t/other", "a"),
        ("t/test_b.py", "b"),
        ("t/test_c.py", "b"),
        ("tests/test_a.py", "b"),
    ]


def test_a_file_where_the_tests_have_a_folder_breaks_no_run(sessions: FeatureSessions) -> None:
    files = {"tests": "no folder", "a.py": "A = 1"}
    candidate = call(
        "write_files", files=[{"path": path, "content": text} for path, text in files.items()]
    )
    test = call(
        "write_files",
        files=[{"path": "tests/test_a.py", "content": "def test_it():\n    assert 1\n"}],
    )
    replies = [Reply(content="a.py"), *[candidate, DONE] * 3, test, DONE]
    result = sessions.work(ScriptedProcessor(replies), task=TASK, method="codet", checks=run_checks)
    assert result.outcome.status is Status.COMPLETED
    assert set(result.files) == {"a.py", "tests/test_a.py"}


def test_codet_keeps_the_candidate_with_the_most_agreed_tests(sessions: FeatureSessions) -> None:
    model = Listening(sloppy=SLOPPY, sloppy_versions=frozenset({1}))
    result = sessions.work(model, task=TASK, method="codet")
    assert result.outcome.status is Status.COMPLETED
    assert sessions.notes(CandidateChosen) == [
        CandidateChosen(passed=(1, 2, 2), tests=2, chosen=2, agreeing=2)
    ]
    assert "candidate 2 of 3 kept: 2 passed the same 2 of 2 tests" in result.outcome.cause
    assert parts(sessions) == [
        "candidate 1 of 3",
        "candidate 2 of 3",
        "candidate 3 of 3",
        "the tests",
    ]


def test_candidates_and_tests_see_the_interface_and_nothing_of_each_other(
    sessions: FeatureSessions,
) -> None:
    model = Listening()
    sessions.work(model, task=TASK, method="codet")
    assert len(model.windows()) == 4
    for window in model.windows():
        assert "A file for each feature, named after it" in window
        assert "alpha.py" not in window
    assert {request.temperature for request in model.requests if request.purpose == "turn"} == {0.8}


def test_each_candidate_is_written_and_tried_in_its_own_sandbox(sessions: FeatureSessions) -> None:
    seen: list[tuple[str, ...]] = []

    def looking(jobs: tuple[Job, ...]) -> ScriptedRun:
        seen.append(tuple(path for job in jobs for path in job.paths))
        return run_checks(jobs)

    replies = [Reply(content="one.py, two.py, three.py")]
    for name in ("one", "two", "three"):
        replies += [write(**{name: "A = 1"}), DONE]
    replies += [write(test_it="def test_it():\n    assert 1\n", helper="B = 1"), DONE]
    result = sessions.work(ScriptedProcessor(replies), task=TASK, method="codet", checks=looking)
    assert seen == [
        tuple(sorted((f"{name}.py", "test_it.py"))) for name in ("one", "two", "three", "one")
    ]
    assert set(result.files) == {"one.py", "test_it.py"}
    opened = [
        entry.event
        for entry in read_trace(sessions.folder / "trace.jsonl")[0]
        if isinstance(entry.event, SandboxOpened)
    ]
    assert [sandbox.purpose for sandbox in opened] == ["work"] * (3 + 1 + 3) + ["verify"]


def test_a_candidates_own_tests_have_no_say_in_the_choice(sessions: FeatureSessions) -> None:
    own = "def test_it():\n    assert 1\n"
    replies = [Reply(content="a.py")]
    for number in (1, 2, 3):
        more = {"test_own1": own, "test_own2": own} if number == 1 else {}
        replies += [write(a=f"A = {number}", **more), DONE]
    replies += [write(test_a=own), DONE]

    def failing_first(jobs: tuple[Job, ...]) -> ScriptedRun:
        return run_checks(
            jobs,
            {
                "a.py": b"'WRONG'" if "test_own1.py" in jobs[0].paths else b"",
                "own1.py": b"",
                "own2.py": b"",
            },
        )

    sessions.work(ScriptedProcessor(replies), task=TASK, method="codet", checks=failing_first)
    assert sessions.notes(CandidateChosen) == [
        CandidateChosen(passed=(0, 1, 1), tests=1, chosen=2, agreeing=2)
    ]


def test_codet_without_tests_keeps_the_first_candidate_and_fails(sessions: FeatureSessions) -> None:
    replies = [Reply(content=""), *[write(a="A = 1"), DONE] * 3, DONE]
    outcome = sessions.work(
        ScriptedProcessor(replies), task=TASK, method="codet", checks=run_checks
    ).outcome
    assert outcome.status is Status.FAILING
    assert "there are no tests" in outcome.cause


def test_a_candidate_that_did_not_fit_into_its_context_is_not_completed(
    sessions: FeatureSessions,
) -> None:
    test = "def test_it():\n    assert 1\n"
    replies: list[Reply | Exception] = [
        Reply(content="a.py"),
        write(a="A = 1"),
        ContextOverflow("no"),
        *[write(a="A = 1"), DONE] * 2,
    ]
    outcome = sessions.work(
        ScriptedProcessor([*replies, write(test_a=test), DONE]),
        task=TASK,
        method="codet",
        checks=run_checks,
    ).outcome
    assert outcome.status is Status.BUDGET
    assert "the context was full before candidate 1 of 3 was done" in outcome.cause


# Self-Refine


def test_self_refine_applies_feedback_on_the_files_three_times(sessions: FeatureSessions) -> None:
    model = Listening(sloppy=SLOPPY)
    result = sessions.work(model, task=TASK, method="self-refine")
    assert result.outcome.status is Status.COMPLETED
    assert parts(sessions) == ["the draft", "revision 1 of 3", "revision 2 of 3", "revision 3 of 3"]
    asked = [
        request.messages[-1].content for request in model.requests if request.purpose == "feedback"
    ]
    assert len(asked) == 3
    assert "--- beta.py\nNAME = 'WRONG'" in asked[0]
    assert "2. Nothing is wrong." in model.windows()[2]
    assert [note.final for note in sessions.notes(Checked)] == [True]


def test_self_refine_fixes_nothing_that_the_model_does_not_see(sessions: FeatureSessions) -> None:
    outcome = sessions.work(
        FeatureModel(sloppy=SLOPPY, blind=True), task=TASK, method="self-refine"
    ).outcome
    assert outcome.status is Status.FAILING


def test_files_that_do_not_fit_into_a_question_are_cut_and_named(sessions: FeatureSessions) -> None:
    model = Listening(filler=14_000)
    sessions.work(model, task=TASK, method="self-refine", context_tokens=9000)
    asked = next(
        request.messages[-1].content for request in model.requests if request.purpose == "feedback"
    )
    assert "[... cut ...]" in asked
    assert "(There is no room to show test_alpha.py, test_beta.py.)" in asked
    assert "ContextOverflow" not in str(sessions.events())


# Reflexion


def test_reflexion_stops_as_soon_as_the_checks_pass(sessions: FeatureSessions) -> None:
    model = FeatureModel()
    assert sessions.work(model, task=TASK, method="reflexion").outcome.status is Status.COMPLETED
    assert set(model.asked) == {"turn"}
    assert parts(sessions) == ["the draft"]


def test_reflexion_retries_with_a_reflection_on_the_check_findings(
    sessions: FeatureSessions,
) -> None:
    model = Listening(sloppy=SLOPPY)
    outcome = sessions.work(model, task=TASK, method="reflexion").outcome
    assert outcome.status is Status.COMPLETED
    assert "1 of 3 further trials" in outcome.cause
    assert parts(sessions) == ["the draft", "further trial 1 of 3"]
    assert "1. The feature beta is wrong." in model.windows()[1]
    reflection = next(request for request in model.requests if request.purpose == "reflection")
    assert "- test_beta.py::test_it" in reflection.messages[-1].content


def test_reflexion_ends_after_three_further_trials(sessions: FeatureSessions) -> None:
    model = FeatureModel(neglects=frozenset({"alpha", "beta"}))
    sessions.work(model, task=TASK, method="reflexion")
    assert model.asked.count("reflection") == 3
    assert parts(sessions)[-1] == "further trial 3 of 3"


def test_reflexion_continues_after_a_trial_that_filled_the_context(
    sessions: FeatureSessions,
) -> None:
    model = Listening(filler=6000)
    outcome = sessions.work(
        model, task=task_of("a", "b", "c", "d"), method="reflexion", context_tokens=8000
    ).outcome
    assert outcome.status is Status.COMPLETED
    reflections = [
        request.messages[-1].content
        for request in model.requests
        if request.purpose == "reflection"
    ]
    assert "(the context was full before the attempt was done)" in reflections[0]


def test_a_trial_that_deletes_the_failing_test_has_not_passed(sessions: FeatureSessions) -> None:
    test = "def test_it():\n    assert 1\n"
    deleted = [Reply(content="Delete it."), call("delete_files", paths=["test_b.py"]), DONE]
    nothing = [Reply(content="No idea."), DONE]
    replies = [
        write(a="A = 1", test_a=test, b="B = 1", test_b=test),
        DONE,
        *deleted,
        *nothing,
        *nothing,
    ]

    def failing(jobs: tuple[Job, ...]) -> ScriptedRun:
        return run_checks(jobs, {"a.py": b"", "b.py": b"'WRONG'"})

    outcome = sessions.work(
        ScriptedProcessor(replies), task=TASK, method="reflexion", checks=failing
    ).outcome
    assert outcome.status is Status.FAILING
    assert "1 test that failed cannot be seen" in outcome.cause


# Record, resume, replay


def faulty(method: Method) -> FeatureModel:
    """Return a model that triggers every part of a method."""
    versions = frozenset({2}) if method == "codet" else frozenset({1})
    return FeatureModel(sloppy=frozenset({"alpha"}), sloppy_versions=versions)


@pytest.mark.parametrize("method", BASELINES)
def test_run_killed_after_any_trace_entry_ends_with_the_same_bytes(
    memory: Path, method: Method
) -> None:
    whole = FeatureSessions(memory / "whole")
    result = whole.work(faulty(method), task=TASK, method=method)
    lines = (whole.folder / "trace.jsonl").read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        sessions = FeatureSessions(memory / str(kept))
        shutil.copy(whole.folder / "objects.pack", sessions.folder)
        (sessions.folder / "trace.jsonl").write_bytes(b"".join(lines[:kept]))
        again = sessions.work(faulty(method), task=TASK, method=method)
        assert sessions.told() == whole.told()
        assert (again.outcome, again.files) == (result.outcome, result.files)


@pytest.mark.parametrize("method", BASELINES)
def test_a_replay_performs_the_same_again(memory: Path, method: Method) -> None:
    source, repeated = FeatureSessions(memory / "source"), FeatureSessions(memory / "repeated")
    first = source.work(faulty(method), task=TASK, method=method)
    processor = ReplayProcessor.of(source.events(), ObjectStore(source.folder / "objects.pack"))
    again = repeated.work(
        processor, task=TASK, method=method, limits=recorded_limits(source.events())
    )
    assert (again.outcome, again.files) == (first.outcome, first.files)
    assert repeated.told() == source.told()


@pytest.mark.parametrize("method", BASELINES)
def test_run_rewound_to_any_step_ends_with_the_same_files(memory: Path, method: Method) -> None:
    whole = FeatureSessions(memory / "whole")
    result = whole.work(faulty(method), task=TASK, method=method)
    found = steps(read_trace(whole.folder / "trace.jsonl")[0])
    assert {"part ended", "write_files"} <= {step.action for step in found}
    for step in found:
        sessions = FeatureSessions(
            Path(shutil.copytree(whole.folder, memory / f"back{step.number}"))
        )
        rewind(sessions.folder, step.number)
        assert sessions.work(faulty(method), task=TASK, method=method).files == result.files
        forked = FeatureSessions(memory / f"fork{step.number}")
        fork(whole.folder, step.number, forked.folder)
        assert forked.work(faulty(method), task=TASK, method=method).files == result.files


@pytest.mark.parametrize("method", BASELINES)
def test_the_trace_of_each_is_intact_and_holds_its_files(
    sessions: FeatureSessions, method: Method
) -> None:
    result = sessions.work(faulty(method), task=TASK, method=method)
    assert (audit_run(sessions.folder).verdict, audit_run(sessions.folder).findings) == (
        "intact",
        [],
    )
    assert {entry.path: entry.digest for entry in recorded_files(sessions.events())} == result.files
    assert read_spec(sessions.folder).method == method
    touched = accesses(
        read_trace(sessions.folder / "trace.jsonl")[0],
        ObjectStore(sessions.folder / "objects.pack"),
    )
    assert {access.instruction for access in touched} <= set(range(1, len(parts(sessions)) + 1))


@pytest.mark.parametrize("method", BASELINES)
def test_run_finishes_after_losing_its_sandbox_at_any_call(memory: Path, method: Method) -> None:
    for lost in range(1, 30):
        sessions = FeatureSessions(memory / str(lost))
        result = sessions.work(faulty(method), task=TASK, method=method, lost_at=(lost,))
        assert result.outcome.status in (Status.COMPLETED, Status.FAILING)
        assert {
            entry.path: entry.digest for entry in recorded_files(sessions.events())
        } == result.files
        assert audit_run(sessions.folder).verdict == "intact"


def test_run_spec_is_recorded_in_full_and_read_back(sessions: FeatureSessions) -> None:
    sessions.work(FeatureModel(), task=TASK, coverage=True)
    expected = run_spec(task=TASK, planning=PlanningOptions(coverage=True))
    assert read_spec(sessions.folder) == expected


def test_run_spec_with_an_unknown_method_is_one_sentence(sessions: FeatureSessions) -> None:
    with Journal(sessions.folder) as journal:
        journal.note(
            record_spec(
                replace(run_spec(task=TASK), method=cast("Method", "debate")), journal.objects
            )
        )
    with pytest.raises(TraceError, match="settings that this version of l2mac does not know"):
        read_spec(sessions.folder)


# Settings and domains


class Given(TypedDict, total=False):
    method: Method
    domain: str
    domain_file: Path | None
    judge: bool
    tools: str
    reflections: int
    summary: bool
    evaluator: bool
    task_in_context: bool


def settings(**given: Unpack[Given]) -> Settings:
    return Settings.model_construct(**given)


def test_the_settings_know_every_method_and_no_other() -> None:
    assert get_args(Settings.model_fields["method"].annotation) == METHODS


@pytest.mark.parametrize("method", BASELINES)
def test_a_method_without_a_program_records_no_thinking_about_one(method: Method) -> None:
    plan = make_plan(settings(method=method), "x", (), load_domain("codebase"))
    assert (plan.method, plan.planning) == (method, PlanningOptions())


@pytest.mark.parametrize(
    "given",
    [
        Given(method="reflexion", reflections=1),
        Given(method="reflexion", summary=False),
        Given(method="reflexion", evaluator=False),
        Given(method="reflexion", task_in_context=False),
    ],
)
def test_switches_of_l2mac_are_refused_with_another_method(given: Given) -> None:
    with pytest.raises(SettingsError, match="applies only to --method l2mac, not to reflexion"):
        make_plan(settings(**given), "x", (), load_domain("codebase"))


def test_a_program_is_refused_where_there_is_none() -> None:
    with pytest.raises(SettingsError, match="--program applies only to --method l2mac"):
        make_plan(settings(method="one-shot"), "x", ("one",), load_domain("codebase"))


def test_codet_is_refused_where_no_tests_are_run() -> None:
    with pytest.raises(SettingsError, match="The domain book has none"):
        choose_domain(
            settings(method="codet", domain="book", domain_file=None, judge=False, tools="")
        )
    domain = choose_domain(
        settings(method="reflexion", domain="book", domain_file=None, judge=False, tools="")
    )
    assert domain.definition.name == "book"


# For the user


@pytest.mark.parametrize("method", BASELINES)
def test_printed_results_name_the_method_and_the_missing_evaluator(
    sessions: FeatureSessions, method: Method
) -> None:
    result = sessions.work(faulty(method), task=TASK, method=method)
    shown = CliRunner().invoke(show, [str(sessions.folder)]).output
    assert f"method   {method}\n" in shown
    assert f"  done  {parts(sessions)[-1]}\n" in shown
    facts = json.loads(CliRunner().invoke(show, [str(sessions.folder), "--json"]).output)
    assert (facts["method"], facts["evaluator"], len(facts["parts"])) == (
        method,
        False,
        len(parts(sessions)),
    )
    report = json.loads(result_as_json(result, None, 0, replayed=None, difference=""))
    assert (report["method"], report["evaluator"]) == (method, False)
    assert (finished_run(result).method, finished_run(result).evaluator) == (method, False)
    assert f"by {method}" in result.outcome.cause
    listed = CliRunner().invoke(runs, ["--runs-dir", str(sessions.folder.parent)]).output
    assert f"{len(parts(sessions))}/{len(parts(sessions))} parts" in listed


def test_progress_names_the_parts_and_the_choice(sessions: FeatureSessions) -> None:
    sessions.work(faulty("codet"), task=TASK, method="codet")
    stream = StringIO()
    with Progress(stream=stream) as progress:
        for entry in read_trace(sessions.folder / "trace.jsonl")[0]:
            progress.on(entry)
    said = stream.getvalue()
    assert "candidate 2 of 3: finished, unchecked" in said
    assert "candidate 3 with the tests" in said
    assert "candidates passed 2, 1, 2 of 2 tests: candidate 1 selected" in said


# Ablations of L2MAC


def test_run_without_evaluator_is_still_verified_in_a_fresh_sandbox(
    sessions: FeatureSessions,
) -> None:
    on = FeatureSessions(sessions.folder.parent / "on")
    assert on.work(FeatureModel(sloppy=SLOPPY), task=TASK).outcome.status is Status.COMPLETED
    result = sessions.work(FeatureModel(sloppy=SLOPPY), task=TASK, evaluator=False)
    assert result.outcome.status is Status.FAILING
    assert [note.final for note in sessions.notes(Checked)] == [True]
    assert [note.checked for note in sessions.notes(InstructionCompleted)] == [False, False]
    assert {note.checked for note in on.notes(InstructionCompleted)} == {True}


def test_every_output_states_a_missing_evaluator(sessions: FeatureSessions) -> None:
    model = Listening()
    result = sessions.work(model, task=TASK, evaluator=False)
    assert result.outcome.status is Status.COMPLETED
    assert result.outcome.cause.endswith("the work was done without checks (--no-evaluator)")
    turns = [request for request in model.requests if request.purpose == "turn"]
    assert all(
        "nothing is checked while you work" in request.messages[0].content for request in turns
    )
    assert all("checks pass" not in str(request.messages[2:]) for request in model.requests)
    assert {
        spec.description
        for one in turns
        for spec in one.tools
        if spec.name == "complete_instruction"
    } == {"Say that the current instruction is done. It is accepted without any check."}
    shown = CliRunner().invoke(show, [str(sessions.folder)]).output
    assert (
        "method   l2mac without its evaluator: no checks before the final verification\n" in shown
    )
    assert (
        json.loads(result_as_json(result, None, 0, replayed=None, difference=""))["evaluator"]
        is False
    )
    stream = StringIO()
    with Progress(stream=stream) as progress:
        for entry in read_trace(sessions.folder / "trace.jsonl")[0]:
            progress.on(entry)
    assert "instruction 1 done, unchecked" in stream.getvalue()


def test_idle_model_without_evaluator_ends_at_its_budget(sessions: FeatureSessions) -> None:
    class Idle(FeatureModel):
        def _turn(self, request: Request, question: str) -> Reply:
            return call("list_files")

    model = Idle()
    result = sessions.work(
        model,
        task=TASK,
        program=("Write feature alpha.",),
        evaluator=False,
        limits=Limits(turns=5),
        max_replans=0,
    )
    assert result.outcome.status is Status.BUDGET
    assert "nothing is checked in this run" in model.questions[-2] + model.questions[-1]
    assert result.outcome.cause.endswith(
        "(--max-turns); the work was done without checks (--no-evaluator)"
    )


def test_window_without_the_task_holds_only_instruction_and_summary(
    sessions: FeatureSessions,
) -> None:
    model = Listening()
    assert sessions.work(model, task=TASK, task_in_context=False).outcome.status is Status.COMPLETED
    for request in model.requests:
        shows = "It has feature" in str(request.messages)
        assert shows is (request.purpose == "plan")
    second = model.windows()[1]
    assert "Write feature beta, with tests." in second
    assert "The files are there" in second


@pytest.mark.parametrize(
    "thinking",
    [
        Ablation(evaluator=False),
        Ablation(task_in_context=False),
        Ablation(evaluator=False, max_replans=1),
    ],
)
def test_an_ablated_run_killed_after_any_entry_lands_on_the_same_bytes(
    memory: Path, thinking: Ablation
) -> None:
    limits = Limits(turns=3)
    together, most = (2, 1) if "max_replans" in thinking else (1, 100)

    def model() -> FeatureModel:
        return FeatureModel(together=together, most=most)

    whole = FeatureSessions(memory / "whole")
    result = whole.work(model(), task=TASK, limits=limits, **thinking)
    assert result.outcome.status is Status.COMPLETED
    lines = (whole.folder / "trace.jsonl").read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        sessions = FeatureSessions(memory / str(kept))
        shutil.copy(whole.folder / "objects.pack", sessions.folder)
        (sessions.folder / "trace.jsonl").write_bytes(b"".join(lines[:kept]))
        again = sessions.work(model(), task=TASK, limits=limits, **thinking)
        assert sessions.told() == whole.told()
        assert (again.outcome, again.files) == (result.outcome, result.files)
    assert read_spec(whole.folder).planning == PlanningOptions(**thinking)
