"""Find unwritten functions: only `pass`, `...` or NotImplementedError.

Language models leave such stubs and then claim that the work is done, some with a check of the
arguments before the `pass`. A function that is meant to be empty has a docstring, is abstract, an
overload, or a member of a protocol; none of these counts.
"""

from __future__ import annotations

import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DECLARING = frozenset({"abstractmethod", "overload", "abstractproperty"})
_DECLARATIVE_BASES = frozenset({"Protocol", "ABC", "TypedDict"})


def unwritten(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of every stub, unordered, without recursion."""
    for node in ast.walk(tree):
        if _is_declarative(node):
            continue
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and _is_stub(child):
                yield child.lineno, child.name


def _is_declarative(node: ast.AST) -> bool:
    if not isinstance(node, ast.ClassDef):
        return False
    return any(_name(base) in _DECLARATIVE_BASES for base in node.bases)


def _is_stub(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    if any(_name(decorator) in _DECLARING for decorator in function.decorator_list):
        return False
    *before, last = function.body
    if isinstance(last, ast.Pass) and any(not _is_docstring(statement) for statement in before):
        return True
    return not before and _does_nothing(last)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(
        getattr(statement.value, "value", None), str
    )


def _does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return _name(raised) == "NotImplementedError"
    is_ellipsis = (
        isinstance(statement, ast.Expr) and getattr(statement.value, "value", None) is Ellipsis
    )
    return isinstance(statement, ast.Pass) or is_ellipsis


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return str(getattr(node, "attr", None) or getattr(node, "id", ""))
