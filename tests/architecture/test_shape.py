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

MODULE_LINES = 300
FUNCTION_LINES = 50
LONGER_MODULES = {
    "sandbox.guest.files": (380, "one class on one invariant: no path is ever followed out of the store"),
    "sandbox.guest.processes": (310, "starting, capturing and sweeping share the descriptors' life"),
}
LONGER_FUNCTIONS = {
    "sandbox.engine.hardening.create_request": (
        80,
        "one flat literal, so that an auditor reads every option in one place",
    ),
}
ALL = modules("l2mac", "sandbox")


@pytest.mark.parametrize("module", ALL, ids=lambda module: module.name)
def test_a_module_is_short_enough_to_read_in_one_go(module: Module):
    most, _ = LONGER_MODULES.get(module.name, (MODULE_LINES, ""))
    assert len(module.text.splitlines()) <= most


@pytest.mark.parametrize("module", ALL, ids=lambda module: module.name)
def test_a_function_fits_one_screen(module: Module):
    for function in functions(module.tree):
        most, _ = LONGER_FUNCTIONS.get(f"{module.name}.{function.name}", (FUNCTION_LINES, ""))
        assert (function.end_lineno or 0) - function.lineno + 1 <= most, function.name


def test_the_exceptions_to_the_sizes_are_still_needed():
    lines = {module.name: len(module.text.splitlines()) for module in ALL}
    assert [name for name in LONGER_MODULES if lines[name] <= MODULE_LINES] == []


def imports_between(some: tuple[Module, ...]) -> dict[str, set[str]]:
    """Give who imports whom among these modules, wherever in the file the import stands."""
    names = {module.name for module in some}
    graph: dict[str, set[str]] = {}
    for module in some:
        found = {name for _, name in imported(module.tree)}
        graph[module.name] = {name if name in names else name.rpartition(".")[0] for name in found} & names
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
    relative = [module.name for module in ALL for _, name in imported(module.tree) if name.startswith(".")]
    assert relative == []


def test_the_sandbox_exports_exactly_what_is_public():
    pure = (sandbox.errors, sandbox.interface, sandbox.paths, sandbox.policy, sandbox.results)
    classes = {
        name
        for module in pure
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    assert sorted(classes | {"check_path", "format_size", "parse_size"}) == sandbox.__all__
    assert all(hasattr(sandbox, name) for name in sandbox.__all__)


def test_importing_the_packages_starts_nothing():
    """At the top of a module stand imports, definitions and values; a call there could only be work at import."""
    for module in ALL:
        if module.name in ("l2mac.__main__", "sandbox.guest.__main__"):
            continue
        calls = [node for node in module.tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
        assert calls == [], f"{module.name}:{calls[0].lineno}"


def test_nothing_is_done_when_the_garbage_collector_pleases():
    assert [module.name for module in ALL for function in functions(module.tree) if function.name == "__del__"] == []


def test_no_module_is_named_after_leftovers():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base_utils", "tools_utils"}
    assert [module.name for module in ALL if vague & set(module.name.split("."))] == []
