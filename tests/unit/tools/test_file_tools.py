import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.file_store import FileStore
from l2mac.processor.messages import ToolCall
from l2mac.tools.base import Toolbelt, ToolContext, ToolOutcome
from l2mac.tools.files import file_tools
from l2mac.trace.objects import ObjectStore
from sandbox.testing import SandboxScript

FILES = {"app.py": b"one\ntwo\nthree\n", "lib/util.py": b"def twice(x):\n    return 2 * x\n"}
BELT = Toolbelt(file_tools(), {})


class StoreTools:
    """Tools over a store in memory."""

    def __init__(
        self, folder: Path, *, characters: int = 2000, lost_at: tuple[int, ...] = ()
    ) -> None:
        self.script = SandboxScript(lost_at=lost_at)
        self.store = FileStore(self.script.make_sandbox, ObjectStore(folder / "objects.pack"))
        self.store.write(FILES)
        self.context = ToolContext(self.store, characters, 20.0)

    def call(self, name: str, **arguments: object) -> ToolOutcome:
        return BELT.perform(ToolCall("1", name, json.dumps(arguments)), self.context)

    @property
    def contents(self) -> dict[str, bytes]:
        return self.script.sandboxes[-1].contents


@pytest.fixture
def tools(tmp_path: Path) -> StoreTools:
    return StoreTools(tmp_path)


def test_files_are_listed_with_their_sizes(tools: StoreTools) -> None:
    assert tools.call("list_files") == ToolOutcome("app.py (14 bytes)\nlib/util.py (31 bytes)")


@pytest.mark.parametrize("folder", ["lib", "lib/", "/lib", "lib//"])
def test_files_of_a_folder_are_listed(tools: StoreTools, folder: str) -> None:
    assert tools.call("list_files", folder=folder).text == "lib/util.py (31 bytes)"


def test_a_folder_is_not_the_beginning_of_another_name(tools: StoreTools) -> None:
    tools.call("write_files", files=[{"path": "library.py", "content": ""}])
    assert tools.call("list_files", folder="lib").text == "lib/util.py (31 bytes)"
    assert tools.call("list_files", folder="none").text == "there are no files"


def test_a_file_is_shown_with_line_numbers(tools: StoreTools) -> None:
    outcome = tools.call("view_files", files=[{"path": "app.py"}])
    assert outcome == ToolOutcome("app.py (lines 1 to 4 of 4)\n1\tone\n2\ttwo\n3\tthree\n4\t")


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ({"first_line": 2, "last_line": 3}, ["2\ttwo", "3\tthree"]),
        ({"first_line": 3}, ["3\tthree", "4\t"]),
        ({"last_line": 1}, ["1\tone"]),
    ],
)
def test_view_shows_the_requested_lines(
    tools: StoreTools, lines: dict[str, int], shown: list[str]
) -> None:
    outcome = tools.call("view_files", files=[{"path": "app.py", **lines}])
    assert outcome.text.splitlines()[1:] == shown


@pytest.mark.parametrize("lines", [{"first_line": 9}, {"first_line": 3, "last_line": 2}])
def test_lines_that_are_not_there_are_none(tools: StoreTools, lines: dict[str, int]) -> None:
    outcome = tools.call("view_files", files=[{"path": "app.py", **lines}])
    assert len(outcome.text.splitlines()) == 1
    assert "of 4" in outcome.text


def test_several_files_are_shown_and_a_missing_one_is_named(tools: StoreTools) -> None:
    outcome = tools.call(
        "view_files", files=[{"path": "none.py"}, {"path": "app.py", "last_line": 1}]
    )
    assert not outcome.ok
    assert (
        outcome.text == "none.py: there is no file 'none.py'\n\napp.py (lines 1 to 1 of 4)\n1\tone"
    )


def test_bytes_that_are_no_text_are_shown_as_escapes(tools: StoreTools) -> None:
    tools.store.write({"blob": b"\xff\x00"})
    assert tools.call("view_files", files=[{"path": "blob"}]).text.endswith("1\t\\xff\x00")


@given(
    lines=st.lists(
        st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=300),
        min_size=1,
        max_size=12,
    ),
    characters=st.integers(300, 1200),
)
def test_reading_on_where_it_says_shows_every_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], characters: int
) -> None:
    tools = StoreTools(tmp_path_factory.mktemp("tools"), characters=characters)
    tools.store.write({"f": "\n".join(lines).encode()})
    seen: list[str] = []
    first = 1
    while first:
        text = tools.call("view_files", files=[{"path": "f", "first_line": first}]).text
        assert len(text) <= characters + 200
        shown = text.split("\n")[1:]
        seen += [line for line in shown if not line.startswith("[... lines")]
        rest = [line for line in shown if line.startswith("[... lines")]
        first = int(rest[0].split("first_line ")[1].split(" ")[0]) if rest else 0
    assert [line.split("\t")[0] for line in seen] == [
        str(number) for number in range(1, len(lines) + 1)
    ]
    for number, (shown_line, line) in enumerate(zip(seen, lines, strict=True), 1):
        whole = f"{number}\t{line}"
        assert shown_line == whole or whole.startswith(
            shown_line.removesuffix(" [... the line goes on ...]")
        )


def test_lines_that_contain_a_text_are_found(tools: StoreTools) -> None:
    assert tools.call("search_files", text="twice").text == "lib/util.py:1: def twice(x):"
    assert tools.call("search_files", text="TWO", ignore_case=True).text == "app.py:2: two"
    assert tools.call("search_files", text="t.o").text == "no file contains 't.o'"


def test_more_matches_than_can_be_shown_are_said_to_be_more(tools: StoreTools) -> None:
    tools.store.write({"many": b"rare\n" * 101})
    assert tools.call("search_files", text="rare").text.count("many:") == 100
    assert "more than 100 lines match" in tools.call("search_files", text="rare").text


def test_written_files_are_in_the_store(tools: StoreTools) -> None:
    files = [{"path": "new/a.py", "content": "ünï\r\n"}, {"path": "app.py", "content": ""}]
    outcome = tools.call("write_files", files=files)
    assert (outcome.ok, outcome.text) == (True, "wrote new/a.py, app.py")
    assert [change.path for change in outcome.changes] == ["new/a.py", "app.py"]
    assert tools.contents == {
        "new/a.py": "ünï\r\n".encode(),
        "app.py": b"",
        "lib/util.py": FILES["lib/util.py"],
    }


def test_unchanged_writes_are_reported_as_unchanged(tools: StoreTools) -> None:
    outcome = tools.call("write_files", files=[{"path": "app.py", "content": "one\ntwo\nthree\n"}])
    assert outcome == ToolOutcome("nothing has changed in app.py: this is what was there before")


@pytest.mark.parametrize(
    "files",
    [
        [{"path": "a.py", "content": "1"}, {"path": "a.py", "content": "2"}],
        [{"path": "a.py", "content": "1"}, {"path": "../a.py", "content": "2"}],
        [{"path": "app.py/below", "content": ""}],
        [{"path": "/etc/passwd", "content": ""}],
    ],
)
def test_one_refused_file_refuses_them_all(tools: StoreTools, files: list[dict[str, str]]) -> None:
    outcome = tools.call("write_files", files=files)
    assert not outcome.ok
    assert outcome.text.startswith("refused: ")
    assert (outcome.changes, tools.contents) == ((), FILES)


def test_one_exact_piece_of_text_is_replaced(tools: StoreTools) -> None:
    outcome = tools.call("edit_file", path="app.py", old="two\n", new="2 $x \\1\n")
    assert outcome.text == "replaced the text at line 2 of app.py"
    assert tools.contents["app.py"] == b"one\n2 $x \\1\nthree\n"
    assert [change.path for change in outcome.changes] == ["app.py"]


@pytest.mark.parametrize(
    ("content", "old", "problem"),
    [
        (b"one two one", "one", "stands 2 times in 'app.py', not once; take in more lines"),
        (b"\n\n\n", "\n\n", "stands 2 times"),
        (b"abab ababab", "abab", "stands 3 times"),
        (b"one", "two", "stands 0 times in 'app.py', not once; view the file"),
        (b"a\r\nb", "a\nb", "stands 0 times"),
    ],
)
def test_text_that_does_not_stand_there_exactly_once_is_refused(
    tools: StoreTools, content: bytes, old: str, problem: str
) -> None:
    tools.store.write({"app.py": content})
    outcome = tools.call("edit_file", path="app.py", old=old, new="x")
    assert problem in outcome.text
    assert (outcome.ok, tools.contents["app.py"]) == (False, content)


def test_a_file_that_is_not_there_cannot_be_edited(tools: StoreTools) -> None:
    assert tools.call("edit_file", path="none", old="x", new="y") == ToolOutcome(
        "refused: there is no file 'none'", ok=False
    )


def test_deleted_files_are_gone(tools: StoreTools) -> None:
    outcome = tools.call("delete_files", paths=["app.py", "app.py"])
    assert (outcome.text, tools.contents) == (
        "deleted app.py",
        {"lib/util.py": FILES["lib/util.py"]},
    )


def test_one_missing_file_keeps_them_all(tools: StoreTools) -> None:
    outcome = tools.call("delete_files", paths=["app.py", "none"])
    assert (outcome.ok, outcome.text) == (False, "refused: there is no file 'none'")
    assert tools.contents == FILES


def test_a_lost_sandbox_is_an_outcome_and_the_files_are_as_before(tmp_path: Path) -> None:
    tools = StoreTools(tmp_path, lost_at=(2,))
    outcome = tools.call("write_files", files=[{"path": "new", "content": ""}])
    assert not outcome.ok
    assert outcome.text.endswith("the files are as they were before the call")
    assert tools.contents == FILES


def test_long_outcomes_are_cut_with_a_mark(tmp_path: Path) -> None:
    tools = StoreTools(tmp_path, characters=300)
    tools.store.write({f"folder/file{number}.py": b"x" * 200 for number in range(50)})
    for outcome in (tools.call("list_files"), tools.call("search_files", text="x")):
        assert len(outcome.text) < 400
        assert outcome.text.endswith("characters did not fit ...]")


def test_the_tools_that_write_are_those_that_change_files() -> None:
    assert [spec.name for spec in BELT.writing_specs] == [
        "write_files",
        "edit_file",
        "apply_patch",
        "delete_files",
    ]
