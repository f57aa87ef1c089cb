"""Sizes, cycles, names: what keeps each file readable on its own."""

import ast
import graphlib

import pytest
from source_tree import ROOT, Module, functions, imported, modules

import sandbox
import sandbox.errors
import sandbox.interface
import sandbox.paths
import sandbox.policy
import sandbox.results

MODULE_LINES = 400
FUNCTION_LINES = 65
LONGER_MODULES: dict[str, tuple[int, str]] = {}
LONGER_FUNCTIONS = {
    "sandbox.engine.hardening.create_request": (
        86,
        "one flat literal, so that an auditor reads every option in one place",
    ),
}
ALL = modules("l2mac", "sandbox")


def lines_of_modules() -> dict[str, int]:
    return {module.name: len(module.text.splitlines()) for module in ALL}


def lines_of_functions() -> dict[str, int]:
    return {
        f"{module.name}.{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for module in ALL
        for function in functions(module.tree)
    }


def test_modules_are_short_enough_to_read_in_one_go():
    lines = lines_of_modules()
    assert {
        name: most
        for name, most in lines.items()
        if most > LONGER_MODULES.get(name, (MODULE_LINES,))[0]
    } == {}


def test_functions_fit_one_screen():
    lines = lines_of_functions()
    assert {
        name: most
        for name, most in lines.items()
        if most > LONGER_FUNCTIONS.get(name, (FUNCTION_LINES,))[0]
    } == {}


def test_the_exceptions_to_the_sizes_are_still_needed():
    modules_, functions_ = lines_of_modules(), lines_of_functions()
    assert [name for name in LONGER_MODULES if modules_[name] <= MODULE_LINES] == []
    assert [name for name in LONGER_FUNCTIONS if functions_[name] <= FUNCTION_LINES] == []


def typing_only(tree: ast.Module) -> list[ast.If]:
    """Give the blocks that no interpreter enters; the guest has them, as importing for types would cost its start."""
    return [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]


def imports_between(some: tuple[Module, ...]) -> dict[str, set[str]]:
    """Give who imports whom among these modules, wherever in the file the import stands but where it is for types."""
    names = {module.name for module in some}
    graph: dict[str, set[str]] = {}
    for module in some:
        typing = {id(node) for block in typing_only(module.tree) for node in ast.walk(block)}
        found = {name for node, name in imported(module.tree) if id(node) not in typing}
        graph[module.name] = {
            name if name in names else name.rpartition(".")[0] for name in found
        } & names
    return graph


def test_no_module_imports_itself_in_a_circle():
    order = list(graphlib.TopologicalSorter(imports_between(ALL)).static_order())
    assert len(order) == len(ALL)


def test_the_search_for_circles_finds_one():
    circle = (
        Module("a", ROOT, "from b import x"),
        Module("b", ROOT, "import c"),
        Module("c", ROOT, "def f():\n    from a import y\n"),
    )
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter(imports_between(circle)).static_order())


def test_imports_are_absolute():
    relative = [
        module.name for module in ALL for _, name in imported(module.tree) if name.startswith(".")
    ]
    assert relative == []


def test_sandbox_package_exports_exactly_its_public_classes():
    pure = (sandbox.errors, sandbox.interface, sandbox.paths, sandbox.policy, sandbox.results)
    classes = {
        name
        for module in pure
        for name, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert sorted(classes | {"check_path", "format_size", "parse_size"}) == sandbox.__all__
    assert all(hasattr(sandbox, name) for name in sandbox.__all__)


def test_importing_the_packages_starts_nothing():
    """At the top of a module stand imports, definitions and values; a call there could only be work at import."""
    for module in ALL:
        if module.name in ("l2mac.__main__", "sandbox.container_main"):
            continue
        calls = [
            node
            for node in module.tree.body
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        ]
        assert calls == [], f"{module.name}:{calls[0].lineno}"


def test_no_class_defines_a_finalizer():
    assert [
        module.name
        for module in ALL
        for function in functions(module.tree)
        if function.name == "__del__"
    ] == []


def test_no_module_is_named_after_leftovers():
    vague = {
        "utils",
        "util",
        "helpers",
        "helper",
        "common",
        "misc",
        "manager",
        "base_utils",
        "tools_utils",
    }
    assert [module.name for module in ALL if vague & set(module.name.split("."))] == []


def test_the_control_unit_fits_one_screen_and_imports_few_modules():
    (unit,) = (module for module in ALL if module.name == "l2mac.control.control_unit")
    ours = {name for _, name in imported(unit.tree) if name.startswith("l2mac.")}
    assert len(unit.text.splitlines()) <= 150
    assert len(imports_between(ALL)[unit.name]) <= 10, ours
