"""The check of prose: every kind of mistake is found at its line, and a good book has none."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sandbox.checkers.prose import check

OUTLINE = """# Bread

Names: Katherine Brown
Terms: levain

## Chapter 1: The Flour

Words: 30

Katherine looks at flour.

## Chapter 2: The Oven

Heat.
"""
FLOUR = """# Chapter 1: The Flour

Every loaf begins with flour, said Katherine Brown, and she weighed the levain with care on \
the small brass scale.

## Choosing a Bag

The strong kind, she told Katherine's sister, is for bread; Chapter 2 shows why it needs such heat.
"""
OVEN = """# Chapter 2: The Oven

An oven wants an hour. See [the flour](01-flour.md#choosing-a-bag) for what goes in.

Figure 1: the oven, as `<b>code</b>` has it.

What Figure 1 shows is plain.
"""
GOOD = {"outline.md": OUTLINE, "chapters/01-flour.md": FLOUR, "chapters/02-oven.md": OVEN}
LONG = (
    "the quick brown fox jumps over the lazy dog while nine grey geese fly slowly across one very"
    " wide autumn sky"
)
Finder = Callable[[Mapping[str, str | bytes]], tuple[list[str], dict[str, int]]]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Finder:
    """Return a function from files to the findings on them, as text, and the report's end."""
    monkeypatch.chdir(tmp_path)

    def run(files: Mapping[str, str | bytes]) -> tuple[list[str], dict[str, int]]:
        for path, content in files.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
        report = io.StringIO()
        assert check(list(files), report) == 0
        *lines, end = (json.loads(line) for line in report.getvalue().splitlines())
        return [f"{one['rule']} {one['path']}:{one['line']} {one['text']}" for one in lines], end

    return run


def test_a_good_book_has_no_findings(found: Finder) -> None:
    findings, end = found(GOOD)
    assert findings == []
    assert end == {"e": "end", "code": 0, "chapters": 2, "written": 2, "words": 63, "unreported": 0}


def test_outline_may_consist_of_headings(found: Finder) -> None:
    bare = "".join(f"{line}\n\n" for line in OUTLINE.splitlines() if line.startswith("#"))
    findings, _ = found({**GOOD, "outline.md": bare})
    assert not [finding for finding in findings if finding.startswith("empty")]


def test_missing_outline_is_a_finding(found: Finder) -> None:
    assert found({"notes.md": "Hello."})[0] == [
        "outline outline.md:0 is missing; write it first, with a heading for every chapter"
    ]


@pytest.mark.parametrize(
    ("outline", "finding"),
    [
        ("Only words.", "outline outline.md:1 the book has no title"),
        ("# T\n\n## Chapter 2: B\n\nx", "numbering outline.md:3 chapter 2 stands in place 1"),
        (
            "# T\n\n## The Flour\n\nx",
            (
                "outline outline.md:3 'The Flour' has no number; if it is a chapter,"
                " write '## Chapter 1: The Flour'"
            ),
        ),
        (
            "# T\n\n## 1. A\n\nx\n\n## 2. A\n\nx",
            "outline outline.md:7 chapter 2 has the title of chapter 1",
        ),
        ("# T\n\n## 1.\n\nx", "outline outline.md:3 chapter 1 has no title"),
        ("# T\n\n## Chapter 1: Title\n\nx", "outline outline.md:3 chapter 1 has no title"),
        ("# T\n\n## 1. A\n\nWords: many", "outline outline.md:5 'many' is not a number of words"),
        (
            "# T\n\n## 1. A\n\n- **Words:** about 1,500\n",
            "missing chapters/01-a.md:0 is not written yet",
        ),
        (
            "# T\n\nNames: Nobody\n\n## 1. A\n\nx",
            "unused outline.md:3 'Nobody' is declared and not used so far",
        ),
        (
            "# T\n\n## Terms\n\n- crumb\n- rye, oat\n\n## 1. A\n\nx",
            "unused outline.md:6 'oat' is declared",
        ),
    ],
)
def test_outline_mistakes_are_found(found: Finder, outline: str, finding: str) -> None:
    findings, _ = found({"outline.md": outline, "foreword.md": "# Foreword\n\nWords of crumb."})
    assert [one for one in findings if one.startswith(finding)], findings


@pytest.mark.parametrize(
    ("path", "text", "finding"),
    [
        (
            "chapters/03-x.md",
            "# X\n\nWords.",
            (
                "chapter outline.md:0 has no chapter 3, which chapters/03-x.md is;"
                " add '## Chapter 3: X', or"
            ),
        ),
        (
            "chapters/2.md",
            "# X\n\nWords.",
            "chapter chapters/2.md:0 is chapter 2, as is chapters/02-oven.md",
        ),
        ("chapters/x.md", "# X\n\nWords.", "chapter chapters/x.md:0 has no number in its name"),
    ],
)
def test_chapters_missing_from_the_outline_are_found(
    found: Finder, path: str, text: str, finding: str
) -> None:
    findings, _ = found({**GOOD, path: text})
    assert [one for one in findings if one.startswith(finding)], findings


def test_missing_chapter_is_named_with_its_file(found: Finder) -> None:
    findings, end = found({path: text for path, text in GOOD.items() if "oven" not in path})
    missing = "missing chapters/02-the-oven.md:0 is not written yet"
    assert f"{missing}; it is chapter 2 of the outline: write it" in findings
    assert (end["chapters"], end["written"]) == (2, 1)


OVEN_WITH = "# Chapter 2: The Oven\n\n"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            "# Chapter 3: The Oven\n\nHot.",
            "numbering chapters/02-oven.md:1 the heading says chapter 3",
        ),
        (
            "# Chapter Two: The Ofen\n\nHot.",
            "title chapters/02-oven.md:1 'Chapter Two: The Ofen' is not the outline's",
        ),
        (
            "Hot.\n\n# The Oven\n\nHot.",
            "title chapters/02-oven.md:1 the chapter does not begin with its heading",
        ),
        ("", "title chapters/02-oven.md:1 the chapter does not begin with its heading"),
        (OVEN_WITH + "TODO: heat.", "placeholder chapters/02-oven.md:3 'TODO'"),
        (
            OVEN_WITH + "By [Author Name] himself.",
            "placeholder chapters/02-oven.md:3 '[Author Name]'",
        ),
        (
            OVEN_WITH + "[Insert picture of an oven]",
            "placeholder chapters/02-oven.md:3 '[Insert picture of an oven]'",
        ),
        (OVEN_WITH + "(Image: an oven)", "placeholder chapters/02-oven.md:3 '(Image: an oven)'"),
        (OVEN_WITH + "Lorem ipsum dolor.", "placeholder chapters/02-oven.md:3 'Lorem ipsum'"),
        (
            OVEN_WITH + "As an AI language model, I bake.",
            "placeholder chapters/02-oven.md:3 'As an AI'",
        ),
        (
            OVEN_WITH + "Sure, here is the chapter.",
            "placeholder chapters/02-oven.md:3 'Sure, here is'",
        ),
        (OVEN_WITH + "Words.\n\nPage 12", "placeholder chapters/02-oven.md:5 'Page 12'"),
        (OVEN_WITH + "Words.\n\n...", "placeholder chapters/02-oven.md:5 '...'"),
        (OVEN_WITH + "To be continued", "placeholder chapters/02-oven.md:3 'To be continued'"),
        (
            OVEN_WITH + "Words.\n\n### Deep\n\nWords.",
            "heading chapters/02-oven.md:5 the level jumps from 1 to 3",
        ),
        (
            OVEN_WITH + "Words.\n\n# Again\n\nWords.",
            "heading chapters/02-oven.md:5 a file has one heading of level 1",
        ),
        (
            OVEN_WITH + "Words.\n\n##\n\nWords.",
            "heading chapters/02-oven.md:5 the heading is empty",
        ),
        (
            OVEN_WITH + "W.\n\n## A\n\nx\n\n## a\n\ny",
            "heading chapters/02-oven.md:9 'a' is the heading of line 5, too",
        ),
        (
            OVEN_WITH + "## 2.1 A\n\nx\n\n## 2.3 B\n\ny",
            "numbering chapters/02-oven.md:7 section 2.3 comes where 2.2",
        ),
        (OVEN_WITH + "## 2.2 A\n\nx", "numbering chapters/02-oven.md:3 section 2.2 is the first"),
        (
            OVEN_WITH + "Words.\n\n## Empty\n\n## Full\n\nx",
            "empty chapters/02-oven.md:5 nothing stands under 'Empty'",
        ),
        (OVEN_WITH, "empty chapters/02-oven.md:1 nothing stands under 'Chapter 2: The Oven'"),
        (OVEN_WITH + "```\ncode", "markup chapters/02-oven.md:3 the fence is never closed"),
        (OVEN_WITH + "A <b>hot</b> one.", "markup chapters/02-oven.md:3 '<b>' is HTML"),
        (OVEN_WITH + "<script>x", "markup chapters/02-oven.md:3 '<script>' is HTML"),
        (
            OVEN_WITH + "Cafe\u0301.",
            "encoding chapters/02-oven.md:3 the line contains letters in parts",
        ),
        (
            OVEN_WITH + "A\x07.",
            "encoding chapters/02-oven.md:3 the line contains a control character",
        ),
        ((OVEN_WITH + "caf").encode() + b"\xe9", "encoding chapters/02-oven.md:3 is not UTF-8"),
        (
            OVEN_WITH + "See [x](03.md).",
            "link chapters/02-oven.md:3 the link leads to 'chapters/03.md'",
        ),
        (
            OVEN_WITH + "See [x](#none).",
            "link chapters/02-oven.md:3 'chapters/02-oven.md' has no heading",
        ),
        (
            OVEN_WITH + "See [x](01-flour.md#no).",
            "link chapters/02-oven.md:3 'chapters/01-flour.md' has no heading",
        ),
        (
            OVEN_WITH + "See [x](../../etc/passwd).",
            "link chapters/02-oven.md:3 the link leads to '../etc/passwd'",
        ),
        (OVEN_WITH + "See [x][nowhere].", "link chapters/02-oven.md:3 the link's label [nowhere]"),
        (
            OVEN_WITH + "See [x](javascript:alert).",
            "link chapters/02-oven.md:3 the link 'javascript:alert' cannot",
        ),
        (
            OVEN_WITH + "![x](https://a.b/c.png)",
            "link chapters/02-oven.md:3 the picture 'https://a.b/c.png'",
        ),
        (OVEN_WITH + "Note.[^1]", "link chapters/02-oven.md:3 the footnote [^1] is not there"),
        (OVEN_WITH + "See Chapter 12.", "reference chapters/02-oven.md:3 there is no chapter 12"),
        (
            OVEN_WITH + "See chapters one to nine.",
            "reference chapters/02-oven.md:3 there is no chapter 9",
        ),
        (OVEN_WITH + "As Figure 7 shows.", "reference chapters/02-oven.md:3 there is no figure 7"),
        (OVEN_WITH + "As Table 2 shows.", "reference chapters/02-oven.md:3 there is no table 2"),
        (
            OVEN_WITH + "As section 4.1 says.",
            "reference chapters/02-oven.md:3 there is no section 4.1",
        ),
        (
            OVEN_WITH + "Then Catherine came.",
            "name chapters/02-oven.md:3 'Catherine' is near to 'Katherine'",
        ),
        (
            OVEN_WITH + f"Once {LONG}.\n\nAgain {LONG}.",
            "repeated chapters/02-oven.md:5 'the quick brown fox",
        ),
        (
            OVEN_WITH + FLOUR.split("\n")[2],
            "repeated chapters/02-oven.md:3 'every loaf begins with",
        ),
        (
            OVEN_WITH + "It is a very good oven indeed. " * 3,
            "repeated chapters/02-oven.md:3 the sentence",
        ),
    ],
)
def test_every_mistake_in_a_chapter_is_found_at_its_line(
    found: Finder, text: str | bytes, finding: str
) -> None:
    findings, _ = found({**GOOD, "chapters/02-oven.md": text})
    assert [one for one in findings if one.startswith(finding)], findings


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (5, "has 5 words where the outline asks for 30; write about 25 more"),
        (90, "take about 60 out"),
    ],
)
def test_chapter_length_is_compared_with_the_outline(
    found: Finder, words: int, message: str
) -> None:
    text = "# Chapter 1: The Flour\n\n" + " ".join(f"w{number}" for number in range(words))
    assert any(message in one for one in found({**GOOD, "chapters/01-flour.md": text})[0])


@pytest.mark.parametrize(
    "text",
    [
        "```\n<b>TODO</b> see Chapter 99 and [x](gone.md)\n```\n\nWords.",
        (
            "Prices are $5 & 3 < 4 > 2; see <https://example.org> or"
            " [the page](https://example.org/a_(b))."
        ),
        "See [the flour][f], and chapter two.\n\n[f]: 01-flour.md",
        "A note.[^a]\n\n[^a]: It is here.",
        "Catherine wheels turn. Brownies are eaten; a brownie is brown.",
        "The page turns, the image fades, and an AI sleeps [as it should](01-flour.md).",
        "| a | b |\n|---|---|\n| 1 | 2 |\n\nTable 1. The numbers.\n\nTable 1 is short.",
        "First line  \r\nsecond line.",
    ],
)
def test_correct_prose_that_resembles_mistakes_has_no_findings(found: Finder, text: str) -> None:
    assert found({**GOOD, "chapters/02-oven.md": OVEN_WITH + text})[0] == []


def test_prose_report_is_bounded_and_keeps_the_gravest_findings(found: Finder) -> None:
    outline = "# T\n\nNames: Gone\n\n" + "".join(
        f"## {number}. C{number}\n\nx\n\n" for number in range(1, 600)
    )
    findings, end = found({"outline.md": outline, "chapters/1.md": "# C1\n\nTODO"})
    assert len(findings) == 400
    assert end["unreported"] == 200
    assert findings[0].startswith("placeholder chapters/1.md:3")


def test_prose_check_follows_no_link(found: Finder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("TODO")
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters/02-oven.md").symlink_to(tmp_path / "secret")
    files = {path: text for path, text in GOOD.items() if "oven" not in path}
    for path, text in files.items():
        (tmp_path / path).write_text(text)
    report = io.StringIO()
    check([*GOOD], report)
    assert "cannot be read" in report.getvalue()
    assert "TODO" not in report.getvalue()


def test_unnumbered_chapters_are_suggested_their_numbers(found: Finder) -> None:
    findings, _ = found({"outline.md": "# T\n\n## Flour\n\nx\n\n## Oven\n\nx\n"})
    told = "\n".join(findings)
    assert "'## Chapter 1: Flour'" in told
    assert "'## Chapter 2: Oven'" in told
