"""Names and terms of a book: find near misses and unused ones."""

from __future__ import annotations

import re
from collections import Counter

from sandbox.checkers.markdown import Document, words_of
from sandbox.checkers.outline import OUTLINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHORTEST = 4
_SENTENCE_END = re.compile(r"[.!?:;\"\u201c\u201d\u2018(\[]\s*$")


def name_findings(
    declared: dict[str, int], documents: list[Document]
) -> Iterator[tuple[str, str, int, str]]:
    """Yield near misses of declared names, and names never used.

    A near miss is a capitalised word inside a sentence, which the book never writes in lower case,
    and which differs from a declared name by one letter, in long names by two. A declared word is
    never a near miss.
    """
    texts = [(document, line, text) for document in documents for line, text in document.lines]
    counts = Counter(word for _, _, text in texts for word in words_of(text))
    declared_words = [word for name in declared for word in words_of(name)]
    names = {word for word in declared_words if word[:1].isupper() and len(word) >= _SHORTEST}
    near_misses = _near_misses(counts, names)
    for document, line, text in texts:
        for word in _inside_sentences(text, near_misses):
            near = near_misses[word]
            finding = (
                f"{word!r} is near to {near!r}, which the outline declares; write {near!r}, or"
                " declare both there"
            )
            yield "name", document.path, line, finding
    if documents:
        whole = " ".join(text for _, _, text in texts).casefold()
        titles = [heading.text for document in documents for heading in document.headings]
        headings = " ".join(titles).casefold()
        for name, line in declared.items():
            if name.casefold() not in whole and name.casefold() not in headings:
                finding = (
                    f"{name!r} is declared and not used so far; use it, or take it out of the"
                    " outline"
                )
                yield "unused", OUTLINE, line, finding


def _near_misses(counts: Counter[str], names: set[str]) -> dict[str, str]:
    """Return near misses, each with the name that it is near to."""
    found = {}
    for word in counts:
        name_like = word[:1].isupper() and not word.isupper() and word.casefold() not in counts
        if name_like and (near := _near(word, names)):
            found[word] = near
    return found


def _inside_sentences(text: str, wanted: Iterable[str]) -> Iterator[str]:
    for word in wanted:
        for match in re.finditer(rf"\b{re.escape(word)}\b", text):
            before = text[: match.start()]
            if before.strip(" \t>*_#-\"'\u201c\u2018") and not _SENTENCE_END.search(before):
                yield word
                break


def _near(word: str, names: set[str]) -> str:
    own = word.removesuffix("'s").removesuffix("\u2019s")
    plurals = {name + ending for name in names for ending in ("s", "es")}
    if len(own) < _SHORTEST or own in names or own in plurals:
        return ""
    for name in sorted(names):
        most = 2 if min(len(own), len(name)) >= 8 else 1
        if abs(len(own) - len(name)) > most:
            continue
        if 0 < _distance(own.casefold(), name.casefold()) <= most:
            return name
    return ""


def _distance(one: str, other: str) -> int:
    """Return the number of letter edits and swaps between two words."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, beside in enumerate(other, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != beside))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == beside:
                least = min(least, earlier[j - 2] + 1)
            row.append(least)
    return row[-1]
