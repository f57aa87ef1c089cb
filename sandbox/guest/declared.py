"""Find the tests that a file declares and the hooks by which it could change a verdict, by reading alone.

pytest's own list of tests comes from a process that has run the store's code by then, where a `conftest.py` can empty
it without a word. This list comes from syntax trees and goes out before any of that code has been loaded: files that
the tests change afterwards change nothing of what has been said.
"""

from __future__ import annotations

import ast
import os
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

VERDICT_HOOKS = frozenset(
    "pytest_runtest_protocol pytest_runtest_call pytest_pyfunc_call pytest_runtest_makereport"
    " pytest_runtest_logreport pytest_sessionfinish pytest_runtestloop pytest_cmdline_main".split()
)


def declared_in(root: str) -> list[str]:
    """Give the ids of all tests below a folder, sorted; files that are no valid Python declare none."""
    found: set[str] = set()
    for folder, _, names in os.walk(root):
        for name in names:
            whole = os.path.join(folder, name)
            if not is_test_file(name) or os.path.islink(whole):
                continue
            try:
                with open(whole, "rb") as file, warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    tree = ast.parse(file.read())
            except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
                continue
            found.update(declared_tests(os.path.relpath(whole, root), tree))
    return sorted(found)


def is_test_file(path: str) -> bool:
    """Whether pytest takes a file of this name for tests."""
    name = os.path.basename(path)
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))


def declared_tests(path: str, tree: ast.Module) -> Iterator[str]:
    """Give the ids, without parameters, of the tests that pytest's naming rules find at the top of a test file."""
    for node in tree.body:
        if _is_test(node):
            yield f"{path}::{_name(node)}"
        elif isinstance(node, ast.ClassDef) and _holds_tests(node):
            yield from (f"{path}::{node.name}::{_name(member)}" for member in node.body if _is_test(member))


def verdict_hooks(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Give line and name of every function named like a hook that decides how a test's outcome is reported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in VERDICT_HOOKS:
            yield node.lineno, node.name


def _is_test(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test"):
        return False
    return not any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)


def _holds_tests(node: ast.ClassDef) -> bool:
    return node.name.startswith("Test") or any(ast.unparse(base).endswith("TestCase") for base in node.bases)


def _name(node: ast.stmt) -> str:
    return str(getattr(node, "name", ""))
