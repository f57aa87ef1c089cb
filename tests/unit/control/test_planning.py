"""Planning: reflection, coverage, replanning, and the final comparison with the task."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict, Unpack

import pytest
from click.testing import CliRunner
from feature_sessions import FeatureSessions
from scripted_models.features import FeatureModel, call, run_checks, task_of
from source_tree import ROOT

from l2mac.cli.exit_codes import BY_STATUS, REQUIREMENTS_UNVERIFIED
from l2mac.cli.records import show
from l2mac.cli.report import result_as_json
from l2mac.control.budget import Limits
from l2mac.control.outcome import CLAIM, RequirementRow, Status
from l2mac.control.run_spec import PlanningOptions
from l2mac.domains.loader import load_domain
from l2mac.processor.messages import Reply, Request, ToolCall
from l2mac.runs.recorded_spec import read_spec
from l2mac.runs.replay import ReplayProcessor, recorded_limits
from l2mac.runs.wiring import make_plan
from l2mac.settings.settings import Settings
from l2mac.trace.events import (
    CoverageClaimed,
    InstructionAborted,
    InstructionsAdded,
    InstructionStarted,
    PlanMade,
    PlanRevised,
    Replanned,
    RequirementsListed,
    RequirementsVerified,
    StoreRestored,
)
from l2mac.trace.history import recorded_files
from l2mac.trace.objects import ObjectStore
from sandbox import Job
from sandbox.testing import ScriptedRun, job_result

TASK = task_of("alpha", "beta", "gamma", "delta")


class Thinking(TypedDict):
    reflections: int
    coverage: bool
    max_replans: int
    requirements: bool
    requirement_rounds: int


class Faults(TypedDict, total=False):
    together: int
    most: int
    forgets: frozenset[str]
    neglects: frozenset[str]
    filler: int
    fails_later: bool


EVERYTHING = Thinking(
    reflections=1, coverage=True, max_replans=3, requirements=True, requirement_rounds=1
)
THOUGHTS = {
    PlanRevised,
    RequirementsListed,
    CoverageClaimed,
    PlanMade,
    InstructionAborted,
    Replanned,
    RequirementsVerified,
    InstructionsAdded,
}
CUT_OFF = '{"steps": ["cut'


def faulty() -> FeatureModel:
    """Return a model that triggers every kind of planning."""
    return FeatureModel(
        together=3, most=2, forgets=frozenset({"beta"}), neglects=frozenset({"gamma"})
    )


def saying(
    tool: str, *replies: Reply | Callable[[str], Reply], **faults: Unpack[Faults]
) -> FeatureModel:
    """Return a model with replies of its own to one form; the last reply repeats."""
    left = list(replies)

    def answer(question: str) -> Reply:
        reply = left.pop(0) if len(left) > 1 else left[0]
        return reply if isinstance(reply, Reply) else reply(question)

    return FeatureModel(forms={tool: answer}, **faults)


def broken(tool: str) -> list[Reply]:
    """Return replies that do not answer any form."""
    torn = Reply(content="", tool_calls=(ToolCall("x", tool, CUT_OFF),), truncated=True)
    return [
        Reply(content="Let me think about it."),
        torn,
        call(tool),
        call(tool, steps="one", requirements="one", coverage="one", evidence="one"),
        Reply(content="", tool_calls=(ToolCall("x", "write_files", "{}"),)),
        Reply(content="", tool_calls=(ToolCall("x", tool, "[" * 100_000),)),
        Reply(content="", tool_calls=(ToolCall("x", tool, '{"steps": ["\\ud800"]}'),)),
    ]


BROKEN = range(len(broken("")))


@pytest.fixture
def sessions(memory: Path) -> FeatureSessions:
    return FeatureSessions(memory / "run")


def test_run_without_thinking_requests_only_plan_turns_and_summaries(
    sessions: FeatureSessions,
) -> None:
    model = FeatureModel()
    assert sessions.work(model, task=TASK).outcome.status is Status.COMPLETED
    assert set(model.asked) == {"submit_plan", "turn", "summary"}


def test_planning_options_of_a_run_are_read_back_by_a_later_session(
    sessions: FeatureSessions,
) -> None:
    sessions.work(FeatureModel(), task=TASK, **EVERYTHING)
    assert read_spec(sessions.folder).planning == PlanningOptions(**EVERYTHING)


# Reflection


def test_each_reflection_shows_task_and_plan_and_may_give_a_better_one(
    sessions: FeatureSessions,
) -> None:
    model = FeatureModel(forgets=frozenset({"beta"}))
    sessions.work(model, task=TASK, reflections=2)
    assert model.asked[:4] == ["submit_plan"] * 3 + ["turn"]
    assert "Write feature alpha" in model.questions[1]
    assert TASK in model.questions[1]
    assert [(note.reason, note.round, note.problem) for note in sessions.notes(PlanRevised)] == [
        ("reflection", 1, ""),
        ("reflection", 2, ""),
    ]
    assert any("beta" in text for text in sessions.program())


@pytest.mark.parametrize("kind", BROKEN)
def test_an_unusable_reflection_keeps_the_plan_and_is_bounded(
    sessions: FeatureSessions, kind: int
) -> None:
    good = call("submit_plan", steps=["Write feature alpha."])
    model = saying("submit_plan", good, broken("submit_plan")[kind])
    assert sessions.work(model, task=TASK, reflections=1).outcome.status is Status.COMPLETED
    assert sessions.program() == ["Write feature alpha."]
    assert model.asked.count("submit_plan") == 3
    assert "no usable answer in 2 attempts" in sessions.notes(PlanRevised)[0].problem


@pytest.mark.parametrize(
    "steps", [[], ["same", "same"], [f"step {n}" for n in range(10_000)], [""], [" ", "x"]]
)
def test_a_plan_of_no_or_ten_thousand_or_equal_or_empty_steps_is_no_plan(
    sessions: FeatureSessions, steps: list[str]
) -> None:
    model = saying("submit_plan", call("submit_plan", steps=steps))
    assert sessions.work(model, task=TASK, **EVERYTHING).outcome.status is Status.NO_PLAN
    assert model.asked == ["submit_plan"] * 5


def test_a_plan_in_another_language_is_a_plan(sessions: FeatureSessions) -> None:
    steps = ["実装する: feature alpha、テストも。", "Пиши feature beta."]
    model = saying("submit_plan", call("submit_plan", steps=steps))
    assert sessions.work(model, task=TASK).outcome.status is Status.COMPLETED
    assert sessions.program() == steps


# Coverage


def test_uncovered_requirements_are_fed_back_to_the_planner(sessions: FeatureSessions) -> None:
    model = FeatureModel(forgets=frozenset({"beta"}))
    sessions.work(model, task=TASK, coverage=True)
    assert [note.steps for note in sessions.notes(CoverageClaimed)] == [
        ((1,), (), (2,), (3,)),
        ((1,), (2,), (3,), (4,)),
    ]
    feedback = next(text for text in model.questions if "No step of this plan" in text)
    assert "- It has feature beta.\n" in feedback
    assert "- It has feature alpha." not in feedback
    assert len(sessions.program()) == 4


def test_a_plan_that_covers_everything_costs_two_calls(sessions: FeatureSessions) -> None:
    model = FeatureModel()
    sessions.work(model, task=TASK, coverage=True)
    assert model.asked[:4] == ["submit_plan", "submit_requirements", "submit_coverage", "turn"]


def test_incomplete_coverage_ends_after_two_rounds_with_the_best_plan(
    sessions: FeatureSessions,
) -> None:
    plans = [
        call("submit_plan", steps=["Write feature alpha."]),
        call("submit_plan", steps=["Write feature alpha.", "Write feature beta."]),
        call("submit_plan", steps=["Write nothing."]),
    ]
    model = saying("submit_plan", *plans)
    sessions.work(model, task=TASK, coverage=True)
    assert sessions.program() == ["Write feature alpha.", "Write feature beta."]
    assert model.asked.count("submit_plan") == 3
    assert model.asked.count("submit_coverage") == 3


@pytest.mark.parametrize("kind", BROKEN)
def test_an_unusable_claim_of_coverage_keeps_the_plan_and_says_so(
    sessions: FeatureSessions, kind: int
) -> None:
    model = saying("submit_coverage", broken("submit_coverage")[kind])
    assert sessions.work(model, task=TASK, coverage=True).outcome.status is Status.COMPLETED
    assert model.asked.count("submit_coverage") == 2
    assert "no usable answer" in sessions.notes(CoverageClaimed)[0].problem


def test_numbers_that_do_not_exist_cover_nothing(sessions: FeatureSessions) -> None:
    entries = [{"requirement": 1, "steps": [0, 5, -1, 10**9, 2]}, {"requirement": 77, "steps": [1]}]
    model = saying("submit_coverage", call("submit_coverage", coverage=entries))
    sessions.work(model, task=TASK, coverage=True)
    assert {note.steps for note in sessions.notes(CoverageClaimed)} == {((2,), (), (), ())}


def test_a_program_of_the_user_is_neither_reflected_upon_nor_completed(
    sessions: FeatureSessions,
) -> None:
    model = FeatureModel()
    sessions.work(model, task=TASK, program=("Write feature alpha.",), reflections=2, coverage=True)
    assert sessions.program() == ["Write feature alpha."]
    assert set(model.asked) == {"turn", "summary"}


# The list of requirements


def test_a_list_is_made_once_and_serves_the_plan_and_the_result(sessions: FeatureSessions) -> None:
    model = faulty()
    sessions.work(model, task=TASK, limits=Limits(turns=4), **EVERYTHING)
    assert model.asked.count("submit_requirements") == 1
    assert len(sessions.notes(RequirementsListed)) == 1


def test_repetitions_in_a_list_count_once_and_other_languages_count(
    sessions: FeatureSessions,
) -> None:
    texts = [
        "It has feature alpha.",
        "it has  feature ALPHA",
        "Есть feature beta.",
        "特徴 feature gamma を持つ。",
    ]
    sessions.work(
        saying("submit_requirements", call("submit_requirements", requirements=texts)),
        task=TASK,
        coverage=True,
    )
    objects = ObjectStore(sessions.folder / "objects.pack")
    listed = [
        objects.get_text(name) for name in sessions.notes(RequirementsListed)[0].requirement_objects
    ]
    assert listed == ["It has feature alpha.", *texts[2:]]


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [" "],
        ["..."],
        [f"It has feature {n}." for n in range(41)],
        ["x" * 401],
        [str(n) for n in range(10_000)],
    ],
)
def test_unusable_requirement_lists_are_requested_three_times_at_most(
    sessions: FeatureSessions, texts: list[str]
) -> None:
    model = saying("submit_requirements", call("submit_requirements", requirements=texts))
    outcome = sessions.work(
        model, task=TASK, coverage=True, requirements=True, requirement_rounds=1
    ).outcome
    assert model.asked.count("submit_requirements") == 3
    assert "submit_coverage" not in model.asked
    assert "submit_evidence" not in model.asked
    assert outcome.status is Status.REQUIREMENTS_UNVERIFIED
    assert "no requirement is shown (the model gave no usable account" in outcome.cause


# Replanning


def test_an_instruction_over_its_turns_is_split_and_the_run_goes_on(
    sessions: FeatureSessions,
) -> None:
    model = FeatureModel(together=4, most=2)
    result = sessions.work(model, task=TASK, limits=Limits(turns=3), max_replans=1)
    assert result.outcome.status is Status.COMPLETED
    assert len(sessions.program()) == 4
    assert [(note.number, note.action) for note in sessions.notes(Replanned)] == [(1, "split")]
    after = model.questions[model.asked.index("submit_replan") + 1]
    assert "An attempt at more than this was broken off" in after


def test_run_without_replans_left_ends_at_its_budget(sessions: FeatureSessions) -> None:
    result = sessions.work(FeatureModel(together=4, most=2), task=TASK, limits=Limits(turns=3))
    assert result.outcome.status is Status.BUDGET
    assert "--max-turns" in result.outcome.cause


def test_replan_that_exceeds_the_window_is_skipped_and_noted(sessions: FeatureSessions) -> None:
    model = FeatureModel(most=1)
    program = (
        "Write feature alpha and feature beta.",
        *(f"{number}: {'go on ' * 90}" for number in range(100)),
    )
    result = sessions.work(
        model,
        task=TASK,
        context_tokens=8000,
        program=program,
        limits=Limits(turns=2),
        max_replans=1,
    )
    assert result.outcome.status is Status.BUDGET
    assert "submit_replan" not in model.asked
    assert "does not fit" in sessions.notes(Replanned)[0].problem


def test_replan_may_insert_instructions_before_the_failed_one(sessions: FeatureSessions) -> None:
    insert = call(
        "submit_replan", action="insert", steps=["Write feature alpha.", "Write feature beta."]
    )
    model = saying("submit_replan", insert, together=3, most=2)
    sessions.work(
        model, task=task_of("alpha", "beta", "gamma"), limits=Limits(turns=3), max_replans=1
    )
    assert sessions.program() == [
        "Write feature alpha.",
        "Write feature beta.",
        "Write feature alpha and feature beta and feature gamma, with tests.",
    ]


@pytest.mark.parametrize(
    ("action", "steps"),
    [
        ("split", ["Write feature alpha and feature beta, with tests.", "Write feature beta."]),
        ("split", ["WRITE feature alpha and  feature beta, with tests", "Write feature beta."]),
        ("split", ["Write feature gamma and feature delta, with tests.", "Write feature beta."]),
        ("split", ["Write feature alpha.", "write feature alpha"]),
        ("split", ["Write feature alpha."]),
        ("split", [f"Write feature {n}." for n in range(6)]),
        ("split", [f"Write feature {n}." for n in range(10_000)]),
        ("split", []),
        ("insert", [" "]),
        ("insert", [f"Write feature {n}." for n in range(5)]),
        ("insert", ["Write feature alpha and feature beta, with tests."]),
        ("wait", ["Write feature alpha."]),
    ],
)
def test_useless_replans_are_refused_three_times_at_most(
    sessions: FeatureSessions, action: str, steps: list[str]
) -> None:
    model = saying(
        "submit_replan", call("submit_replan", action=action, steps=steps), together=2, most=1
    )
    result = sessions.work(model, task=TASK, limits=Limits(turns=2), max_replans=9)
    assert result.outcome.status is Status.BUDGET
    assert model.asked.count("submit_replan") == 3
    assert "no usable answer in 3 attempts" in sessions.notes(Replanned)[0].problem
    assert len(sessions.program()) == 2


@pytest.mark.parametrize("kind", BROKEN)
def test_an_unusable_replan_ends_the_run_in_its_budget(
    sessions: FeatureSessions, kind: int
) -> None:
    model = saying("submit_replan", broken("submit_replan")[kind], together=4, most=1)
    assert (
        sessions.work(model, task=TASK, limits=Limits(turns=2), max_replans=9).outcome.status
        is Status.BUDGET
    )
    assert model.asked.count("submit_replan") == 3


def test_endless_replanning_stops_at_the_limit_of_each_instruction(
    sessions: FeatureSessions,
) -> None:
    numbers = iter(range(1000))

    def always_other(_: str) -> Reply:
        return call(
            "submit_replan",
            action="split",
            steps=[f"a b feature x{next(numbers)} feature y" for _ in "12345"],
        )

    model = saying("submit_replan", always_other, together=4, most=1)
    result = sessions.work(model, task=TASK, limits=Limits(turns=2), max_replans=50)
    assert result.outcome.status is Status.BUDGET
    assert model.asked.count("submit_replan") == 2
    assert len(sessions.program()) == 1 + 2 * 4


@pytest.mark.parametrize("most", [1, 3])
def test_endless_replanning_stops_at_the_limit_of_the_run(
    sessions: FeatureSessions, most: int
) -> None:
    numbers = iter(range(1000))

    def hopeless(_: str) -> Reply:
        steps = [f"Write feature n{next(numbers)}.", f"feature p{next(numbers)} feature q"]
        return call("submit_replan", action="split", steps=steps)

    model = saying("submit_replan", hopeless, together=1, most=0)
    sessions.work(model, task=TASK, limits=Limits(turns=2), max_replans=most)
    assert model.asked.count("submit_replan") == min(most, 2)


def test_a_budget_of_the_run_is_never_replanned(sessions: FeatureSessions) -> None:
    model = FeatureModel(together=4, most=2)
    result = sessions.work(model, task=TASK, limits=Limits(tokens=2000), max_replans=9)
    assert "--max-tokens" in result.outcome.cause
    assert "submit_replan" not in model.asked


def test_larger_budget_continues_the_instruction_after_a_failed_replan(
    sessions: FeatureSessions,
) -> None:
    vain = saying("submit_replan", Reply(content="no"), together=4)
    assert (
        sessions.work(vain, task=TASK, limits=Limits(turns=3), max_replans=1).outcome.status
        is Status.BUDGET
    )
    later = sessions.work(
        FeatureModel(together=4), task=TASK, limits=Limits(turns=40), max_replans=1
    )
    assert later.outcome.status is Status.COMPLETED
    assert len(sessions.notes(InstructionAborted)) == 1


# The final check against the requirements


def test_unverified_requirement_becomes_a_follow_up_instruction(sessions: FeatureSessions) -> None:
    model = FeatureModel(neglects=frozenset({"beta"}))
    result = sessions.work(model, task=TASK, requirements=True, requirement_rounds=1)
    assert result.outcome.status is Status.COMPLETED
    assert [(note.verified, note.total) for note in sessions.notes(RequirementsVerified)] == [
        (3, 4),
        (4, 4),
    ]
    assert len(sessions.notes(InstructionsAdded)) == 1
    assert result.outcome.requirements[1] == RequirementRow(
        requirement="It has feature beta.",
        shown=True,
        files=("beta.py",),
        tests=("test_beta.py::test_it",),
    )


def test_outcome_names_unverified_requirements_without_rounds_left(
    sessions: FeatureSessions,
) -> None:
    result = sessions.work(FeatureModel(neglects=frozenset({"beta"})), task=TASK, requirements=True)
    assert result.outcome.status is Status.REQUIREMENTS_UNVERIFIED
    assert result.outcome.cause.endswith("1 of 4 requirements are not shown")
    assert [row.shown for row in result.outcome.requirements] == [True, False, True, True]
    assert "beta.py" not in result.files


def test_failed_follow_up_restores_the_verified_files(memory: Path) -> None:
    without, sessions = FeatureSessions(memory / "without"), FeatureSessions(memory / "with")
    faults = Faults(neglects=frozenset({"beta"}), fails_later=True)
    verified = without.work(FeatureModel(**faults), task=TASK, requirements=True)
    result = sessions.work(
        FeatureModel(**faults),
        task=TASK,
        limits=Limits(turns=3),
        requirements=True,
        requirement_rounds=5,
    )
    assert result.files == verified.files
    assert {
        entry.path: entry.digest for entry in recorded_files(tuple(sessions.events()))
    } == verified.files
    assert result.outcome.status is Status.REQUIREMENTS_UNVERIFIED
    assert result.outcome.requirements == verified.outcome.requirements
    assert "an attempt at them failed and was undone" in result.outcome.cause
    assert len(sessions.notes(InstructionsAdded)) == 1


def test_follow_up_that_fails_final_verification_is_undone(sessions: FeatureSessions) -> None:
    model = FeatureModel(neglects=frozenset({"beta"}))
    runs: list[tuple[Job, ...]] = []

    def failing_last(jobs: tuple[Job, ...]) -> ScriptedRun:
        runs.append(jobs)
        good = run_checks(jobs)
        return (
            ScriptedRun(jobs=(good.jobs[0], job_result("tests", code=1)))
            if len(runs) == 6
            else good
        )

    result = sessions.work(
        model, task=TASK, requirements=True, requirement_rounds=1, checks=failing_last
    )
    assert result.outcome.status is Status.REQUIREMENTS_UNVERIFIED
    assert "beta.py" not in result.files
    assert len(result.files) == 6


def test_a_claim_that_never_holds_ends_after_its_rounds(sessions: FeatureSessions) -> None:
    nothing = call(
        "submit_evidence",
        evidence=[{"requirement": 1, "files": ["ghost.py"], "tests": ["t.py::t"]}],
    )
    model = saying("submit_evidence", nothing)
    result = sessions.work(model, task=TASK, requirements=True, requirement_rounds=2)
    assert result.outcome.status is Status.REQUIREMENTS_UNVERIFIED
    assert len(sessions.notes(RequirementsVerified)) == 3
    assert result.outcome.requirements[0].refused == ("ghost.py", "t.py::t")


@pytest.mark.parametrize(
    ("files", "tests", "shown"),
    [
        (["alpha.py"], ["test_alpha.py::test_it"], True),
        (["alpha.py"], ["test_alpha.py::test_it[1-x]"], True),
        (["alpha.py"], [], False),
        ([], ["test_alpha.py::test_it"], False),
        (["alpha.py"], ["test_alpha.py::test_other"], False),
        (["alpha.py"], ["test_it"], False),
        (["./alpha.py"], ["test_alpha.py::test_it"], False),
        (["alpha.py", "none.py"], ["test_alpha.py::test_it", "none"], True),
        (["../../etc/passwd"], ["test_alpha.py::test_it"], False),
    ],
)
def test_evidence_counts_only_existing_files_and_passed_tests(
    sessions: FeatureSessions, files: list[str], tests: list[str], shown: bool
) -> None:
    claim = call("submit_evidence", evidence=[{"requirement": 1, "files": files, "tests": tests}])
    result = sessions.work(
        saying("submit_evidence", claim), task=task_of("alpha", "beta"), requirements=True
    )
    assert result.outcome.requirements[0].shown is shown


def test_a_test_without_a_pass_in_the_fresh_sandbox_shows_nothing(
    sessions: FeatureSessions,
) -> None:
    claim = call(
        "submit_evidence",
        evidence=[{"requirement": 1, "files": ["alpha.py"], "tests": ["test_x.py::skip"]}],
    )

    def skipping(jobs: tuple[Job, ...]) -> ScriptedRun:
        good = run_checks(jobs)
        lines = [json.loads(line) for line in good.jobs[1].report.head.splitlines()]
        lines[1]["ids"].append("test_x.py::skip")
        for when, outcome in (("setup", "skipped"), ("teardown", "passed")):
            lines.insert(
                -1, {"e": "phase", "id": "test_x.py::skip", "when": when, "outcome": outcome}
            )
        report = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        return ScriptedRun(jobs=(good.jobs[0], job_result("tests", report=report)))

    result = sessions.work(
        saying("submit_evidence", claim), task=task_of("alpha"), requirements=True, checks=skipping
    )
    assert "1 skipped" in result.outcome.cause
    assert result.outcome.requirements[0].refused == ("test_x.py::skip",)
    assert result.outcome.status is Status.REQUIREMENTS_UNVERIFIED


def test_a_document_is_shown_by_itself_as_no_test_can(sessions: FeatureSessions) -> None:
    listed = call("submit_requirements", requirements=["There is a README."])
    claim = call(
        "submit_evidence", evidence=[{"requirement": 1, "files": ["README.md"], "tests": []}]
    )
    files = {"README.md": "# It", "a.py": "A = 1\n", "test_a.py": "def test_it():\n    assert 1\n"}
    write = call(
        "write_files", files=[{"path": path, "content": text} for path, text in files.items()]
    )

    class Writer(FeatureModel):
        def _turn(self, request: Request, question: str) -> Reply:
            return call("complete_instruction") if "README.md" in str(request.messages) else write

    model = Writer(
        forms={"submit_requirements": lambda _: listed, "submit_evidence": lambda _: claim}
    )
    result = sessions.work(model, task=TASK, program=("Write it.",), requirements=True)
    assert result.outcome.status is Status.COMPLETED
    assert result.outcome.requirements[0].tests == ()


@pytest.mark.parametrize("kind", BROKEN)
def test_an_unusable_account_shows_nothing_and_asks_for_no_further_work(
    sessions: FeatureSessions, kind: int
) -> None:
    model = saying("submit_evidence", broken("submit_evidence")[kind])
    result = sessions.work(model, task=TASK, requirements=True, requirement_rounds=5)
    assert result.outcome.status is Status.REQUIREMENTS_UNVERIFIED
    assert model.asked.count("submit_evidence") == 2
    assert sessions.notes(InstructionsAdded) == []


@pytest.mark.parametrize(("features", "filler", "most"), [(4, 0, 1), (4, 6000, 2), (14, 12_000, 6)])
def test_files_are_shown_in_pages_within_window_and_limit(
    sessions: FeatureSessions, features: int, filler: int, most: int
) -> None:
    model = FeatureModel(filler=filler)
    names = [f"f{number}" for number in range(features)]
    result = sessions.work(
        model, task=task_of(*names), steps=20, context_tokens=6000, requirements=True
    )
    shown = [text for text in model.questions if "Contents, part" in text]
    assert len(shown) == most
    assert (sessions.notes(RequirementsVerified)[0].unseen_characters > 0) == (most == 6)
    assert all(f"part {number}:" in text for number, text in enumerate(shown, 1))
    assert result.outcome.status is Status.COMPLETED


def test_a_run_that_fails_its_checks_is_not_examined(sessions: FeatureSessions) -> None:
    runs = iter([run_checks] * 4)

    def failing_at_last(jobs: tuple[Job, ...]) -> ScriptedRun:
        return next(
            runs, lambda _: ScriptedRun(jobs=(job_result("lint"), job_result("tests", code=1)))
        )(jobs)

    model = FeatureModel()
    result = sessions.work(model, task=TASK, requirements=True, checks=failing_at_last)
    assert result.outcome.status is Status.FAILING
    assert "submit_evidence" not in model.asked


# Ablation


def test_run_without_summaries_neither_requests_nor_passes_any(sessions: FeatureSessions) -> None:
    model = FeatureModel()
    assert sessions.work(model, task=TASK, summary=False).outcome.status is Status.COMPLETED
    assert "summary" not in model.asked


# Resume and replay


FORGETFUL = Faults(together=2, most=1, forgets=frozenset({"gamma"}), neglects=frozenset({"beta"}))
STUCK = Faults(neglects=frozenset({"alpha"}), fails_later=True)


@pytest.mark.parametrize(
    ("faults", "features", "kinds"),
    [
        (FORGETFUL, ("alpha", "beta", "gamma"), THOUGHTS),
        (STUCK, ("alpha",), {InstructionAborted, StoreRestored}),
    ],
)
def test_run_killed_after_any_trace_entry_ends_with_the_same_bytes(
    memory: Path, faults: Faults, features: tuple[str, ...], kinds: set[type]
) -> None:
    task, limits = task_of(*features), Limits(turns=2)

    def model() -> FeatureModel:
        return FeatureModel(**faults)

    whole = FeatureSessions(memory / "whole")
    result = whole.work(model(), task=task, limits=limits, **EVERYTHING)
    assert {type(event) for event in whole.events()} >= kinds
    lines = (whole.folder / "trace.jsonl").read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        sessions = FeatureSessions(memory / str(kept))
        shutil.copy(whole.folder / "objects.pack", sessions.folder)
        (sessions.folder / "trace.jsonl").write_bytes(b"".join(lines[:kept]))
        again = sessions.work(model(), task=task, limits=limits, **EVERYTHING)
        assert sessions.told() == whole.told()
        assert (again.outcome, again.files) == (result.outcome, result.files)


def test_recorded_replan_stands_under_limits_of_a_later_session(sessions: FeatureSessions) -> None:
    sessions.work(faulty(), task=TASK, limits=Limits(turns=4), **EVERYTHING)
    before = sessions.told()
    sessions.work(FeatureModel(), task=TASK, limits=Limits(turns=99), **EVERYTHING)
    assert sessions.told() == before


def test_a_replay_ends_instructions_where_the_record_ended_them(memory: Path) -> None:
    source, repeated = FeatureSessions(memory / "source"), FeatureSessions(memory / "repeated")
    first = source.work(faulty(), task=TASK, limits=Limits(turns=4), **EVERYTHING)
    processor = ReplayProcessor.of(source.events(), ObjectStore(source.folder / "objects.pack"))
    again = repeated.work(
        processor, task=TASK, limits=recorded_limits(source.events()), **EVERYTHING
    )
    assert (again.outcome, again.files) == (first.outcome, first.files)
    assert repeated.told() == source.told()


# For the user


def test_show_and_json_label_the_table_as_a_claim(sessions: FeatureSessions) -> None:
    result = sessions.work(FeatureModel(neglects=frozenset({"beta"})), task=TASK, requirements=True)
    shown = CliRunner().invoke(show, [str(sessions.folder)]).output
    assert f"required {CLAIM}\n" in shown
    assert "UNVERIFIED It has feature beta.\n" in shown
    assert "verified   It has feature alpha. (alpha.py, test_alpha.py::test_it)\n" in shown
    table = json.loads(CliRunner().invoke(show, [str(sessions.folder), "--json"]).output)[
        "requirements"
    ]
    assert (
        table
        == json.loads(result_as_json(result, None, 8, replayed=None, difference=""))["requirements"]
    )
    assert (table["by"], [row["shown"] for row in table["rows"]]) == (
        CLAIM,
        [True, False, True, True],
    )


def test_unverified_requirements_have_their_own_exit_code() -> None:
    assert BY_STATUS[Status.REQUIREMENTS_UNVERIFIED] == REQUIREMENTS_UNVERIFIED
    assert list(BY_STATUS.values()).count(REQUIREMENTS_UNVERIFIED) == 1


def test_a_run_from_the_command_line_thinks_unless_told_otherwise() -> None:
    settings = Settings.model_construct()
    assert make_plan(settings, "x", (), load_domain("codebase")).planning == PlanningOptions(
        coverage=True, max_replans=3, requirements=True, requirement_rounds=1
    )


def test_instruction_counts_follow_every_program_change(sessions: FeatureSessions) -> None:
    sessions.work(faulty(), task=TASK, limits=Limits(turns=4), **EVERYTHING)
    started = sessions.notes(InstructionStarted)
    assert started[-1].number == started[-1].total == len(sessions.program())


def test_each_ablation_changes_exactly_its_own_fault() -> None:
    spec = importlib.util.spec_from_file_location(
        "ablation", ROOT / "tests" / "bench" / "ablation.py"
    )
    assert spec is not None
    assert spec.loader is not None
    ablation = importlib.util.module_from_spec(spec)
    sys.modules["ablation"] = ablation
    spec.loader.exec_module(ablation)
    figures = {(row[0], row[1]): (row[2], row[-1]) for row in ablation.rows()}
    lacking = {key: found for key, found in figures.items() if found != ("completed", "6/6")}
    assert lacking == {
        ("the plan forgets two features", "all off"): ("completed", "4/6"),
        ("an instruction is too large", "all off"): ("budget", "0/6"),
        ("a part of an instruction is omitted", "all off"): ("completed", "5/6"),
        ("a part of an instruction is omitted", "--requirements, 0 rounds"): ("unverified", "5/6"),
        ("without a summary it undoes existing files", "--no-summary, --no-evaluator"): (
            "failing",
            "5/6",
        ),
        ("its plan says too little without the task", "--no-task-in-context"): ("failing", "0/6"),
        ("it claims to be done while a test fails", "--no-evaluator"): ("failing", "5/6"),
        ("it claims to be done while a test fails", "one-shot"): ("failing", "5/6"),
        ("it claims to be done while a test fails", "codet"): ("failing", "5/6"),
        ("the same, and sees nothing wrong in its files", "self-refine"): ("failing", "5/6"),
        ("the first attempt of three is wrong", "one-shot"): ("failing", "5/6"),
        ("all of it does not fit into one context", "one-shot"): ("budget", "3/6"),
        ("all of it does not fit into one context", "codet"): ("failing", "3/6"),
        ("all of the first five", "all off"): ("budget", "0/6"),
    }
    assert len(figures) == sum(len(case.switches) for case in ablation.CASES) > 40
