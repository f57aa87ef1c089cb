"""The series that figures are drawn from: a known record comes to known numbers."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_run import STORY, record
from source_tree import ROOT
from traces import TraceBuilder, known, report

from l2mac.cli.insight import as_series
from l2mac.errors import TraceError
from l2mac.evaluator.verdict import Verdict
from l2mac.insight.heat import LETTERS, condensed, heaviest, slices, touches
from l2mac.insight.reading import RECORDED, read_insight
from l2mac.insight.series import Column, HeatMap, HeatRow, Insight
from l2mac.trace.branching import rewind
from l2mac.trace.chain import read_trace
from l2mac.trace.events import Replanned, SandboxOpened, StoreRestored
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from sandbox import Change

BUNDLED = ROOT / "examples" / "sessions" / "url-shortener"


@pytest.fixture(scope="module")
def insight(tmp_path_factory: pytest.TempPathFactory) -> Insight:
    folder = tmp_path_factory.mktemp("runs") / "run"
    known(folder)
    return read_insight(folder)


def test_stages_list_turns_restarts_tokens_cost_time_and_files(insight: Insight) -> None:
    rows = {
        (stage.phase, stage.number, stage.text): (
            stage.state, stage.turns, stage.restarts, stage.checks, stage.prompt_tokens,
            stage.completion_tokens, stage.cost_usd, stage.elapsed_s, stage.files,
        )
        for stage in insight.stages
    }  # fmt: skip
    assert rows == {
        ("planning", 0, ""): ("", 0, 0, 0, 100, 10, 0.5, 6.0, ()),
        ("instruction", 1, "Write a."): ("done", 4, 1, 3, 3200, 30, 2.0, 13.0, ("a.py", "old.py")),
        ("instruction", 0, "Write b and c."): ("replaced", 1, 0, 0, 200, 20, 1.0, 5.0, ()),
        ("instruction", 2, "Write b."): ("done", 1, 0, 1, 100, 10, 0.5, 6.0, ("p/b.py",)),
        ("instruction", 3, "Write c."): ("done", 1, 0, 1, 100, 10, 0.5, 5.0, ("c.py",)),
        ("verification", 0, ""): ("", 0, 0, 1, 0, 0, 0.0, 4.0, ()),
        ("rewound", 0, ""): ("", 1, 0, 0, 100, 10, 0.5, 3.0, ("wrong.py",)),
    }


def test_the_stages_together_are_the_whole_run(insight: Insight) -> None:
    assert sum(stage.elapsed_s for stage in insight.stages) == insight.elapsed_s
    assert insight.tokens == sum(
        call.prompt_tokens + call.completion_tokens for call in insight.calls
    )
    assert insight.cost_usd == sum(call.cost_usd for call in insight.calls)
    assert (insight.done, len(insight.instructions)) == (3, 3)


def test_an_instruction_that_others_were_put_before_waits_behind_them(tmp_path: Path) -> None:
    made = TraceBuilder(tmp_path / "run").begin().plan("First.", "Second.").instruction(1)
    made.add(
        Replanned(number=1, action="insert", instruction_objects=(made.put("Before."),))
    ).instruction(1, total=3)
    stages = read_insight(made.folder).instructions
    assert [(one.number, one.text, one.state) for one in stages] == [
        (1, "Before.", "at work"),
        (2, "First.", "to come"),
        (3, "Second.", "to come"),
    ]


def test_the_features_kept_are_counted_at_each_look(insight: Insight) -> None:
    assert [(one.where, one.kept, one.total) for one in insight.kept] == [
        ("listed", 3, 3), ("plan", 2, 3), ("result", 2, 3),
    ]  # fmt: skip
    assert [(row.requirement, row.shown) for row in insight.requirements] == [
        ("A.", True),
        ("B.", False),
        ("C.", True),
    ]


def test_every_check_has_its_findings_and_tests(insight: Insight) -> None:
    rows = [
        (one.instruction, dict(one.findings), one.passed, one.failed, one.verdict)
        for one in insight.checks
    ]
    assert rows == [
        (1, {"syntax": 0, "lint": 2}, 0, 0, "failed"),
        (1, {"syntax": 1, "lint": None}, 0, 0, "failed"),
        (1, {"syntax": 0, "lint": 0}, 1, 0, "passed"),
        (2, {"syntax": 0, "lint": 0}, 1, 1, "failed"),
        (3, {"syntax": 0, "lint": 0}, 2, 0, "passed"),
        (0, {"syntax": 0, "lint": 0}, 2, 0, "passed"),
    ]
    assert [one.final for one in insight.checks] == [False] * 5 + [True]
    assert insight.verified


def test_the_heat_map_has_a_letter_for_each_file_at_each_touch(insight: Insight) -> None:
    assert {row.path: row.cells for row in insight.heat_map.rows} == {
        "a.py": "wwerexe",
        "old.py": "wed....",
        "p/b.py": "....wee",
        "c.py": "......w",
    }
    assert [column.instruction for column in insight.heat_map.columns] == [1, 1, 1, 2, 2, 2, 3]


def test_calls_show_sent_refused_and_rewound_requests(insight: Insight) -> None:
    assert [one.prompt_tokens for one in insight.calls if one.purpose == "turn"] == [
        100,
        0,
        3000,
        100,
        100,
        100,
        100,
        100,
    ]
    assert [one.line for one in insight.calls if one.overflow] == [11]
    assert [one.line for one in insight.calls if not one.counts] == [21]
    assert insight.context_tokens == 4000


def test_a_receipt_is_counted_by_its_verdicts(insight: Insight) -> None:
    (box,) = insight.sandboxes
    assert dict(box.rows) == {"match": 2, "not available": 1}
    assert (box.runtime, box.own_kernel, box.digest) == ("runsc", True, "sha256:digest")
    assert box.unavailable == ("inside.2",)


def test_the_outcome_and_the_seal_are_the_records(tmp_path: Path) -> None:
    made = known(tmp_path / "run")
    insight = read_insight(made.folder)
    assert (insight.status, insight.cause) == (
        "requirements unverified",
        "1 of 3 requirements are not shown",
    )
    assert insight.seal == made.seal == read_trace(made.folder / TRACE_FILE)[2]
    assert [(one.reason, one.model, one.status) for one in insight.sessions] == [
        ("run", "scripted", insight.status)
    ]


def test_insight_shows_recorded_verdicts_and_skips_the_baseline(tmp_path: Path) -> None:
    made = TraceBuilder(tmp_path / "run").begin().plan("a").instruction(1).write("a.py")
    first, second = report(passed=["t.py::test_a"], failed=["t.py::test_b"]), report(lint=1)
    made.check(first).check(second).check(first, baseline=True)
    insight = read_insight(made.folder)
    assert [one.summary for one in insight.checks] == [first.summary, second.summary, first.summary]
    assert insight.last == second


def test_files_that_changed_after_the_fresh_sandbox_are_not_verified(tmp_path: Path) -> None:
    made = (
        TraceBuilder(tmp_path / "run")
        .begin()
        .plan("a")
        .instruction(1)
        .write("a.py")
        .check(report(), final=True)
    )
    assert read_insight(made.folder).verified
    assert not read_insight(made.write("b.py").folder).verified


def test_an_attempt_that_was_undone_shows_as_such(tmp_path: Path) -> None:
    made = TraceBuilder(tmp_path / "run").begin().plan("a").instruction(1).write("a.py", "b.py")
    made.add(StoreRestored(changes=(Change("b.py", -1, ""),))).write("a.py")
    assert {row.path: row.cells for row in read_insight(made.folder).heat_map.rows} == {
        "a.py": "wew",
        "b.py": "wd.",
    }


def test_a_real_record_has_the_same_numbers_as_its_session(tmp_path: Path) -> None:
    result = record(tmp_path / "run")
    insight = read_insight(tmp_path / "run")
    assert insight.tokens == result.spending.prompt_tokens + result.spending.completion_tokens
    assert insight.seal == result.seal
    assert {one.path: one.digest for one in insight.files} == dict(result.files)
    assert [(one.turns, one.state) for one in insight.instructions] == [(4, "done"), (2, "done")]
    assert insight.last is not None
    assert insight.last.verdict is Verdict.PASSED


@pytest.mark.parametrize("step", range(6))
def test_a_rewound_run_that_goes_on_has_every_token_once(tmp_path: Path, step: int) -> None:
    record(tmp_path / "run")
    rewind(tmp_path / "run", step)
    back = read_insight(tmp_path / "run")
    assert back.status == f"rewound to step {step}"
    replies = {0: STORY, 1: STORY[2:], 2: STORY[4:], 3: STORY[6:], 4: STORY[7:], 5: ()}[step]
    result = record(tmp_path / "run", replies)
    insight = read_insight(tmp_path / "run")
    assert insight.tokens == result.spending.prompt_tokens + result.spending.completion_tokens
    assert insight.verified
    assert insight.done == 2


def test_the_bundled_session_is_read_although_no_session_of_it_is_recorded() -> None:
    insight = read_insight(BUNDLED)
    assert (insight.status, insight.verified, insight.done) == (RECORDED, True, 3)
    assert [(one.passed, one.failed) for one in insight.checks] == [
        (10, 1),
        (11, 0),
        (13, 0),
        (17, 0),
        (17, 0),
    ]
    assert insight.heat_map.rows[1] == HeatRow("shortener/store.py", "wrweee")


@pytest.mark.parametrize("lines", range(1, 36, 5))
def test_truncated_trace_is_read_up_to_its_last_whole_line(tmp_path: Path, lines: int) -> None:
    run = shutil.copytree(BUNDLED, tmp_path / "run")
    content = (run / TRACE_FILE).read_bytes().splitlines(keepends=True)
    (run / TRACE_FILE).write_bytes(b"".join(content[:lines]) + content[lines][:40])
    assert read_insight(run).events == lines


def test_a_record_that_is_empty_altered_or_lacks_an_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TraceError, match="before it began"):
        read_insight(tmp_path / "empty")
    altered = shutil.copytree(BUNDLED, tmp_path / "altered")
    (altered / TRACE_FILE).write_bytes(
        (altered / TRACE_FILE).read_bytes().replace(b'"total":3', b'"total":4', 1)
    )
    with pytest.raises(TraceError, match="altered"):
        read_insight(altered)
    lacking = shutil.copytree(BUNDLED, tmp_path / "lacking")
    (lacking / OBJECTS_FILE).write_bytes((lacking / OBJECTS_FILE).read_bytes()[:5000])
    with pytest.raises(TraceError, match="missing"):
        read_insight(lacking)


@pytest.mark.parametrize(
    "receipt", ["", "null", "[]", '{"rows": 3}', '{"rows": [1]}', '{"image": [], "engine": 1}', "{"]
)
def test_a_receipt_that_is_none_shows_nothing(tmp_path: Path, receipt: str) -> None:
    made = TraceBuilder(tmp_path / "run").begin()
    made.add(SandboxOpened(receipt_object=made.put(receipt), purpose="work"))
    (box,) = read_insight(made.folder).sandboxes
    assert (box.rows, box.unavailable) == ((), ())
    assert (box.image, box.own_kernel) == ("", False)


def test_the_series_are_json(insight: Insight) -> None:
    loaded = json.loads(json.dumps(as_series(insight)))
    assert loaded["format"] == 1
    assert loaded["heat_map"]["rows"][0] == {"path": "a.py", "cells": "wwerexe"}
    assert loaded["tokens"] == 3890


@given(st.integers(0, 500), st.integers(1, 60))
def test_slices_cover_everything_once_and_evenly(count: int, most: int) -> None:
    bounds = slices(count, most)
    assert len(bounds) == min(count, most)
    assert [place for start, stop in bounds for place in range(start, stop)] == list(range(count))
    lengths = {stop - start for start, stop in bounds}
    assert max(lengths, default=0) - min(lengths, default=0) <= 1


@given(
    st.lists(st.text(LETTERS, min_size=30, max_size=30), max_size=12),
    st.integers(1, 40),
    st.integers(1, 15),
)
def test_a_smaller_map_keeps_the_weightiest_touch_of_each_file(
    cells: list[str], columns: int, rows: int
) -> None:
    whole = HeatMap(
        tuple(Column(n, 1) for n in range(30)),
        tuple(HeatRow(str(n), one) for n, one in enumerate(cells)),
    )
    small = condensed(whole, most_columns=columns, most_rows=rows)
    assert len(small.columns) == min(columns, 30)
    assert len(small.rows) == min(rows, len(cells))
    by_path = {row.path: row for row in whole.rows}
    for row in small.rows:
        assert heaviest(row.cells) == heaviest(by_path[row.path].cells)
        assert len(row.cells) == len(small.columns)
    kept = {row.path for row in small.rows}
    left_out = [touches(row) for row in whole.rows if row.path not in kept]
    assert (
        max(left_out, default=0) <= min((touches(by_path[path]) for path in kept), default=0)
        or not left_out
    )
    assert condensed(replace(whole), most_columns=30, most_rows=12) == whole
