"""Following a run by its trace, which grows, shrinks, is rewound, is damaged or disappears."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from recorded_run import STORY, record
from source_tree import ROOT
from traces import HOSTILE, TraceBuilder, hostile, known, report

from l2mac.cli.exit_codes import BUDGET, FAILING, INTERRUPTED, OK, REQUIREMENTS_UNVERIFIED
from l2mac.cli.progress import Progress
from l2mac.cli.watch import watch
from l2mac.control.outcome import Status
from l2mac.errors import TraceError
from l2mac.trace.branching import fork, rewind
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import SessionStarted
from l2mac.trace.follow import Follower, TraceUpdate, follow
from l2mac.trace.journal import LOCK_FILE, TRACE_FILE, Journal, is_at_work

BUNDLED = ROOT / "examples" / "sessions" / "url-shortener"
HOLDER = """
import signal, sys
from pathlib import Path
from l2mac.trace.journal import Journal
with Journal(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


def invoke(*words: str) -> Result:
    return CliRunner().invoke(watch, words, standalone_mode=False)


def entries_of(folder: Path) -> list[Entry]:
    return read_trace(folder / TRACE_FILE)[0]


class Writer:
    """Writer of a finished trace into another folder, piece by piece, like an active run."""

    def __init__(self, source: Path, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.content = (source / TRACE_FILE).read_bytes()
        self.written = 0
        self._journal = Journal(folder).open()

    def write(self, until: int) -> None:
        (self.folder / TRACE_FILE).write_bytes(self.content[:until])
        self.written = until

    def stop(self) -> None:
        self._journal.close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = known(tmp_path / "source")
    writer = Writer(made.folder, tmp_path / "run")
    yield writer
    writer.stop()


@pytest.mark.parametrize("pace", [1, 7, 300, 5000])
def test_growing_trace_yields_each_line_once_at_any_pace(
    writer: Writer, tmp_path: Path, pace: int
) -> None:
    def grow(_: float) -> None:
        writer.write(min(writer.written + pace * 17, len(writer.content)))

    news = list(follow(writer.folder, pause=grow))
    assert [entry for one in news for entry in one.entries] == entries_of(tmp_path / "source")
    assert sum(one.withdrawn for one in news) == 0


def test_following_ends_with_the_session_even_while_its_process_tidies_up(writer: Writer) -> None:
    writer.write(len(writer.content))
    assert is_at_work(writer.folder)
    assert len(list(follow(writer.folder, pause=never))) == 1


def test_following_ends_when_no_process_works_on_the_run(writer: Writer) -> None:
    half = writer.content.index(b"\n", 3000) + 1
    pauses: list[float] = []

    def die(seconds: float) -> None:
        pauses.append(seconds)
        writer.write(half + 20)
        writer.stop()

    news = list(follow(writer.folder, pause=die))
    assert sum(len(one.entries) for one in news) == writer.content[:half].count(b"\n")
    assert len(pauses) == 1


def never(_: float) -> None:
    pytest.fail("there was nothing to wait for")


def test_half_a_line_waits_for_its_other_half(writer: Writer) -> None:
    follower = Follower(writer.folder / TRACE_FILE)
    first = writer.content.index(b"\n") + 1
    writer.write(first + 30)
    assert len(follower.poll().entries) == 1
    assert follower.poll() == TraceUpdate()
    writer.write(len(writer.content))
    assert len(follower.poll().entries) == writer.content.count(b"\n") - 1


def test_half_a_line_that_a_crash_left_is_written_over_by_the_next_session(tmp_path: Path) -> None:
    made = TraceBuilder(tmp_path / "run").begin()
    follower = Follower(made.folder / TRACE_FILE)
    assert len(follower.poll().entries) == 2
    with (made.folder / TRACE_FILE).open("ab") as file:
        file.write(b'{"n":2,"t":1.0,"prev":"')
    assert follower.poll() == TraceUpdate()
    with Journal(made.folder) as journal:
        journal.bracket(SessionStarted(reason="resume", version="1", model="m", image="i"))
    (entry,) = follower.poll().entries
    assert isinstance(entry.event, SessionStarted)


def test_removed_lines_are_withdrawn_and_their_successors_read(tmp_path: Path) -> None:
    made = known(tmp_path / "run")
    path = made.folder / TRACE_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    follower = Follower(path)
    assert len(follower.poll().entries) == len(lines)
    path.write_bytes(b"".join(lines[:10]))
    assert follower.poll() == TraceUpdate((), len(lines) - 10)
    path.write_bytes(b"".join(lines[:12]))
    assert len(follower.poll().entries) == 2


def test_replaced_trace_is_read_from_its_first_difference(tmp_path: Path) -> None:
    one, other = known(tmp_path / "one"), hostile(tmp_path / "other")
    follower = Follower(one.folder / TRACE_FILE)
    count = len(follower.poll().entries)
    os.replace(other.folder / TRACE_FILE, one.folder / TRACE_FILE)
    news = follower.poll()
    assert (news.withdrawn, len(news.entries)) == (count, len(entries_of(one.folder)))


@pytest.mark.parametrize("place", [200, 3000, -300])
def test_an_altered_line_is_no_event(tmp_path: Path, place: int) -> None:
    path = known(tmp_path / "run").folder / TRACE_FILE
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(TraceError, match="has been altered"):
        Follower(path).poll()


def test_line_altered_after_reading_is_noticed_with_the_next_one(tmp_path: Path) -> None:
    made = TraceBuilder(tmp_path / "run").begin()
    follower = Follower(made.folder / TRACE_FILE)
    follower.poll()
    path = made.folder / TRACE_FILE
    path.write_bytes(
        path.read_bytes()
        + known(tmp_path / "other").folder.joinpath(TRACE_FILE).read_bytes()[-400:]
    )
    with pytest.raises(TraceError, match="has been altered"):
        follower.poll()


def test_a_run_that_vanishes_is_named(writer: Writer) -> None:
    writer.write(3000)
    news = follow(writer.folder, pause=lambda _: shutil.rmtree(writer.folder))
    next(news)
    with pytest.raises(TraceError, match="is missing"):
        list(news)


def test_a_link_in_the_place_of_the_trace_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / TRACE_FILE).symlink_to(BUNDLED / TRACE_FILE)
    with pytest.raises(TraceError, match="is not readable"):
        Follower(tmp_path / "run" / TRACE_FILE).poll()


def test_a_run_that_is_rewound_while_it_is_watched_shows_it_and_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    record(run)
    follower = Follower(run / TRACE_FILE)
    before = len(follower.poll().entries)
    rewind(run, 3)
    record(run, STORY[6:])
    news = follower.poll()
    assert news.withdrawn == 0
    assert news.entries == tuple(entries_of(run)[before:])
    said = invoke(str(run)).output
    assert "rewound to step 3" in said
    assert said.endswith("completed: syntax: clean; lint: clean; tests: 1 passed\n")


def test_looking_whether_a_process_works_on_a_run_takes_no_lock(tmp_path: Path) -> None:
    run = tmp_path / "run"
    record(run)
    (run / LOCK_FILE).unlink()
    assert not is_at_work(run)
    assert not (run / LOCK_FILE).exists()
    with Journal(run):
        assert is_at_work(run)
        assert len(invoke(str(run)).output.splitlines()) > 10
    assert not is_at_work(run)
    for _ in range(50):
        assert not is_at_work(run)
        with Journal(run):  # would be refused if somebody else held its lock
            pass


def test_a_killed_process_does_not_work_on_its_run(tmp_path: Path) -> None:
    run = TraceBuilder(tmp_path / "run").begin().folder
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_at_work(run)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert not is_at_work(run)
    done = invoke(str(run))
    assert (done.return_value, done.output.splitlines()[-1]) == (
        FAILING,
        "The run has not ended, and no process works on it. Continue it with `l2mac resume`.",
    )


def test_progress_has_no_live_line_in_a_file_under_force_color(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    with Progress(stream=stream) as progress:
        progress.say("a line")
    assert stream.getvalue() == "a line\n"


def test_the_lines_are_those_that_the_run_itself_prints(tmp_path: Path) -> None:
    known(tmp_path / "run")
    stream = io.StringIO()
    progress = Progress(stream=stream)
    for entry in entries_of(tmp_path / "run"):
        progress.on(entry)
    own = stream.getvalue().splitlines()
    watched = invoke(str(tmp_path / "run")).output.splitlines()
    assert len(own) > 15
    assert [line for line in watched if line in own] == own
    assert [line for line in watched if line not in own] == [
        "run with model scripted, l2mac 0.1.0",
        "rewound to step 4",
        "requirements unverified: 1 of 3 requirements are not shown",
    ]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.COMPLETED, OK),
        (Status.FAILING, FAILING),
        (Status.REQUIREMENTS_UNVERIFIED, REQUIREMENTS_UNVERIFIED),
        (Status.BUDGET, BUDGET),
        (Status.INTERRUPTED, INTERRUPTED),
        (Status.ABORTED, FAILING),
        ("of another version", FAILING),
    ],
)
def test_the_exit_code_is_that_of_the_outcome(tmp_path: Path, status: str, code: int) -> None:
    TraceBuilder(tmp_path / "run").begin().end(status)
    assert invoke(str(tmp_path / "run")).return_value == code


def test_a_fork_and_the_bundled_session_have_no_outcome_yet(tmp_path: Path) -> None:
    record(tmp_path / "run")
    (tmp_path / "fork").mkdir()
    fork(tmp_path / "run", 2, tmp_path / "fork")
    forked = invoke(str(tmp_path / "fork"))
    assert forked.return_value == FAILING
    assert "forked from run at step 2" in forked.output
    bundled = invoke(str(BUNDLED))
    assert bundled.return_value == FAILING
    assert (
        "verified in a fresh sandbox: passed (syntax: clean; lint: clean; tests: 17 passed)"
        in bundled.output
    )


def test_watch_prints_one_json_event_per_line(tmp_path: Path) -> None:
    known(tmp_path / "run")
    lines = [
        json.loads(line) for line in invoke(str(tmp_path / "run"), "--json").output.splitlines()
    ]
    assert [line["n"] for line in lines] == list(range(len(entries_of(tmp_path / "run"))))
    assert (lines[0]["event"]["kind"], lines[-1]["event"]["kind"]) == ("run", "end")


def test_a_hostile_run_cannot_steer_the_terminal(tmp_path: Path) -> None:
    hostile(tmp_path / "run")
    plain = invoke(str(tmp_path / "run")).output
    as_json = invoke(str(tmp_path / "run"), "--json").output
    for said in (plain, as_json):
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert HOSTILE not in said


def test_a_check_is_told_with_its_verdict(tmp_path: Path) -> None:
    TraceBuilder(tmp_path / "run").begin().plan("a").instruction(1).check(report(lint=2)).end(
        "budget exhausted"
    )
    assert (
        "checked: failed (syntax: clean; lint: 2 errors; tests: 0 passed, 0 failed)"
        in invoke(str(tmp_path / "run")).output
    )
