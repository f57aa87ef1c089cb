"""The tests themselves: each one asserts, none replaces our own code, and none shadows a package."""

import ast

from source_tree import ROOT, dotted_names, functions, imported, imports_of, modules

TESTS = tuple(module for module in modules("tests") if module.path.name.startswith("test_"))


BATTERY = "sandbox.conformance."  # its checks assert, one by one


def asserting_nothing(tree: ast.Module) -> list[str]:
    """Name the test functions that cannot fail by what they say, themselves or through a function beside them."""
    helpers = {
        one.name for one in functions(tree) if not one.name.startswith("test_") and _asserts(one)
    }
    helpers |= {name.rpartition(".")[2] for _, name in imported(tree) if name.startswith(BATTERY)}
    tests = (one for one in functions(tree) if one.name.startswith("test_"))
    return [one.name for one in tests if not _asserts(one) and not _calls(one, helpers)]


def _asserts(function: ast.AST) -> bool:
    names = {name for _, name in dotted_names(function)}
    return bool(names & {"pytest.raises", "pytest.fail"}) or any(
        isinstance(node, ast.Assert) for node in ast.walk(function)
    )


def _calls(function: ast.AST, names: set[str]) -> bool:
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return any(isinstance(called, ast.Name) and called.id in names for called in calls)


def test_every_test_asserts_something():
    found = {str(module.path.relative_to(ROOT)): asserting_nothing(module.tree) for module in TESTS}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_test_without_an_assertion_is_found():
    source = """
def test_a():
    run()

def test_b():
    assert run()

def test_c():
    with pytest.raises(X):
        run()

def test_d():
    check(run())

def test_e():
    idle(run())

def check(value):
    assert value

def idle(value):
    pass
"""
    assert asserting_nothing(ast.parse(source)) == ["test_a", "test_e"]


def test_tests_import_no_mocking_library():
    mocking = ("unittest.mock", "mock")
    assert [
        one.name for one in modules("tests") for library in mocking if imports_of(one.tree, library)
    ] == []


def test_no_folder_of_tests_shadows_a_package():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert folders & {"sandbox", "l2mac", "docker", "openai", "click", "rich"} == set()
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_two_tests_of_a_file_have_one_name():
    for module in TESTS:
        names = [node.name for node in module.tree.body if isinstance(node, ast.FunctionDef)]
        assert len(names) == len(set(names)), module.path.name
