"""Check a book: each file, chapters against the outline, and repetition.

Nothing of the book is executed. The severity of a finding is decided elsewhere, in
`l2mac.evaluator.book_checks`. Every finding names a fault and its correction. The report ends with
an `end` line; its reader treats a report without one as broken.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata

from sandbox.checkers.markdown import Document
from sandbox.checkers.outline import OUTLINE, Outline
from sandbox.checkers.prose_book import Book, ProseFinding, book_findings
from sandbox.checkers.prose_text import text_findings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

_MOST_FINDINGS = 400
_MOST_BYTES = 8 * 1024 * 1024
_TEXT_CHARACTERS = 500
_CHAPTER_FILE = re.compile(r"chapters/[^/]*\.md")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LAST_RULES = ("missing", "unused")  # of too many findings, the more severe ones are listed


def check(paths: Sequence[str], report: TextIO) -> int:
    """Check the book that these files form and return the exit code of the process."""
    findings: list[ProseFinding] = []
    documents: dict[str, Document] = {}
    for path in sorted(paths):
        if path.endswith(".md"):
            text = _read(path, findings)
            documents[path] = Document(path, text)
            findings += [
                (rule, path, line, said)
                for rule, line, said in text_findings(documents[path])
                if rule != "empty" or path != OUTLINE  # an outline may be nothing but headings
            ]
    book = _book(documents, frozenset(paths), findings)
    findings += book_findings(book)
    findings.sort(key=lambda one: (one[0] in _LAST_RULES, one[1] != OUTLINE, one[1], one[2]))
    for rule, path, line, text in findings[:_MOST_FINDINGS]:
        fields = {"e": "finding", "rule": rule, "path": path, "line": line}
        fields["text"] = text[:_TEXT_CHARACTERS]
        report.write(json.dumps(fields) + "\n")
    end = {
        "chapters": len(book.outline.chapters) if book.outline else 0,
        "written": len(book.written),
        "words": sum(chapter.words for chapter in book.written.values()),
        "unreported": max(0, len(findings) - _MOST_FINDINGS),
    }
    report.write(json.dumps({"e": "end", "code": 0, **end}) + "\n")
    report.flush()
    return 0


def _book(
    documents: dict[str, Document], paths: frozenset[str], findings: list[ProseFinding]
) -> Book:
    outline = None
    if OUTLINE in documents:
        outline = Outline(documents[OUTLINE])
        findings += [(rule, OUTLINE, line, text) for rule, line, text in outline.findings]
    else:
        text = "is missing; write it first, with a heading for every chapter"
        findings.append(("outline", OUTLINE, 0, text))
    written: dict[int, Document] = {}
    for path, document in documents.items():
        if not _CHAPTER_FILE.fullmatch(path):
            continue
        digits = re.search(r"\d{1,4}", path.rpartition("/")[2])
        if digits is None:
            text = "has no number in its name; name it such as chapters/01-title.md"
            findings.append(("chapter", path, 0, text))
            continue
        number = int(digits[0])
        if number in written:
            text = f"is chapter {number}, as is {written[number].path}; delete one of them"
            findings.append(("chapter", path, 0, text))
        else:
            written[number] = document
    return Book(outline, dict(sorted(written.items())), documents, paths)


def _read(path: str, findings: list[ProseFinding]) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        findings.append(("encoding", path, 0, f"cannot be read ({error.strerror})"))
        return ""
    if len(content) > _MOST_BYTES:
        findings.append(
            ("encoding", path, 0, f"is larger than {_MOST_BYTES} bytes; write smaller chapters")
        )
        return ""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        findings.append(("encoding", path, line, "is not UTF-8; write the file anew"))
        return content.decode("utf-8", "replace")
    findings += [("encoding", path, line, said) for line, said in _characters(text)]
    return text


def _characters(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first line of each kind of character that does not belong in text."""
    reported: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        normal = unicodedata.is_normalized("NFC", line)
        kinds = {
            "a byte order mark, which is invisible; remove it": "\ufeff" in line,
            "a control character, which is invisible; remove it": _CONTROL.search(line) is not None,
            "a replacement character (U+FFFD); write what was meant": "\ufffd" in line,
            "letters in parts (not Unicode NFC); write each as one character": not normal,
        }
        for kind, applies in kinds.items():
            if applies and kind not in reported:
                reported.add(kind)
                yield number, f"the line contains {kind}"
