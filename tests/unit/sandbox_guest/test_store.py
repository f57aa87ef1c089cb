"""The guest's file store: no request and no leftover of a command leads out of its folder.

The store is plain system calls on descriptors, so only here it runs on a folder of the host.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sandbox.guest.entries import StoreRefusal
from sandbox.guest.files import GuestFileStore
from sandbox.guest.folders import clear_folder

MAX_BYTES = 10_000
NAMES = st.sampled_from(
    [
        "a",
        "b",
        "a/b",
        "a/b/c",
        "d/e",
        "../a",
        "/a",
        "a/../b",
        "con",
        ".l2mac-0.part",
        "é",
        "e\u0301",
        "x" * 201,
        "",
        "a\n",
    ]
)
CONTENTS = st.binary(max_size=20) | st.just(b"x" * 1001)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "secret.txt").write_text("outside")
    folder = tmp_path / "root"
    folder.mkdir()
    yield folder
    assert (tmp_path / "secret.txt").read_text() == "outside"
    assert sorted(os.listdir(tmp_path)) == ["root", "secret.txt"]


def store_of(root: Path) -> GuestFileStore:
    return GuestFileStore(str(root), max_files=30, max_file_bytes=1000, max_bytes=MAX_BYTES)


@pytest.fixture
def store(root: Path) -> GuestFileStore:
    return store_of(root)


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


class AnyRequests(RuleBasedStateMachine):
    """The store beside a dictionary: after any requests both hold the same."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name) / "root"
        self.root.mkdir()
        self.store = store_of(self.root)
        self.model: dict[str, bytes] = {}

    def teardown(self) -> None:
        os.close(self.store._root)
        self.folder.cleanup()

    @rule(files=st.dictionaries(NAMES, CONTENTS, min_size=1, max_size=4))
    def write(self, files: dict[str, bytes]) -> None:
        try:
            digests = self.store.write(list(files.items()))
        except StoreRefusal:
            return
        self.model |= files
        assert digests == [hashlib.sha256(content).hexdigest() for content in files.values()]

    @rule(paths=st.lists(NAMES, min_size=1, max_size=3))
    def delete(self, paths: list[str]) -> None:
        known = set(paths) <= set(self.model)
        try:
            self.store.delete(paths)
        except StoreRefusal:
            assert not known
            return
        assert known
        self.model = {path: content for path, content in self.model.items() if path not in paths}

    @rule(path=NAMES, offset=st.integers(0, 30), limit=st.integers(0, 30))
    def read(self, path: str, offset: int, limit: int) -> None:
        try:
            part, size = self.store.read(path, offset, limit)
        except StoreRefusal:
            assert path not in self.model
            return
        assert (part, size) == (self.model[path][offset : offset + limit], len(self.model[path]))

    @rule(
        name=st.sampled_from(["a", "b", "link", "bad:name", "a/b"]),
        kind=st.sampled_from(["link", "pipe", "dir", "file"]),
    )
    def meddle(self, name: str, kind: str) -> None:
        """Leave an entry as a command could, then scan."""
        path = self.root / name
        if path.parent.is_dir() and not path.parent.is_symlink() and not os.path.lexists(path):
            if kind == "link":
                path.symlink_to("/etc")
            elif kind == "pipe":
                os.mkfifo(path)
            elif kind == "dir":
                path.mkdir()
            else:
                path.write_bytes(b"made")
        changes, _, _ = self.store.scan()
        for changed, size, digest in changes:
            assert isinstance(changed, str)
            if size == -1:
                del self.model[changed]
            else:
                self.model[changed] = (self.root / changed).read_bytes()
                assert hashlib.sha256(self.model[changed]).hexdigest() == digest

    @invariant()
    def both_hold_the_same(self) -> None:
        assert tree(self.root) == self.model
        assert [row[0] for row in self.store.listing()] == sorted(self.model)
        for path in self.root.rglob("*"):
            assert stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR)


TestAnyRequests = AnyRequests.TestCase
TestAnyRequests.settings = settings(stateful_step_count=20)


@pytest.mark.parametrize("target", ["..", "../secret.txt", "/", "/etc", ".", "loop"])
def test_planted_links_are_never_followed(store: GuestFileStore, root: Path, target: str) -> None:
    """No command runs between two scans; if a link is there all the same, it is refused."""
    store.write([("folder/file.txt", b"inside")])
    (root / "folder" / "file.txt").unlink()
    (root / "folder").rmdir()
    (root / "folder").symlink_to(target)

    for request in (
        lambda: store.write([("folder/secret.txt", b"changed")]),
        lambda: store.read("folder/secret.txt", 0, 100),
        lambda: store.delete(["folder/file.txt"]),
        lambda: store.read("folder", 0, 100),
    ):
        with pytest.raises((StoreRefusal, OSError)):
            request()


def test_written_file_replaces_a_link_and_not_its_target(
    store: GuestFileStore, root: Path, tmp_path: Path
) -> None:
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")

    store.write([("link.txt", b"new")])

    assert (root / "link.txt").read_bytes() == b"new"
    assert not (root / "link.txt").is_symlink()


def test_pipe_in_place_of_a_file_is_refused_without_blocking(
    store: GuestFileStore, root: Path
) -> None:
    os.mkfifo(root / "main.py")
    with pytest.raises(StoreRefusal, match="not a regular file"):
        store.read("main.py", 0, 10)
    assert store.scan() == ([], [], 1)


def test_failed_write_changes_nothing(store: GuestFileStore, root: Path) -> None:
    store.write([("a.txt", b"old"), ("folder/b.txt", b"old")])
    before = tree(root)

    for files in (
        [("a.txt", b"new"), ("new/c.txt", b"new"), ("folder", b"new")],
        [("a.txt", b"new"), ("a.txt/x", b"new")],
        [("new/deep/d.txt", b"new"), ("folder/b.txt/x", b"new")],
        [("a.txt", b"new"), ("big.txt", b"x" * 1001)],
        [("a.txt", b"new"), ("a.txt", b"new")],
        [(f"f{n}", b"") for n in range(31)],
    ):
        with pytest.raises(StoreRefusal):
            store.write(files)

    assert tree(root) == before
    assert sorted(os.listdir(root)) == ["a.txt", "folder"]


def test_no_descriptor_is_left_open(store: GuestFileStore) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for n in range(20):
        store.write([(f"{n}/a/b.txt", b"x"), (f"{n}/c.txt", b"x")])
        with pytest.raises(StoreRefusal):
            store.write([(f"{n}/a", b"x")])
        store.read(f"{n}/c.txt", 0, 1)
        store.delete([f"{n}/a/b.txt", f"{n}/c.txt"])
        store.scan()
    assert len(os.listdir("/proc/self/fd")) == before


def test_changed_file_with_unchanged_size_and_time_is_found(
    store: GuestFileStore, root: Path
) -> None:
    store.write([("a.txt", b"1234")])
    status = (root / "a.txt").stat()
    (root / "a.txt").write_bytes(b"5678")
    os.utime(root / "a.txt", ns=(status.st_atime_ns, status.st_mtime_ns))

    changes, _, removed = store.scan()

    assert (changes, removed) == ([["a.txt", 4, hashlib.sha256(b"5678").hexdigest()]], 0)


def test_rewritten_file_with_restored_content_is_named(store: GuestFileStore, root: Path) -> None:
    store.write([("a.txt", b"1234"), ("b.txt", b"5678"), ("c.txt", b"90")])
    status = (root / "a.txt").stat()
    (root / "a.txt").write_bytes(b"else")
    (root / "a.txt").write_bytes(b"1234")
    os.utime(root / "a.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    (root / "b.txt").rename(root / "other")
    (root / "other").rename(root / "b.txt")
    (root / "c.txt").read_bytes()

    assert store.scan() == ([], ["a.txt", "b.txt"], 0)
    assert store.scan() == ([], [], 0)


def test_unreadable_file_counts_as_changed_once(store: GuestFileStore, root: Path) -> None:
    (root / "a.txt").write_bytes(b"x")
    (root / "a.txt").chmod(0)
    assert [change[0] for change in store.scan()[0]] == ["a.txt"]
    assert store.scan() == ([], [], 0)


def test_files_beyond_the_bounds_are_removed_and_counted(store: GuestFileStore, root: Path) -> None:
    for n in range(40):
        (root / f"f{n:02d}").write_bytes(b"x" * 400)

    changes, _, removed = store.scan()

    assert (len(changes), removed) == (25, 15)
    assert sum(len(content) for content in tree(root).values()) <= MAX_BYTES


def test_undecodable_names_are_removed(store: GuestFileStore, root: Path) -> None:
    with open(os.fsencode(root) + b"/\xff\xfe", "wb"):
        pass
    assert store.scan() == ([], [], 1)


def test_clearing_a_folder_follows_no_link_and_has_no_depth_limit(tmp_path: Path) -> None:
    scratch, kept = tmp_path / "scratch", tmp_path / "kept"
    scratch.mkdir()
    kept.mkdir()
    (kept / "file").write_text("kept")
    (scratch / "link").symlink_to(kept)
    (scratch / "closed").mkdir()
    (scratch / "closed" / "file").write_text("x")
    (scratch / "closed").chmod(0)
    fd = os.open(scratch, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=fd)
        inner = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)

    clear_folder(str(scratch))
    clear_folder(str(tmp_path / "missing"))

    assert list(scratch.iterdir()) == []
    assert (kept / "file").read_text() == "kept"


def test_empty_directories_left_by_a_command_never_block_a_file(
    store: GuestFileStore, root: Path
) -> None:
    (root / "a" / "b" / "c").mkdir(parents=True)
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "kept.txt").write_text("x")
    assert store.scan()[2] == 0
    assert sorted(path.name for path in root.rglob("*")) == ["d", "kept.txt"]
    store.write([("a", b"1"), ("d/e", b"2")])
    assert tree(root) == {"a": b"1", "d/e": b"2", "d/kept.txt": b"x"}
