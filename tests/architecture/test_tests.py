"""The tests themselves: each one asserts, none replaces our own code, and none shadows a package."""

import ast

import pytest
from source_tree import ROOT, functions, imports_of, modules

TESTS = tuple(module for module in modules("tests") if module.path.name.startswith("test_"))


def asserting_nothing(tree: ast.Module) -> list[str]:
    """Name the test functions that cannot fail by what they say."""
    return [one.name for one in functions(tree) if one.name.startswith("test_") and not _asserts(one)]


def _asserts(function: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in ("pytest.raises", "pytest.fail"))
        for node in ast.walk(function)
    )


@pytest.mark.parametrize("module", TESTS, ids=lambda module: str(module.path.relative_to(ROOT)))
def test_every_test_asserts_something(module):
    assert asserting_nothing(module.tree) == []


def test_a_test_without_an_assertion_is_found():
    source = """
def test_a():
    run()

def test_b():
    assert run()

def test_c():
    with pytest.raises(X):
        run()
"""
    assert asserting_nothing(ast.parse(source)) == ["test_a"]


@pytest.mark.parametrize("module", modules("tests"), ids=lambda module: str(module.path.relative_to(ROOT)))
def test_nothing_is_mocked(module):
    assert imports_of(module.tree, "unittest.mock") == []
    assert imports_of(module.tree, "mock") == []


def test_no_folder_of_tests_shadows_a_package():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert folders & {"sandbox", "l2mac", "docker", "openai", "click", "rich"} == set()
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_two_tests_of_a_file_have_one_name():
    for module in TESTS:
        names = [node.name for node in module.tree.body if isinstance(node, ast.FunctionDef)]
        assert len(names) == len(set(names)), module.path.name
