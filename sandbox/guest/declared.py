"""Find the tests that a file declares and the hooks by which it could change a verdict, by reading alone.

pytest's own list of tests comes from the process that also ran the store's code, where a `conftest.py` can empty it
without a word. This list comes from syntax trees, in a process that executes nothing of the store.
"""

from __future__ import annotations

import ast
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_VERDICT_HOOKS = frozenset(
    "pytest_runtest_protocol pytest_runtest_call pytest_pyfunc_call pytest_runtest_makereport"
    " pytest_runtest_logreport pytest_sessionfinish pytest_runtestloop pytest_cmdline_main".split()
)


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
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in _VERDICT_HOOKS:
            yield node.lineno, node.name


def _is_test(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test"):
        return False
    return not any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)


def _holds_tests(node: ast.ClassDef) -> bool:
    return node.name.startswith("Test") or any(ast.unparse(base).endswith("TestCase") for base in node.bases)


def _name(node: ast.stmt) -> str:
    return str(getattr(node, "name", ""))
