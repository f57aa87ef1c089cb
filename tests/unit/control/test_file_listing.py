from hypothesis import given
from hypothesis import strategies as st

from l2mac.control.file_listing import (
    describe_files,
    fenced_files,
    headed_files,
    paged_files,
    truncated,
)


def test_no_files_are_said_to_be_none() -> None:
    assert describe_files((), 100) == "(none)"


def test_few_files_are_listed_by_path() -> None:
    assert describe_files(("a.py", "b/c.py"), 100) == "a.py, b/c.py"


def test_the_paths_are_listed_up_to_the_very_limit() -> None:
    assert describe_files(("a.py", "b/c.py"), 12) == "a.py, b/c.py"
    assert describe_files(("a.py", "b/c.py"), 11).startswith("2 files: ")


def test_many_files_are_counted_by_folder() -> None:
    files = ("a.py", "b/c.py", "b/d.py", "b/e/f.py")
    assert describe_files(files, 29) == (
        "4 files: ./ (1 files), b/ (2 files), b…;"
        " use list_files and search_files to find what you need"
    )


@given(count=st.integers(0, 300), limit=st.integers(0, 500))
def test_the_description_never_grows_much_beyond_its_limit(count: int, limit: int) -> None:
    files = [f"folder{number}/file{number}.py" for number in range(count)]
    assert len(describe_files(files, limit)) <= limit + 100


TEXTS = (("a.py", "a" * 30), ("b.py", "b" * 300), ("c.py", "```\nc\n```\n"))


def test_fenced_files_are_whole_and_the_named_ones_come_first() -> None:
    text = fenced_files(TEXTS, "see b.py", 320)
    assert "b.py:\n```\n" + "b" * 300 in text
    assert "a.py" in text.rpartition("not shown, for want of room: ")[2]
    assert "c.py:\n````\n```\nc\n```\n````" in text


def test_headed_files_are_truncated_and_the_rest_is_named() -> None:
    text = headed_files(TEXTS, 300)
    assert text.startswith("--- a.py\n" + "a" * 30 + "\n--- b.py\n")
    assert "\n[... cut ...]" in text
    assert text.endswith("(There is no room to show c.py.)")


def test_paged_files_hold_every_character_once() -> None:
    pages = list(paged_files(TEXTS, lambda: 260))
    shown = "".join(page for page, _ in pages)
    assert sum(taken for _, taken in pages) == sum(len(text) for _, text in TEXTS)
    assert shown.count("b") == 300 + shown.count("b.py")
    assert all(len(page) <= 260 for page, _ in pages)


def test_files_without_room_are_no_page() -> None:
    assert list(paged_files(TEXTS, lambda: 5)) == []


def test_each_form_names_missing_files_and_truncation() -> None:
    assert fenced_files((), "", 10) == headed_files((), 10) == describe_files((), 10) == "(none)"
    assert truncated("abcd", 4) == "abcd"
    assert truncated("abcde", 4) == "abcd\n[... cut ...]"
