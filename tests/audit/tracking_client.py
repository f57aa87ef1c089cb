"""The real client of Weights & Biases, offline, gets figures and listed settings alone.

`make audit` installs the client. The tests without it are in `tests/unit/insight/test_tracking.py`.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from traces import known

from l2mac.insight.reading import report_reader
from l2mac.insight.tracking import track
from l2mac.insight.wandb_sink import WandbSink
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore

ROOT = Path(__file__).resolve().parents[2]


def test_wandb_client_gets_the_numbers_and_collects_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["l2mac", "track", "the-task-in-words"])
    private = ("the-task-in-words", "pytest==")  # in the command line, among the installed packages
    by_itself = wandb.init(project="project", mode="offline")
    started_at = time.monotonic()
    control = Path(by_itself.dir).parent
    while not all(text.encode() in written(control) for text in private):
        assert time.monotonic() < started_at + 60, (
            "the client collects nothing, so the test proves nothing"
        )
        time.sleep(0.1)
    took_s = time.monotonic() - started_at
    by_itself.finish()
    made = known(tmp_path / "the-task-in-words")
    sink = WandbSink("project")

    def slowly() -> Iterator[list[Entry]]:
        yield read_trace(made.folder / TRACE_FILE)[0]
        time.sleep(2 * took_s)  # twice the time that the client took to collect

    track(made.folder.name, slowly(), report_reader(ObjectStore(made.folder / OBJECTS_FILE)), sink)
    kept = written(Path(sink.place))
    assert b"tokens/all" in kept
    assert b"findings/lint" in kept
    assert [
        text for text in (*private, str(ROOT), "Write a.", "secret") if text.encode() in kept
    ] == []


def written(folder: Path) -> bytes:
    """Return everything that would be sent from the folder; the client keeps its logs."""
    files = [path for path in folder.rglob("*") if path.is_file() and "logs" not in path.parts]
    return b"".join(path.read_bytes() for path in files)
