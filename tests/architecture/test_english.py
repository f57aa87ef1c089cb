"""Plain technical English, as far as a program can check it. The rules are data in `english.toml`.

`.ci/english PATH...` lists the violations in files and folders.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from source_tree import ROOT, Passage, passages

DATA = tomllib.loads((Path(__file__).parent / "english.toml").read_text(encoding="utf-8"))
WORD_LISTS = ("verbs", "third_person", "starts", "participles")
NOT_OURS = ("reference.md", "CHANGELOG.md")  # generated from the program, and history
ROOMS_WITHOUT_PAGES = {"l2mac", "sandbox", "images", "tests"}  # prompts and test data


@dataclass(frozen=True)
class Rule:
    """A pattern that must not occur in passages of these kinds, with an example of each side."""

    name: str
    kinds: str
    pattern: str
    bad: str
    good: str

    def violations(self, passage: Passage) -> Iterator[str]:
        """Yield each sentence of a passage that breaks the rule."""
        if passage.kind not in self.kinds.split():
            return
        text = passage.sentences()
        for match in re.finditer(self.pattern, text, re.MULTILINE):
            end = text.find("\n", match.end())
            yield text[text.rfind("\n", 0, match.start()) + 1 : end if end > 0 else None]


def _with_lists(pattern: str) -> str:
    for name in WORD_LISTS:
        pattern = pattern.replace(f"{{{name}}}", "|".join(DATA[name].split()))
    return pattern


def _term_rules() -> Iterator[Rule]:
    """Yield two rules for each forbidden word: for sentences, and for names of tests."""
    sentences = "module class property function command comment literal help message"
    sentences += " heading prose table"
    for word, term in DATA["terms"].items():
        name, part = f"term: {word} → {term}", word.replace(" ", "_")
        good = f"Store {term}."
        yield Rule(name, sentences, rf"(?i)\b{word}\b", f"Store {word}.", good)
        yield Rule(name, "test", rf"_{part}(?:_|\Z)", f"test_{part}", f"test_x{part}s")


RULES = (
    *(Rule(**{**rule, "pattern": _with_lists(rule["pattern"])}) for rule in DATA["rules"]),
    *_term_rules(),
)


def english_files(*paths: Path) -> list[Path]:
    """Return the files with English of ours in files and folders."""
    found: list[Path] = []
    for path in paths:
        found += sorted(path.rglob("*")) if path.is_dir() else [path]
    return [path for path in found if _is_english(path)]


def _is_english(path: Path) -> bool:
    if any(part.startswith(".") and part.strip(".") for part in path.parts):
        return False
    if path.suffix == ".md":
        return path.name not in NOT_OURS and not ROOMS_WITHOUT_PAGES & set(path.parts)
    return path.suffix == ".py" and "attack/programs" not in path.as_posix()


def violations(files: Iterable[Path]) -> list[str]:
    """Return all violations in the files, as `path:line: rule: text`."""
    found, prose = [], []
    for path in files:
        for passage in passages(path):
            place = f"{os.path.relpath(path)}:{passage.line}"
            found += [f"{place}: {problem}" for problem in problems(passage)]
            if passage.kind == "prose":
                prose.append((place, passage.sentences()))
    return found + list(too_many(prose))


def problems(passage: Passage) -> Iterator[str]:
    """Yield the problems of one passage, each with its text."""
    for rule in RULES:
        yield from (f"{rule.name}: {text[:120]}" for text in rule.violations(passage))
    first, most = passage.text.partition("\n")[0], DATA["lengths"].get(passage.kind)
    if most and len(first) > most:
        yield f"length: {len(first)} characters, at most {most}: {first}"


def too_many(prose: list[tuple[str, str]]) -> Iterator[str]:
    """Yield every text with a word of a list that is too frequent in all of the prose."""
    words = re.findall(r"[a-z']+", " ".join(text for _, text in prose).lower())
    for rare, most in DATA["shares"].items():
        share = 100 * sum(word in rare.split() for word in words) / max(1, len(words))
        if share > most:
            pattern = rf"\b(?:{rare.replace(' ', '|')})\b"
            hits = (one for one in prose if re.search(pattern, one[1].lower()))
            yield from (f"{place}: share {share:.2f} % > {most} %: {text}" for place, text in hits)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.kinds[:4]}")
def test_rule_finds_its_bad_example_and_ignores_its_good_one(rule: Rule) -> None:
    for kind in rule.kinds.split():
        assert list(rule.violations(Passage(1, kind, rule.bad))), kind
        assert not list(rule.violations(Passage(1, kind, rule.good))), kind


@pytest.mark.parametrize(("kind", "most"), DATA["lengths"].items())
def test_length_rule_counts_the_first_line(kind: str, most: int) -> None:
    text = "Return " + most * "x"
    assert any(one.startswith("length") for one in problems(Passage(1, kind, text)))
    short = f"{text[:most]}\n{text}"
    assert not any(one.startswith("length") for one in problems(Passage(1, kind, short)))


def test_share_rule_finds_frequent_words_and_ignores_rare_ones() -> None:
    assert list(too_many([("a:1", "What it says is that.")]))
    assert not list(too_many([("a:1", "The file has one line. " + 99 * "word ")]))


def test_extraction_finds_every_kind_of_text(tmp_path: Path) -> None:
    code = tmp_path / "settings" / "code.py"
    code.parent.mkdir()
    code.write_text(
        '"""Module."""\nclass A:\n    """Class."""\n    @property\n    def b(self):\n'
        '        """Property."""\n    def c(self):\n        """Function."""\n'
        '        raise E(f"{self} is bad")  # Comment\n@click.command\n@option(help="Some help")\n'
        'def d():\n    """Command."""\n    click.echo("printed" + f"{a} text")\n'
        'x = Field(description="A setting")\ny = "another long text", "short"\n'
    )
    page = tmp_path / "page.md"
    page.write_text("# Heading\n\nProse.\n\n```sh\ncode\n```\n\n| table |\n")
    test = tmp_path / "tests" / "test_x.py"
    test.parent.mkdir()
    test.write_text("def test_name(): pass\ndef helper(): pass\n")
    found = [(one.kind, one.text) for path in (code, page, test) for one in passages(path)]
    assert found == [
        ("module", "Module."),
        ("class", "Class."),
        ("property", "Property."),
        ("function", "Function."),
        ("comment", "Comment"),
        ("message", "… is bad"),
        ("help", "Some help"),
        ("command", "Command."),
        ("message", "… text"),
        ("help", "A setting"),
        ("message", "another long text"),
        ("heading", "Heading"),
        ("prose", "Prose."),
        ("table", "table"),
        ("test", "test_name"),
    ]


@pytest.mark.parametrize("part", ["l2mac", "sandbox", "tests", "documents"])
def test_project_is_written_in_plain_english(part: str) -> None:
    roots = (*ROOT.glob("*.md"), ROOT / "docs") if part == "documents" else (ROOT / part,)
    found = violations(english_files(*roots))
    assert not found, "\n".join([f"{len(found)} violations", *found])
