"""Survey files: names of modules, headings of Markdown, the README.

Everything is read from syntax trees and lines; nothing of the files is executed. The report is one
JSON line for each file, and an `end` line after them.
"""

from __future__ import annotations

import ast
import json
import os
import warnings

from sandbox.checkers.markdown import Document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

_MOST_BYTES = 1024 * 1024
_MOST_NAMES = 60
_NAME_CHARACTERS = 120
_README_CHARACTERS = 2000
_REPORT_CHARACTERS = 4 * 1024 * 1024


def make(paths: list[str], report: TextIO) -> int:
    """Write the survey of these files and return the exit code of the job."""
    left = _REPORT_CHARACTERS
    for path in paths:
        line = json.dumps(_about(path)) + "\n"
        left -= len(line)
        if left < 0:
            break
        report.write(line)
    report.write(json.dumps({"e": "end", "code": 0}) + "\n")
    report.flush()
    return 0


def _about(path: str) -> dict[str, object]:
    name = os.path.basename(path).lower()
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES)
        if name.startswith("readme") and "/" not in path:
            text = content.decode("utf-8", "replace")[:_README_CHARACTERS]
            return {"e": "readme", "path": path, "text": text}
        if name.endswith(".py"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = list(_definitions(ast.parse(content)))
        elif name.endswith(".md"):
            found = _headings(path, content)
        else:
            found = []
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return {"e": "unread", "path": path}
    names = []
    for name, inside in found[:_MOST_NAMES]:
        names.append([_cut(name), [_cut(inner) for inner in inside[:_MOST_NAMES]]])
    return {"e": "file", "path": path, "names": names, "more": max(len(found) - _MOST_NAMES, 0)}


def _headings(path: str, content: bytes) -> list[tuple[str, list[str]]]:
    headings = Document(path, content.decode("utf-8", "replace")).headings
    return [("#" * one.level + " " + one.text, []) for one in headings if one.level <= 2]


def _definitions(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Yield classes with public methods, and functions with arguments."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            title = f"class {node.name}({bases})" if bases else f"class {node.name}"
            yield title, _public_methods(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            names = ", ".join(one.arg for one in arguments)
            yield f"{node.name}({names})", []


def _public_methods(node: ast.ClassDef) -> list[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    methods = [one.name for one in node.body if isinstance(one, functions)]
    return [name for name in methods if not name.startswith("_")]


def _cut(text: str) -> str:
    return text if len(text) <= _NAME_CHARACTERS else text[: _NAME_CHARACTERS - 1] + "…"
