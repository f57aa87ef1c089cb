"""What the documents promise is held by tests that exist."""

import re

from source_tree import ROOT, functions, modules

TESTS = {one.name for module in modules("tests") for one in functions(module.tree) if one.name.startswith("test_")}


def named_in(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [name for name in re.findall(r"`([^`\s]+)`", text) if name.startswith(("test_", "tests/"))]


def test_every_promise_of_security_names_tests_that_exist():
    named = named_in("SECURITY.md")
    assert len(named) > 20
    assert [name for name in named if name not in TESTS and not (ROOT / name).is_file()] == []


def test_every_row_of_promises_names_a_test():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    promises = text.partition("## Promises")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!promise|-)(.+?) \| (.+) \|$", promises, re.MULTILINE)
    assert rows
    assert [promise for promise, tests in rows if "`test" not in tests] == []


def test_links_of_the_documents_lead_somewhere():
    for document in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            assert target.startswith("http") or (ROOT / target).exists(), f"{document.name}: {target}"
