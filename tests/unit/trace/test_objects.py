import hashlib
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interrupts import interrupted_at

from l2mac.errors import TraceError
from l2mac.trace import objects as objects_module
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
objects.put(b"as small")
"""
HEADER_BYTES = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects.pack"


def fill(path: Path, *contents: bytes) -> list[str]:
    objects = ObjectStore(path)
    names = [objects.put(content) for content in contents]
    objects.close()
    return names


@given(contents=st.lists(st.binary()))
def test_objects_come_back_byte_by_byte_now_and_later(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("objects") / "objects.pack"
    objects = ObjectStore(path)
    names = [objects.put(content) for content in contents]
    assert names == [hashlib.sha256(content).hexdigest() for content in contents]
    assert [objects.get(name) for name in names] == contents
    objects.close()
    assert [ObjectStore(path).get(name) for name in names] == contents


@given(text=st.text(st.characters()))
def test_text_comes_back_with_lone_surrogates_too(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    objects = ObjectStore(tmp_path_factory.mktemp("objects") / "objects.pack")
    assert objects.get_text(objects.put_text(text)) == text


def test_the_same_content_is_kept_once(path: Path) -> None:
    fill(path, b"content", b"content")
    size = path.stat().st_size
    fill(path, b"content")
    assert path.stat().st_size == size


def test_reading_makes_no_file(path: Path) -> None:
    with pytest.raises(TraceError, match="is missing"):
        ObjectStore(path).get("0" * 64)
    assert not path.exists()


def test_a_flipped_bit_is_never_given_out(path: Path) -> None:
    contents = (b"first", b"second", b"third")
    names = fill(path, *contents)
    whole = path.read_bytes()
    for position in range(len(whole)):
        altered = bytearray(whole)
        altered[position] ^= 1
        path.write_bytes(altered)
        objects = ObjectStore(path)
        for name, content in zip(names, contents, strict=True):
            try:
                given_out = objects.get(name)
            except TraceError:
                given_out = content
            assert given_out == content


@pytest.mark.parametrize(
    "name", ["", "ab", "../../../etc/passwd", "..//dev/zero", "A" * 64, "0" * 63 + "/", "0" * 64]
)
def test_unknown_hashes_name_no_object(path: Path, name: str) -> None:
    fill(path, b"content")
    with pytest.raises(TraceError, match="is missing"):
        ObjectStore(path).get(name)


def test_bytes_that_are_no_text_are_an_error_of_the_record(path: Path) -> None:
    objects = ObjectStore(path)
    with pytest.raises(TraceError, match="is not a text"):
        objects.get_text(objects.put(b"\xff\xfe"))


def test_a_record_cut_anywhere_is_written_again_and_those_before_it_stay(path: Path) -> None:
    names = fill(path, b"first", b"second")
    whole = path.read_bytes()
    for size in range(HEADER_BYTES + len(b"first"), len(whole)):
        path.write_bytes(whole[:size])
        assert not ObjectStore(path).has_intact(names[1])
        fill(path, b"second")
        assert path.read_bytes() == whole


def test_a_record_that_a_power_failure_left_empty_is_written_again(path: Path) -> None:
    names = fill(path, b"first", b"second")
    whole = path.read_bytes()
    path.write_bytes(whole[: -len(b"second")] + bytes(len(b"second")))
    objects = ObjectStore(path)
    assert [objects.has_intact(name) for name in names] == [True, False]
    objects.put(b"second")
    assert objects.get(names[1]) == b"second"
    objects.close()
    assert ObjectStore(path).get(names[1]) == b"second"


def test_required_objects_must_exist(path: Path) -> None:
    names = fill(path, b"first", b"second")
    ObjectStore(path).require(names)
    with pytest.raises(TraceError, match="The object 000000000000 is missing"):
        ObjectStore(path).require([*names, "0" * 64])


def test_syncing_works_whether_or_not_there_is_anything_to_sync(path: Path) -> None:
    objects = ObjectStore(path)
    objects.sync()
    name = objects.put(b"content")
    objects.sync()
    objects.sync()
    assert objects.get(name) == b"content"


def test_closing_twice_is_harmless_and_the_file_is_opened_again(path: Path) -> None:
    objects = ObjectStore(path)
    name = objects.put(b"content")
    objects.close()
    objects.close()
    assert objects.get(name) == b"content"


def test_object_store_stays_intact_when_the_disk_is_full(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    assert "Everything written before is intact" in done.stdout
    objects = ObjectStore(path)
    names = [
        hashlib.sha256(content).hexdigest() for content in (b"small", b"as small", b"x" * 1001)
    ]
    assert [objects.has_intact(name) for name in names] == [True, True, False]


def test_a_file_that_cannot_be_opened_is_an_error_of_the_record(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TraceError, match="is not readable"):
        ObjectStore(tmp_path / "file" / "objects.pack").put(b"content")
    with pytest.raises(TraceError, match="is not "):
        ObjectStore(tmp_path).put(b"content")


def test_an_interrupt_at_any_line_leaves_a_file_that_can_be_written_on(tmp_path: Path) -> None:
    step, interrupted = 0, True
    while interrupted:
        step += 1
        path = tmp_path / str(step)
        objects = ObjectStore(path)
        objects.put(b"first")
        interrupted = interrupted_at(step, partial(objects.put, b"second"), objects_module)
        names = [objects.put(content) for content in (b"third", b"second")]
        objects.close()
        again = ObjectStore(path)
        assert [again.get(name) for name in names] == [b"third", b"second"]
        again.close()
    assert step > 10
