"""Render the summary's rows as tables, for a terminal and as Markdown."""

from collections.abc import Sequence

from l2mac.bench.estimates import Estimate, Proportion
from l2mac.bench.measurement import METRICS, Metric
from l2mac.bench.summary import SummaryRow

_SPREAD = (
    "± is half of the 95 % confidence interval of the mean over a row's runs (Student's t). Every"
    " measured run counts, with any status."
)
_CLAIM = (
    "features % and tested % are a model's claim: the judge named an existing file, and for tested"
    " % also a passed test."
)
_SHARE = "pass@k is over problems, with Wilson's 95 % interval."
_NONE = "-"


def table_lines(rows: Sequence[SummaryRow]) -> list[str]:
    """Return the tables for a terminal, one for each task."""
    lines: list[str] = []
    for task, some in _by_task(rows):
        grid = _grid(some, brief=True)
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        lines += ["", task]
        for first, *others in grid:
            padded = [first.ljust(widths[0])]
            padded += [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
            lines.append("  ".join(["", *padded]).rstrip())
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
    titled = []
    for name, some in groups.items():
        title = some[0].title
        titled.append((f"{title} ({name})" if title != name else name, some))
    return titled


def _grid(rows: Sequence[SummaryRow], *, brief: bool) -> list[list[str]]:
    """Return head and body, without metrics that no row has.

    In brief, rare metrics whose values are all 0 are excluded as well.
    """
    present = {key for row in rows for key in (*row.estimates, *row.unmeasured)}
    metrics = [metric for metric in METRICS if metric.key in present]
    if brief:
        metrics = [one for one in metrics if not (one.rare and _all_zero(rows, one.key))]
    levels = sorted({k for row in rows for k in row.pass_at})
    if levels:  # the share of a suite's problems that were solved is pass@1
        metrics = [metric for metric in metrics if metric.key != "handwritten_percent"]
    head = ["method", "runs", "ok"]
    head += [f"pass@{k}" for k in levels]
    head += [metric.title for metric in metrics]
    return [head, *(_cells(row, levels, metrics) for row in rows)]


def _all_zero(rows: Sequence[SummaryRow], key: str) -> bool:
    if any(key in row.unmeasured for row in rows):
        return False
    found = [row.estimates[key] for row in rows if key in row.estimates]
    return all(not one.mean and not one.half_width for one in found)


def _cells(row: SummaryRow, levels: Sequence[int], metrics: Sequence[Metric]) -> list[str]:
    runs = str(row.measured) if row.measured == row.planned else f"{row.measured} of {row.planned}"
    cells = [row.variant, runs, str(row.completed)]
    cells += [_share(row.pass_at.get(k)) for k in levels]
    cells += [_number(row, metric) for metric in metrics]
    return cells


def _share(share: Proportion | None) -> str:
    if share is None:
        return _NONE
    return f"{share.share:.3f} [{share.low:.3f}, {share.high:.3f}]"


def _number(row: SummaryRow, metric: Metric) -> str:
    found = row.estimates.get(metric.key)
    if found is None:
        return _NONE
    text = _plain(found, metric.digits)
    return f"{text} (n={found.n})" if metric.key in row.unmeasured else text


def _plain(found: Estimate, digits: int) -> str:
    half = "" if found.half_width is None else f"±{found.half_width:.{digits}f}"
    return f"{found.mean:.{digits}f}{half}"


def _remarks(row: SummaryRow) -> list[str]:
    """Return the remarks that a reader of a row's numbers needs."""
    remarks = []
    if row.completed != row.measured:
        ended = [f"{count} {status}" for status, count in row.statuses.items()]
        remarks.append(f"{row.variant}: {', '.join(ended)}")
    if row.measured != row.planned:
        missing = row.planned - row.measured
        remarks.append(f"{row.variant}: {missing} of {row.planned} runs are not finished yet")
    titles = {metric.key: metric.title for metric in METRICS}
    for key, count in row.unmeasured.items():
        runs = f"{count} of {row.measured} runs"
        remarks.append(f"{row.variant}: {titles[key]} could not be measured in {runs}")
    return remarks


def _notes(rows: Sequence[SummaryRow]) -> list[str]:
    notes = [_SPREAD]
    if any("features_percent" in row.estimates for row in rows):
        notes.append(_CLAIM)
    if any(row.pass_at for row in rows):
        notes.append(_SHARE)
    return notes


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
