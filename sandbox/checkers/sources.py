"""The store's Python files as syntax trees: validity, stubs, definitions."""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings

from sandbox.checkers.declared import verdict_hooks
from sandbox.checkers.stubs import unwritten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNDEFINED = re.compile(r"Undefined variable '(\w+)'")
_NO_MODULE = re.compile(r"Unable to import '([\w.]+)'")
_NO_NAME = re.compile(r"No name '(\w+)' in module '([\w.]+)'")
_IMPORTABLE = sys.stdlib_module_names | {"pytest"}
_MOST_NAMES = 20
_LINE_CHARACTERS = 160


class Sources:
    """Read and compile files once; nothing of them is executed.

    Args:
        paths: The files, relative to the working directory.
        others: Files that are only compiled, which takes a third of the time.

    Attributes:
        findings: Report lines of kind `syntax`, `stub` and `hook`.
        invalid: The files that are not valid Python.
    """

    def __init__(self, paths: list[str], others: Sequence[str] = ()) -> None:
        self.findings: list[dict[str, object]] = []
        self._names: dict[str, list[str]] = {}
        self._first: dict[str, int] = {}
        self._elsewhere: dict[str, list[str]] = {}
        self.invalid: set[str] = set()
        for path in paths:
            self._read(path, whole=True)
        for path in others:
            self._read(path, whole=False)

    def hint(self, path: str, text: str, undefined: Iterable[str] = ()) -> str:
        """Return help for a linter's message: a missing import, or existing names.

        Args:
            path: The file.
            text: The message.
            undefined: All undefined names in the file, so that one line can import several.
        """
        if match := _UNDEFINED.search(text):
            line = self._import_of(match[1], undefined)
            return f"insert before line {self._first.get(path, 1)}: {line}" if line else ""
        if match := _NO_MODULE.search(text):
            return f"the modules that there are: {_some(self._names)}"
        if (match := _NO_NAME.search(text)) and match[2] in self._names:
            return f"{match[2]} defines: {_some(self._names[match[2]])}"
        return ""

    @staticmethod
    def quote(path: str, line: int) -> str:
        """Return a line of a file for a finding; '' if it is blank or missing."""
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read().split("\n")
        except OSError:
            return ""
        return lines[line - 1].strip()[:_LINE_CHARACTERS] if 0 < line <= len(lines) else ""

    def _import_of(self, name: str, undefined: Iterable[str]) -> str:
        modules = self._modules_of(name)
        if len(modules) == 1:
            together = sorted(one for one in {name, *undefined} if self._modules_of(one) == modules)
            return f"from {modules[0]} import {', '.join(together)}"
        return f"import {name}" if not modules and name in _IMPORTABLE else ""

    def _modules_of(self, name: str) -> list[str]:
        read = [module for module, names in self._names.items() if name in names]
        if not read and name not in self._elsewhere:
            self._elsewhere[name] = _defining(name)
        return read or self._elsewhere[name]

    def _read(self, path: str, *, whole: bool) -> None:
        try:
            with open(path, "rb") as file:
                source = file.read()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(source, path) if whole else None
                compile(tree or source, path, "exec", dont_inherit=True)
        except SyntaxError as error:
            self._invalid(path, error.lineno or 1, str(error.msg))
        except (ValueError, RecursionError, MemoryError, OSError) as error:
            self._invalid(path, 1, str(error))
        else:
            if tree is not None:
                self._take(path, tree)

    def _invalid(self, path: str, line: int, text: str) -> None:
        self.invalid.add(path)
        quote = self.quote(path, line)
        self.findings.append(
            {"e": "syntax", "path": path, "line": line, "text": text[:1000], "quote": quote}
        )

    def _take(self, path: str, tree: ast.Module) -> None:
        self.findings += [
            {"e": "stub", "path": path, "line": line, "text": name}
            for line, name in unwritten(tree)
        ]
        self.findings += [
            {"e": "hook", "path": path, "line": line, "text": name}
            for line, name in verdict_hooks(tree)
        ]
        self._first[path] = _first_statement(tree)
        names = self._names.setdefault(_module(path), [])
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.append(node.name)


def undefined_name(text: str) -> str:
    """Return the undefined name in a linter's message, or ''."""
    match = _UNDEFINED.search(text)
    return match[1] if match else ""


def _first_statement(tree: ast.Module) -> int:
    """Return the line before which a new import may be inserted.

    The docstring and imports from `__future__` come first.
    """
    for node in tree.body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(
            getattr(node.value, "value", None), str
        )
        if not is_docstring and not (
            isinstance(node, ast.ImportFrom) and node.module == "__future__"
        ):
            return node.lineno
    return 1


def _some(names: Iterable[str]) -> str:
    """Return names in order, the first of many."""
    every = sorted(names)
    return (
        ", ".join(every[:_MOST_NAMES]) + (" and others" if len(every) > _MOST_NAMES else "")
        or "none"
    )


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").removeprefix("src/").replace("/", ".")


def _defining(name: str) -> list[str]:
    """Return the modules that seem to define a name at their top level.

    All files are searched, also those that were not read.
    """
    line = re.compile(rb"^(?:async\s+)?(?:def|class)\s+%s\b" % name.encode(), re.MULTILINE)
    found = []
    for folder, _, names in os.walk("."):
        for path in (os.path.join(folder, one) for one in names if one.endswith(".py")):
            try:
                with open(path, "rb") as file:
                    if line.search(file.read()):
                        found.append(_module(os.path.relpath(path)))
            except OSError:
                continue
    return found
