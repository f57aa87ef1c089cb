"""Summarise cells: a mean with its interval for each metric."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from l2mac.bench.estimates import Estimate, Proportion, estimate, pass_at, proportion
from l2mac.bench.harness import CellResult
from l2mac.bench.measurement import METRICS
from l2mac.control.outcome import Status
from l2mac.version import VERSION

_PASS_AT = (1, 10, 100)
_SOLVED = "handwritten_percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """One variant on one task, or on one suite of tasks.

    Attributes:
        planned: Number of planned runs.
        statuses: Number of measured runs by their status.
        estimates: Estimate by metric; missing if no run has the metric.
        unmeasured: Number of measured runs without a value, by metric; the estimate leaves them
            out.
        pass_at: For a suite: k → share of problems solved by at least one of k samples.
    """

    task: str
    title: str
    variant: str
    planned: int
    statuses: Mapping[str, int]
    estimates: Mapping[str, Estimate]
    unmeasured: Mapping[str, int]
    pass_at: Mapping[int, Proportion]

    @property
    def measured(self) -> int:
        """Number of measured runs."""
        return sum(self.statuses.values())

    @property
    def completed(self) -> int:
        """Number of runs that completed with all checks passed."""
        return self.statuses.get(Status.COMPLETED, 0)


def rows_of(results: Sequence[CellResult]) -> tuple[SummaryRow, ...]:
    """Return a row for each task or suite and variant, in the cells' order."""
    groups: dict[tuple[str, str], list[CellResult]] = {}
    for result in results:
        task = result.cell.task
        groups.setdefault((task.suite or task.name, result.cell.variant.name), []).append(result)
    return tuple(_row(name, variant, some) for (name, variant), some in groups.items())


def results_as_json(results: Sequence[CellResult]) -> dict[str, object]:
    """Return rows, and runs with folders and numbers, as JSON values."""
    return {
        "version": VERSION,
        "complete": all(result.measurement is not None for result in results),
        "rows": [_row_as_json(row) for row in rows_of(results)],
        "runs": [_cell_as_json(result) for result in results],
    }


def _row(name: str, variant: str, results: Sequence[CellResult]) -> SummaryRow:
    task = results[0].cell.task
    measured = [result.measurement for result in results if result.measurement is not None]
    estimates: dict[str, Estimate] = {}
    unmeasured: dict[str, int] = {}
    for metric in METRICS:
        values = [one.metrics[metric.key] for one in measured if metric.key in one.metrics]
        found = estimate([value for value in values if value is not None])
        if found is not None:
            estimates[metric.key] = found
        if None in values:
            unmeasured[metric.key] = values.count(None)
    return SummaryRow(
        task=name,
        title=name if task.suite else task.title,
        variant=variant,
        planned=len(results),
        statuses=dict(Counter(one.status for one in measured)),
        estimates=estimates,
        unmeasured=unmeasured,
        pass_at=_pass_at(results) if task.suite else {},
    )


def _pass_at(results: Sequence[CellResult]) -> dict[int, Proportion]:
    """Return pass@k over fully measured problems, for k up to the number of samples."""
    samples: dict[str, list[bool]] = {}
    unfinished = {result.cell.task.name for result in results if result.measurement is None}
    for result in results:
        if result.measurement is not None and result.cell.task.name not in unfinished:
            solved = result.measurement.metrics.get(_SOLVED) == 100
            samples.setdefault(result.cell.task.name, []).append(solved)
    if not samples:
        return {}
    most = min(map(len, samples.values()))
    found: dict[int, Proportion] = {}
    levels = {k for k in _PASS_AT if k <= most} | {most}
    for k in sorted(levels):
        share = proportion([pass_at(k, len(some), sum(some)) for some in samples.values()])
        if share is not None:
            found[k] = share
    return found


def _row_as_json(row: SummaryRow) -> dict[str, object]:
    content = asdict(row)
    content["pass_at"] = {str(k): asdict(share) for k, share in row.pass_at.items()}
    return {**content, "measured": row.measured}


def _cell_as_json(result: CellResult) -> dict[str, object]:
    cell, measured = result.cell, result.measurement
    run = cell.run
    content: dict[str, object] = {
        "task": cell.task.name,
        "variant": cell.variant.name,
        "settings": dict(cell.variant.settings),
        "seed": cell.seed,
        "run": run.name if run else None,
        "run_folder": str(run) if run else None,
        "measurement": str(cell.folder / "measurement.json") if measured else None,
        "fault": str(result.fault) if result.fault else None,
    }
    if measured is not None:
        content |= {"status": measured.status, "cause": measured.cause, "seal": measured.seal}
        content |= {"metrics": dict(measured.metrics), "problems": dict(measured.problems)}
    return content
