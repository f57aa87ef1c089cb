"""Findings and verdicts of the attacks; a row counts only with its control."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sandbox.attack.catalogue import AttackRow


class AttackVerdict(StrEnum):
    """The verdict on one row."""

    CONTAINED = "contained"
    FAILED = "FAILED"
    UNPROVEN = "unproven"
    NOT_APPLICABLE = "not applicable"
    NOT_CONTAINABLE = "not containable"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackFinding:
    """The observation of one row.

    Attributes:
        number: Number of the row.
        held: Whether the sandbox behaved as expected.
        observed: The behaviour of the sandbox.
        shown: Whether the attack succeeded, or visibly ran otherwise, without a protection.
        control: The missing protection and the result without it.
        limit: The reason why the row cannot be tried, or why it cannot be excluded although every
            attempt failed.
        applies: With `limit`: False if there is nothing to try.
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
        """The verdict; a limit excuses neither a failure nor a control without success."""
        if not self.applies:
            return AttackVerdict.NOT_APPLICABLE
        if not self.held:
            return AttackVerdict.FAILED
        if not self.shown:
            return AttackVerdict.UNPROVEN
        return AttackVerdict.NOT_CONTAINABLE if self.limit else AttackVerdict.CONTAINED


@dataclass(frozen=True, slots=True)
class Judged:
    """A row and the finding about it."""

    row: AttackRow
    finding: AttackFinding

    @property
    def verdict(self) -> AttackVerdict:
        """The verdict on the row."""
        return self.finding.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackReport:
    """The result of the whole catalogue.

    Attributes:
        judged: Every row, in order.
        host_differences: Objects of the suite that are left on the host or the engine.
        elapsed_s: Duration of the suite.
        environment: Engine, runtime and image as text.
    """

    judged: tuple[Judged, ...]
    host_differences: tuple[str, ...]
    elapsed_s: float
    environment: Mapping[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows with each verdict."""
        counted = Counter(one.verdict for one in self.judged)
        return {verdict.value: counted[verdict] for verdict in AttackVerdict}

    @property
    def holds(self) -> bool:
        """Whether no row failed or is unproven, and the host is unchanged."""
        bad = (AttackVerdict.FAILED, AttackVerdict.UNPROVEN)
        return not self.host_differences and not any(one.verdict in bad for one in self.judged)


def second_chance(
    first: Iterable[AttackFinding], again: Iterable[AttackFinding]
) -> list[AttackFinding]:
    """Join two passes.

    The second pass replaces rows that the first left unproven; of all other rows the worst finding
    will count.
    """
    second = list(again)
    retried = {finding.number for finding in second}
    unproven = AttackVerdict.UNPROVEN
    kept = [one for one in first if one.verdict is not unproven or one.number not in retried]
    return [*kept, *second]


def judge(catalogue: Iterable[AttackRow], findings: Iterable[AttackFinding]) -> tuple[Judged, ...]:
    """Join rows and findings.

    Of several findings about one row the worst counts; a row without a finding is unproven.
    """
    by_number: dict[int, AttackFinding] = {}
    for finding in findings:
        other = by_number.get(finding.number)
        if other is None or _severity(finding) < _severity(other):
            by_number[finding.number] = finding
    judged = []
    for row in catalogue:
        nothing = AttackFinding(number=row.number, observed="nothing was observed", shown=False)
        judged.append(Judged(row, by_number.get(row.number, nothing)))
    return tuple(judged)


def _severity(finding: AttackFinding) -> int:
    """Return the place of a finding's verdict, the worst first."""
    worst = (
        AttackVerdict.FAILED,
        AttackVerdict.UNPROVEN,
        AttackVerdict.NOT_CONTAINABLE,
        AttackVerdict.NOT_APPLICABLE,
        AttackVerdict.CONTAINED,
    )
    return worst.index(finding.verdict)
