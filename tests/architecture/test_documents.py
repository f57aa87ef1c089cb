"""The documents name tests that exist, and match the program."""

import re
import subprocess
import sys

from source_tree import ROOT, functions, modules

TESTS = {
    one.name
    for module in modules("tests")
    for one in functions(module.tree)
    if one.name.startswith("test_")
}
CATALOGUE = "test_every_catalogued_attack_is_contained_and_its_control_succeeds"


def _exists(name: str) -> bool:
    return name in TESTS or (ROOT / name).is_file()


def named_in(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [
        name for name in re.findall(r"`([^`\s]+)`", text) if name.startswith(("test_", "tests/"))
    ]


def test_every_promise_of_security_names_tests_that_exist() -> None:
    named = named_in("SECURITY.md")
    assert len(named) > 20
    assert [name for name in named if not _exists(name)] == []


def test_every_row_of_promises_names_a_test() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    promises = text.partition("## Promises")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!promise|-)(.+?) \| (.+) \|$", promises, re.MULTILINE)
    assert rows
    assert [
        promise
        for promise, tests in rows
        if "`test" not in tests and "the catalogue, row" not in tests
    ] == []
    assert CATALOGUE in TESTS
    assert CATALOGUE in text


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            assert target.startswith("http") or (document.parent / target).exists(), (
                f"{document.name}: {target}"
            )


def test_reference_page_matches_the_commands_help_and_settings() -> None:
    words = [sys.executable, str(ROOT / ".ci" / "reference"), "--check"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_row_of_parity_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!of the original|-)(.+) \|$", text, re.MULTILINE)
    assert len(rows) > 30
    named = {row: re.findall(r"`(test_[^`]+|tests/[^`]+)`", row) for row in rows}
    assert [row for row, tests in named.items() if not tests] == []
    assert [name for tests in named.values() for name in tests if not _exists(name)] == []


def test_every_decision_is_in_the_index_and_has_its_sections() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = sorted(folder.glob("[0-9]*.md"))
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    assert [page.name for page in pages if f"]({page.name})" not in index] == []
    wanted = ["Context", "Decision", "Consequences"]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == wanted, page.name
        assert re.search(r"^- Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE), page.name
        assert re.search(
            r"^- Status: (Accepted|Superseded by \[decision \d+\])", text, re.MULTILINE
        ), page.name
