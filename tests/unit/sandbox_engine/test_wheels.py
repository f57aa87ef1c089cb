"""The cache of the checkers' wheels: only hashes of the lock file reach an image."""

import hashlib
from pathlib import Path

import pytest

from sandbox import ImageBuildFailed
from sandbox.engine.wheels import fetch_wheels

CONTENTS = {"one-1.0-py3-none-any.whl": b"one", "two-2.0-py3-none-any.whl": b"two"}


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    lock = tmp_path / "recipe" / "checkers.txt"
    lock.parent.mkdir()
    text = ""
    for name, body in CONTENTS.items():
        digest = hashlib.sha256(body).hexdigest()
        text += f"{name.split('-')[0]}==1.0 \\\n    --hash=sha256:{digest}\n"
    lock.write_text(text)
    return lock


@pytest.fixture
def cached(tmp_path: Path, lock: Path) -> Path:
    """Return the folder of a complete download."""
    folder = tmp_path / "cache" / f"recipe-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    folder.mkdir(parents=True)
    for name, body in CONTENTS.items():
        (folder / name).write_bytes(body)
    return folder


def test_cached_wheels_are_used_without_a_network(lock: Path, cached: Path) -> None:
    assert fetch_wheels(lock, cached.parent) == tuple(sorted(cached / name for name in CONTENTS))


def test_altered_wheel_is_refused(lock: Path, cached: Path) -> None:
    (cached / "one-1.0-py3-none-any.whl").write_bytes(b"tampered")
    with pytest.raises(ImageBuildFailed, match="not in the lock file"):
        fetch_wheels(lock, cached.parent)


def test_additional_wheel_is_refused(lock: Path, cached: Path) -> None:
    (cached / "evil-1.0-py3-none-any.whl").write_bytes(b"evil")
    with pytest.raises(ImageBuildFailed, match="not in the lock file"):
        fetch_wheels(lock, cached.parent)


def test_missing_wheel_is_refused(lock: Path, cached: Path) -> None:
    (cached / "two-2.0-py3-none-any.whl").unlink()
    with pytest.raises(ImageBuildFailed, match="incomplete"):
        fetch_wheels(lock, cached.parent)


def test_cached_link_to_other_content_is_refused(lock: Path, cached: Path, tmp_path: Path) -> None:
    (cached / "two-2.0-py3-none-any.whl").unlink()
    (cached / "two-2.0-py3-none-any.whl").symlink_to(lock)
    with pytest.raises(ImageBuildFailed):
        fetch_wheels(lock, cached.parent)


def test_each_lock_file_has_its_own_cache_folder(lock: Path, cached: Path) -> None:
    lock.write_text("no requirement, so that no index is asked for it !!")
    with pytest.raises(ImageBuildFailed, match="downloaded"):
        fetch_wheels(lock, cached.parent)


def test_unwritable_cache_is_a_typed_error(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ImageBuildFailed, match="cannot be stored"):
        fetch_wheels(lock, tmp_path / "file")
