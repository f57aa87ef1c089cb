"""The fingerprint of a test: independent of layout, changed by every change of its source."""

from pathlib import Path

import pytest

from sandbox.checkers.declared import declared_in

TEST = "def test_x():\n    assert f(1) == 2\n"


def fingerprint_of(folder: Path, text: str, test: str = "test_a.py::test_x") -> str:
    (folder / "test_a.py").write_text(text)
    return declared_in(str(folder))[test]


def test_fingerprint_ignores_layout_comments_and_other_tests(tmp_path: Path) -> None:
    moved = "import os\n\n\ndef test_first():\n    pass\n\n\n"
    moved += "def test_x():  # why\n    assert f(1)  ==  2\n"
    assert fingerprint_of(tmp_path, TEST) == fingerprint_of(tmp_path, moved)


@pytest.mark.parametrize(
    "other",
    [
        TEST.replace("2", "3"),
        "import pytest\n\n\n@pytest.mark.skip\n" + TEST,
        TEST + "\n\n" + TEST.replace("2", "3"),
        TEST.replace("test_x()", "test_x(a)"),
    ],
)
def test_changed_test_has_another_fingerprint(tmp_path: Path, other: str) -> None:
    assert fingerprint_of(tmp_path, TEST) != fingerprint_of(tmp_path, other)


def test_fingerprint_includes_the_enclosing_class(tmp_path: Path) -> None:
    inner = "    def test_x(self):\n        assert 1\n"
    test = "test_a.py::TestA::test_x"
    one, other = (
        fingerprint_of(tmp_path, f"class TestA({base}):\n{inner}", test) for base in ("A", "B")
    )
    assert one != other
