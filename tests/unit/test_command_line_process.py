"""The command line as a process, with inherited signals, closed streams and unusable homes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli import environment
from traces import TraceBuilder

from l2mac.trace.journal import Journal

CLOSED = {0: "standard input", 1: "standard output", 2: "standard error"}


def start(folder: Path, *words: str, by: str = ":", **variables: str) -> subprocess.Popen[str]:
    """Start the command line by a shell that does something first."""
    return subprocess.Popen(
        ["sh", "-c", f'{by}; exec "$@"', "sh", sys.executable, "-m", "l2mac", *words],
        cwd=folder,
        env=environment(folder) | {"XDG_CONFIG_HOME": "", "HOME": str(folder)} | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_inherited_as_ignored_end_a_command_in_order(
    tmp_path: Path, number: signal.Signals
) -> None:
    run = TraceBuilder(tmp_path / "run").begin().folder
    with Journal(run):  # a process works on it, so that `watch` waits for more
        process = start(tmp_path, "watch", str(run), by="trap '' HUP INT QUIT TERM")
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(number)
        _, said = process.communicate()
    assert (process.returncode, said.strip()) == (130, "l2mac: Interrupted.")


@pytest.mark.parametrize("closed", CLOSED, ids=CLOSED.values())
def test_commands_work_with_a_closed_standard_stream(tmp_path: Path, closed: int) -> None:
    process = start(tmp_path, "runs", "--runs-dir", "runs", by=f"exec {closed}>&-")
    said = "".join(process.communicate())
    assert (process.returncode, "Traceback" in said) == (0, False), said


def test_closed_standard_input_is_an_empty_task(tmp_path: Path) -> None:
    process = start(tmp_path, "run", "--task-file", "-", by="exec 0>&-")
    _, said = process.communicate()
    assert (process.returncode, "TASK" in said) == (2, True), said


def test_no_file_takes_the_place_of_a_closed_standard_stream(tmp_path: Path) -> None:
    """A trace at descriptor 2 would be written over by the first warning of a library."""
    run = TraceBuilder(tmp_path / "run").begin().folder
    with Journal(run):
        process = start(tmp_path, "watch", str(run), by="exec 0>&-")
        assert process.stdout is not None
        assert process.stdout.readline()
        assert os.readlink(f"/proc/{process.pid}/fd/0") == os.devnull
        process.send_signal(signal.SIGINT)
        process.communicate()


@pytest.mark.parametrize("home", ["/nonexistent", "/dev/null", ""])
def test_commands_work_without_a_usable_home(tmp_path: Path, home: str) -> None:
    process = start(tmp_path, "runs", "--runs-dir", "runs", HOME=home)
    said = "".join(process.communicate())
    assert (process.returncode, "Traceback" in said) == (0, False), said
