"""Check a book: every Markdown file by itself, the chapters against the outline, and the whole for what repeats.

Nothing of the book is executed, and nothing here knows what a finding weighs; `l2mac.evaluator.book_checks` does. Every finding
says what is wrong and what to do. The report ends with an `end` line; the reader takes one without it as broken.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata

from sandbox.checkers.markdown import Document
from sandbox.checkers.outline import OUTLINE, Outline
from sandbox.checkers.prose_book import Book, book_findings
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
_LAST_RULES = ("missing", "unused")  # where not all can be listed, what weighs more comes first

ProseFinding = tuple[str, str, int, str]
"""Rule, path, line or 0, text."""


def check(paths: Sequence[str], report: TextIO) -> int:
    """Check the book that these files make; gives the exit code of the process."""
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
        fields = {
            "e": "finding",
            "rule": rule,
            "path": path,
            "line": line,
            "text": text[:_TEXT_CHARACTERS],
        }
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
        findings.append(
            ("outline", OUTLINE, 0, "is missing; write it first, with a heading for every chapter")
        )
    written: dict[int, Document] = {}
    for path, document in documents.items():
        if not _CHAPTER_FILE.fullmatch(path):
            continue
        number = re.search(r"\d{1,4}", path.rpartition("/")[2])
        if number is None:
            findings.append(
                (
                    "chapter",
                    path,
                    0,
                    "has no number in its name; name it such as chapters/01-title.md",
                )
            )
        elif int(number[0]) in written:
            other = written[int(number[0])].path
            findings.append(
                (
                    "chapter",
                    path,
                    0,
                    f"is chapter {int(number[0])}, as is {other}; delete one of them",
                )
            )
        else:
            written[int(number[0])] = document
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
    """Return the first line of each kind of character that does not belong into text."""
    said: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        kinds = {
            "a byte order mark, which is invisible; remove it": "\ufeff" in line,
            "a control character, which is invisible; remove it": _CONTROL.search(line) is not None,
            "a replacement character (U+FFFD); write what was meant": "\ufffd" in line,
            "letters in parts (not Unicode NFC); write each as one character": not unicodedata.is_normalized(
                "NFC", line
            ),
        }
        for kind in (kind for kind, applies in kinds.items() if applies and kind not in said):
            said.add(kind)
            yield number, f"the line contains {kind}"
