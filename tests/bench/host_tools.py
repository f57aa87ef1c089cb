"""The other side of the benchmark's comparisons, set up as a careful user would.

The host's pytest and pylint have an environment of their own, `.venv-bench`. The environment holds
the packages of the sandbox's image and nothing else, because the pytest plugins of the development
environment would make the host four times slower. `docker exec` has a container of its own, too, so
that no program enters a sandbox without its guest.
"""

import base64
import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
VENV = PROJECT / ".venv-bench"
LOCK = PROJECT / "images" / "python" / "checkers.txt"
# The image has pip to install packages, and coverage to measure.
NOT_NEEDED = ("coverage", "pip")

# The same work as in the sandbox: errors only, no plugins, and no cache but Python's own.
PYLINT = (
    "-m",
    "pylint",
    f"--rcfile={os.devnull}",
    "--disable=all",
    "--enable=E,F",
    "--persistent=n",
    "--score=n",
)
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "-c", os.devnull)
IMAGE_PYTHON = "/opt/l2mac/venv/bin/python"


def host_python() -> str:
    """Return the Python of the host's environment.

    The environment is made if it is missing or if its lock file has changed.
    """
    stamp = VENV / ".set-up"
    lock = _lock()
    python = str(VENV / "bin" / "python")
    if not stamp.exists() or stamp.read_text() != lock:
        _run([_interpreter(), "-m", "venv", "--clear", str(VENV)])
        requirements = VENV / "requirements.txt"
        requirements.write_text(lock)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        locked = ["--compile", "--require-hashes", "--no-deps", "-r", str(requirements)]
        _run([*pip, "install", *locked])
        stamp.write_text(lock)
    return python


def host_environment() -> dict[str, str]:
    """Return the environment of the host's tools, without plugins and settings of the caller."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def check_on_host(python: str, folder: Path, files: Mapping[str, bytes], *, at_once: bool) -> None:
    """Write files, then lint and test the folder with processes of the host.

    Args:
        python: The result of `host_python`.
        folder: The project.
        files: The files to write, path → content.
        at_once: Whether both tools run side by side, as in the sandbox.

    Raises:
        RuntimeError: A tool reports an error.
    """
    for path, content in files.items():
        (folder / path).write_bytes(content)
    sources = sorted(path.name for path in folder.glob("*.py"))
    running = []
    for command in ([python, *PYLINT, *sources], [python, *PYTEST]):
        running.append(
            subprocess.Popen(
                command,
                cwd=folder,
                env=host_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        if not at_once:
            running[-1].wait()
    for process in running:
        if process.wait() != 0:
            raise RuntimeError(f"{process.args!r} ended with exit code {process.returncode}.")


def check_script(sources: list[str], *, at_once: bool) -> str:
    """Return a shell command for one `exec` that unpacks files, then lints and tests.

    The files come as a tar file on standard input.
    """
    lint = f"{IMAGE_PYTHON} {' '.join(PYLINT)} {' '.join(sources)}"
    test = f"{IMAGE_PYTHON} {' '.join(PYTEST)}"
    both = f"{lint} & lint=$!; {test} && wait $lint" if at_once else f"{lint} && {test}"
    return f"tar -xf - && {{ {both}; }}"


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return files as a tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def in_arguments(script: str, archive: bytes) -> list[str]:
    """Return a command that carries its own standard input, for a client without one."""
    return ["sh", "-c", f"echo {base64.b64encode(archive).decode()} | base64 -d | {{ {script}; }}"]


@contextmanager
def plain_container(image: str, cpus: float) -> Iterator[str]:
    """Yield the id of a container for `docker exec`.

    The container has the image and the processors of a sandbox, and no guest.
    """
    options = (
        f"--network none --cpus {cpus} --workdir /tmp --tmpfs /tmp"
        " --env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 --label org.l2mac.bench=exec --stop-timeout 0"
    ).split()
    command = ["docker", "run", "--detach", "--rm", *options, "--entrypoint", "sleep", image]
    started = subprocess.run([*command, "3600"], check=True, capture_output=True, text=True)
    container = started.stdout.strip()
    try:
        yield container
    finally:
        subprocess.run(["docker", "kill", container], check=False, capture_output=True)


def _lock() -> str:
    """Return the part of the image's lock file that the host needs too."""
    parts = re.split(r"\n(?=[A-Za-z0-9_.-]+==)", LOCK.read_text())
    return "\n".join(part for part in parts if part.partition("==")[0] not in NOT_NEEDED) + "\n"


def _interpreter() -> str:
    """Return the distribution's Python if it is recent enough, and else this one.

    The image has the same Python, and it is an optimised build.
    """
    system = "/usr/bin/python3"
    needed = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
    try:
        tried = subprocess.run([system, "-c", needed], check=False, capture_output=True)
    except OSError:
        return sys.executable
    return system if tried.returncode == 0 else sys.executable


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
