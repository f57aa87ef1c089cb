"""The other side of the comparisons, as a careful user would set it up.

The host's pytest and pylint have an environment of their own, `.venv-bench`, with the packages of
the sandbox image and nothing else: the pytest plugins of the development environment would make the
host four times slower. `docker exec` gets a container of its own, because nothing may reach into a
sandbox past its guest.
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
# The image has them for other purposes: one installs it, the other measures coverage.
LEFT_OUT = ("coverage", "pip")

# The same work as the sandbox's: errors alone, no plugins, nothing kept but Python's own caches.
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
BOX_PYTHON = "/opt/l2mac/venv/bin/python"


def host_python() -> str:
    """Build the host's environment if it is missing or outdated, and return its Python."""
    stamp = VENV / ".set-up"
    lock = _lock()
    if not stamp.exists() or stamp.read_text() != lock:
        _run([_interpreter(), "-m", "venv", "--clear", str(VENV)])
        requirements = VENV / "requirements.txt"
        requirements.write_text(lock)
        install = ["-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--compile"]
        _run(
            [
                str(VENV / "bin" / "python"),
                *install,
                "--require-hashes",
                "--no-deps",
                "-r",
                str(requirements),
            ]
        )
        stamp.write_text(lock)
    return str(VENV / "bin" / "python")


def host_environment() -> dict[str, str]:
    """Return the variables of the host's tools: no plugin autoload, no setting of the caller."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def check_on_host(python: str, folder: Path, files: Mapping[str, bytes], *, at_once: bool) -> None:
    """Write files, lint and test the folder with processes of the host.

    Args:
        python: `host_python()`.
        folder: The project.
        files: What to write first.
        at_once: Run both tools side by side, as the sandbox does, instead of one after the other.
    """
    for path, content in files.items():
        (folder / path).write_bytes(content)
    sources = sorted(path.name for path in folder.glob("*.py"))
    commands = ([python, *PYLINT, *sources], [python, *PYTEST])
    running = []
    for command in commands:
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
            raise RuntimeError(
                f"a tool of the host ended with {process.returncode}: {process.args}"
            )


def check_script(sources: list[str], *, at_once: bool) -> str:
    """Return a shell command that unpacks a tar file from standard input, lints and tests."""
    lint = f"{BOX_PYTHON} {' '.join(PYLINT)} {' '.join(sources)}"
    test = f"{BOX_PYTHON} {' '.join(PYTEST)}"
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
    """Return a command that carries its own standard input, for clients without any."""
    return ["sh", "-c", f"echo {base64.b64encode(archive).decode()} | base64 -d | {{ {script}; }}"]


@contextmanager
def plain_container(image: str, cpus: float) -> Iterator[str]:
    """Yield the id of a container for `docker exec`: same image and processors, no guest."""
    options = ["--network", "none", "--cpus", str(cpus), "--workdir", "/tmp", "--tmpfs", "/tmp"]
    options += [
        "--env",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",
        "--label",
        "org.l2mac.bench=exec",
        "--stop-timeout",
        "0",
    ]
    started = [
        "docker",
        "run",
        "--detach",
        "--rm",
        *options,
        "--entrypoint",
        "sleep",
        image,
        "3600",
    ]
    container = subprocess.run(started, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield container
    finally:
        subprocess.run(["docker", "kill", container], check=False, capture_output=True)


def _lock() -> str:
    """Return the part of the image's lock file that the host needs too."""
    parts = re.split(r"\n(?=[A-Za-z0-9_.-]+==)", LOCK.read_text())
    return "\n".join(part for part in parts if part.partition("==")[0] not in LEFT_OUT) + "\n"


def _interpreter() -> str:
    """Return the distribution's Python, an optimised build, or else the running Python."""
    system = "/usr/bin/python3"
    needed = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
    try:
        fits = (
            subprocess.run([system, "-c", needed], check=False, capture_output=True).returncode == 0
        )
    except OSError:
        fits = False
    return system if fits else sys.executable


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
