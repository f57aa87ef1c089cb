"""The store by the kernel's word: a scan reads what was touched, misses no change, and does not grow with the store.

Needs a kernel that keeps its word (`sandbox.guest.inotify`). The folder is on a tmpfs, as the store is in a sandbox:
there a page that is mapped shared and was read first can be written to without any time of the file changing.
"""

import hashlib
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sandbox.guest import inotify
from sandbox.guest.files import GuestFileStore, StoreRefusal
from sandbox.guest.inotify import Touched
from sandbox.guest.walk import signature

LIMITS = {"max_files": 3000, "max_file_bytes": 1000, "max_bytes": 1_000_000}
RELEASE = "6.1.0"
FILES = [("a.txt", b"old a"), ("b.txt", b"old b"), ("d/c.txt", b"old c"), ("d/e/f.txt", b"old f")]


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


class Deaf(inotify.StoreEvents):
    """Believes the kernel, and then hears of nothing."""

    def take(self) -> Touched:
        return Touched()


class Silent(inotify.StoreEvents):
    """A kernel that keeps silent about one kind of event."""

    def __init__(self, bit: int) -> None:
        super().__init__(RELEASE)
        self._bit = bit

    def _events(self) -> Iterator[tuple[int, int]]:
        return ((number, mask & ~self._bit) for number, mask in super()._events())


class Full(inotify.StoreEvents):
    """A kernel that watches no more files, once it has been tried."""

    def _note(self, number: int, path: str) -> None:
        super()._note(-1, path)


Opener = Callable[..., GuestFileStore]


@pytest.fixture
def make(root: Path) -> Iterator[Opener]:
    """Give a function that makes a store and has it believe events if it can; queues are few, so all are closed."""
    made: list[inotify.StoreEvents] = []

    def one(events: inotify.StoreEvents) -> GuestFileStore:
        made.append(events)
        return GuestFileStore(str(root), **LIMITS, events=events)

    yield one
    for events in made:
        events.stop()


@pytest.fixture
def opened(make: Opener, root: Path) -> Opener:
    """Give a function that makes a store with `FILES`, as it is when a command starts."""

    def one(events: inotify.StoreEvents) -> GuestFileStore:
        store = make(events)
        store.believe_events()
        store.write(FILES)
        store.scan()
        assert sorted(os.listdir(root)) == ["a.txt", "b.txt", "d"]
        store.before_command()
        return store

    return one


@pytest.fixture
def store(opened: Opener) -> GuestFileStore:
    return opened(inotify.StoreEvents(RELEASE))


def write_through_a_mapping(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 0) as pages:
        os.close(fd)
        assert pages[0]  # is read first: the page is there, and no fault comes with the write
        pages[0:3] = b"NEW"


def write_in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"NEW")


def write_and_set_times_back(path: Path) -> None:
    before = path.stat()
    write_in_place(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def write_by_another_name(path: Path) -> None:
    name = path.parent / "other"
    os.link(path, name)
    write_through_a_mapping(name)
    name.unlink()


def write_by_a_link_of_a_descriptor(path: Path) -> None:
    fd = os.open(path, os.O_PATH)
    write_through_a_mapping(Path(f"/proc/self/fd/{fd}"))
    os.close(fd)


def write_in_a_moved_folder(path: Path) -> None:
    moved = path.parent.with_name("moved")
    path.parent.rename(moved)
    write_through_a_mapping(moved / path.name)
    moved.rename(path.parent)


def cut_and_grow(path: Path) -> None:
    os.truncate(path, 0)
    os.truncate(path, 5)


def put_another_in_its_place(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(b"NEW a")
    new.rename(path)


def delete_and_make_anew(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"NEW a")


def exchange_the_folder(path: Path) -> None:
    path.unlink()
    path.parent.rename(path.parent.with_name("gone"))
    path.parent.mkdir()
    path.write_bytes(b"NEW a")


WAYS: tuple[Callable[[Path], None], ...] = (
    write_through_a_mapping,
    write_in_place,
    write_and_set_times_back,
    write_by_another_name,
    write_by_a_link_of_a_descriptor,
    write_in_a_moved_folder,
    cut_and_grow,
    put_another_in_its_place,
    delete_and_make_anew,
    exchange_the_folder,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_scan_finds_a_content_that_changed_in_any_way(way, store, root):
    path = "d/e/f.txt"
    way(root / path)

    changes, _, _ = store.scan()

    content = (root / path).read_bytes()
    assert content != dict(FILES)[path]
    assert [path, len(content), hashlib.sha256(content).hexdigest()] in changes
    store.before_command()
    assert store.scan() == ([], [], 0)


def test_a_write_through_a_mapping_leaves_all_times_as_they_were(store, root):
    """The control: by times alone, which is what the store went by before, this change is not to be seen."""
    before = signature((root / "a.txt").stat())
    write_through_a_mapping(root / "a.txt")
    assert signature((root / "a.txt").stat()) == before
    assert (root / "a.txt").read_bytes() == b"NEW a"


def test_without_events_the_same_scan_misses_that_change(opened, root):
    """The control: it is the events that find it."""
    store = opened(Deaf(RELEASE))
    write_through_a_mapping(root / "a.txt")
    assert store.scan() == ([], [], 0)


@pytest.mark.parametrize("release", ["4.4.0", "4.19.0-gvisor", "5.15.0-gvisor", "four", ""])
def test_under_an_old_kernel_or_gvisor_every_file_is_read(release, make, opened, root):
    assert inotify.new_enough("5.10.0-28-amd64")
    assert not make(inotify.StoreEvents(release)).believe_events()
    store = opened(inotify.StoreEvents(release))
    write_through_a_mapping(root / "d/c.txt")
    assert [change[0] for change in store.scan()[0]] == ["d/c.txt"]


@pytest.mark.parametrize(
    "bit", ["_OPEN", "_MODIFY", "_ATTRIB", "_MOVE_SELF", "_CREATE", "_DELETE_SELF"]
)
def test_a_kernel_that_keeps_silent_about_one_thing_is_not_believed(bit, make, root):
    assert make(Silent(0)).believe_events()  # control: one that hides nothing is
    assert not make(Silent(getattr(inotify, bit))).believe_events()
    assert os.listdir(root) == []


def test_a_queue_that_overflows_makes_every_file_be_read(store, root):
    write_through_a_mapping(root / "a.txt")
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(limit // 2 + 1):
        for name in ("b.txt", "d/c.txt"):  # two in turn: the same event again would be merged
            os.close(os.open(root / name, os.O_RDONLY))

    assert [change[0] for change in store.scan()[0]] == ["a.txt"]


def test_what_the_last_command_did_is_seen_though_its_scan_failed(store, root):
    write_through_a_mapping(root / "a.txt")
    store.before_command()
    assert [change[0] for change in store.scan()[0]] == ["a.txt"]


def test_what_cannot_be_watched_is_read_at_every_scan(opened, root):
    store = opened(Full(RELEASE))
    write_through_a_mapping(root / "a.txt")
    assert [change[0] for change in store.scan()[0]] == ["a.txt"]


def test_a_file_that_was_only_read_is_not_called_rewritten(store, root):
    (root / "a.txt").read_bytes()
    with (root / "b.txt").open("r+b"):
        pass
    assert store.scan() == ([], ["b.txt"], 0)


def test_files_of_a_folder_that_was_away_for_a_while_are_named(store, root):
    (root / "d").rename(root / "away")
    (root / "away").rename(root / "d")
    assert store.scan() == ([], ["d/c.txt", "d/e/f.txt"], 0)


def test_a_scan_looks_at_no_file_that_was_not_touched(store, root, monkeypatch):
    store.scan()
    store.write([(f"data/{n % 40}/{n}.txt", b"x") for n in range(2000)])
    store.before_command()
    looked: list[object] = []
    stat = os.stat
    (root / "a.txt").read_bytes()
    monkeypatch.setattr(os, "scandir", lambda *_: looked.append("scandir") or iter(()))
    monkeypatch.setattr(
        os, "stat", lambda path, **options: looked.append(path) or stat(path, **options)
    )

    assert store.scan() == ([], [], 0)

    assert set(looked) == {"a.txt"}


class AnyCommands(RuleBasedStateMachine):
    """The store after commands of any kind, beside a store that reads every file."""

    names = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a", "f/a"])
    folders = st.sampled_from(["d", "d/e", "f", "g"])

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.root = Path(self.folder.name)
        self.events = inotify.StoreEvents(RELEASE)
        self.store = GuestFileStore(str(self.root), **LIMITS, events=self.events)
        assert self.store.believe_events()
        self.known: dict[str, str] = {}
        self.store.before_command()

    def teardown(self) -> None:
        self.events.stop()
        os.close(self.store._root)
        self.folder.cleanup()

    @rule(files=st.dictionaries(names, st.binary(min_size=1, max_size=3), min_size=1, max_size=3))
    def host_writes(self, files: dict[str, bytes]) -> None:
        self.look()
        try:
            self.store.write(list(files.items()))
        except StoreRefusal:
            return
        finally:
            self.store.before_command()
        self.known |= {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}

    @rule(path=names)
    def host_deletes(self, path: str) -> None:
        self.look()
        if path in self.known:
            self.store.delete([path])
            del self.known[path]
        self.store.before_command()

    @rule(
        path=names,
        other=names,
        way=st.sampled_from(["map", "write", "link", "move", "delete", "read", "chmod"]),
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
            elif way == "delete":
                source.unlink()
            elif way == "chmod":
                source.chmod(0)
            else:
                source.read_bytes()
        except (OSError, ValueError, IndexError):
            pass

    @rule(folder=folders, other=folders)
    def folders_move(self, folder: str, other: str) -> None:
        try:
            (self.root / folder).rename(self.root / other)
        except OSError:
            pass

    @rule()
    def look(self) -> None:
        for path, _, digest in self.store.scan()[0]:
            if digest:
                self.known[str(path)] = str(digest)
            else:
                del self.known[str(path)]
        there = {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.root.rglob("*")
            if path.is_file()
        }
        assert self.known == there
        assert {str(row[0]): row[2] for row in self.store.listing()} == there
        self.store.before_command()

    @invariant()
    def nothing_is_left_of_a_trial(self) -> None:
        assert not (self.root / inotify._TRIAL).exists()


TestAnyCommands = AnyCommands.TestCase
TestAnyCommands.settings = settings(max_examples=120, stateful_step_count=25, deadline=None)
