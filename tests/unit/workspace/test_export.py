import functools
import itertools
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interrupts import interrupted_at

from l2mac.errors import SettingsError, TraceError
from l2mac.trace.objects import ObjectStore
from l2mac.workspace import export as export_module
from l2mac.workspace.export import MANIFEST, export, sort_out

SMALL_DISK = """
import resource, sys
from pathlib import Path
from l2mac.errors import SettingsError
from l2mac.workspace.export import export
from l2mac.trace.objects import ObjectStore
objects = ObjectStore(Path(sys.argv[1]))
files = {"a.py": objects.put(b"small"), "b.py": objects.put(b"x" * 5000)}
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    export(files, objects, Path(sys.argv[2]))
except SettingsError as error:
    print(error)
"""
ACTING = [
    ".git/config",
    ".git",
    "sub/.git/hooks/pre-commit",
    ".GIT/config",
    ".Git/config",
    "a/b/.vScode/tasks.json",
    ".v\u017fcode/tasks.json",
    ".envrc",
    "deep/er/.ENVRC",
    "CLAUDE.md",
    "docs/agents.MD",
    ".mcp.json",
    ".devcontainer.json",
    ".pre-commit-config.yaml",
    "lib/site.pth",
    "x.PTH",
    "run.desktop",
    "shortcut.lnk",
    "project.code-workspace",
    "sitecustomize.py",
    ".github/workflows/ci.yml",
    ".idea/workspace.xml",
    ".npmrc",
    "Jenkinsfile",
    ".gdbinit",
    ".pdbrc",
    "notes/.Rprofile",
    "git~1/config",
    "CLAUDE~1.MD",
]
RESERVED = ["con", "CON.txt", "a/aux.py", "nul", "com1", "LPT9.log", "com¹.txt", "conin$"]
FORGED = [
    "",
    "/etc/passwd",
    "../outside",
    "a/../../outside",
    "a//b",
    "./a",
    "a/.",
    "~/.bashrc",
    "a\x00b",
    "a\nb",
    "a\\..\\b",
    "c:evil",
    "-rf",
    "a/",
    "x" * 300,
    "\ud800",
    "a\u202eyp.txt",
    "e\u0301.py",
]
ORDINARY = [
    "HEAD",
    "b/config",
    "backup~old.txt",
    "app.py",
    "src/app/__init__.py",
    ".gitignore",
    "README.md",
    "conftest.py",
    "console.py",
    "a.b.c",
    "ünïcödé.md",
]


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects.pack")


def kept(objects: ObjectStore, **files: str) -> dict[str, str]:
    return {
        path.replace("__", "/"): objects.put(content.encode()) for path, content in files.items()
    }


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_files_appear_with_their_bytes_and_a_manifest(
    tmp_path: Path, objects: ObjectStore
) -> None:
    files = {"app.py": objects.put(b"x = 1\r\n\xff"), "a/b/c.py": objects.put(b"")}
    done = export(files, objects, tmp_path / "new" / "out")
    assert everything_in(done.folder) == [MANIFEST, "a", "a/b", "a/b/c.py", "app.py"]
    assert (done.folder / "app.py").read_bytes() == b"x = 1\r\n\xff"
    assert done.written == ("a/b/c.py", "app.py")
    assert json.loads((done.folder / MANIFEST).read_text()) == {"sha256": files, "quarantined": {}}


def test_export_writes_only_regular_files_without_execute_bits(
    tmp_path: Path, objects: ObjectStore, usual_umask: None
) -> None:
    folder = export(kept(objects, a="#!/bin/sh", b__c="x"), objects, tmp_path / "out").folder
    modes = {path.name: path.lstat().st_mode for path in folder.rglob("*")}
    assert {stat.filemode(mode) for name, mode in modes.items() if name != "b"} == {"-rw-r--r--"}
    assert stat.filemode(modes["b"]) == "drwxr-xr-x"


@pytest.mark.parametrize(
    "path", [*ACTING, *RESERVED, *FORGED, MANIFEST, "sub/" + MANIFEST, MANIFEST.upper()]
)
def test_names_that_act_on_a_host_are_quarantined_with_a_reason(
    tmp_path: Path, objects: ObjectStore, path: str
) -> None:
    (tmp_path / "here").mkdir()
    done = export(
        {path: objects.put(b"evil"), "app.py": objects.put(b"good")},
        objects,
        tmp_path / "here" / "out",
    )
    assert done.written == ("app.py",)
    assert list(done.quarantined) == [path]
    assert done.quarantined[path] != ""
    assert everything_in(tmp_path / "here") == ["out", "out/" + MANIFEST, "out/app.py"]


@pytest.mark.parametrize("folder", ["", "deep/er/"])
def test_a_folder_that_git_takes_for_a_repository_is_none_any_more(
    tmp_path: Path, objects: ObjectStore, folder: str
) -> None:
    acting = (
        f'[core]\n\tbare = false\n\tworktree = {tmp_path}/out\n\tfsmonitor = "touch acted; false"\n'
    )
    contents = {
        "HEAD": "ref: refs/heads/main\n",
        "Config": acting,
        "objects/keep": "",
        "refs/keep": "",
    }
    files = {folder + name: objects.put(text.encode()) for name, text in contents.items()}
    done = export(files, objects, tmp_path / "out")
    assert sorted(done.quarantined) == [f"{folder}Config", f"{folder}HEAD"]


@pytest.mark.parametrize("path", ORDINARY)
def test_an_ordinary_name_is_written(path: str) -> None:
    assert sort_out({path: "0" * 64}) == ({path: "0" * 64}, {})


@pytest.mark.parametrize(
    ("paths", "aside"),
    [
        (("App.py", "app.py"), {"app.py"}),
        (("a/X.py", "A/x.py"), {"a/X.py"}),
        (("STRASSE", "straße"), {"straße"}),
        (("App", "app/x.py"), {"app/x.py"}),
        (("A/x.py", "a"), {"a"}),
        (("a", "a/b"), {"a/b"}),
        (("App/x.py", "app/y.py"), set()),
    ],
)
def test_files_that_letter_case_alone_tells_apart_are_not_both_written(
    paths: tuple[str, ...], aside: set[str]
) -> None:
    assert set(sort_out(dict.fromkeys(paths, "0" * 64))[1]) == aside


def test_case_twins_of_a_quarantined_name_are_quarantined() -> None:
    assert set(sort_out({".GIT": "0", ".git": "0", "a": "0"})[1]) == {".GIT", ".git"}


@given(paths=st.lists(st.text("aA/.gßẞs~", min_size=1, max_size=6), max_size=6))
def test_writable_names_never_collide_on_any_file_system(paths: list[str]) -> None:
    writable, aside = sort_out(dict.fromkeys(paths, "0" * 64))
    assert writable.keys() | aside.keys() == set(paths)
    assert writable.keys() & aside.keys() == set()
    folded = [path.casefold() for path in writable]
    assert len(set(folded)) == len(folded)
    assert not any(one.startswith(other + "/") for one in folded for other in folded)


def test_an_existing_folder_is_left_alone(tmp_path: Path, objects: ObjectStore) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(SettingsError, match=r"--output .*exists"):
        export(kept(objects, a="x"), objects, tmp_path / "out")
    assert everything_in(tmp_path / "out") == []


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_in_the_place_of_the_folder_is_not_followed(
    tmp_path: Path, objects: ObjectStore, target: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / target)
    with pytest.raises(SettingsError, match=r"--output .*exists"):
        export(kept(objects, a="x"), objects, tmp_path / "out")
    assert everything_in(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("output", ["/", ".", ".."])
def test_a_folder_without_a_name_of_its_own_exists(objects: ObjectStore, output: str) -> None:
    with pytest.raises(SettingsError, match="exists"):
        export(kept(objects, a="x"), objects, Path(output))


def test_a_missing_object_leaves_nothing_behind(tmp_path: Path, objects: ObjectStore) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(TraceError, match="is missing"):
        export({**kept(objects, a__b="x"), "z": "0" * 64}, objects, tmp_path / "here" / "out")
    assert everything_in(tmp_path / "here") == []


def test_an_altered_object_leaves_nothing_behind(tmp_path: Path, objects: ObjectStore) -> None:
    files = kept(objects, a="x", b="y")
    pack = tmp_path / "objects.pack"
    pack.write_bytes(pack.read_bytes()[:-1] + b"z")
    (tmp_path / "here").mkdir()
    with pytest.raises(TraceError, match="has been altered"):
        export(files, objects, tmp_path / "here" / "out")
    assert everything_in(tmp_path / "here") == []


def test_a_name_of_an_object_that_is_a_path_leaves_nothing_behind(
    tmp_path: Path, objects: ObjectStore
) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(TraceError, match="is missing"):
        export({"a": "..//etc/passwd"}, objects, tmp_path / "here" / "out")
    assert everything_in(tmp_path / "here") == []


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    words = [
        sys.executable,
        "-c",
        SMALL_DISK,
        str(tmp_path / "objects.pack"),
        str(tmp_path / "here" / "out"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=600)
    assert "cannot be written" in done.stdout
    assert everything_in(tmp_path / "here") == []


def test_a_parent_that_cannot_be_made_is_a_usage_error(
    tmp_path: Path, objects: ObjectStore
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"--output .*cannot be written"):
        export(kept(objects, a="x"), objects, tmp_path / "file" / "out")


def test_a_parent_that_takes_no_folder_is_a_usage_error(objects: ObjectStore) -> None:
    with pytest.raises(SettingsError, match=r"--output .*cannot be written"):
        export(kept(objects, a="x"), objects, Path("/proc/l2mac-output"))


# An interrupt can leave a `with` before its end.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_line_leaves_the_whole_folder_or_nothing(
    tmp_path: Path, objects: ObjectStore
) -> None:
    files = kept(objects, a="x", b__c="y")
    whole = ["out", "out/" + MANIFEST, "out/a", "out/b", "out/b/c"]
    for step in itertools.count(1):
        here = tmp_path / str(step)
        here.mkdir()
        work = functools.partial(export, files, objects, here / "out")
        interrupted = interrupted_at(step, work, export_module)
        assert everything_in(here) in ([], whole)
        if not interrupted:
            assert everything_in(here) == whole
            assert step > 50
            return
