"""Steps, rewinding, forking, pinning and cleaning of runs."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_run import DONE, STORY, SUMMARY, record, write

from l2mac.errors import RunLocked, TraceError
from l2mac.runs.audit import audit_run
from l2mac.runs.folders import pin, prune_runs
from l2mac.trace.branching import fork, rewind
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import InstructionStarted, Rewound
from l2mac.trace.history import accesses, effective, recorded_files, steps
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE, Journal
from l2mac.trace.objects import ObjectStore

AFTER_STEP = {
    0: STORY,
    1: STORY[2:],
    2: STORY[4:],
    3: STORY[6:],
    4: STORY[7:],
    5: (),
}
"""The replies that are still to come after each step."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    record(folder)
    return folder


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(recorded, tmp_path / "runs" / "run")


def entries_of(run: Path) -> list[Entry]:
    return read_trace(run / TRACE_FILE)[0]


def files_of(run: Path) -> dict[str, str]:
    return {
        file.path: file.digest
        for file in recorded_files(entry.event for entry in effective(entries_of(run)))
    }


def contents_of(run: Path) -> dict[str, bytes]:
    objects = ObjectStore(run / OBJECTS_FILE)
    return {path: objects.get(digest) for path, digest in files_of(run).items()}


def test_a_step_comes_with_each_change_and_each_completed_instruction(run: Path) -> None:
    found = [(step.action, step.instruction, sorted(step.files)) for step in steps(entries_of(run))]
    assert found == [
        ("start", 0, []),
        ("write_files", 1, ["a.py"]),
        ("write_files", 1, ["a.py"]),
        ("completed", 1, ["a.py"]),
        ("write_files", 2, ["a.py", "p/b.py"]),
        ("completed", 2, ["a.py", "p/b.py"]),
    ]
    trees = [step.tree for step in steps(entries_of(run))]
    assert (trees[2], trees[4]) == (trees[3], trees[5])
    assert len(set(trees)) == 4


def test_every_touch_of_a_file_is_known_with_its_instruction(run: Path) -> None:
    found = [
        (one.path, one.how, one.instruction)
        for one in accesses(entries_of(run), ObjectStore(run / OBJECTS_FILE))
    ]
    assert found == [
        ("a.py", "created", 1),
        ("a.py", "read", 1),
        ("a.py", "wrote", 1),
        ("p/b.py", "created", 2),
    ]


@pytest.mark.parametrize("number", AFTER_STEP)
def test_a_rewound_run_goes_on_from_its_step_to_the_same_bytes(run: Path, number: int) -> None:
    before, whole = (run / TRACE_FILE).read_bytes(), contents_of(run)
    wanted = steps(entries_of(run))[number]
    rewind(run, number)
    assert files_of(run) == {path: file.digest for path, file in wanted.files.items()}
    assert (run / TRACE_FILE).read_bytes().startswith(before)
    assert audit_run(run).verdict == "intact"
    assert record(run, AFTER_STEP[number]).outcome.status == "completed"
    assert contents_of(run) == whole
    assert audit_run(run).verdict == "intact"


def test_a_rewound_run_can_take_another_way_and_be_rewound_again(run: Path) -> None:
    rewind(run, 1)
    other = (DONE, SUMMARY, write(c="C = 1\n"), DONE, SUMMARY)
    assert record(run, other).outcome.status == "completed"
    assert contents_of(run) == {"a.py": b"A = 1\n", "c.py": b"C = 1\n"}
    rewind(run, -3)
    assert contents_of(run) == {"a.py": b"A = 1\n"}
    assert record(run, STORY[6:]).outcome.status == "completed"
    assert contents_of(run) == {"a.py": b"A = 1\n", "p/b.py": b"B = 1\n"}
    assert audit_run(run).verdict == "intact"


def test_cost_of_rewound_steps_still_counts(run: Path) -> None:
    spent = record(run, ()).spending.prompt_tokens
    rewind(run, 3)
    assert record(run, AFTER_STEP[3]).spending.prompt_tokens > spent


@pytest.mark.parametrize("number", AFTER_STEP)
def test_a_fork_goes_on_by_itself_and_leaves_its_origin_alone(
    run: Path, tmp_path: Path, number: int
) -> None:
    before, whole = (run / TRACE_FILE).read_bytes(), contents_of(run)
    target = tmp_path / "fork"
    target.mkdir()
    fork(run, number, target)
    assert before.startswith(
        (target / TRACE_FILE).read_bytes().rpartition(b"\n")[0].rpartition(b"\n")[0]
    )
    assert audit_run(target).verdict == "intact"
    assert audit_run(target).state == f"forked from run at step {number}"
    assert record(target, AFTER_STEP[number]).outcome.status == "completed"
    assert contents_of(target) == whole
    assert (run / TRACE_FILE).read_bytes() == before


def test_locked_run_is_neither_rewound_nor_forked_nor_removed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "fork").mkdir()
    with Journal(run):
        with pytest.raises(RunLocked, match="Another process works on the run"):
            rewind(run, 0)
        with pytest.raises(RunLocked, match="Another process works on the run"):
            fork(run, 0, tmp_path / "fork")
        (verdict,) = prune_runs(run.parent, older_than_s=-60, dry_run=False)
    assert (verdict.removed, verdict.reason) == (False, "active")


@pytest.mark.parametrize("number", [6, -7, 10**30])
def test_a_step_that_is_none_is_refused_and_changes_nothing(run: Path, number: int) -> None:
    before = (run / TRACE_FILE).read_bytes()
    with pytest.raises(TraceError, match="steps 0 to 5"):
        rewind(run, number)
    assert (run / TRACE_FILE).read_bytes() == before


@given(backs=st.lists(st.integers(-5, 40), max_size=8))
def test_effective_entries_are_ordered_and_exclude_rewound_ones(backs: list[int]) -> None:
    entries: list[Entry] = []
    for to in backs:
        entries += [
            Entry(len(entries) + n, 0.0, InstructionStarted(number=1, total=1, restart=0))
            for n in range(3)
        ]
        entries.append(Entry(len(entries), 0.0, Rewound(to=to, step=0)))
    kept = [entry.number for entry in effective(entries)]
    assert kept == sorted(set(kept))
    for position, to in enumerate(backs):
        taken_back = range(max(to + 1, 0), position * 4 + 3)
        assert not set(kept) & set(taken_back)


def test_cleaning_removes_only_old_unpinned_pure_run_folders(run: Path, tmp_path: Path) -> None:
    runs = run.parent
    for name in ("pinned", "young", "foreign", "linked", "other"):
        shutil.copytree(run, runs / name)
    pin(runs / "pinned", pinned=True)
    (runs / "foreign" / "thesis.txt").write_text("mine")
    (runs / "linked" / "report.json").unlink()
    (runs / "linked" / "report.json").symlink_to(runs / "foreign" / "thesis.txt")
    (runs / "other" / TRACE_FILE).write_text("{}\n")
    (runs / "no-run").mkdir()
    (runs / "link").symlink_to(runs / "foreign")
    for folder in runs.iterdir():
        if folder.name != "young" and (folder / TRACE_FILE).exists():
            os.utime(folder / TRACE_FILE, (1000, 1000))
    before = sorted(path.name for path in runs.iterdir())
    planned = prune_runs(runs, older_than_s=3600, dry_run=True)
    assert sorted(path.name for path in runs.iterdir()) == before
    done = prune_runs(runs, older_than_s=3600, dry_run=False)
    assert (
        [one.folder.name for one in done if one.removed]
        == ["run"]
        == [one.folder.name for one in planned if one.removed]
    )
    assert sorted(path.name for path in runs.iterdir()) == sorted(set(before) - {"run"})
    assert (runs / "foreign" / "thesis.txt").read_text() == "mine"
    pin(runs / "pinned", pinned=False)
    assert [
        one.folder.name for one in prune_runs(runs, older_than_s=3600, dry_run=False) if one.removed
    ] == ["pinned"]
