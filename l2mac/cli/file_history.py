"""How `show --steps` and `show --files` look: the history as lines, and who touched which file as a heat map."""

from collections.abc import Sequence

import click

from l2mac.safe_text import clean
from l2mac.trace.history import Access, Step

_MARKS = {"created": "C", "deleted": "D", "wrote": "W", "ran": "x", "read": "r"}
"""By weight: where an instruction touched a file in several ways, the first one shows."""
_MOST_WIDTH = 40


def print_steps(steps: Sequence[Step]) -> None:
    """Print one line for each step."""
    for step in steps:
        place = f"instruction {step.instruction}" if step.instruction else "start"
        click.echo(
            f"{step.number:4}  {place:15} {clean(step.action):22} {len(step.files):4} files  {step.tree[:12]}"
        )


def print_heat_map(accesses: Sequence[Access]) -> None:
    """Print a row for each file and a column for each instruction, as Figure 4 of the paper does."""
    touches: dict[tuple[str, int], list[str]] = {}
    for access in accesses:
        touches.setdefault((access.path, access.instruction), []).append(access.how)
    columns = sorted({instruction for _, instruction in touches})
    paths = sorted({path for path, _ in touches})
    width = min(max((len(clean(path)) for path in paths), default=0), _MOST_WIDTH)
    click.echo(f"{'':{width}}  " + "".join(f"{number:>4}" for number in columns))
    for path in paths:
        cells = "".join(_cell(touches.get((path, number), [])) for number in columns)
        click.echo(f"{clean(path)[-width:]:{width}}  {cells}")
    click.echo("C created, W wrote, D deleted, x ran, r read; the number counts touches")


def _cell(here: Sequence[str]) -> str:
    mark = next((letter for how, letter in _MARKS.items() if how in here), "·")
    return f"{mark + (str(len(here)) if len(here) > 1 else ''):>4}"
