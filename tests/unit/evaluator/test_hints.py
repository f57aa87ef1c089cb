"""Hints of the checkers in a linter's messages: the correction, not only the fault."""

from pathlib import Path

import pytest

from sandbox.checkers.sources import Sources


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stack.py").write_text(
        "class Stack:\n    def push(self): return 1\n\ndef peek(): return 3\n\n"
        "def twin(): return 1\n"
    )
    (tmp_path / "other.py").write_text("def twin(): return 2\n")
    return Sources(["stack.py", "other.py"])


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("Undefined variable 'Stack'", "insert before line 1: from stack import Stack"),
        ("Undefined variable 'pytest'", "insert before line 1: import pytest"),
        ("Undefined variable 'math'", "insert before line 1: import math"),
        ("Unable to import 'your_module'", "the modules that there are: other, stack"),
        ("No name 'Heap' in module 'stack'", "stack defines: Stack, peek, twin"),
    ],
)
def test_hint_names_the_line_to_add_or_the_existing_names(
    sources: Sources, message: str, hint: str
) -> None:
    assert hint in sources.hint("other.py", message)


@pytest.mark.parametrize(
    "message", ["Undefined variable 'twin'", "Undefined variable 'x'", "No name 'a' in module 'b'"]
)
def test_hint_is_empty_for_ambiguous_or_unknown_names(sources: Sources, message: str) -> None:
    assert sources.hint("other.py", message) == ""


def test_one_line_imports_all_that_is_undefined_of_a_module(sources: Sources) -> None:
    hint = sources.hint("other.py", "Undefined variable 'Stack'", {"Stack", "peek", "math", ""})
    assert hint == "insert before line 1: from stack import Stack, peek"


def test_hint_places_imports_behind_docstring_and_future_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text(
        '"""A\n\nB"""\nfrom __future__ import annotations\n\nimport os\n'
    )
    assert (
        Sources(["a.py"]).hint("a.py", "Undefined variable 'math'")
        == "insert before line 6: import math"
    )


def test_a_finding_quotes_its_line(sources: Sources) -> None:
    assert sources.quote("stack.py", 2) == "def push(self): return 1"


@pytest.mark.parametrize(
    ("path", "line"), [("stack.py", 0), ("stack.py", 3), ("stack.py", 99), ("gone.py", 1)]
)
def test_finding_without_a_line_quotes_none(sources: Sources, path: str, line: int) -> None:
    assert sources.quote(path, line) == ""


def test_a_syntax_error_quotes_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text("x = 1\ndef f(:\n    return x\n")
    (finding,) = Sources(["a.py"]).findings
    assert (finding["text"], finding["quote"]) == ("invalid syntax", "def f(:")
