"""Shorter listings for pytest: it collects the same tests and asks about fewer files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, sys
import pytest
from sandbox.checkers.collecting import ShorterListings

class Asked:
    def pytest_collect_file(self, file_path): asked.append(file_path)
    def pytest_collection_finish(self, session):
        print("COLLECTED", sorted(item.nodeid for item in session.items))
    pytest_collect_file.__module__ = "_pytest.of_the_test"

asked = []
shorter = [ShorterListings()] if sys.argv[1] == "shorter" else []
options = ["-c", os.devnull, "--rootdir", ".", "-q", "--collect-only", "-p", "no:cacheprovider"]
pytest.main(options, plugins=[Asked(), *shorter])
print("ASKED", sum(path.is_relative_to(os.getcwd()) for path in asked))
"""
TEST = "def test_it(): pass\n"
UNITTEST = "import unittest\nclass T(unittest.TestCase):\n    def test_x(self): pass\n"
YAML = """
import pytest
class File(pytest.File):
    def collect(self):
        yield Item.from_parent(self, name="one")
class Item(pytest.Item):
    def runtest(self): pass
def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".yaml":
        return File.from_parent(parent, path=file_path)
"""
PROJECTS = {
    "modules, packages and data": {
        "test_a.py": TEST,
        "tests/test_b.py": TEST,
        "package/__init__.py": "",
        "package/sub/__init__.py": "",
        "package/sub/test_c.py": TEST,
        "package/data/x.json": "{}",
        "deep/er/than/c_test.py": TEST,
        "unittests/test_d.py": UNITTEST,
    },
    "doctests in texts": {
        "docs/test_guide.txt": ">>> 1 + 1\n2\n",
        "docs/guide.txt": ">>> 1 + 1\n2\n",
    },
    "a conftest that collects files of its own": {
        "conftest.py": YAML,
        "cases/one.yaml": "",
        "cases/in/two.yaml": "",
    },
    "such a conftest further down": {
        "below/conftest.py": YAML,
        "below/one.yaml": "",
        "beside/two.yaml": "",
    },
    "a conftest that chooses the texts of doctest": {
        "conftest.py": "def pytest_configure(config): config.option.doctestglob = ['*.rst']\n",
        "guide.rst": ">>> 1 + 1\n2\n",
    },
    "a conftest that ignores a folder": {
        "conftest.py": "collect_ignore = ['old']\n",
        "old/test_a.py": TEST,
        "test_b.py": TEST,
    },
}


def collected(folder: Path, listings: str) -> tuple[str, int]:
    """Return the tests that pytest collects in a folder, and how many files it asks about."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, listings],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    (items,) = (line for line in lines if line.startswith("COLLECTED"))
    (count,) = (line for line in lines if line.startswith("ASKED"))
    return items, int(count.split()[1])


@pytest.mark.parametrize("files", PROJECTS.values(), ids=PROJECTS.keys())
def test_shorter_listings_do_not_change_the_collected_tests(
    files: dict[str, str], tmp_path: Path
) -> None:
    data = {f"data/part{n}/{n}.dat": "" for n in range(20)}
    for path, content in {**files, **data}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    (tmp_path / "link").symlink_to(tmp_path / "data")

    usual, _ = collected(tmp_path, "usual")

    assert "::" in usual  # control: the project has tests
    assert collected(tmp_path, "shorter")[0] == usual


def test_shorter_listings_hide_files_without_tests(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(TEST)
    (tmp_path / "data").mkdir()
    for n in range(50):
        (tmp_path / "data" / f"{n}.dat").write_text("")

    assert collected(tmp_path, "usual")[1] == 51
    assert collected(tmp_path, "shorter")[1] == 1
