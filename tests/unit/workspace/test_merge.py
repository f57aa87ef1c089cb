"""Merging into a folder of the host: all or nothing, without losses, without following links."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.errors import L2macError, SettingsError
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.diff import compare, read_host
from l2mac.workspace.export import MANIFEST, export, quarantine, sort_out
from l2mac.workspace.host_folder import HostFolder, UnsafePath
from l2mac.workspace.merge import merge, plan_merge


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects.pack")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def kept(objects: ObjectStore, **files: str) -> dict[str, str]:
    return {
        path.replace("__", "/"): objects.put(content.encode()) for path, content in files.items()
    }


def state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_new_files_are_added_and_the_hosts_own_stay(project: Path, objects: ObjectStore) -> None:
    (project / "mine.txt").write_text("mine")
    files = kept(objects, a="1", p__b="2")
    plan = plan_merge(files, project)
    assert (plan.added, plan.conflicts) == (("a", "p/b"), ())
    assert set(state(project)) == {"mine.txt"}
    merge(plan, files, objects, overwrite=False)
    assert {**state(project), MANIFEST: ""} == {
        "mine.txt": "mine",
        "a": "1",
        "p/b": "2",
        MANIFEST: "",
    }
    assert (project / "a").stat().st_mode & 0o7777 == 0o644 & ~_umask()


def test_merge_updates_its_own_files_and_keeps_edited_ones(
    project: Path, objects: ObjectStore
) -> None:
    first = kept(objects, a="1", b="1", c="1", d="1")
    merge(plan_merge(first, project), first, objects, overwrite=False)
    (project / "b").write_text("mine")
    second = kept(objects, a="2", b="2", c="1")
    plan = plan_merge(second, project)
    assert (plan.updated, plan.conflicts, plan.same, plan.gone) == (("a",), ("b",), ("c",), ("d",))
    before = state(project)
    with pytest.raises(SettingsError, match="wrote nothing"):
        merge(plan, second, objects, overwrite=False)
    assert state(project) == before
    merge(plan, second, objects, overwrite=True)
    assert {name: text for name, text in state(project).items() if name != MANIFEST} == {
        "a": "2",
        "b": "2",
        "c": "1",
        "d": "1",
    }


def test_a_file_that_changes_after_it_was_shown_is_not_written_over(
    project: Path, objects: ObjectStore
) -> None:
    files = kept(objects, a="1", b="1")
    plan = plan_merge(files, project)
    (project / "b").write_text("mine")
    with pytest.raises(SettingsError, match="has changed since the merge was planned"):
        merge(plan, files, objects, overwrite=True)
    assert state(project) == {"b": "mine"}


@pytest.mark.parametrize("kind", ["file", "folder", "dangling", "fifo", "case", "folder's case"])
def test_links_pipes_and_twins_are_in_the_way_and_nothing_is_written(
    tmp_path: Path, project: Path, objects: ObjectStore, kind: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    if kind == "fifo":
        (project / "p").mkdir()
        os.mkfifo(project / "p" / "b")
    elif kind == "folder":
        (project / "p").symlink_to(outside)
    elif kind == "folder's case":
        (project / "P").mkdir()
    else:
        (project / "p").mkdir()
        if kind == "case":
            (project / "p" / "B").write_text("mine")
        else:
            (project / "p" / "b").symlink_to(outside / ("secret" if kind == "file" else "nothing"))
    files = kept(objects, a="1", p__b="2")
    plan = plan_merge(files, project)
    assert list(plan.blocked) == ["p/b"]
    with pytest.raises(SettingsError, match="wrote nothing"):
        merge(plan, files, objects, overwrite=True)
    assert not (project / "a").exists()
    assert state(outside) == {"secret": "secret"}


def test_a_link_that_is_made_after_the_look_is_not_followed(
    tmp_path: Path, project: Path, objects: ObjectStore
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    files = kept(objects, p__b="2")
    plan = plan_merge(files, project)
    (project / "p").symlink_to(outside)
    with pytest.raises(SettingsError):
        merge(plan, files, objects, overwrite=True)
    assert state(outside) == {}


def test_a_link_in_the_place_of_the_folder_is_refused(
    tmp_path: Path, project: Path, objects: ObjectStore
) -> None:
    (tmp_path / "link").symlink_to(project)
    with pytest.raises(SettingsError, match="--into"):
        plan_merge(kept(objects, a="1"), tmp_path / "link")


def test_quarantined_files_get_numbers_and_an_index(tmp_path: Path, objects: ObjectStore) -> None:
    files = {**kept(objects, a="1"), ".envrc": objects.put(b"evil"), "../up": objects.put(b"worse")}
    folder = quarantine(files, sort_out(files)[1], objects, tmp_path / "aside")
    assert sorted(state(folder)) == ["00001.txt", "00002.txt", "index.json"]
    assert {state(folder)[name] for name in ("00001.txt", "00002.txt")} == {"evil", "worse"}
    assert ".envrc" in state(folder)["index.json"]


NAMES = st.text("aAe\u0301é/.\\~\x00\n ", min_size=1, max_size=8) | st.sampled_from(
    [".git/config", "con", "a/../b", "/etc/x", "\ud800", "ﬁ", "fi"]
)


@given(paths=st.lists(NAMES, max_size=6))
def test_export_of_any_names_stays_in_its_folder_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str]
) -> None:
    here = tmp_path_factory.mktemp("here")
    objects = ObjectStore(here / "objects.pack")
    files = dict.fromkeys(paths, objects.put(b"x"))
    (here / "into").mkdir()
    try:
        export(files, objects, here / "out")
        merge(plan_merge(files, here / "into"), files, objects, overwrite=False)
    except L2macError:
        pass
    assert {path.name for path in here.iterdir()} <= {"objects.pack", "out", "into"}
    assert all(path.is_dir() or path.is_file() for path in here.rglob("*") if not path.is_symlink())


@given(path=NAMES)
def test_host_folder_never_writes_outside_itself(
    tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    here = tmp_path_factory.mktemp("here")
    (here / "inside").mkdir()
    with HostFolder(here / "inside") as host:
        try:
            host.write(path, b"x", replace=True)
            assert host.read(path, 10) == b"x"
        except (UnsafePath, UnicodeEncodeError):
            pass
    assert [one.name for one in here.iterdir()] == ["inside"]


def test_a_diff_shows_text_line_by_line_and_the_rest_in_a_sentence() -> None:
    before = {"a": b"one\ntwo\n", "b": b"\xff", "c": b"x", "d": b""}
    after = {"a": b"one\n2\n", "b": b"\xfe", "c": b"x", "e": b"no end"}
    found = {one.path: one for one in compare(before, after)}
    assert found["a"].text == "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
    assert "not text" in found["b"].text
    assert (found["d"].how, found["e"].how) == ("deleted", "added")
    assert found["e"].text.endswith("+no end\n\\ No newline at end of file\n")
    assert "c" not in found


def test_a_folder_of_the_host_is_read_without_following_links(
    tmp_path: Path, project: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (project / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(project / "pipe")
    (project / "a").write_text("1")
    contents, others = read_host(project)
    assert contents == {"a": b"1"}
    assert [(one.path, one.how) for one in others] == [("link", "other"), ("pipe", "other")]
    assert all("secret" not in one.text for one in others)


def _umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before
