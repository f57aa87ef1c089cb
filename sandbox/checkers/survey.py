"""Survey files: what each Python module defines at its top, what each Markdown file is headed, how the README begins.

Read from syntax trees and lines; nothing of the files is executed. The report is one JSON line for each file that has
something to say, and an `end` line behind them.
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
    """Write the survey of these files; gives the exit code of the job."""
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
            return {
                "e": "readme",
                "path": path,
                "text": content.decode("utf-8", "replace")[:_README_CHARACTERS],
            }
        if name.endswith(".py"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = list(_definitions(ast.parse(content)))
        elif name.endswith(".md"):
            headings = Document(path, content.decode("utf-8", "replace")).headings
            found = [("#" * one.level + " " + one.text, []) for one in headings if one.level <= 2]
        else:
            found = []
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return {"e": "unread", "path": path}
    names = [
        [_cut(name), [_cut(inner) for inner in inside[:_MOST_NAMES]]]
        for name, inside in found[:_MOST_NAMES]
    ]
    return {"e": "file", "path": path, "names": names, "more": max(len(found) - _MOST_NAMES, 0)}


def _definitions(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Return the classes with their public methods, and the functions with their arguments, in their order."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            methods = [
                one.name
                for one in node.body
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            public = [name for name in methods if not name.startswith("_")]
            yield f"class {node.name}" + (f"({bases})" if bases else ""), public
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [
                one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            ]
            yield f"{node.name}({', '.join(names)})", []


def _cut(text: str) -> str:
    return text if len(text) <= _NAME_CHARACTERS else text[: _NAME_CHARACTERS - 1] + "…"
