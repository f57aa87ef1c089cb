"""The outline of existing files: made from syntax trees in the sandbox, bounded on the host."""

import io
import json
from pathlib import Path

import pytest

from l2mac.evaluator.project_outline import read_survey
from sandbox import Cause, JobResult
from sandbox.testing import job_result

GUEST = pytest.importorskip("sandbox.checkers.survey")


def line(path: str, *names: str) -> dict[str, object]:
    return {"e": "file", "path": path, "names": [[name, []] for name in names], "more": 0}


def outline(*lines: object, limit: int = 2000, task: str = "") -> str:
    report = b"".join(json.dumps(one).encode() + b"\n" for one in (*lines, {"e": "end", "code": 0}))
    return read_survey(job_result("survey", report=report), limit, task)


def test_outline_starts_with_the_readme_and_names_definitions() -> None:
    text = outline(
        {"e": "readme", "path": "README.md", "text": "# Shop\n"},
        line("test_a.py", "t()"),
        line("b.py", "f(x)"),
    )
    assert text == "# Shop\n\nb.py: f(x)\ntest_a.py: t()"


@pytest.mark.parametrize("limit", [300, 1500, 5000])
@pytest.mark.parametrize("count", [3, 40, 3000])
def test_outline_keeps_its_limit_for_any_number_of_files(limit: int, count: int) -> None:
    text = outline(
        {"e": "readme", "path": "README.md", "text": "x" * 3000},
        *(line(f"p{number}/m.py", f"function_{number}(a, b)") for number in range(count)),
        limit=limit,
    )
    assert len(text) <= limit + 200
    assert count == 3 or "more files, by folder" in text or "p39/m.py" in text


def test_bounded_outline_puts_files_related_to_the_task_first() -> None:
    modules = [line(f"a{number}/m.py", f"something_{number}(x)") for number in range(500)]
    text = outline(
        *modules,
        line("shop/cart.py", "class ShoppingCart"),
        limit=1500,
        task="let carts count their items",
    )
    assert text.startswith("shop/cart.py: ShoppingCart")


@pytest.mark.parametrize(
    "job",
    [
        job_result("survey", cause=Cause.TIMEOUT),
        job_result("survey", report=b'{"e": "file"}\n{"e": "end", "code": 0}\n'),
        job_result(
            "survey",
            report=b'{"e": "file", "path": "a.py", "names": 3, "more": 0}\n'
            b'{"e": "end", "code": 0}\n',
        ),
        job_result("survey", report=b"[" * 100_000),
        job_result("survey"),
    ],
)
def test_a_survey_that_cannot_be_read_is_said_to_be_none(job: JobResult) -> None:
    assert read_survey(job, 1000, "").startswith("(there is no outline")


def test_files_are_surveyed_without_running_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text(
        "raise SystemExit\nclass A(B):\n    def go(self): ...\n    def _no(self): ...\n"
        "def f(x, *, y): ...\n"
    )
    Path("bad.py").write_text("x = (\n")
    Path("book.md").write_text("# Title\n\n## One\n\n### Deep\n")
    Path("README.md").write_text("# Read me\n")
    stream = io.StringIO()
    assert GUEST.make(["a.py", "bad.py", "book.md", "README.md", "gone.py"], stream) == 0
    report = stream.getvalue().encode()
    assert read_survey(job_result("survey", report=report), 1000, "") == (
        "# Read me\n\na.py: class A(B): go; f(x, y)\nbook.md: # Title; ## One"
    )


def test_files_that_are_only_compiled_are_still_found_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandbox.checkers.sources import Sources

    monkeypatch.chdir(tmp_path)
    Path("stub.py").write_text("def f(x):\n    pass\n")
    Path("bad.py").write_text("x = (\n")
    assert [one["e"] for one in Sources(["stub.py"], ["bad.py"]).findings] == ["stub", "syntax"]
    assert [one["e"] for one in Sources([], ["stub.py"]).findings] == []


def test_a_name_of_a_file_that_was_not_read_is_found_by_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandbox.checkers.sources import Sources

    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()
    Path("src/a.py").write_text("class Thing:\n    pass\n")
    assert "from a import Thing" in Sources([]).hint("b.py", "Undefined variable 'Thing'")
    Path("b.py").write_text("def Thing(): pass\n")
    assert Sources([]).hint("b.py", "Undefined variable 'Thing'") == ""
