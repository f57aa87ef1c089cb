"""The answers of a guided model: planned files, a choice, a change of lines."""

from l2mac.evaluator.verdict import CheckReport, CheckResult, Verdict
from l2mac.tools.forms import ChooseFile, EditLines, PlannedFile, SubmitDone, SubmitFiles

_LONGEST_LINE = 200
_BROKEN = 300
_WEIGHTS = {"syntax": 1000, "lint": 30}
_UNREADABLE_TEST = 10
_UNCHANGED = (
    "the change leaves the file as it is; give the line that is wrong and another text for it"
)
WRONG = (Verdict.FAILED, Verdict.BROKEN)


def planned_files(answer: SubmitFiles) -> tuple[PlannedFile, ...]:
    """Return the files of an answer.

    Raises:
        ValueError: One is named twice.
    """
    paths = [file.path for file in answer.files]
    for path in paths:
        if paths.count(path) > 1:
            problem = f"{path} is named twice; name each file once"
            raise ValueError(problem)
    return tuple(answer.files)


def named_by(report: CheckReport) -> ChooseFile | None:
    """Return the file of the first finding; None where only the model can know.

    A failing test says where it fails, and not whether the test or the code is wrong.
    """
    for result in report.results:
        for finding in result.findings if result.verdict in WRONG else ():
            if "::" in finding.where or "." not in finding.where:
                return None
            path, _, line = finding.where.rpartition(":")
            path = path if line.isdigit() else finding.where
            return ChooseFile(path=path, wrong=finding.text)
    return None


def severity(report: CheckReport) -> int:
    """Return how much is wrong, so that two states of the store can be compared.

    A fault that hides others weighs more: a file whose tests run for the first time is better than
    before, although they fail.
    """
    return sum(_weight(result) for result in report.results if result.verdict in WRONG)


def _weight(result: CheckResult) -> int:
    if result.verdict is Verdict.BROKEN:
        return _BROKEN
    if result.counts is not None:
        return _UNREADABLE_TEST * result.counts.errors + result.counts.failed or 1
    return _WEIGHTS.get(result.name, 1) * sum(finding.count for finding in result.findings) or 1


def same(answer: ChooseFile) -> ChooseFile:
    """Return an answer that needs no check."""
    return answer


def done(answer: SubmitDone) -> SubmitDone:
    """Return an answer that says that all is done, or what is missing and where.

    Raises:
        ValueError: The answer says neither.
    """
    if not answer.done and not (answer.path.strip() and answer.missing.strip()):
        raise ValueError(
            "if something is missing, name it and the path of the one file to add it to"
        )
    return answer


def is_a_paragraph(text: str, report: CheckReport, path: str) -> bool:
    """Return whether the first finding is about prose: it names no short line."""
    lines = text.split("\n")
    if all(len(line) <= _LONGEST_LINE for line in lines):
        return False
    wheres = [
        finding.where
        for result in report.results
        if result.verdict in WRONG
        for finding in result.findings
    ]
    named, _, line = (wheres[0] if wheres else "").rpartition(":")
    at = int(line) if line.isdecimal() and named == path else 0
    return not (0 < at <= len(lines) and len(lines[at - 1]) <= _LONGEST_LINE)


def numbered(text: str) -> str:
    """Return a text with its line numbers, as `edited` counts them."""
    return "\n".join(
        f"{number}: {line}" for number, line in enumerate(text.removesuffix("\n").split("\n"), 1)
    )


def edited(text: str, edit: EditLines) -> str:
    """Return a text after a change.

    Raises:
        ValueError: The text has no such lines, or the change changes nothing; the message is for
            the model.
    """
    lines = text.removesuffix("\n").split("\n")
    if not 1 <= edit.line <= len(lines) + (edit.action == "insert_before"):
        problem = f"there is no line {edit.line}; the file has {len(lines)} lines"
        raise ValueError(problem)
    if (
        edit.action == "replace"
        and _indented(lines[edit.line - 1])
        and edit.text.strip()
        and not _indented(edit.text)
    ):
        said = (
            "begins with spaces, and the new text does not; give it with the indentation that it"
            " has to have"
        )
        raise ValueError(f"line {edit.line} {said}")
    end = max(edit.line, min(edit.last_line, len(lines)))
    if edit.action == "insert_before":
        end = edit.line - 1
    new = [] if edit.action == "delete" else edit.text.removesuffix("\n").split("\n")
    after = "\n".join([*lines[: edit.line - 1], *new, *lines[end:]]).rstrip() + "\n"
    if after == text:
        raise ValueError(_UNCHANGED)
    return after


def _indented(line: str) -> bool:
    return line[:1] in (" ", "\t")
