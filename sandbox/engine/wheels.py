"""Download the checkers' wheels to the host, by hash; nothing is run.

This is the only module on the host that starts another program: pip, from the host's own
environment, so that the user's index, proxy and certificates apply. pip only downloads; the host
never unpacks wheels.
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
_DOWNLOAD_FAILED = (
    "The checkers' wheels could not be downloaded: {reason}. Check the network and pip's index."
)


def fetch_wheels(lock: Path, cache: Path) -> tuple[Path, ...]:
    """Return the wheels that `lock` names, from `cache` or downloaded into it.

    Args:
        lock: A requirements file in which every line has hashes; every package is pure Python, so
            that the wheels fit every processor and C library.
        cache: Folder for wheels; created if missing.

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
            f"The checkers' wheels cannot be stored in {cache}: {error.strerror}. Free the folder"
            " or choose another cache."
        ) from error


def _download(lock: Path, folder: Path) -> None:
    command = [sys.executable, "-I", "-m", "pip", "download", "--quiet"]
    command += ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--python-version", "3.11", "--platform", "any"]
    command += ["--dest", str(folder), "--requirement", str(lock)]
    try:
        subprocess.run(  # noqa: S603
            command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ImageBuildFailed(_DOWNLOAD_FAILED.format(reason=reason)) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageBuildFailed(_DOWNLOAD_FAILED.format(reason=error)) from error


def _publish(fresh: Path, folder: Path) -> None:
    """Make a complete download visible at once, unless another process was faster."""
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
    """Return the folder's wheels after comparing each with the lock.

    Others may have written to the cache.
    """
    text = lock.read_text(encoding="utf-8")
    known = set(_HASH.findall(text))
    wheels = tuple(sorted(folder.glob("*.whl")))
    if len(wheels) < len(_REQUIREMENT.findall(text)):
        raise ImageBuildFailed(f"The wheel cache {folder} is incomplete. Remove it and try again.")
    for wheel in wheels:
        if hashlib.sha256(wheel.read_bytes()).hexdigest() not in known:
            raise ImageBuildFailed(
                f"The hash of {wheel} is not in the lock file. Remove {folder} and try again."
            )
    return wheels
