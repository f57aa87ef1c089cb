"""Find the tests that a file declares and the hooks by which it could change a verdict, by reading alone.

pytest's own list of tests comes from a process that has run the store's code by then, where a `conftest.py` can empty
it without a word. This list comes from syntax trees and goes out before any of that code has been loaded: files that
the tests change afterwards change nothing of what has been said.
"""

from __future__ import annotations

import ast
import hashlib
import os
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

VERDICT_HOOKS = frozenset(
    "pytest_runtest_protocol pytest_runtest_call pytest_pyfunc_call pytest_runtest_makereport"
    " pytest_runtest_logreport pytest_sessionfinish pytest_runtestloop pytest_cmdline_main".split()
)


_PRINT = 32


def declared_in(root: str) -> dict[str, str]:
    """Return the ids of all tests below a folder, sorted; files that are no valid Python declare none.

    With each id comes a print of what stands there, which is another as soon as the test says something else: by it an
    old test that still fails can be told from a new one under its name.
    """
    found: dict[str, list[str]] = {}
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
            for test, text in declared_tests(os.path.relpath(whole, root), tree):
                found.setdefault(test, []).append(text)
    return {test: _print(found[test]) for test in sorted(found)}


def is_test_file(path: str) -> bool:
    """Whether pytest takes a file of this name for tests."""
    name = os.path.basename(path)
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))


def declared_tests(path: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Return id, without parameters, and text of the tests that pytest's naming rules find at the top of a test file."""
    for node in tree.body:
        if _is_test(node):
            yield f"{path}::{_name(node)}", _text(node)
        elif isinstance(node, ast.ClassDef) and _holds_tests(node):
            around = " ".join(map(_text, (*node.decorator_list, *node.bases, *node.keywords)))
            for member in node.body:
                if _is_test(member):
                    text = _text(member)
                    yield f"{path}::{node.name}::{_name(member)}", text and f"{around} {text}"


def verdict_hooks(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Return line and name of every function named like a hook that decides how a test's outcome is reported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in VERDICT_HOOKS:
            yield node.lineno, node.name


def _is_test(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith(
        "test"
    ):
        return False
    return not any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)


def _holds_tests(node: ast.ClassDef) -> bool:
    return node.name.startswith("Test") or any(
        ast.unparse(base).endswith("TestCase") for base in node.bases
    )


def _name(node: ast.stmt) -> str:
    return str(getattr(node, "name", ""))


def _text(node: ast.AST) -> str:
    """Return what a piece of source says, whatever its layout and comments are; empty when it is too deep to be told."""
    try:
        return ast.dump(node)
    except RecursionError:
        return ""


def _print(texts: list[str]) -> str:
    """Return the print of all that stands under one id; empty when it cannot be told."""
    return (
        hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest()[:_PRINT]
        if all(texts)
        else ""
    )
