"""Sizes, density, imports and names: the rules that keep each file readable on its own."""

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator, Mapping

import pytest
from json_parts import parts
from source_tree import ROOT, Module, functions, imported, modules

import sandbox
import sandbox.errors
import sandbox.interface
import sandbox.paths
import sandbox.policy
import sandbox.results

MOST_MODULE_LINES = 400
LEAST_MODULE_LINES = 60
MOST_FUNCTION_LINES = 60
MOST_PARAMETERS = 6
MOST_LOOSE_MODULES = 8
MOST_SHORT_MODULES = 25
MOST_LAYERS = 10
MOST_CONTROL_UNIT_LINES = 150
MOST_CONTROL_UNIT_IMPORTS = 10

# Name → the cap of its own and its reason.
LONGER_MODULES: dict[str, tuple[int, str]] = {}
LONGER_FUNCTIONS = {
    "sandbox.engine.hardening.create_request": (
        86,
        "one flat literal, so that an auditor reads every option in one place",
    ),
}
MORE_PARAMETERS = {
    "l2mac.compat.run_l2mac": (13, "the signature of release 0.0.3"),
    "l2mac.control.agentic_executor.AgenticExecutor.__init__": (
        10,
        "keyword-only constructor injection by the composition root",
    ),
    "l2mac.control.control_unit.ControlUnit.__init__": (
        9,
        "keyword-only constructor injection by the composition root",
    ),
    "l2mac.control.guided.guided_loop.GuidedExecutor.__init__": (
        7,
        "keyword-only constructor injection by the composition root",
    ),
    "l2mac.control.methods.single_window.SingleWindowAgent.__init__": (
        11,
        "keyword-only constructor injection by the composition root",
    ),
    "l2mac.runs.wiring.make_resources": (8, "the composition root: one caller, by keyword"),
    "sandbox.engine.docker_sandbox.DockerSandbox.__init__": (8, "the factory is the only caller"),
}
# Modules below the floor, with the reason why each is a file of its own.
SHORT_MODULES = {
    "l2mac.version": "the command line reads the version without importing the package's API",
    "l2mac.control.guided.fenced_file": "a parser of hostile text, without dependencies",
    "l2mac.control.methods.one_shot": "one comparison method per module",
    "l2mac.control.methods.self_refine": "one comparison method per module",
    "l2mac.control.repetition": "a detector that knows neither processor nor trace",
    "l2mac.insight.output": "the only module of the reports that writes files",
    "l2mac.processor.model_list": "a parser of a server's answer, without the HTTP library",
    "l2mac.evaluator.unchecked": "an ablation, which stands in for the evaluator",
    "l2mac.evaluator.wording": "sentences that the checks of every domain share",
    "l2mac.processor.protocol": "the protocol that every processor implements",
    "l2mac.processor.tool_probe": "one fixed request and the judgement of its answer",
    "l2mac.settings.role_settings": "the nested part of the settings model",
    "l2mac.testing.processor": "a public fake: one class per module",
    "sandbox.checkers.sample": "a test file that is executed to warm the checkers up",
    "sandbox.checkers.source_only": "an import hook, audited by itself",
    "sandbox.container_main": "the entry point of three programs that must not import each other",
    "sandbox.guest.sweep": "kills by process id in a loop of its own, audited by itself",
}
ALL = modules("l2mac", "sandbox")
DENSE = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp)
Caps = Mapping[str, tuple[int, str]]


def lines_of_modules(some: tuple[Module, ...] = ALL) -> dict[str, int]:
    return {module.name: len(module.text.splitlines()) for module in some}


def lines_of_functions(some: tuple[Module, ...] = ALL) -> dict[str, int]:
    return {
        name: (function.end_lineno or 0) - function.lineno + 1
        for module in some
        for name, function in named_functions(module.name, module.tree)
    }


def parameters_of_functions(some: tuple[Module, ...] = ALL) -> dict[str, int]:
    """Return the number of parameters of each function; a command's are its options."""
    return {
        name: parameters(function)
        for module in some
        for name, function in named_functions(module.name, module.tree)
        if not any("command" in ast.unparse(one) for one in function.decorator_list)
    }


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of parameters without `self` and `cls`."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return len([one for one in every if one and one.arg not in ("self", "cls")])


def named_functions(
    prefix: str, tree: ast.AST
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function with its name in full, such as `package.module.Class.method`."""
    for node in ast.iter_child_nodes(tree):
        name = prefix
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}.{node.name}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield name, node
        yield from named_functions(name, node)


def too_large(sizes: Mapping[str, int], most: int, exceptions: Caps) -> dict[str, int]:
    """Return the names whose size exceeds the cap, or the cap of their own."""
    return {
        name: size for name, size in sizes.items() if size > exceptions.get(name, (most, ""))[0]
    }


def unneeded(sizes: Mapping[str, int], most: int, exceptions: Caps) -> list[str]:
    """Return the exceptions without a reason, for missing names, or for names within the cap."""
    return [
        name for name, (_, reason) in exceptions.items() if sizes.get(name, 0) <= most or not reason
    ]


def too_short(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the modules below the floor; packages' own files are exempt."""
    files = {module.name for module in ALL if module.path.name.startswith("__")}
    return {
        name: size
        for name, size in sizes.items()
        if size < LEAST_MODULE_LINES and name not in files
    }


def dense_lines(tree: ast.AST) -> list[int]:
    """Return the lines on which two comprehensions or conditional expressions begin."""
    starts = [node.lineno for node in ast.walk(tree) if isinstance(node, DENSE)]
    return sorted({line for line in starts if starts.count(line) > 1})


def unexplained(text: str) -> list[str]:
    """Return the exemptions from the complexity limit that state no reason."""
    return re.findall(r"noqa: [A-Z0-9, ]*C901[A-Z0-9, ]*$", text, re.MULTILINE)


def test_modules_are_at_most_400_lines_long() -> None:
    assert too_large(lines_of_modules(), MOST_MODULE_LINES, LONGER_MODULES) == {}


def test_modules_below_60_lines_have_a_reason() -> None:
    short = too_short(lines_of_modules())
    assert {name: size for name, size in short.items() if name not in SHORT_MODULES} == {}
    assert len(SHORT_MODULES) <= MOST_SHORT_MODULES


def test_functions_fit_one_screen() -> None:
    assert too_large(lines_of_functions(), MOST_FUNCTION_LINES, LONGER_FUNCTIONS) == {}


def test_functions_have_at_most_six_parameters() -> None:
    assert too_large(parameters_of_functions(), MOST_PARAMETERS, MORE_PARAMETERS) == {}


def test_lines_hold_one_comprehension_or_conditional_expression() -> None:
    found = {str(module.path.relative_to(ROOT)): dense_lines(module.tree) for module in ALL}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_complexity_exemptions_state_a_reason() -> None:
    assert {module.name: found for module in ALL if (found := unexplained(module.text))} == {}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["ruff"]["lint"]["mccabe"]["max-complexity"] == 10
    assert settings["tool"]["ruff"]["line-length"] == 100


def test_exceptions_to_the_sizes_are_still_needed() -> None:
    parameters_, functions_ = parameters_of_functions(), lines_of_functions()
    assert unneeded(lines_of_modules(), MOST_MODULE_LINES, LONGER_MODULES) == []
    assert unneeded(functions_, MOST_FUNCTION_LINES, LONGER_FUNCTIONS) == []
    assert unneeded(parameters_, MOST_PARAMETERS, MORE_PARAMETERS) == []
    short = too_short(lines_of_modules())
    assert [name for name, reason in SHORT_MODULES.items() if name not in short or not reason] == []


def test_size_checks_find_large_and_short_modules() -> None:
    body = "    pass\n" * 5
    module = Module("m", ROOT, f"class C:\n  def f(self, a, *b, c, **d):\n{body}")
    assert lines_of_modules((module,)) == {"m": 7}
    assert lines_of_functions((module,)) == {"m.C.f": 6}
    assert parameters_of_functions((module,)) == {"m.C.f": 4}
    sizes = {"m.a": 7, "m.b": 7, "m.c": 3}
    assert too_large(sizes, 6, {"m.b": (7, "reason")}) == {"m.a": 7}
    assert too_large(sizes, 6, {"m.b": (6, "reason")}) == {"m.a": 7, "m.b": 7}
    caps = {"m.b": (7, "reason"), "m.a": (7, ""), "m.c": (7, "reason"), "gone": (7, "reason")}
    assert unneeded(sizes, 6, caps) == ["m.a", "m.c", "gone"]
    assert too_short({"m.a": 59, "m.b": 60, "l2mac.__main__": 5, "l2mac": 5}) == {"m.a": 59}


@pytest.mark.parametrize(
    "source",
    [
        "x = [a for a in (b for b in c)]",
        "x = a if b else c if d else e",
        "f(a for a in b if (c if d else e))",
        "x = {a if b else c: 1 for a in d}",
    ],
)
def test_dense_lines_are_found(source: str) -> None:
    assert dense_lines(ast.parse(source)) == [1]


@pytest.mark.parametrize(
    "source", ["x = [a for a in b]", "x = [\n  a if b else c\n  for a in d\n]"]
)
def test_lines_with_one_comprehension_are_ignored(source: str) -> None:
    assert dense_lines(ast.parse(source)) == []


def test_complexity_exemptions_without_a_reason_are_found() -> None:
    assert unexplained("def f():  # noqa: C901\n")
    assert unexplained("def f():  # noqa: PLR0912, C901\n")
    assert not unexplained("def f():  # noqa: C901 - one event loop\ndef g():  # noqa: D1\n")


def layers_of(settings: Mapping[str, object], container: str) -> list[object]:
    """Return the layers of the import contract for a package."""
    contracts = parts(settings, "tool", "importlinter", "contracts")
    named = [one for one in contracts if isinstance(one, dict)]
    (layers,) = (one["layers"] for one in named if one.get("containers") == [container])
    return list(layers)


def test_l2mac_has_few_loose_modules_and_few_layers() -> None:
    loose = [path.name for path in (ROOT / "l2mac").glob("[!_]*.py")]
    assert len(loose) <= MOST_LOOSE_MODULES, loose
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert 1 < len(layers_of(settings, "l2mac")) <= MOST_LAYERS


def internal_imports(module: Module) -> set[str]:
    """Return the modules of ours that a module imports names from."""
    names = {name.rpartition(".")[0] for _, name in imported(module.tree)}
    return {name for name in names if name.split(".")[0] in ("l2mac", "sandbox")}


def test_control_unit_is_short_and_imports_few_modules() -> None:
    (control,) = (module for module in ALL if module.name == "l2mac.control.control_unit")
    imports = internal_imports(control)
    assert len(imports) <= MOST_CONTROL_UNIT_IMPORTS, sorted(imports)
    assert len(control.text.splitlines()) <= MOST_CONTROL_UNIT_LINES


def test_internal_imports_are_counted_by_module() -> None:
    text = "from l2mac.a import b, c\nfrom sandbox import d\nimport os\nfrom x.y import z\n"
    assert internal_imports(Module("m", ROOT, text)) == {"l2mac.a", "sandbox"}


def typing_only(tree: ast.Module) -> list[ast.If]:
    """Return the blocks for type checkers only; the guest has them for a faster start."""
    return [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]


def imports_between(some: tuple[Module, ...]) -> dict[str, set[str]]:
    """Return the imports among these modules, without the imports for types only."""
    names = {module.name for module in some}
    graph: dict[str, set[str]] = {}
    for module in some:
        typing = {id(node) for block in typing_only(module.tree) for node in ast.walk(block)}
        found = {name for node, name in imported(module.tree) if id(node) not in typing}
        graph[module.name] = {
            name if name in names else name.rpartition(".")[0] for name in found
        } & names
    return graph


def test_no_module_imports_itself_in_a_circle() -> None:
    order = list(graphlib.TopologicalSorter(imports_between(ALL)).static_order())
    assert len(order) == len(ALL)


def test_the_search_for_circles_finds_one() -> None:
    circle = (
        Module("a", ROOT, "from b import x"),
        Module("b", ROOT, "import c"),
        Module("c", ROOT, "def f():\n    from a import y\n"),
    )
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter(imports_between(circle)).static_order())


def test_imports_are_absolute() -> None:
    relative = [
        module.name for module in ALL for _, name in imported(module.tree) if name.startswith(".")
    ]
    assert relative == []


def test_sandbox_package_exports_exactly_its_public_classes() -> None:
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


def test_importing_the_packages_starts_nothing() -> None:
    """Check that no module calls anything at its top level."""
    for module in ALL:
        if module.name in ("l2mac.__main__", "sandbox.container_main"):
            continue
        calls = [
            node
            for node in module.tree.body
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        ]
        assert calls == [], f"{module.name}:{calls[0].lineno}"


def test_no_class_defines_a_finalizer() -> None:
    assert [
        module.name
        for module in ALL
        for function in functions(module.tree)
        if function.name == "__del__"
    ] == []


def test_no_module_is_named_after_leftovers() -> None:
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


def test_the_control_unit_fits_one_screen_and_imports_few_modules() -> None:
    (unit,) = (module for module in ALL if module.name == "l2mac.control.control_unit")
    ours = {name for _, name in imported(unit.tree) if name.startswith("l2mac.")}
    assert len(unit.text.splitlines()) <= 150
    assert len(imports_between(ALL)[unit.name]) <= 10, ours
