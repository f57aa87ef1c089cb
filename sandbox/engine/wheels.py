"""Download the checkers' wheels on the host, by hash; none of their code runs here.

This is the one place on the host that starts another program: pip, of the host's own environment, so that the
user's index, proxy and certificates apply. It only downloads; wheels are never unpacked on the host.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from sandbox.errors import ImageBuildFailed

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_REQUIREMENT = re.compile(r"^[A-Za-z0-9][^\s=]*==", re.MULTILINE)
_TIMEOUT_S = 600


def fetch_wheels(lock: Path, cache: Path) -> tuple[Path, ...]:
    """Give the wheels that `lock` names, from `cache` or downloaded into it.

    Args:
        lock: A requirements file in which every line has hashes; every package is pure Python, so that the wheels
            fit every processor and C library.
        cache: Folder for wheels; made when missing.

    Raises:
        ImageBuildFailed: The download failed, or a wheel in the cache has been altered.
    """
    key = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = cache / f"{lock.parent.name}-{key}"
    try:
        if not folder.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as fresh:
                _download(lock, Path(fresh))
                _publish(Path(fresh), folder)
        return _verified(folder, lock)
    except OSError as error:
        raise ImageBuildFailed(
            f"the checkers' wheels cannot be kept in {cache}: {error.strerror}"
        ) from error


def _download(lock: Path, folder: Path) -> None:
    command = [
        sys.executable,
        "-I",
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]
    command += [
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--python-version",
        "3.11",
        "--platform",
        "any",
    ]
    command += ["--dest", str(folder), "--requirement", str(lock)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ImageBuildFailed(f"the checkers' wheels could not be downloaded: {reason}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageBuildFailed(f"the checkers' wheels could not be downloaded: {error}") from error


def _publish(fresh: Path, folder: Path) -> None:
    """Make a complete download visible at once; another process may have been quicker."""
    staged = folder.with_name(fresh.name + ".ready")
    fresh.rename(staged)
    fresh.mkdir()
    try:
        staged.rename(folder)
    except OSError:
        for wheel in staged.iterdir():
            wheel.unlink()
        staged.rmdir()


def _verified(folder: Path, lock: Path) -> tuple[Path, ...]:
    """Give the folder's wheels after comparing each with the lock: the cache may have been written by others."""
    text = lock.read_text(encoding="utf-8")
    known = set(_HASH.findall(text))
    wheels = tuple(sorted(folder.glob("*.whl")))
    if len(wheels) < len(_REQUIREMENT.findall(text)):
        raise ImageBuildFailed(f"{folder} is incomplete; remove it and try again")
    for wheel in wheels:
        if hashlib.sha256(wheel.read_bytes()).hexdigest() not in known:
            raise ImageBuildFailed(
                f"{wheel} does not have a hash of the lock file; remove {folder} and try again"
            )
    return wheels
