from hypothesis import given
from hypothesis import strategies as st

from l2mac.control.file_listing import describe_files


def test_no_files_are_said_to_be_none():
    assert describe_files((), 100) == "(none)"


def test_few_files_are_listed_by_path():
    assert describe_files(("a.py", "b/c.py"), 100) == "a.py, b/c.py"


def test_the_paths_are_listed_up_to_the_very_limit():
    assert describe_files(("a.py", "b/c.py"), 12) == "a.py, b/c.py"
    assert describe_files(("a.py", "b/c.py"), 11).startswith("2 files: ")


def test_many_files_are_counted_by_folder():
    files = ("a.py", "b/c.py", "b/d.py", "b/e/f.py")
    assert describe_files(files, 29) == (
        "4 files: ./ (1 files), b/ (2 files), b…; use list_files and search_files to find what you need"
    )


@given(count=st.integers(0, 300), limit=st.integers(0, 500))
def test_the_description_never_grows_much_beyond_its_limit(count: int, limit: int):
    files = [f"folder{number}/file{number}.py" for number in range(count)]
    assert len(describe_files(files, limit)) <= limit + 100
