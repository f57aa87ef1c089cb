"""Read the reports of measuring jobs; a doubtful report yields no number.

Reports of `count` and `pylint` come from processes that ran no code of the store. The report of the
lines that ran comes from the process that ran them, so only lines that fit the count are accepted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from l2mac.evaluator.checker_report import IncompleteReport, ReportLine, read_report
from l2mac.evaluator.wording import valid_text
from sandbox import JobResult

_NATURAL = Annotated[int, Field(ge=0)]
_LINE = Annotated[int, Field(ge=1)]
_TEXT_CHARACTERS = 500
_TESTS_RAN = range(3)
_NO_TESTS = 5
T = TypeVar("T", bound=ReportLine)


class NoReading(Exception):
    """A report gives no number; the message is the reason."""


class _CountLine(ReportLine):
    e: Literal["file"]
    path: str
    test: bool
    lines: _NATURAL
    valid: bool
    code: _NATURAL
    statements: list[Annotated[list[_LINE], Field(min_length=2, max_length=2)]]


class _CoverageLine(ReportLine):
    e: Literal["ran"]
    path: str
    lines: list[_LINE]


class _LintLine(ReportLine):
    e: Literal["syntax", "stub", "hook", "message"]
    path: str
    line: _NATURAL
    text: str
    column: int = 0
    code: str = ""
    symbol: str = ""
    quote: str = ""
    hint: str = ""


class _EndLine(ReportLine):
    e: Literal["end"]
    code: int


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One Python file as `count` reports it; a statement is (first line, last line)."""

    path: str
    test: bool
    lines: int
    valid: bool
    code: int
    statements: tuple[tuple[int, int], ...]

    @property
    def to_cover(self) -> int:
        """Number of statements to run; of an unparsable file, all lines of code."""
        return len(self.statements) if self.valid else self.code


@dataclass(frozen=True, slots=True)
class Coverage:
    """Statements of code other than tests that tests have run: path → (run, all)."""

    files: Mapping[str, tuple[int, int]]

    @property
    def percent(self) -> float:
        """The share of all files together; 0 without any statement."""
        total = sum(there for _, there in self.files.values())
        covered = sum(ran for ran, _ in self.files.values())
        return 100 * covered / total if total else 0.0


def read_count(job: JobResult) -> dict[str, SourceFile]:
    """Return the counted files, by path.

    Raises:
        NoReading: The report is missing or malformed.
    """
    lines, _ = _lines(job)
    files: dict[str, SourceFile] = {}
    for line in lines:
        one = _parsed(_CountLine, line)
        pairs = tuple((first, last) for first, last in one.statements)
        if one.path in files or any(not first <= last <= one.lines for first, last in pairs):
            raise NoReading("the count of lines contradicts itself")
        files[one.path] = SourceFile(one.path, one.test, one.lines, one.valid, one.code, pairs)
    return files


def read_lint(job: JobResult) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return pylint's errors, one line each, and the files that are not valid Python.

    Raises:
        NoReading: The report is missing or malformed.
    """
    lines, _ = _lines(job)
    found = [_parsed(_LintLine, line) for line in lines]
    invalid = {one.path for one in found if one.e == "syntax"}
    errors = []
    for one in found:
        if one.e in ("syntax", "message"):
            text = valid_text(f"{one.path}:{one.line}: {one.code or 'syntax'} {one.text}")
            errors.append(text[:_TEXT_CHARACTERS])
    return tuple(errors), tuple(sorted(invalid))


def read_coverage(job: JobResult, files: Mapping[str, SourceFile]) -> Coverage:
    """Return how much of the code other than tests was run by tests.

    A file that no test imports counts with all of its statements.

    Raises:
        NoReading: The tests were aborted, or the report is missing or does not fit the files.
    """
    lines, code = _lines(job)
    if code not in _TESTS_RAN and code != _NO_TESTS:
        raise NoReading(f"the tests ended with code {code}")
    ran: dict[str, set[int]] = {}
    for line in lines:
        one = _parsed(_CoverageLine, line)
        if one.path in ran:
            raise NoReading("the coverage report names a file twice")
        ran[one.path] = set(one.lines)
    covered: dict[str, tuple[int, int]] = {}
    for path, file in files.items():
        seen = ran.get(path, set())
        if seen and (not file.valid or max(seen) > file.lines):
            raise NoReading(f"the coverage report does not fit the file {valid_text(path)!r}")
        if not file.test:
            spans = [range(first, last + 1) for first, last in file.statements]
            hit = sum(not seen.isdisjoint(span) for span in spans)
            covered[path] = (hit, file.to_cover)
    return Coverage(covered)


def _lines(job: JobResult) -> tuple[Sequence[object], int]:
    """Return a report's lines but the last, and the exit code in the last one."""
    try:
        lines, end = read_report(job)
    except IncompleteReport as problem:
        raise NoReading(str(problem)) from None
    return lines, _parsed(_EndLine, end).code


def _parsed(kind: type[T], line: object) -> T:
    try:
        return kind.model_validate(line)
    except (ValueError, RecursionError):
        raise NoReading("the report is incomplete or malformed") from None
