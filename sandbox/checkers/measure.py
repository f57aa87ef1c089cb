"""Measure a store: lines of code, statements, and lines that tests run.

A job that runs no code of the store lists the statements. The process that ran the tests reports
the lines that ran, and only lines that fit the list are accepted. Coverage is imported only here,
from a folder that no other job has on its path, and the store's code cannot reach it: `import
coverage` there finds a file `coverage.py` of the store.
"""

from __future__ import annotations

import ast
import io
import json
import os
import sys
import tokenize
import warnings

from sandbox.checkers.declared import is_test_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import ModuleType
    from typing import Protocol, TextIO

    class _StatementParser(Protocol):
        """The used part of `coverage.parser.PythonParser`."""

        multiline_map: Mapping[int, int]
        statements: Iterable[int]

        def parse_source(self) -> None:
            """Parse the source."""

    class _MakeParser(Protocol):
        def __call__(self, *, text: str, filename: str, exclude: None) -> _StatementParser:
            """Return a parser of one source."""
            ...


_FOLDER = "/opt/l2mac/measure"
_END = {"e": "end", "code": 0}
_NOT_CODE = frozenset(
    (
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    )
)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError)
_SILENCED = ["no-ctracer", "no-data-collected", "module-not-measured"]


def count(paths: list[str], report: TextIO) -> int:
    """Report each file's length, lines of code and statements; nothing of it is run.

    A statement is [its first line, its last line]. A file that is not valid Python has none.
    """
    parser_of = _parser()
    for path in paths:
        with open(path, "rb") as file:
            source = file.read()
        test = is_test_file(path) or os.path.basename(path) == "conftest.py"
        fields: dict[str, object] = {"e": "file", "path": path, "test": test}
        fields["lines"] = len(source.splitlines()) + 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(source, path)
                code = _lines_of_code(source, tree)
                statements = _statements(parser_of, source)
        except (*_UNPARSABLE, parser_of.error):
            fields |= {"valid": False, "code": _lines_of_text(source), "statements": []}
        else:
            fields |= {"valid": True, "code": code, "statements": statements}
        report.write(json.dumps(fields) + "\n")
    report.write(json.dumps(_END) + "\n")
    report.flush()
    return 0


def cover(root: str, report: TextIO, run_tests: Callable[[], int]) -> int:
    """Run the tests and report for each file of the store which lines ran."""
    sys.path.append(_FOLDER)
    import coverage  # here: only these jobs have the folder on their path

    data = coverage.Coverage(
        data_file=None, config_file=False, source=[root], branch=False, messages=False
    )
    data.set_option("run:disable_warnings", _SILENCED)
    data.start()
    ours = _hide_coverage()
    code = run_tests()
    sys.stdout.flush()
    for name in _loaded():
        del sys.modules[name]
    sys.modules.update(ours)
    data.stop()
    measured = data.get_data()
    for path in sorted(measured.measured_files()):
        lines = sorted(measured.lines(path) or ())
        fields = {"e": "ran", "path": os.path.relpath(path, root), "lines": lines}
        report.write(json.dumps(fields) + "\n")
    report.write(json.dumps({"e": "end", "code": code}) + "\n")
    report.flush()
    return 0


class _Parser:
    """Coverage's parser of sources and the error that it raises."""

    def __init__(self, make: _MakeParser, error: type[Exception]) -> None:
        self.make = make
        self.error = error


def _parser() -> _Parser:
    sys.path.append(_FOLDER)
    from coverage.exceptions import NotPython
    from coverage.parser import PythonParser

    return _Parser(PythonParser, NotPython)


def _statements(parser_of: _Parser, source: bytes) -> list[list[int]]:
    """Return the statements that can run, ignoring exclusion comments."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    text = source.decode(encoding).removeprefix("\ufeff")
    parser = parser_of.make(text=text, filename="<store>", exclude=None)
    parser.parse_source()
    last: dict[int, int] = {}
    for line, first in parser.multiline_map.items():
        last[first] = max(last.get(first, first), line)
    return [[line, last.get(line, line)] for line in sorted(parser.statements)]


def _lines_of_code(source: bytes, tree: ast.Module) -> int:
    """Count the lines that hold anything but comments and docstrings."""
    lines: set[int] = set()
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type not in _NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - set(_docstring_lines(tree)))


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if not isinstance(node, _DOCUMENTED) or not node.body:
            continue
        first = node.body[0]
        text = first.value if isinstance(first, ast.Expr) else None
        if isinstance(text, ast.Constant) and isinstance(text.value, str):
            yield from range(first.lineno, (first.end_lineno or first.lineno) + 1)


def _lines_of_text(source: bytes) -> int:
    """Count the lines of an unparsable file that are neither empty nor a comment."""
    lines = (line.strip() for line in source.splitlines())
    return sum(bool(line) and not line.startswith(b"#") for line in lines)


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "coverage"]


def _hide_coverage() -> dict[str, ModuleType]:
    """Hide coverage from later imports; return its modules for restoring."""
    sys.path.remove(_FOLDER)
    return {name: sys.modules.pop(name) for name in _loaded()}
