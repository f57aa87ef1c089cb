"""The store's Python files as syntax trees: which are valid, what is a stub, what is defined where."""

from __future__ import annotations

import ast
import os
import re
import warnings

from sandbox.guest.declared import verdict_hooks
from sandbox.guest.stubs import unwritten

_UNDEFINED = re.compile(r"Undefined variable '(\w+)'")


class Sources:
    """Read and compile files once; nothing of them is executed.

    Args:
        paths: The files, relative to the working directory.
        others: Files that are compiled and not looked into, which takes a third of the time.

    Attributes:
        findings: Report lines of kind `syntax`, `stub` and `hook`.
        invalid: The files that are no valid Python.
    """

    def __init__(self, paths: list[str], others: list[str]) -> None:
        self.findings: list[dict[str, object]] = []
        self.invalid: set[str] = set()
        self._defined: dict[str, list[str]] = {}
        for path in paths:
            self._read(path, whole=True)
        for path in others:
            self._read(path, whole=False)

    def hint(self, text: str) -> str:
        """Give what helps with a message of a linter: where an undefined name is defined, if that is in one file."""
        match = _UNDEFINED.search(text)
        modules = (self._defined.get(match[1]) or _defining(match[1])) if match else []
        if match is None or len(modules) != 1:
            return ""
        return f"; it is defined in another file: from {modules[0]} import {match[1]}"

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
        self.findings.append({"e": "syntax", "path": path, "line": line, "text": text[:1000]})

    def _take(self, path: str, tree: ast.Module) -> None:
        self.findings += [{"e": "stub", "path": path, "line": line, "text": name} for line, name in unwritten(tree)]
        self.findings += [{"e": "hook", "path": path, "line": line, "text": name} for line, name in verdict_hooks(tree)]
        module = _module(path)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._defined.setdefault(node.name, []).append(module)


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").removeprefix("src/").replace("/", ".")


def _defining(name: str) -> list[str]:
    """Give the modules among all files that seem to define a name at their top; files that were not read among them."""
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
