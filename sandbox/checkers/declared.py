"""Find declared tests and verdict-changing hooks without running code.

pytest's own list of tests comes from a process that has already run the store's code, where a
`conftest.py` can empty the list silently. This list comes from syntax trees and is reported before
any of that code is loaded: files that the tests change later cannot change it.
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
    (
        "pytest_runtest_protocol pytest_runtest_call pytest_pyfunc_call pytest_runtest_makereport"
        " pytest_runtest_logreport pytest_sessionfinish pytest_runtestloop pytest_cmdline_main"
    ).split()
)

_FINGERPRINT_CHARACTERS = 32


def declared_in(root: str) -> dict[str, str]:
    """Return the ids of all tests below a folder, sorted, each with its fingerprint.

    A fingerprint changes as soon as the test's source does: it distinguishes an old test that still
    fails from a new test under the same name. Files that are not valid Python declare no tests.
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
    return {test: _fingerprint(found[test]) for test in sorted(found)}


def is_test_file(path: str) -> bool:
    """Return whether pytest collects tests from a file of this name."""
    name = os.path.basename(path)
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))


def declared_tests(path: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield id and text of each test that pytest finds by name in a file.

    The id has no parameters.
    """
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
    """Yield line and name of functions named like a verdict-deciding hook."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in VERDICT_HOOKS:
            yield node.lineno, node.name


def _is_test(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    if not node.name.startswith("test"):
        return False
    return not any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)


def _holds_tests(node: ast.ClassDef) -> bool:
    return node.name.startswith("Test") or any(
        ast.unparse(base).endswith("TestCase") for base in node.bases
    )


def _name(node: ast.stmt) -> str:
    return str(getattr(node, "name", ""))


def _text(node: ast.AST) -> str:
    """Return a syntax tree as text, without layout; empty if too deep."""
    try:
        return ast.dump(node)
    except RecursionError:
        return ""


def _fingerprint(texts: list[str]) -> str:
    """Return the fingerprint of all definitions with one id.

    The result is empty if it cannot be computed.
    """
    if not all(texts):
        return ""
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "replace"))
    return digest.hexdigest()[:_FINGERPRINT_CHARACTERS]
