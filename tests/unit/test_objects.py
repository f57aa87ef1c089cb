import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.errors import TraceError
from l2mac.trace.objects import ObjectStore

SMALL_DISK = """
import resource, sys
from pathlib import Path
from l2mac.errors import TraceError
from l2mac.trace.objects import ObjectStore
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
objects = ObjectStore(Path(sys.argv[1]))
objects.put(b"small")
try:
    objects.put(b"x" * 1001)
except TraceError as error:
    print(error)
"""


@given(contents=st.lists(st.binary(max_size=50), max_size=8))
def test_objects_come_back_byte_by_byte_in_this_process_and_in_the_next(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
):
    path = tmp_path_factory.mktemp("objects") / "pack"
    objects = ObjectStore(path)
    names = [objects.put(content) for content in contents]
    assert names == [hashlib.sha256(content).hexdigest() for content in contents]
    assert [objects.get(name) for name in names] == contents
    assert [ObjectStore(path).get(name) for name in names] == contents


@given(text=st.text(st.characters()))
def test_text_comes_back_with_lone_surrogates_too(tmp_path_factory: pytest.TempPathFactory, text: str):
    objects = ObjectStore(tmp_path_factory.mktemp("objects") / "pack")
    assert objects.get_text(objects.put_text(text)) == text


def test_the_same_content_is_kept_once(tmp_path: Path):
    path = tmp_path / "pack"
    assert ObjectStore(path).put(b"x") == ObjectStore(path).put(b"x")
    assert path.stat().st_size == 41


@given(data=st.data())
def test_an_altered_byte_of_a_content_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    path = tmp_path_factory.mktemp("objects") / "pack"
    name = ObjectStore(path).put(b"content")
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    with pytest.raises(TraceError, match="has been altered|is missing"):
        ObjectStore(path).get(name)


def test_a_missing_object_is_found_before_anything_is_written_behind_the_damage(tmp_path: Path):
    path = tmp_path / "pack"
    names = [ObjectStore(path).put(content) for content in (b"one", b"two", b"three")]
    raw = bytearray(path.read_bytes())
    raw[32] = 255
    path.write_bytes(raw)
    with pytest.raises(TraceError, match="is missing"):
        ObjectStore(path).require(names)
    assert path.read_bytes() == raw


@pytest.mark.parametrize("name", ["", "ab", "../../../etc/passwd", "A" * 64, "0" * 64])
def test_what_is_no_hash_of_an_object_is_missing(tmp_path: Path, name: str):
    with pytest.raises(TraceError, match="is missing"):
        ObjectStore(tmp_path / "pack").get(name)


def test_bytes_that_are_no_text_are_an_error_of_the_record(tmp_path: Path):
    objects = ObjectStore(tmp_path / "pack")
    name = objects.put(b"\xff\xfe")
    with pytest.raises(TraceError, match="is no text"):
        objects.get_text(name)


@pytest.mark.parametrize("lost", range(1, 47))
def test_a_record_that_a_crash_cut_short_is_dropped_and_written_again(tmp_path: Path, lost: int):
    path = tmp_path / "pack"
    first = ObjectStore(path).put(b"first")
    ObjectStore(path).put(b"second")
    path.write_bytes(path.read_bytes()[:-lost])
    objects = ObjectStore(path)
    second = objects.put(b"second")
    assert [ObjectStore(path).get(name) for name in (first, second)] == [b"first", b"second"]


def test_syncing_nothing_makes_no_file(tmp_path: Path):
    ObjectStore(tmp_path / "pack").sync()
    assert not (tmp_path / "pack").exists()


def test_syncing_twice_is_harmless(tmp_path: Path):
    objects = ObjectStore(tmp_path / "pack")
    name = objects.put(b"content")
    objects.sync()
    objects.sync()
    assert objects.get(name) == b"content"


def test_a_full_disk_is_an_error_and_leaves_no_part_of_an_object(tmp_path: Path):
    path = tmp_path / "pack"
    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert "what was written before is intact" in done.stdout
    assert path.stat().st_size == 40 + len(b"small")


def test_a_place_that_cannot_be_written_is_an_error_of_the_record(tmp_path: Path):
    with pytest.raises(TraceError, match="cannot be written"):
        ObjectStore(tmp_path / "none" / "pack").put(b"content")
