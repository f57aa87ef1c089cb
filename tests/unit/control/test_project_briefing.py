"""Runs that begin with files: recording, briefing, acceptance and resuming."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import pytest
from recorded_run import DONE, SUMMARY, call
from run_specs import SpecValues, run_spec

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.control.outcome import Status
from l2mac.control.run_spec import PlanningOptions
from l2mac.domains.loader import load_domain
from l2mac.errors import SettingsError, TraceError
from l2mac.processor.messages import Reply
from l2mac.runs.audit import INTACT, audit_run
from l2mac.runs.execute import Reason, Resources, SessionResult, execute
from l2mac.runs.recorded_input import recorded_origin, tree_of
from l2mac.runs.recorded_spec import read_spec
from l2mac.testing.processor import ScriptedProcessor
from l2mac.trace.branching import fork, rewind
from l2mac.trace.chain import read_trace
from l2mac.trace.events import Checked, Event, InputRecorded, ModelCalled, ProjectOutlined
from l2mac.trace.history import effective, recorded_files, recorded_input, steps
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.input_folder import Input
from l2mac.workspace.merge import merge, plan_merge
from sandbox import Cause, Job
from sandbox.testing import SandboxScript, ScriptedRun, job_result

GIVEN = Input(
    {"a.py": b"A = 1\n", "test_a.py": b"old\n", "notes.md": b"# Notes\n"},
    {"version control": (".git/",)},
)
OLD = {"test_a.py::test_old": "failed", "test_a.py::test_good": "passed"}
PLAN = call("submit_plan", steps=["Change a.py."])
EDIT = call("edit_file", path="a.py", old="A = 1", new="A = 2")
REPLIES = (PLAN, EDIT, DONE, SUMMARY)
END = b'{"e": "end", "code": 0}\n'


def suite(*, old: dict[str, str] = OLD, code: int = 1, **more: str) -> bytes:
    outcomes = {**old, **{f"test_a.py::{name}": outcome for name, outcome in more.items()}}
    lines: list[dict[str, object]] = [
        {"e": "declared", "ids": list(outcomes), "fingerprints": list(outcomes)},
        {"e": "collected", "ids": list(outcomes)},
    ]
    for test, outcome in outcomes.items():
        lines.append({"e": "phase", "id": test, "when": "call", "outcome": outcome, "text": "no"})
        lines.append({"e": "phase", "id": test, "when": "teardown", "outcome": "passed"})
    lines.append({"e": "end", "code": code})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


SURVEY = b'{"e": "file", "path": "a.py", "names": [["class Thing", ["go"]]], "more": 0}\n' + END


Answer = Callable[[tuple[Job, ...]], ScriptedRun]


class InputSessions:
    """A run's folder, sessions on it, and sandboxes with scripted checks and surveys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.processor = ScriptedProcessor([])
        self.script = SandboxScript()
        self.tests = suite()
        self.cause = Cause.EXITED
        self.asked: list[Job] = []
        self.answer: Answer = self.checks

    def checks(self, jobs: tuple[Job, ...]) -> ScriptedRun:
        self.asked += jobs
        reports = {"lint": (END, 0), "tests": (self.tests, 1), "survey": (SURVEY, 0)}
        results = [
            job_result(job.name, report=reports[job.name][0], code=reports[job.name][1])
            for job in jobs
        ]
        if self.cause is not Cause.EXITED:
            results = [job_result(job.name, cause=self.cause) for job in jobs]
        return ScriptedRun(jobs=tuple(results))

    def work(
        self,
        replies: tuple[Reply, ...] = REPLIES,
        *,
        given: Input | None = GIVEN,
        reason: Reason = "run",
        turns: int = 40,
        **plan: Unpack[SpecValues],
    ) -> SessionResult:
        self.processor = ScriptedProcessor(list(replies))
        self.script = SandboxScript(runs=self.answer)
        resources = Resources(
            processor=self.processor,
            open_sandbox=lambda _: self.script.make_sandbox(),
            limits=Limits(turns=turns),
            prices=Prices(),
            model="scripted",
            image="none",
        )
        values: SpecValues = {"input": tree_of(GIVEN), **plan}
        spec = run_spec(**values)
        return execute(self.folder, spec, resources, reason, run_input=given)

    def events(self) -> list[Event]:
        return [entry.event for entry in effective(read_trace(self.folder / TRACE_FILE)[0])]

    def asked_of_the_model(self) -> list[str]:
        return [
            "\n".join(message.content for message in request.messages)
            for request in self.processor.requests
        ]


@pytest.fixture
def sessions(tmp_path: Path) -> InputSessions:
    return InputSessions(tmp_path / "run")


def test_input_is_recorded_checked_and_surveyed_before_the_first_request(
    sessions: InputSessions,
) -> None:
    assert sessions.work().outcome.status is Status.COMPLETED
    kinds = [type(event) for event in sessions.events()]
    adopted, begun = kinds.index(InputRecorded), kinds.index(Checked)
    assert adopted < begun < kinds.index(ProjectOutlined) < kinds.index(ModelCalled)
    assert recorded_input(sessions.events()).keys() == GIVEN.contents.keys()
    assert next(event for event in sessions.events() if isinstance(event, Checked)).baseline


def test_verdict_on_the_untouched_input_is_recorded_beside_the_baseline(
    sessions: InputSessions,
) -> None:
    sessions.work((PLAN, DONE, SUMMARY))
    baseline, verdict, *_ = (event for event in sessions.events() if isinstance(event, Checked))
    assert (baseline.baseline, baseline.verdict) == (True, "failed")
    assert (verdict.baseline, verdict.verdict) == (False, "passed")
    assert "1 test fails as it did before" in verdict.summary


@pytest.mark.parametrize("evaluator", [True, False])
def test_a_failing_test_of_the_input_may_not_be_deleted(
    sessions: InputSessions, evaluator: bool
) -> None:
    def checks(jobs: tuple[Job, ...]) -> ScriptedRun:
        if any(sandbox.contents["a.py"] == b"A = 1\n" for sandbox in sessions.script.sandboxes):
            return sessions.checks(jobs)
        sessions.tests = suite(old={"test_a.py::test_good": "passed"}, code=0)
        results = sessions.checks(jobs).jobs
        return ScriptedRun(jobs=tuple(replace(job, code=0) for job in results))

    sessions.answer = checks
    result = sessions.work(planning=PlanningOptions(evaluator=evaluator), turns=2)
    assert result.outcome.status is (Status.BUDGET if evaluator else Status.FAILING)
    assert "1 test that failed cannot be seen" in result.outcome.report.summary


def test_the_sandbox_is_filled_before_anything_is_asked(sessions: InputSessions) -> None:
    result = sessions.work()
    assert sessions.script.sandboxes[0].contents == {**GIVEN.contents, "a.py": b"A = 2\n"}
    assert set(result.files) == set(GIVEN.contents)
    assert result.origin == recorded_input(sessions.events())


def test_outcome_names_tests_that_fail_as_before(sessions: InputSessions) -> None:
    outcome = sessions.work().outcome
    assert outcome.status is Status.COMPLETED
    assert "1 test fails as it did before" in outcome.cause


def test_prompts_state_existing_files_and_baseline_failures(sessions: InputSessions) -> None:
    sessions.work()
    plan, turn, *_ = sessions.asked_of_the_model()
    for text in ("class Thing: go", "test_a.py::test_old", "an existing project"):
        assert text in plan
    assert "test_a.py::test_old" in turn
    assert "change existing files in place" in turn


def test_prompts_without_input_mention_no_existing_files(sessions: InputSessions) -> None:
    sessions.tests = suite(test_old="passed")
    sessions.tests = sessions.tests.replace(b'"failed"', b'"passed"').replace(
        b'"code": 1', b'"code": 0'
    )
    write = call("write_files", files=[{"path": "a.py", "content": "A = 1\n"}])
    sessions.work((PLAN, write, DONE), turns=2, input="", given=None)
    assert "existing project" not in "".join(sessions.asked_of_the_model())
    assert read_spec(sessions.folder).input == ""


def test_a_new_failing_test_is_due_beside_the_old_one(sessions: InputSessions) -> None:
    def checks(jobs: tuple[Job, ...]) -> ScriptedRun:
        new = any(sandbox.contents["a.py"] == b"A = 2\n" for sandbox in sessions.script.sandboxes)
        sessions.tests = suite(test_new="failed") if new else suite()
        return sessions.checks(jobs)

    sessions.answer = checks
    result = sessions.work((PLAN, EDIT, DONE), turns=2)
    assert result.outcome.status is Status.BUDGET
    last = sessions.processor.requests[-1].messages[-1].content
    assert "test_a.py::test_new" in last
    assert "test_a.py::test_old" not in last


@pytest.mark.parametrize("cause", [Cause.TIMEOUT, Cause.MEMORY, Cause.OUTPUT])
def test_input_whose_checks_do_not_finish_is_refused_with_advice(
    sessions: InputSessions, cause: Cause
) -> None:
    sessions.cause = cause
    with pytest.raises(
        SettingsError, match=r"--timeout or --memory, or exclude files with --exclude"
    ):
        sessions.work(())
    assert not [event for event in sessions.events() if isinstance(event, ModelCalled)]
    sessions.cause = Cause.EXITED
    assert sessions.work(given=None, reason="resume").outcome.status is Status.COMPLETED


def test_a_resumed_run_needs_the_folder_no_more(sessions: InputSessions) -> None:
    assert sessions.work((PLAN, EDIT), turns=1).outcome.status is Status.BUDGET
    result = sessions.work((DONE, SUMMARY), given=None, reason="resume")
    assert result.outcome.status is Status.COMPLETED
    assert sessions.script.sandboxes[0].contents == {**GIVEN.contents, "a.py": b"A = 2\n"}


def test_a_run_that_was_killed_before_its_input_was_recorded_says_so(
    sessions: InputSessions,
) -> None:
    sessions.work((PLAN, EDIT), turns=1)
    lines = (sessions.folder / TRACE_FILE).read_bytes().splitlines(keepends=True)
    adopted = next(
        number
        for number, line in enumerate(lines)
        if b'"kind":"input"' in line.replace(b": ", b":")
    )
    (sessions.folder / TRACE_FILE).write_bytes(b"".join(lines[:adopted]))
    with pytest.raises(TraceError, match="before its input was recorded\\. Start a new run"):
        sessions.work((), given=None, reason="resume")


def test_input_that_differs_from_its_specification_is_refused(sessions: InputSessions) -> None:
    with pytest.raises(TraceError, match="changed after the run was prepared"):
        sessions.work((), given=Input({"a.py": b"other"}))


def test_a_replay_takes_the_input_from_the_record(sessions: InputSessions, tmp_path: Path) -> None:
    done = sessions.work()
    given = recorded_origin(sessions.events(), ObjectStore(sessions.folder / OBJECTS_FILE))
    assert given == GIVEN
    again = InputSessions(tmp_path / "again")
    assert again.work(given=given, reason="replay").files == done.files


def test_step_0_is_the_input_and_a_run_can_be_rewound_to_it(sessions: InputSessions) -> None:
    sessions.work()
    first = steps(read_trace(sessions.folder / TRACE_FILE)[0])[0]
    assert (first.number, first.action, set(first.files)) == (0, "input", set(GIVEN.contents))
    rewind(sessions.folder, 0)
    assert {entry.path for entry in recorded_files(sessions.events())} == set(GIVEN.contents)
    assert sessions.work(given=None, reason="resume").outcome.status is Status.COMPLETED


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_fork_has_the_input_too(sessions: InputSessions, tmp_path: Path, step: int) -> None:
    sessions.work()
    other = InputSessions(tmp_path / "fork")
    fork(sessions.folder, step, other.folder)
    left = {0: REPLIES, 1: REPLIES[2:], 2: ()}[step]
    assert other.work(left, given=None, reason="resume").outcome.status is Status.COMPLETED
    assert audit_run(other.folder).verdict == INTACT


def test_the_audit_knows_every_byte_of_the_input(sessions: InputSessions) -> None:
    sessions.work()
    assert audit_run(sessions.folder).verdict == INTACT
    pack = sessions.folder / OBJECTS_FILE
    pack.write_bytes(pack.read_bytes().replace(b"# Notes\n", b"# Other\n"))
    assert audit_run(sessions.folder).verdict == "altered"


def test_the_plan_that_is_recorded_names_the_input(sessions: InputSessions) -> None:
    sessions.work()
    assert read_spec(sessions.folder).input == tree_of(GIVEN)


def on_the_host(folder: Path, **contents: str) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in {
        **{path: text.decode() for path, text in GIVEN.contents.items()},
        **contents,
    }.items():
        (folder / path.replace("__", ".")).write_text(content)
    return folder


def test_merge_brings_back_only_changes_of_the_run(sessions: InputSessions, tmp_path: Path) -> None:
    result = sessions.work()
    host = on_the_host(tmp_path / "host", notes__md="mine\n")
    plan = plan_merge(result.files, host, result.origin)
    assert (plan.added, plan.updated, plan.conflicts, plan.same) == ((), ("a.py",), (), ())
    assert merge(
        plan, result.files, ObjectStore(sessions.folder / OBJECTS_FILE), overwrite=False
    ) == ("a.py",)
    assert (host / "notes.md").read_text() == "mine\n"
    assert (host / "a.py").read_text() == "A = 2\n"


@pytest.mark.parametrize("meanwhile", ["changed", "deleted"])
def test_files_changed_by_the_user_meanwhile_are_conflicts(
    sessions: InputSessions, tmp_path: Path, meanwhile: str
) -> None:
    result = sessions.work()
    host = on_the_host(tmp_path / "host", a__py="mine\n")
    if meanwhile == "deleted":
        (host / "a.py").unlink()
    plan = plan_merge(result.files, host, result.origin)
    assert plan.conflicts == ("a.py",)
    with pytest.raises(SettingsError, match="--overwrite"):
        merge(plan, result.files, ObjectStore(sessions.folder / OBJECTS_FILE), overwrite=False)


def test_files_deleted_by_the_user_stay_deleted(sessions: InputSessions, tmp_path: Path) -> None:
    result = sessions.work()
    host = on_the_host(tmp_path / "host")
    (host / "notes.md").unlink()
    merge(
        plan_merge(result.files, host, result.origin),
        result.files,
        ObjectStore(sessions.folder / OBJECTS_FILE),
        overwrite=False,
    )
    assert not (host / "notes.md").exists()


def many() -> Input:
    return Input({**GIVEN.contents, **{f"m{number}.py": b"" for number in range(250)}})


def test_only_changed_files_are_linted_in_a_large_input(sessions: InputSessions) -> None:
    sessions.work(given=many(), input=tree_of(many()))
    begun, before, after, final = (job for job in sessions.asked if job.name == "lint")
    assert (begun.paths, len(begun.others)) == ((), 252)
    assert (before.paths, before.others) == (("a.py",), ())
    assert (after.paths, after.others) == (final.paths, final.others) == (("a.py",), ())


def test_baseline_lint_of_a_changed_file_uses_the_original_input(sessions: InputSessions) -> None:
    sessions.work(given=many(), input=tree_of(many()))
    before = next(
        sandbox
        for sandbox in sessions.script.sandboxes
        if [job.name for jobs in sandbox.asked for job in jobs] == ["lint"]
    )
    assert before.contents["a.py"] == b"A = 1\n"


def test_a_run_with_many_files_is_resumed_where_it_stopped(sessions: InputSessions) -> None:
    sessions.work((PLAN, EDIT), given=many(), input=tree_of(many()), turns=1)
    asked = len(sessions.asked)
    result = sessions.work((DONE, SUMMARY), given=None, input=tree_of(many()), reason="resume")
    assert result.outcome.status is Status.COMPLETED
    assert [job.name for job in sessions.asked[asked:]] == [
        "lint",
        "tests",
    ]  # the final verification alone


@pytest.mark.parametrize("name", ["codebase", "book"])
def test_every_domain_has_the_prompts_for_existing_files(name: str) -> None:
    prompts = load_domain(name).prompts
    assert "edit_file" in prompts.render("existing", findings="x")
    assert "not" in prompts.render("outline", files="f", outline="o", findings="x")
