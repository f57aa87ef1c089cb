"""The rows as tables: for a terminal, and as Markdown."""

from collections.abc import Sequence

from l2mac.bench.estimates import Estimate
from l2mac.bench.measurement import METRICS, Metric
from l2mac.bench.summary import SummaryRow

_SPREAD = (
    "± is half of the 95 % confidence interval of the mean over a row's runs (Student's t). Every run that was measured"
    " counts, however it ended."
)
_CLAIM = (
    "features % and tested % are a model's claim: its judge named a file that exists, and for tested % a test that"
    " passed as well."
)
_SHARE = "pass@k is over problems, with Wilson's 95 % interval."
_NONE = "-"


def table_lines(rows: Sequence[SummaryRow]) -> list[str]:
    """Return the tables for a terminal, one for each task."""
    lines: list[str] = []
    for task, some in _by_task(rows):
        grid = _grid(some, brief=True)
        widths = [max(len(line[column]) for line in grid) for column in range(len(grid[0]))]
        lines += ["", task]
        for line in grid:
            first, *others = (
                text.ljust(width) if not at else text.rjust(width)
                for at, (text, width) in enumerate(zip(line, widths, strict=True))
            )
            lines.append("  ".join(["", first, *others]).rstrip())
        lines += [f"  {note}" for row in some for note in _remarks(row)]
    return [*lines, "", *_notes(rows)]


def markdown(rows: Sequence[SummaryRow]) -> str:
    """Return the tables as Markdown."""
    lines: list[str] = []
    for task, some in _by_task(rows):
        head, *body = _grid(some, brief=False)
        lines += [f"## {task}", "", _line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
        lines += [*(_line(one) for one in body), ""]
        remarks = [f"- {note}" for row in some for note in _remarks(row)]
        lines += [*remarks, ""] if remarks else []
    return "\n".join([*lines, *(f"{note}\n" for note in _notes(rows))]).rstrip() + "\n"


def _by_task(rows: Sequence[SummaryRow]) -> list[tuple[str, list[SummaryRow]]]:
    groups: dict[str, list[SummaryRow]] = {}
    for row in rows:
        groups.setdefault(row.task, []).append(row)
    return [
        (f"{some[0].title} ({name})" if some[0].title != name else name, some)
        for name, some in groups.items()
    ]


def _grid(rows: Sequence[SummaryRow], *, brief: bool) -> list[list[str]]:
    """Return head and body; a metric that no row has is left out, and in brief one whose 0 says nothing."""
    metrics = [
        metric
        for metric in METRICS
        if any(metric.key in (*row.estimates, *row.unmeasured) for row in rows)
    ]
    if brief:
        metrics = [
            metric for metric in metrics if not (metric.rare and _all_zero(rows, metric.key))
        ]
    levels = sorted({k for row in rows for k in row.pass_at})
    if levels:  # the share of a suite's problems that were solved is pass@1
        metrics = [metric for metric in metrics if metric.key != "handwritten_percent"]
    head = [
        "method",
        "runs",
        "ok",
        *(f"pass@{k}" for k in levels),
        *(metric.title for metric in metrics),
    ]
    return [head, *(_cells(row, levels, metrics) for row in rows)]


def _all_zero(rows: Sequence[SummaryRow], key: str) -> bool:
    found = [row.estimates[key] for row in rows if key in row.estimates]
    return all(not one.mean and not one.half_width for one in found) and not any(
        key in row.unmeasured for row in rows
    )


def _cells(row: SummaryRow, levels: Sequence[int], metrics: Sequence[Metric]) -> list[str]:
    runs = str(row.measured) if row.measured == row.planned else f"{row.measured} of {row.planned}"
    shares = [row.pass_at.get(k) for k in levels]
    passes = [
        f"{s.share:.3f} [{s.low:.3f}, {s.high:.3f}]" if s is not None else _NONE for s in shares
    ]
    return [
        row.variant,
        runs,
        str(row.completed),
        *passes,
        *(_number(row, metric) for metric in metrics),
    ]


def _number(row: SummaryRow, metric: Metric) -> str:
    found = row.estimates.get(metric.key)
    if found is None:
        return _NONE
    return _plain(found, metric.digits) + (
        f" (n={found.n})" if metric.key in row.unmeasured else ""
    )


def _plain(found: Estimate, digits: int) -> str:
    half = "" if found.half_width is None else f"±{found.half_width:.{digits}f}"
    return f"{found.mean:.{digits}f}{half}"


def _remarks(row: SummaryRow) -> list[str]:
    """Say what a reader has to know about a row's numbers."""
    remarks = []
    ended = [f"{count} {status}" for status, count in row.statuses.items()]
    if row.completed != row.measured:
        remarks.append(f"{row.variant}: {', '.join(ended)}")
    if row.measured != row.planned:
        remarks.append(
            f"{row.variant}: {row.planned - row.measured} of {row.planned} runs are not finished yet"
        )
    for key, count in row.unmeasured.items():
        title = next(metric.title for metric in METRICS if metric.key == key)
        remarks.append(
            f"{row.variant}: {title} could not be measured in {count} of {row.measured} runs"
        )
    return remarks


def _notes(rows: Sequence[SummaryRow]) -> list[str]:
    judged = any("features_percent" in row.estimates for row in rows)
    return [
        _SPREAD,
        *([_CLAIM] if judged else []),
        *([_SHARE] if any(row.pass_at for row in rows) else []),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
