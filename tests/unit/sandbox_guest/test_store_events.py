"""Scans by the kernel's reports: they find every change, and their time is that of touched files.

The tests need a kernel whose reports are complete (`sandbox.guest.inotify`). The folder is on a
tmpfs, as the store of a sandbox is. There a write through a shared mapping leaves all times of the
file unchanged if the page has been read before.
"""

import ctypes
import hashlib
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sandbox.guest import inotify
from sandbox.guest.entries import StoreRefusal
from sandbox.guest.files import GuestFileStore
from sandbox.guest.inotify import Queue
from sandbox.guest.store_events import StoreEvents, Touched
from sandbox.guest.walk import signature

RELEASE = "6.1.0"
FILES = [("a.txt", b"old a"), ("b.txt", b"old b"), ("d/c.txt", b"old c"), ("d/e/f.txt", b"old f")]
KINDS = (
    "OPEN MODIFY ATTRIB CLOSE_WRITE MOVE_SELF MOVED_FROM MOVED_TO CREATE DELETE DELETE_SELF"
).split()
QUEUE_LIMIT = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


class Deaf(StoreEvents):
    """Events that are never looked at."""

    def take(self) -> Touched:
        super().take()
        return Touched(everything=False)


class LateClose(StoreEvents):
    """Events of a file whose writer is closed between the look at the queue and the lease."""

    writer = -1

    def watch_file(self, fd: int, path: str) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1
        super().watch_file(fd, path)


class SilentQueue(Queue):
    """A queue of a kernel that never reports one kind of event."""

    def __init__(self, masks: tuple[int, int], bit: int) -> None:
        super().__init__(masks)
        self._bit = bit

    def events(self) -> list[tuple[AbstractSet[str], int]]:
        return [(paths, bits & ~self._bit) for paths, bits in super().events()]


class FullQueue(Queue):
    """A queue of a kernel that grants no watch after the trial."""

    def watch(self, link: str, path: str, *, follow: bool) -> bool:
        if path in ("file", "outer/", "inner/"):
            return super().watch(link, path, follow=follow)
        self.forget(path)
        return False


def store_of(
    root: Path, events: StoreEvents, kind: type[GuestFileStore] = GuestFileStore
) -> GuestFileStore:
    return kind(str(root), max_files=3000, max_file_bytes=1000, max_bytes=1_000_000, events=events)


Opener = Callable[[StoreEvents], GuestFileStore]
Way = Callable[[Path], None]


@pytest.fixture
def make(root: Path) -> Iterator[Opener]:
    """Return a function that makes a store; the queues of all stores are closed at the end."""
    made: list[StoreEvents] = []

    def one(events: StoreEvents) -> GuestFileStore:
        made.append(events)
        return store_of(root, events)

    yield one
    for events in made:
        events.stop()


@pytest.fixture
def opened(make: Opener, root: Path) -> Opener:
    """Return a function that makes a store with `FILES`, as it is when a command starts."""

    def one(events: StoreEvents) -> GuestFileStore:
        store = make(events)
        store.rely_on_events()
        store.write(FILES)
        assert sorted(os.listdir(root)) == ["a.txt", "b.txt", "d"]
        store.before_command()
        return store

    return one


@pytest.fixture
def store(opened: Opener) -> GuestFileStore:
    return opened(StoreEvents(RELEASE))


def write_through_a_mapping(path: Path, content: bytes = b"NEW") -> None:
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 0) as pages:
        os.close(fd)
        assert pages[0]  # reads the page, so that the write causes no page fault
        pages[: len(content)] = content


def write_in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"NEW")


def write_and_restore_times(path: Path) -> None:
    before = path.stat()
    write_in_place(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def write_under_another_name(path: Path) -> None:
    name = path.parent / "other"
    os.link(path, name)
    write_through_a_mapping(name)
    name.unlink()


def write_through_the_link_of_a_descriptor(path: Path) -> None:
    fd = os.open(path, os.O_PATH)
    write_through_a_mapping(Path(f"/proc/self/fd/{fd}"))
    os.close(fd)


def write_in_a_moved_folder(path: Path) -> None:
    moved = path.parent.with_name("moved")
    path.parent.rename(moved)
    write_through_a_mapping(moved / path.name)
    moved.rename(path.parent)


def truncate_and_extend(path: Path) -> None:
    os.truncate(path, 0)
    os.truncate(path, 5)


def replace_by_another_file(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(b"NEW a")
    new.rename(path)


def exchange_with_another_file(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(b"NEW a")
    exchange(new, path)
    new.unlink()


def delete_and_create_again(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"NEW a")


def create_the_folder_again(path: Path) -> None:
    path.unlink()
    path.parent.rename(path.parent.with_name("gone"))
    path.parent.mkdir()
    path.write_bytes(b"NEW a")


def exchange(one: Path, other: Path) -> None:
    """Let two paths change places in one step, see renameat2(2)."""
    at_cwd, flag = -100, 2
    arguments = (at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), flag)
    assert ctypes.CDLL(None, use_errno=True).renameat2(*arguments) == 0


WAYS: tuple[Way, ...] = (
    write_through_a_mapping,
    write_in_place,
    write_and_restore_times,
    write_under_another_name,
    write_through_the_link_of_a_descriptor,
    write_in_a_moved_folder,
    truncate_and_extend,
    replace_by_another_file,
    exchange_with_another_file,
    delete_and_create_again,
    create_the_folder_again,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_scan_finds_content_changed_in_any_way(way: Way, store: GuestFileStore, root: Path) -> None:
    path = "d/e/f.txt"
    way(root / path)

    changes, _, _ = store.scan()

    content = (root / path).read_bytes()
    assert content != dict(FILES)[path]
    assert [path, len(content), hashlib.sha256(content).hexdigest()] in changes
    store.before_command()
    assert store.scan() == ([], [], 0)


def test_write_through_a_mapping_leaves_all_times_unchanged(
    store: GuestFileStore, root: Path
) -> None:
    """Show, as a control, that a scan by times alone would miss this change."""
    before = signature((root / "a.txt").stat())
    write_through_a_mapping(root / "a.txt")
    assert signature((root / "a.txt").stat()) == before
    assert (root / "a.txt").read_bytes() == b"NEW a"


def test_scan_without_events_misses_the_same_change(opened: Opener, root: Path) -> None:
    """Show, as a control, that events are the reason why a scan finds this change."""
    store = opened(Deaf(RELEASE))
    write_through_a_mapping(root / "a.txt")
    assert store.scan() == ([], [], 0)


@pytest.mark.parametrize("release", ["4.4.0", "4.19.0-gvisor", "5.15.0-gvisor", "four", ""])
def test_old_kernels_and_gvisor_make_a_scan_read_every_file(
    release: str, make: Opener, opened: Opener, root: Path
) -> None:
    assert inotify.is_recent_linux("5.10.0-28-amd64")
    assert not make(StoreEvents(release)).rely_on_events()
    store = opened(StoreEvents(release))
    write_through_a_mapping(root / "d/c.txt")
    assert [change[0] for change in store.scan()[0]] == ["d/c.txt"]


@pytest.mark.parametrize("bit", KINDS)
def test_kernel_that_withholds_one_kind_of_event_is_not_relied_on(
    bit: str, make: Opener, root: Path
) -> None:
    def silent(bits: int) -> StoreEvents:
        return StoreEvents(RELEASE, lambda masks: SilentQueue(masks, bits))

    assert make(silent(0)).rely_on_events()  # control: this kernel withholds nothing
    assert not make(silent(getattr(inotify, bit))).rely_on_events()
    assert os.listdir(root) == []


def test_overflow_makes_a_scan_read_every_file(store: GuestFileStore, root: Path) -> None:
    write_through_a_mapping(root / "a.txt")
    for _ in range(QUEUE_LIMIT // 2 + 1):
        for name in ("b.txt", "d/c.txt"):  # two in turn: equal events in a row are merged
            os.close(os.open(root / name, os.O_RDONLY))

    assert store.scan() == (
        [["a.txt", 5, hashlib.sha256(b"NEW a").hexdigest()]],
        [],
        0,
    )


def test_changes_are_found_although_the_scan_before_failed(
    store: GuestFileStore, root: Path
) -> None:
    write_through_a_mapping(root / "a.txt")
    store.before_command()
    assert [change[0] for change in store.scan()[0]] == ["a.txt"]


def test_files_without_a_watch_are_read_at_every_scan(opened: Opener, root: Path) -> None:
    store = opened(StoreEvents(RELEASE, FullQueue))
    for content in (b"NEW", b"old", b"NEW"):
        write_through_a_mapping(root / "a.txt", content)
        assert [change[0] for change in store.scan()[0]] == ["a.txt"]
        store.before_command()


class FailsLater(GuestFileStore):
    """A store that fails when a file is put in place, after other files of the same write."""

    def _put_in_place(self, part: str, path: str) -> tuple[int, ...]:
        if path == "b.txt":
            raise StoreRefusal("no memory is left")
        return super()._put_in_place(part, path)


def test_files_put_in_place_by_a_failed_write_are_reported(root: Path) -> None:
    events = StoreEvents(RELEASE)
    store = store_of(root, events, FailsLater)
    assert store.rely_on_events()
    with pytest.raises(StoreRefusal, match="no memory"):
        store.write([("a.txt", b"a"), ("b.txt", b"b")])
    store.before_command()

    assert [change[0] for change in store.scan()[0]] == ["a.txt"]
    events.stop()


def test_files_only_read_are_not_reported_as_written(store: GuestFileStore, root: Path) -> None:
    (root / "a.txt").read_bytes()
    with (root / "b.txt").open("r+b"):
        pass
    with (root / "d/c.txt").open("rb"):  # still open, but cannot be written to
        assert store.scan() == ([], ["b.txt"], 0)


def write_and_restore(path: Path) -> None:
    old = path.read_bytes()
    before = signature(path.stat())
    write_through_a_mapping(path)
    write_through_a_mapping(path, old)
    assert signature(path.stat()) == before


def test_writes_restored_in_the_first_command_are_reported(make: Opener, root: Path) -> None:
    store = make(StoreEvents(RELEASE))
    store.rely_on_events()
    store.write(FILES)
    store.before_command()
    write_and_restore(root / "a.txt")
    assert store.scan() == ([], ["a.txt"], 0)


def test_writes_restored_after_a_refused_write_are_reported(
    store: GuestFileStore, root: Path
) -> None:
    assert store.scan() == ([], [], 0)
    with pytest.raises(StoreRefusal):
        store.write([("a.txt/below", b"")])
    store.before_command()
    write_and_restore(root / "a.txt")
    assert store.scan() == ([], ["a.txt"], 0)


def test_writes_restored_behind_a_flood_of_opens_are_reported(
    store: GuestFileStore, root: Path
) -> None:
    write_and_restore(root / "a.txt")
    for _ in range(QUEUE_LIMIT // 2 + 1):
        for name in ("b.txt", "d/c.txt"):
            os.close(os.open(root / name, os.O_RDONLY))
    assert store.scan() == ([], ["a.txt"], 0)


def test_flood_of_writes_makes_every_file_count_as_written(
    store: GuestFileStore, root: Path
) -> None:
    for _ in range(QUEUE_LIMIT // 2 + 1):
        for name in ("b.txt", "d/c.txt"):
            os.utime(root / name)
    write_and_restore(root / "a.txt")
    assert store.scan() == ([], sorted(path for path, _ in FILES), 0)


def test_files_still_open_for_writing_are_reported_as_written(
    store: GuestFileStore, root: Path
) -> None:
    fd = os.open(root / "a.txt", os.O_RDWR)
    assert store.scan() == ([], ["a.txt"], 0)
    store.before_command()
    os.close(fd)
    assert store.scan() == ([], ["a.txt"], 0)
    store.before_command()
    assert store.scan() == ([], [], 0)


def test_writers_closed_during_the_scan_are_reported(opened: Opener, root: Path) -> None:
    events = LateClose(RELEASE)
    store = opened(events)
    events.writer = os.open(root / "a.txt", os.O_RDWR)
    assert store.scan() == ([], ["a.txt"], 0)


def test_files_in_a_folder_renamed_for_a_while_count_as_written(
    store: GuestFileStore, root: Path
) -> None:
    (root / "d").rename(root / "away")
    (root / "away").rename(root / "d")
    assert store.scan() == ([], ["d/c.txt", "d/e/f.txt"], 0)


def test_files_in_exchanged_folders_count_as_written(store: GuestFileStore, root: Path) -> None:
    (root / "x").mkdir()
    exchange(root / "x", root / "d")
    exchange(root / "x", root / "d")
    assert store.scan() == ([], ["d/c.txt", "d/e/f.txt"], 0)


def test_scan_examines_no_untouched_file(
    make: Opener, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(StoreEvents(RELEASE))
    store.rely_on_events()
    store.write([*FILES, *((f"data/{n % 40}/{n}.txt", b"x") for n in range(2000))])
    store.before_command()
    examined: list[str] = []
    real_stat = os.stat

    def stat(path: str, *, dir_fd: int, follow_symlinks: bool) -> os.stat_result:
        examined.append(path)
        return real_stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)

    def scandir(_: int) -> Iterator[os.DirEntry[str]]:
        raise AssertionError("the scan lists a folder")

    (root / "a.txt").read_bytes()
    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "stat", stat)

    assert store.scan() == ([], [], 0)

    assert set(examined) == {"a.txt"}


class AnyCommands(RuleBasedStateMachine):
    """The store after commands of any kind, beside the files on the disk."""

    names = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a", "f/a"])
    folders = st.sampled_from(["d", "d/e", "f", "g"])

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.root = Path(self.folder.name)
        self.events = StoreEvents(RELEASE)
        self.store = store_of(self.root, self.events)
        assert self.store.rely_on_events()
        self.known: dict[str, str] = {}
        self.store.before_command()

    def teardown(self) -> None:
        self.events.stop()
        os.close(self.store._root)
        self.folder.cleanup()

    @rule(files=st.dictionaries(names, st.binary(min_size=1, max_size=3), min_size=1, max_size=3))
    def host_writes(self, files: dict[str, bytes]) -> None:
        self.scan()
        try:
            self.store.write(list(files.items()))
        except StoreRefusal:
            return
        finally:
            self.store.before_command()
        self.known |= {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}

    @rule(path=names)
    def host_deletes(self, path: str) -> None:
        self.scan()
        if path in self.known:
            self.store.delete([path])
            del self.known[path]
        self.store.before_command()

    @rule(
        path=names,
        other=names,
        way=st.sampled_from(
            ["map", "write", "link", "move", "exchange", "delete", "read", "chmod"]
        ),
    )
    def command(self, path: str, other: str, way: str) -> None:
        source, target = self.root / path, self.root / other
        try:
            if way == "map":
                write_through_a_mapping(source)
            elif way == "write":
                source.parent.mkdir(parents=True, exist_ok=True)
                source.write_bytes(other.encode())
            elif way == "link":
                os.link(source, target)
            elif way == "move":
                source.rename(target)
            elif way == "exchange":
                exchange(source, target)
            elif way == "delete":
                source.unlink()
            elif way == "chmod":
                source.chmod(0)
            else:
                source.read_bytes()
        except (AssertionError, OSError, ValueError, IndexError):
            pass

    @rule(folder=folders, other=folders)
    def folders_move(self, folder: str, other: str) -> None:
        try:
            (self.root / folder).rename(self.root / other)
        except OSError:
            pass

    @rule()
    def scan(self) -> None:
        for path, _, digest in self.store.scan()[0]:
            if digest:
                self.known[str(path)] = str(digest)
            else:
                del self.known[str(path)]
        on_disk = {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.root.rglob("*")
            if path.is_file()
        }
        assert self.known == on_disk
        assert {str(row[0]): row[2] for row in self.store.listing()} == on_disk
        self.store.before_command()

    @invariant()
    def no_trial_is_left(self) -> None:
        assert not (self.root / inotify._TRIAL).exists()


TestAnyCommands = AnyCommands.TestCase
TestAnyCommands.settings = settings(max_examples=120, stateful_step_count=25, deadline=None)
