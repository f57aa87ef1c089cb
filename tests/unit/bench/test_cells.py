"""The state of a benchmark's cell is that of its folder; foreign files there are refused."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

import pytest
from recorded_run import PLAN, STORY, record, write

from l2mac.bench.benchmark import SettingsFor, TaskChoice, prepare
from l2mac.bench.cell import Cell
from l2mac.bench.harness import CellResult
from l2mac.bench.measurement import Measurement, read_measurement, write_measurement
from l2mac.bench.summary import results_as_json, rows_of
from l2mac.bench.tables import markdown, table_lines
from l2mac.bench.variant import Variant
from l2mac.control.outcome import Status
from l2mac.errors import RunLocked, SettingsError, TraceError
from l2mac.processor.messages import Reply
from l2mac.settings.settings import Settings, load_settings
from l2mac.trace.chain import read_trace

NUMBERS: dict[str, float | None] = {
    "features_percent": 50.0,
    "tests_passed": 2,
    "coverage_percent": 80.0,
    "tokens": 10,
}


class Chosen(TypedDict, total=False):
    tasks: tuple[str, ...]
    task_files: tuple[Path, ...]
    humaneval: Path | None
    variants: tuple[Variant, ...]
    seeds: int
    features: bool


class Measured(TypedDict, total=False):
    details: dict[str, object]
    metrics: dict[str, float | None]
    problems: dict[str, str]
    status: str
    cause: str


def settings_for(folder: Path, **more: object) -> SettingsFor:
    def give(own: Mapping[str, object]) -> Settings:
        given = {"model": "m", "base_url": "http://127.0.0.1:9/v1", **more, **own}
        return load_settings(given, project=folder / "none", user=folder / "none")

    return give


def choice(folder: Path, **more: Unpack[Chosen]) -> TaskChoice:
    nothing = TaskChoice(
        tasks=("smoke",),
        task_files=(),
        humaneval=None,
        variants=(),
        seeds=1,
        folder=folder / "bench",
    )
    return replace(nothing, **more)


def cells(
    folder: Path, more: dict[str, object] | None = None, **chosen: Unpack[Chosen]
) -> tuple[Cell, ...]:
    with prepare(choice(folder, **chosen), settings_for(folder, **(more or {}))) as prepared:
        return prepared.cells


def ended(cell: Cell, replies: tuple[Reply, ...] = STORY, turns: int = 40) -> Path:
    """Put a run into a cell."""
    cell.begin()
    return record(cell.folder / "20260101-a-run", replies, turns=turns).folder


def measurement(run: Path, **more: Unpack[Measured]) -> Measurement:
    given: Measured = {"metrics": NUMBERS, "status": Status.COMPLETED, "cause": "fine", **more}
    return Measurement(run=run.name, seal=read_trace(run / "trace.jsonl")[2], **given)


def test_a_cell_goes_from_new_over_ended_to_measured(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path)
    assert cell.state() == "new"
    cell.begin()
    assert cell.state() == "new"
    run = ended(cell)
    assert (cell.state(), cell.run) == ("ended", run)
    write_measurement(cell.folder, measurement(run))
    assert cell.state() == "measured"


def test_truncated_run_counts_as_begun_and_exhausted_run_as_ended(tmp_path: Path) -> None:
    first, second = cells(tmp_path, seeds=2)
    run = ended(first)
    trace = run / "trace.jsonl"
    trace.write_bytes(b"".join(trace.read_bytes().splitlines(keepends=True)[:-1]))
    assert first.state() == "begun"
    ended(second, (PLAN, write(a="A = 1\n"), *[Reply(content="Hm.")] * 3), turns=2)
    assert second.state() == "ended"


def test_a_run_that_has_no_first_line_has_not_begun(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path)
    (cell.folder / "20260101-empty").mkdir(parents=True)
    (cell.folder / "20260101-empty" / "trace.jsonl").write_bytes(b"")
    assert cell.state() == "new"


def test_a_measurement_of_another_state_of_the_run_is_refused(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path)
    run = ended(cell)
    write_measurement(cell.folder, replace(measurement(run), seal="0" * 64))
    with pytest.raises(TraceError, match="is not that of the run beside it"):
        cell.state()


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content | {"metrics": {**NUMBERS, "features_percent": 100.0}},
        lambda content: content | {"sha256": "0" * 64},
        lambda content: {name: content[name] for name in content if name != "sha256"},
        lambda content: content | {"more": 1},
        lambda _: [],
    ],
)
def test_a_measurement_that_was_altered_is_refused(
    tmp_path: Path, change: Callable[[dict[str, object]], object]
) -> None:
    (cell,) = cells(tmp_path)
    run = ended(cell)
    write_measurement(cell.folder, measurement(run))
    path = cell.folder / "measurement.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(TraceError, match="is not what was written"):
        cell.state()


def test_a_measurement_comes_back_as_it_was(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path)
    written = measurement(
        ended(cell), details={"coverage": {"a.py": [1, 2]}}, problems={"lint_errors": "gone"}
    )
    write_measurement(cell.folder, written)
    assert read_measurement(cell.folder) == written


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"model": "other"}, r"model: \"m\", now \"other\""),
        ({"max_tokens": 5000}, r"max_tokens: null, now 5000"),
        ({"steps": 3}, r"steps: 10, now 3"),
        ({"summary": False}, r"planning.summary: true, now false"),
        ({"roles": {"judge": {"model": "judge"}}}, r"roles: "),
    ],
)
def test_changed_settings_on_a_benchmark_folder_are_refused_by_name(
    tmp_path: Path, more: dict[str, object], said: str
) -> None:
    cells(tmp_path)[0].begin()
    with pytest.raises(SettingsError, match=said):
        cells(tmp_path, more)
    with pytest.raises(SettingsError, match=r"features: true, now false"):
        cells(tmp_path, features=False)


def test_benchmark_folder_continues_with_another_server_for_its_model(tmp_path: Path) -> None:
    cells(tmp_path)[0].begin()
    assert cells(tmp_path, {"base_url": "http://127.0.0.1:10/v1"})[0].state() == "new"


def test_two_benches_do_not_work_on_the_same_folder(tmp_path: Path) -> None:
    with prepare(choice(tmp_path), settings_for(tmp_path)):
        with pytest.raises(RunLocked, match="Another `l2mac bench` works in"):
            cells(tmp_path)
    assert cells(tmp_path)


def test_plan_states_the_number_of_runs_and_their_bounds(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path)
    write_measurement(cell.folder, measurement(ended(cell)))
    variants = (Variant("l2mac"), Variant("short", {"summary": False}))
    with prepare(choice(tmp_path, variants=variants, seeds=2), settings_for(tmp_path)) as prepared:
        first, second = prepared.plan_lines()
    assert first.startswith("4 runs: 1 task, 2 methods, 2 seeds")
    assert second.startswith(
        "3 new, 0 to be resumed, 0 to be measured, 1 done; no run has a bound on tokens or cost"
    )


def results(folder: Path, *measured: Measured | None, **chosen: Unpack[Chosen]) -> list[CellResult]:
    found = []
    chosen["seeds"] = len(measured)
    for cell, more in zip(cells(folder, **chosen), measured, strict=False):
        found.append(CellResult(cell, None if more is None else measurement(ended(cell), **more)))
    return found


def test_runs_that_failed_or_ran_out_of_budget_are_part_of_every_mean(tmp_path: Path) -> None:
    spent: Measured = {"status": Status.BUDGET, "metrics": {**NUMBERS, "features_percent": 0.0}}
    failing: Measured = {"status": Status.FAILING, "metrics": {**NUMBERS, "features_percent": 25.0}}
    (row,) = rows_of(results(tmp_path, {}, spent, failing, None))
    assert (row.planned, row.measured, row.completed) == (4, 3, 1)
    assert row.statuses == {Status.COMPLETED: 1, Status.BUDGET: 1, Status.FAILING: 1}
    assert (row.estimates["features_percent"].mean, row.estimates["features_percent"].n) == (
        25.0,
        3,
    )


def test_unmeasured_values_are_counted_and_never_zero(tmp_path: Path) -> None:
    forged: Measured = {"metrics": {**NUMBERS, "coverage_percent": None}}
    rows = rows_of(results(tmp_path, {}, {}, forged))
    assert (rows[0].estimates["coverage_percent"].mean, rows[0].unmeasured) == (
        80.0,
        {"coverage_percent": 1},
    )
    text = "\n".join(table_lines(rows))
    assert "80.0±0.0 (n=2)" in text
    assert "cov % could not be measured in 1 of 3 runs" in text


def test_tables_say_how_runs_ended_and_how_many_are_missing(tmp_path: Path) -> None:
    rows = rows_of(results(tmp_path, {}, {"status": Status.BUDGET}, None))
    for text in ("\n".join(table_lines(rows)), markdown(rows)):
        assert "2 of 3" in text
        assert "1 completed, 1 budget exhausted" in text
        assert "1 of 3 runs are not finished yet" in text
        assert "a model's claim" in text


def test_the_json_has_each_run_with_its_folder_and_its_own_numbers(tmp_path: Path) -> None:
    content = json.loads(json.dumps(results_as_json(results(tmp_path, {}, None))))
    first, second = content["runs"]
    assert (first["task"], first["variant"], first["seed"], first["metrics"]) == (
        "smoke",
        "l2mac",
        0,
        NUMBERS,
    )
    assert (Path(first["run_folder"]) / "trace.jsonl").is_file()
    assert (second["run"] is not None, "metrics" in second, content["complete"]) == (
        False,
        False,
        False,
    )


def test_pass_at_k_excludes_problems_with_missing_samples(tmp_path: Path) -> None:
    from scripted_models import bench

    path = tmp_path / "ours.jsonl"
    path.write_text(bench.problems())
    some = cells(tmp_path, tasks=(), humaneval=path, seeds=2)
    solved = [100.0, 0.0, 100.0, 100.0, 0.0]  # the last sample of the third problem is missing
    found = [
        CellResult(cell, measurement(ended(cell), metrics={"handwritten_percent": percent}))
        for cell, percent in zip(some, solved, strict=False)
    ]
    (row,) = rows_of([*found, CellResult(some[5], None)])
    assert {k: (share.share, share.n) for k, share in row.pass_at.items()} == {
        1: (0.75, 2),
        2: (1.0, 2),
    }
    assert "pass@1" in markdown([row])
