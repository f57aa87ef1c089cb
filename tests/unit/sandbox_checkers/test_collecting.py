"""What pytest collects with narrowed listings is what it collects without; only what it looks at is less."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
import pytest
from sandbox.checkers.collecting import Narrowed

class Looked:
    def pytest_collect_file(self, file_path): seen.append(file_path)
    def pytest_collection_finish(self, session): print("COLLECTED", sorted(item.nodeid for item in session.items))
    pytest_collect_file.__module__ = "_pytest.of_the_test"

seen = []
narrowed = [Narrowed()] if sys.argv[1] == "narrowed" else []
pytest.main(["-c", os.devnull, "--rootdir", ".", "-q", "--collect-only", "-p", "no:cacheprovider"],
            plugins=[Looked(), *narrowed])
print("LOOKED", sum(path.is_relative_to(os.getcwd()) for path in seen))
"""
TEST = "def test_it(): pass\n"
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
        "unittests/test_d.py": "import unittest\nclass T(unittest.TestCase):\n    def test_x(self): pass\n",
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
    "a conftest that sets what texts are": {
        "conftest.py": "def pytest_configure(config): config.option.doctestglob = ['*.rst']\n",
        "guide.rst": ">>> 1 + 1\n2\n",
    },
    "a conftest that leaves out a folder": {
        "conftest.py": "collect_ignore = ['old']\n",
        "old/test_a.py": TEST,
        "test_b.py": TEST,
    },
}


def collected(folder: Path, how: str) -> tuple[str, int]:
    """Give what pytest collects in a folder, and how many files it looked at."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    (items,) = (line for line in lines if line.startswith("COLLECTED"))
    (count,) = (line for line in lines if line.startswith("LOOKED"))
    return items, int(count.split()[1])


@pytest.mark.parametrize("files", PROJECTS.values(), ids=PROJECTS.keys())
def test_narrowed_listings_change_nothing_about_what_is_collected(files, tmp_path):
    for path, content in {**files, **{f"data/part{n}/{n}.dat": "" for n in range(20)}}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    (tmp_path / "link").symlink_to(tmp_path / "data")

    plain, _ = collected(tmp_path, "plain")

    assert "::" in plain  # control: there is something to collect
    assert collected(tmp_path, "narrowed")[0] == plain


def test_narrowed_listings_leave_out_what_holds_no_tests(tmp_path):
    (tmp_path / "test_a.py").write_text(TEST)
    (tmp_path / "data").mkdir()
    for n in range(50):
        (tmp_path / "data" / f"{n}.dat").write_text("")

    assert collected(tmp_path, "plain")[1] == 51
    assert collected(tmp_path, "narrowed")[1] == 1
