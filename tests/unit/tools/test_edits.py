"""Edits of a part of a file are exact, or refused with advice for the model."""

import contextlib
import difflib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.file_store import FileStore
from l2mac.processor.messages import ToolCall
from l2mac.tools.base import Toolbelt, ToolContext, ToolOutcome
from l2mac.tools.files import file_tools
from l2mac.tools.patches import OFFSET, apply_hunks, parse_patch
from l2mac.trace.objects import ObjectStore
from sandbox import Refused
from sandbox.testing import SandboxScript

APP = "import os\n\n\ndef first():\n    return 1\n\n\ndef second():\n    return 2\n"
FILES = {"app.py": APP.encode(), "util.py": b"A = 1\nB = 2\n", "raw.bin": b"\xff\xfe\n"}
PATCH = """diff --git a/app.py b/app.py
--- a/app.py
+++ b/app.py
@@ -4,2 +4,2 @@ def first():
 def first():
-    return 1
+    return 10
@@ -8,2 +8,3 @@
 def second():
     return 2
+    # the end
--- /dev/null
+++ b/new/c.py
@@ -0,0 +1,2 @@
+C = 3
+D = 4
"""


class StoreTools:
    """The file tools on a store in memory."""

    def __init__(self, folder: Path) -> None:
        self.store = FileStore(SandboxScript().make_sandbox, ObjectStore(folder / "objects"))
        self.store.write(FILES)

    def call(self, name: str, **arguments: object) -> ToolOutcome:
        context = ToolContext(self.store, 4000, 5.0)
        return Toolbelt(file_tools(), {}).perform(
            ToolCall("1", name, json.dumps(arguments)), context
        )

    @property
    def contents(self) -> dict[str, bytes]:
        return {entry.path: self.store.read(entry.path) for entry in self.store.files}


@pytest.fixture
def tools(tmp_path: Path) -> StoreTools:
    return StoreTools(tmp_path)


def test_every_one_of_the_counted_places_is_replaced(tools: StoreTools) -> None:
    outcome = tools.call("edit_file", path="app.py", old="return", new="yield", count=2)
    assert outcome.text == "replaced the text 2 times, at the lines 5, 9 of app.py"
    assert tools.contents["app.py"] == APP.replace("return", "yield").encode()


def test_a_wrong_count_is_refused_with_the_right_one_and_the_lines(tools: StoreTools) -> None:
    outcome = tools.call("edit_file", path="app.py", old="return", new="yield", count=3)
    assert "stands 2 times in 'app.py', not 3 times" in outcome.text
    assert "give count 2; it begins at the lines 5, 9" in outcome.text
    assert tools.contents == FILES


@pytest.mark.parametrize(
    ("old", "said"),
    [
        (
            "def second():\n  return 2\n",
            "lines 8 to 9, where only white space differs:\n8\tdef second():\n9\t    return 2",
        ),
        ("def secnod():", "closest is line 8:\n8\tdef second():"),
        ("nothing at all like it", "copy the text exactly"),
    ],
)
def test_missing_text_is_refused_with_its_closest_lines(
    tools: StoreTools, old: str, said: str
) -> None:
    outcome = tools.call("edit_file", path="app.py", old=old, new="x")
    assert said in outcome.text
    assert tools.contents == FILES


def test_a_patch_of_several_files_is_applied_whole(tools: StoreTools) -> None:
    outcome = tools.call("apply_patch", patch=PATCH)
    assert outcome.text == "applied 3 hunks to app.py, new/c.py"
    after = APP.replace("return 1", "return 10").replace("return 2\n", "return 2\n    # the end\n")
    assert tools.contents == {**FILES, "app.py": after.encode(), "new/c.py": b"C = 3\nD = 4\n"}
    assert {change.path for change in outcome.changes} == {"app.py", "new/c.py"}


def test_one_hunk_that_does_not_fit_refuses_the_whole_patch(tools: StoreTools) -> None:
    outcome = tools.call("apply_patch", patch=PATCH.replace(" def second():", " def secund():"))
    assert (
        "hunk 2 of app.py (line 8 of the patch) does not fit: its line 'def secund():'"
        in outcome.text
    )
    assert "line 8 of the file is 'def second():'" in outcome.text
    assert "closest is lines 8 to 9" in outcome.text
    assert tools.contents == FILES


def header(path: str, hunk: str) -> str:
    return f"--- a/{path}\n+++ b/{path}\n{hunk}"


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("just words", "no unified patch"),
        ("*** Begin Patch\n*** Update File: app.py\n", "no unified patch"),
        (header("none.py", "@@ -1 +1 @@\n-a\n+b\n"), "there is no file 'none.py'"),
        (header("raw.bin", "@@ -1 +1 @@\n-a\n+b\n"), "no text in UTF-8"),
        (
            "--- a/util.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-A = 1\n",
            "line 2 of the patch deletes a file; use delete_files",
        ),
        (
            "--- a/util.py\n+++ b/tool.py\n@@ -1 +1 @@\n-A = 1\n+A = 2\n",
            "renames 'util.py' to 'tool.py'",
        ),
        ("--- /dev/null\n+++ b/util.py\n@@ -0,0 +1 @@\n+A\n", "but it exists"),
        (
            header("util.py", "@@ -1 +1 @@\n-A = 1\n+A = 2\n*** End Patch\n"),
            "line 6 of the patch begins with '*'",
        ),
        (
            header("util.py", "@@ -1 +1 @@\n A = 1\n"),
            "the hunk at line 3 of the patch changes nothing",
        ),
        (
            header("util.py", "@@ -1,0 +2 @@\n+X = 9\n"),
            "only adds; give at least one line around it",
        ),
        (header("util.py", "@@ -1 +1 @@\n-A = 1\n+A = 2\n") * 2, "stands twice in the patch"),
        (header("app.py", "@@ -90 +90 @@\n-\n+X = 9\n"), "fits at 4 places, the lines 2, 3, 6, 7"),
        ("--- /dev/null\n+++ b/../out.py\n@@ -0,0 +1 @@\n+A\n", "refused"),
    ],
)
def test_malformed_patch_is_refused_by_line_and_changes_nothing(
    tools: StoreTools, patch: str, said: str
) -> None:
    outcome = tools.call("apply_patch", patch=patch)
    assert said in outcome.text
    assert not outcome.ok
    assert tools.contents == FILES


@pytest.mark.parametrize(("off", "fits"), [(OFFSET, True), (OFFSET + 1, False)])
def test_a_place_may_be_off_by_the_stated_number_of_lines_and_no_more(off: int, fits: bool) -> None:
    content = "same\n" * 300 + "target\n" + "same\n" * 300
    (patch,) = parse_patch(header("a", f"@@ -{301 + off} +1 @@\n-target\n+done\n"))
    if fits:
        assert apply_hunks(patch, content) == content.replace("target", "done")
    else:
        with pytest.raises(Refused, match=f"more than {OFFSET} lines"):
            apply_hunks(patch, content)


def test_an_earlier_hunk_is_never_placed_behind_a_later_one() -> None:
    hunks = "@@ -3 +3 @@\n-b\n+B\n@@ -1 +1 @@\n-a\n+A\n"
    (patch,) = parse_patch(header("a", hunks))
    with pytest.raises(Refused, match="hunk 2"):
        apply_hunks(patch, "a\nx\nb\n")


@pytest.mark.parametrize(
    ("content", "hunk", "after"),
    [
        ("a\nb", "@@ -2 +2 @@\n-b\n\\ No newline at end of file\n+b\n", "a\nb\n"),
        ("a\nb\n", "@@ -2 +2 @@\n-b\n+b\n\\ No newline at end of file\n", "a\nb"),
        ("a\r\nb\r\n", "@@ -2 +2 @@\n-b\r\n+c\r\n", "a\r\nc\r\n"),
        ("a\n", "@@ -1 +0,0 @@\n-a\n", ""),
    ],
)
def test_ends_of_lines_and_files_are_kept_as_the_patch_says(
    content: str, hunk: str, after: str
) -> None:
    (patch,) = parse_patch(header("a", hunk))
    assert apply_hunks(patch, content) == after


LINES = st.lists(st.sampled_from(["a", "b", "", "  x", "-y", "+z", "@q", "\\ w"]), max_size=30)


@given(LINES, LINES, st.integers(0, 4))
def test_difflib_patches_apply_to_their_original_result(
    before: list[str], after: list[str], context: int
) -> None:
    """Without context a place can be ambiguous: such a patch is refused."""
    old, new = ("".join(f"{line}\n" for line in lines) for lines in (before, after))
    diff = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), "a/f", "b/f", n=context
    )
    text = "".join(diff)
    if not text:
        return
    (patch,) = parse_patch(text)
    if before and any(not hunk.old for hunk in patch.hunks):
        with pytest.raises(Refused, match="only adds"):
            apply_hunks(patch, old)
    else:
        assert apply_hunks(patch, old) == new


@given(st.text(st.sampled_from("-+@ ab\n\\0123,/"), max_size=200))
def test_no_text_makes_the_reader_fail_in_another_way_than_by_a_refusal(text: str) -> None:
    with contextlib.suppress(Refused):
        for one in parse_patch(text):
            assert one.hunks
            apply_hunks(one, "a\nb\n")
