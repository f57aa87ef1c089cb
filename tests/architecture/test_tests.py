"""The tests themselves: each one asserts, none mocks our own code, and none shadows a package."""

import ast

from source_tree import ROOT, dotted_names, functions, imported, imports_of, modules

TESTS = tuple(module for module in modules("tests") if module.path.name.startswith("test_"))


BATTERY = "sandbox.conformance."  # its checks assert, one by one


def asserting_nothing(tree: ast.Module) -> list[str]:
    """Return the test functions without an assertion of their own or in a helper beside them."""
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


def test_every_test_asserts_something() -> None:
    found = {str(module.path.relative_to(ROOT)): asserting_nothing(module.tree) for module in TESTS}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_test_without_an_assertion_is_found() -> None:
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


def test_tests_import_no_mocking_library() -> None:
    mocking = ("unittest.mock", "mock")
    assert [
        one.name for one in modules("tests") for library in mocking if imports_of(one.tree, library)
    ] == []


def test_no_folder_of_tests_shadows_a_package() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert folders & {"sandbox", "l2mac", "docker", "openai", "click", "rich"} == set()
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_two_tests_of_a_file_have_one_name() -> None:
    for module in TESTS:
        names = [node.name for node in module.tree.body if isinstance(node, ast.FunctionDef)]
        assert len(names) == len(set(names)), module.path.name


VARIABLES = {
    "L2MAC_TEST_IMAGE": "tests/support/engine.py",
    "L2MAC_TEST_TIER": "tests/support/tiers.py",
}


def test_each_variable_of_the_tests_is_read_in_one_place() -> None:
    for name, place in VARIABLES.items():
        readers = [
            module.path
            for module in modules("tests")
            for node in ast.walk(module.tree)
            if is_text(node, name)
        ]
        assert [
            str(path.relative_to(ROOT)) for path in readers if path.name != "test_tests.py"
        ] == [place]


def is_text(node: ast.AST, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


FORBIDDEN_WORDS = set(
    "what whatever whoever whichever who nobody somebody anybody ever some".split()
)
NAME_CHARACTERS = 70


def badly_named(names: list[str]) -> list[str]:
    """Return the names of tests that are too long or leave the subject to the reader."""
    return [
        name
        for name in names
        if len(name) > NAME_CHARACTERS or FORBIDDEN_WORDS & set(name.split("_"))
    ]


def test_test_names_are_short_and_name_their_subject() -> None:
    names = [
        one.name
        for module in TESTS
        for one in functions(module.tree)
        if one.name.startswith("test_")
    ]
    assert badly_named(names) == []


def test_badly_named_tests_are_found() -> None:
    names = ["test_timeout_kills_the_group", "test_what_is_wrong_is_said", "test_" + "x" * 66]
    assert badly_named(names) == names[1:]
