"""What came of the attacks, and what follows from it: nothing counts that its control did not show."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sandbox.attack.catalogue import AttackRow


class AttackVerdict(StrEnum):
    """What follows for one row."""

    CONTAINED = "contained"
    FAILED = "FAILED"
    UNPROVEN = "unproven"
    NOT_APPLICABLE = "not applicable"
    NOT_CONTAINABLE = "not containable"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackFinding:
    """What was seen of one row.

    Attributes:
        number: The row's.
        held: Whether the sandbox did what is expected.
        observed: What it did.
        shown: Whether the same attack got through, or visibly went otherwise, where a protection was missing.
        control: What was missing there, and what happened.
        limit: Why the row cannot be tried, or cannot be excluded even though what can be tried held.
        applies: With `limit`: False when there is nothing to try.
    """

    number: int
    held: bool = True
    observed: str
    shown: bool = True
    control: str = ""
    limit: str = ""
    applies: bool = True

    @property
    def verdict(self) -> AttackVerdict:
        """What follows; a limit excuses neither a failure nor a missing control."""
        if not self.applies:
            return AttackVerdict.NOT_APPLICABLE
        if not self.held:
            return AttackVerdict.FAILED
        if not self.shown:
            return AttackVerdict.UNPROVEN
        return AttackVerdict.NOT_CONTAINABLE if self.limit else AttackVerdict.CONTAINED


@dataclass(frozen=True, slots=True)
class Judged:
    """A row and what was seen of it."""

    row: AttackRow
    finding: AttackFinding

    @property
    def verdict(self) -> AttackVerdict:
        """What follows."""
        return self.finding.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackReport:
    """What came of the whole catalogue.

    Attributes:
        judged: Every row, in order.
        host_differences: What the suite left on the host or the engine; empty when nothing.
        elapsed_s: How long it took.
        environment: Engine, runtime, image, in words.
    """

    judged: tuple[Judged, ...]
    host_differences: tuple[str, ...]
    elapsed_s: float
    environment: Mapping[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows got each verdict."""
        counted = Counter(one.verdict for one in self.judged)
        return {verdict.value: counted[verdict] for verdict in AttackVerdict}

    @property
    def holds(self) -> bool:
        """Whether nothing failed, nothing is unproven, and the host is as it was."""
        bad = (AttackVerdict.FAILED, AttackVerdict.UNPROVEN)
        return not self.host_differences and not any(one.verdict in bad for one in self.judged)


def second_chance(
    first: Iterable[AttackFinding], again: Iterable[AttackFinding]
) -> list[AttackFinding]:
    """Join two passes: what the first left unproven is for the second to show, of all else the worst will count."""
    second = list(again)
    numbers = {finding.number for finding in second}
    kept = [
        one
        for one in first
        if one.verdict is not AttackVerdict.UNPROVEN or one.number not in numbers
    ]
    return [*kept, *second]


def judge(catalogue: Iterable[AttackRow], findings: Iterable[AttackFinding]) -> tuple[Judged, ...]:
    """Join rows and findings: of several of one row the worst counts, and a row without any is unproven."""
    by_number: dict[int, AttackFinding] = {}
    worst = (
        AttackVerdict.FAILED,
        AttackVerdict.UNPROVEN,
        AttackVerdict.NOT_CONTAINABLE,
        AttackVerdict.NOT_APPLICABLE,
        AttackVerdict.CONTAINED,
    )
    for finding in findings:
        other = by_number.get(finding.number)
        if other is None or worst.index(finding.verdict) < worst.index(other.verdict):
            by_number[finding.number] = finding
    nothing = "nothing was observed"
    return tuple(
        Judged(
            row,
            by_number.get(row.number)
            or AttackFinding(number=row.number, observed=nothing, shown=False),
        )
        for row in catalogue
    )
