"""Reports on a book and ends of commands are read strictly, and never pass in doubt."""

import json

import pytest

from l2mac.domains.loader import load_domain
from l2mac.evaluator import book_checks
from l2mac.evaluator.checks import Checks, together
from l2mac.evaluator.command_checks import CommandCheck, command_jobs, command_judge
from l2mac.evaluator.verdict import CheckReport, Verdict
from sandbox import Cause, FileEntry, JobResult, OutputStream, RunResult
from sandbox.testing import job_result

END = {"e": "end", "code": 0, "chapters": 3, "written": 2, "words": 900, "unreported": 0}
ERROR = {
    "e": "finding",
    "rule": "link",
    "path": "chapters/01.md",
    "line": 7,
    "text": "leads nowhere; remove it",
}
MISSING = {
    "e": "finding",
    "rule": "missing",
    "path": "outline.md",
    "line": 9,
    "text": "chapter 3 is not written yet",
}
UNUSED = {
    "e": "finding",
    "rule": "unused",
    "path": "outline.md",
    "line": 3,
    "text": "'Rye' is declared and not used",
}


def ran(*jobs: JobResult) -> RunResult:
    return RunResult(jobs, (), 0, 0, 0, 0, 0)


def report(*lines: object, cause: Cause = Cause.EXITED, code: int = 0) -> RunResult:
    content = b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines
    )
    return ran(job_result("prose", report=content, cause=cause, code=code))


def entries(*paths: str) -> list[FileEntry]:
    return [FileEntry(path, 1, "0") for path in paths]


def test_an_empty_store_has_nothing_due_until_the_end() -> None:
    assert book_checks.jobs_for([]) == book_checks.jobs_for(entries("a.txt")) == ()
    assert [job.paths for job in book_checks.jobs_for(entries("a.txt", "b.md"))] == [
        ("a.txt", "b.md")
    ]
    assert [job.checker for job in book_checks.jobs_at_the_end([])] == ["prose"]


def test_a_clean_report_passes() -> None:
    verdicts = [
        (one.name, one.verdict, one.summary) for one in book_checks.judge_whole(report(END)).results
    ]
    assert verdicts == [
        ("outline", Verdict.PASSED, "2 of 3 chapters written"),
        ("text", Verdict.PASSED, "900 words"),
        ("references", Verdict.PASSED, "clean"),
    ]


def test_an_error_refuses_completion_and_says_where() -> None:
    judged = book_checks.judge(report(ERROR, END))
    assert not judged.accepts_completion
    (references,) = (one for one in judged.results if one.name == "references")
    assert [(one.where, one.text) for one in references.findings] == [
        ("chapters/01.md:7", "leads nowhere; remove it")
    ]


def test_a_missing_chapter_is_due_at_the_end_only() -> None:
    assert book_checks.judge(report(MISSING, END)).accepts_completion
    assert not book_checks.judge_whole(report(MISSING, END)).accepts_completion


def test_advice_is_shown_and_refuses_nothing() -> None:
    judged = book_checks.judge_whole(report(UNUSED, END))
    assert judged.accepts_completion
    assert "'Rye' is declared" in judged.summary


@pytest.mark.parametrize(
    "result",
    [
        report(),
        report(ERROR),
        report(END, ERROR),
        report(END, END),
        report({**END, "code": 1}),
        report({**END, "words": "900"}),
        report({**END, "words": -1}),
        report({**END, "more": 1}),
        report({**ERROR, "rule": "surprise"}, END),
        report({**ERROR, "line": True}, END),
        report({**ERROR, "line": -1}, END),
        report(b"[" * 100_000, END),
        report(b"\xff", END),
        report(b"null", END),
        report(END, code=1),
        report(END, cause=Cause.TIMEOUT),
        report(END, cause=Cause.LOST),
        ran(
            JobResult(
                "prose",
                Cause.EXITED,
                0,
                1,
                OutputStream(b"", b"", 0),
                OutputStream(b"", b"", 0),
                OutputStream(json.dumps(END).encode(), b"", 999),
            )
        ),
    ],
)
def test_a_report_that_is_not_whole_and_well_formed_is_broken(result: RunResult) -> None:
    assert book_checks.judge(result).verdict is Verdict.BROKEN
    assert book_checks.judge_whole(result).verdict is Verdict.BROKEN


def test_half_a_character_in_a_report_does_no_harm() -> None:
    (finding,) = (
        book_checks.judge(report({**ERROR, "text": "\ud800", "path": "\udfff"}, END))
        .results[2]
        .findings
    )
    assert (finding.where, finding.text) == ("\\udfff:7", "\\ud800")


COMMAND = CommandCheck("style", ("ruff", "check", "."), (0, 3), ("*.py", "docs/*"))


@pytest.mark.parametrize(
    ("path", "due"), [("a.py", True), ("b/c.py", True), ("docs/x", True), ("a.txt", False)]
)
def test_a_command_is_due_where_a_file_fits(path: str, due: bool) -> None:
    jobs = command_jobs(COMMAND)(entries(path))
    assert [(job.name, job.argv) for job in jobs] == [("style", ("ruff", "check", "."))] * due


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (job_result("style"), Verdict.PASSED),
        (job_result("style", code=3), Verdict.PASSED),
        (job_result("style", code=1, output=b"line 3 is wrong"), Verdict.FAILED),
        (job_result("style", code=127), Verdict.BROKEN),
        (job_result("style", cause=Cause.TIMEOUT), Verdict.BROKEN),
        (job_result("style", cause=Cause.SIGNALLED, code=3), Verdict.BROKEN),
        (job_result("style", cause=Cause.MEMORY), Verdict.BROKEN),
    ],
)
def test_a_command_passes_by_its_exit_code_alone(result: JobResult, verdict: Verdict) -> None:
    assert command_judge(COMMAND)(ran(result)).verdict is verdict


def test_output_of_a_failed_command_is_shown() -> None:
    result = job_result("style", code=1, output=b"line 3 \xff is wrong", errors=b"and more")
    (finding,) = command_judge(COMMAND)(ran(result)).results[0].findings
    assert (
        finding.text == "ruff check .: it ended with exit code 1\nline 3 \\xff is wrong\nand more"
    )


def test_several_checks_make_one_report_of_their_due_jobs() -> None:
    command = Checks(command_jobs(COMMAND), command_judge(COMMAND), frozenset({"style"}))
    both = together((load_domain("book").checks, command))
    assert [job.name for job in both.jobs_for(entries("a.py", "b.md"))] == ["prose", "style"]
    assert both.judge(ran(job_result("style"))).summary == "style: exit code 0"
    assert both.judge(ran()) == CheckReport()
    assert both.at_the_end is not None
    assert [job.name for job in both.at_the_end.jobs_for([])] == ["prose"]
