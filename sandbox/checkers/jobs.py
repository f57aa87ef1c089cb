"""The preloaded jobs: pytest, pylint, the checks of prose and measuring, each in a forked child, reporting JSON lines.

Every report ends with an `end` line. The reader takes a report without one as broken, whatever the exit code.
"""

from __future__ import annotations

import functools
import gc
import importlib
import io
import json
import os
import sys
from types import FunctionType

from sandbox.checkers import prose, survey
from sandbox.checkers.collecting import Narrowed
from sandbox.checkers.declared import VERDICT_HOOKS, declared_in
from sandbox.checkers.measure import count, cover
from sandbox.checkers.source_only import believe_sources_only
from sandbox.checkers.sources import Sources, undefined_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TextIO

_TEXT_CHARACTERS = 6000
# Objects made before a collection. Trees and what is inferred from them are kept to the end: looking through them more
# often only takes time. Only the linter's own code runs in such a job.
_LINT_COLLECTS_EVERY = 50_000
_SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample.py")
_COMMON_MODULES = (
    "builtins collections collections.abc dataclasses datetime enum functools itertools json json.decoder json.encoder"
    " os os.path pathlib re sys typing abc argparse contextlib copy csv hashlib io logging math random string tempfile"
    " threading time unittest urllib.parse uuid"
).split()


def preload() -> Iterator[None]:
    """Import the checkers and warm them, in steps between which a waiting job can be served.

    pytest comes first, as every check needs it; then pylint; then what generated code commonly imports, so that
    pylint's inference finds those modules parsed.
    """
    _warm("pytest")
    yield
    _warm("pylint")
    yield
    from astroid import MANAGER  # here: only the preloaded process has it

    for name in _COMMON_MODULES:
        try:
            MANAGER.ast_from_module_name(name)
        except Exception:
            continue
        yield


def _warm(kind: str) -> None:
    quiet, stdout = os.open(os.devnull, os.O_WRONLY), os.dup(1)
    os.dup2(quiet, 1)
    search_path = list(sys.path)
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            if kind == "pytest":
                _pytest({"paths": [_SAMPLE]}, nowhere, rootdir=os.path.dirname(_SAMPLE))
            else:
                _pylint({"paths": [_SAMPLE]}, nowhere)
                _fresh_linter()
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(quiet)
        sys.path[:] = search_path


def perform(request: dict[str, Any], report: TextIO) -> int:
    """Run one job; gives the exit code of its process."""
    kind = request["kind"]
    environment = request["environment"]
    os.environ.clear()
    os.environ.update(environment)
    root = str(request["cwd"])
    if kind == "prose":
        return prose.check(request["paths"], report)
    if kind == "survey":
        return survey.make(request["paths"], report)
    if kind == "count":
        return count(request["paths"], report)
    if kind == "coverage":
        return cover(root, report, lambda: _tests(request, root))
    if kind == "pytest":
        return _tests(request, root, report)
    _import_from(root)
    gc.set_threshold(_LINT_COLLECTS_EVERY)
    return _pylint(request, report)


def _tests(request: dict[str, Any], root: str, report: TextIO | None = None) -> int:
    """Run the store's tests; without a report nobody is told how they end."""
    _forget_shadowed(root)
    believe_sources_only(root)
    _import_from(root)
    return _pytest(request, report or io.StringIO(), rootdir=root)


def _import_from(root: str) -> None:
    """Have the store's modules imported from its root, and from `src` where that is laid out for it."""
    source = os.path.join(root, "src")
    laid_out = os.path.isdir(source) and not os.path.lexists(os.path.join(source, "__init__.py"))
    sys.path[:0] = [root, source] if laid_out else [root]


def _forget_shadowed(root: str) -> None:
    """Drop preloaded modules whose name a file of the store takes, as a fresh interpreter would prefer the file."""
    names = {entry.split(".")[0] for entry in os.listdir(root)}
    keep = {"pytest", "_pytest", "pluggy", "sandbox", "builtins", "sys", "os"}
    for name in list(sys.modules):
        top = name.split(".")[0]
        if (
            top in names
            and top not in keep
            and "site-packages" in str(getattr(sys.modules[name], "__file__", ""))
        ):
            del sys.modules[name]


class _Recorder:
    """A pytest plugin that writes every collected test and every phase's outcome to the report.

    Whoever else comes to decide how tests are reported is named, however it was made: a hook whose name stands in no
    file of the store has to be known to pytest all the same.

    Args:
        report: Where the lines go.
        own: The identities of pytest's own such hooks, collected before any code of the store was loaded.
    """

    def __init__(self, report: TextIO, own: frozenset[int]) -> None:
        self._report = report
        self._hooks: dict[str, Any] = {}
        self._known = {*own, id(_Recorder.pytest_runtest_logreport)}

    def line(self, **fields: object) -> None:
        self._report.write(json.dumps(fields) + "\n")
        self._report.flush()

    def pytest_configure(self, config: Any) -> None:
        self._hooks = {name: getattr(config.hook, name) for name in sorted(VERDICT_HOOKS)}

    def report_foreign_hooks(self) -> None:
        """Report each hook that decides about verdicts and is not pytest's own, once."""
        for name, hook in self._hooks.items():
            for found in hook.get_hookimpls():
                identity = id(getattr(found.function, "__func__", found.function))
                if identity not in self._known:
                    self._known.add(identity)
                    self.line(e="hook", name=name, plugin=_text(found.plugin_name))

    def pytest_collectreport(self, report: Any) -> None:
        if report.outcome != "passed":
            self.line(
                e="collect",
                id=report.nodeid,
                outcome=report.outcome,
                text=_text(report.longreprtext),
            )

    def pytest_deselected(self, items: Any) -> None:
        self.line(e="deselected", ids=[item.nodeid for item in items])

    def pytest_collection_finish(self, session: Any) -> None:
        self.report_foreign_hooks()
        self.line(e="collected", ids=[item.nodeid for item in session.items])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.line(e="start", id=nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        fields = {"e": "phase", "id": report.nodeid, "when": report.when, "outcome": report.outcome}
        if hasattr(report, "wasxfail"):
            fields["xfail"] = True
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            fields["text"] = _text(str(report.longrepr[2]))
        elif report.outcome != "passed":
            fields["text"] = _text(report.longreprtext)
        self.line(**fields)

    def pytest_internalerror(self, excrepr: Any) -> None:
        self.line(e="internal", text=_text(str(excrepr)))


@functools.cache  # the preloaded process finds them once, for all its children
def _own_hooks() -> frozenset[int]:
    """Give the identity of every hook of pytest itself that decides about verdicts."""
    from _pytest.config import default_plugins  # here: only the preloaded process has it

    modules = [importlib.import_module(f"_pytest.{name}") for name in default_plugins]
    holders = [
        *modules,
        *(
            value
            for module in modules
            for value in vars(module).values()
            if isinstance(value, type)
        ),
    ]
    found = (vars(holder).get(name) for holder in holders for name in VERDICT_HOOKS)
    return frozenset(id(hook) for hook in found if isinstance(hook, FunctionType))


def _pytest(request: dict[str, Any], report: TextIO, *, rootdir: str) -> int:
    import pytest  # here: only the preloaded process has it

    recorder = _Recorder(report, _own_hooks())
    declared = declared_in(rootdir)  # said before any code of the store can have its say
    recorder.line(e="declared", ids=list(declared), prints=list(declared.values()))
    arguments = [
        "-c",
        os.devnull,
        "--rootdir",
        rootdir,
        "--confcutdir",
        rootdir,
        "-q",
        "--tb=short",
        "--no-header",
    ]
    arguments += [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:faulthandler",
        "--color=no",
        "--continue-on-collection-errors",
        "--",
        *request["paths"],
    ]
    narrowed = () if request["paths"] else (Narrowed(),)
    code = int(pytest.main(arguments, plugins=[recorder, *narrowed]))
    recorder.report_foreign_hooks()
    sys.stdout.flush()
    recorder.line(e="end", code=code)
    return code


def _pylint(request: dict[str, Any], report: TextIO) -> int:
    """Compile every file, which is quick; let pylint look for errors in those that are valid and not only `others`."""
    others = request.get("others", [])
    sources = Sources(request["paths"], others)
    valid = [path for path in request["paths"] if path not in sources.invalid]
    messages = _pylint_messages(valid, sources) if valid else ()
    compiled = ({"e": "compiled", "count": len(others)},) if others else ()
    lines = (*sources.findings, *messages, *compiled, {"e": "end", "code": 0})
    report.writelines(json.dumps(fields) + "\n" for fields in lines)
    report.flush()
    return 0


@functools.cache  # the preloaded process makes one; each child uses its own copy, once
def _fresh_linter() -> Any:
    """Return a linter that knows its options, which takes it long, and has not looked at any file."""
    from pylint.lint import PyLinter, Run  # here: only the preloaded process has it

    class Waiting(PyLinter):  # type: ignore[misc]  # neither has types here
        def check(self, files_or_modules: object) -> None:
            """Do nothing: pylint calls this when the options are read, before there is anything to check."""

    class Prepared(Run):  # type: ignore[misc]
        LinterClass = Waiting

    arguments = [
        "--rcfile",
        os.devnull,
        "--disable=all",
        "--enable=E,F",
        "--persistent=n",
        "--jobs=1",
        "--score=n",
    ]
    return Prepared([*arguments, "--", _SAMPLE], exit=False).linter


def _pylint_messages(paths: list[str], sources: Sources) -> Iterator[dict[str, object]]:
    from pylint.lint import PyLinter  # here: only the preloaded process has it
    from pylint.reporters import CollectingReporter

    linter = _fresh_linter()
    linter.set_reporter(
        CollectingReporter()
    )  # one that was made in another folder would give paths as seen from there
    PyLinter.check(linter, paths)
    _fresh_linter.cache_clear()
    undefined: dict[str, set[str]] = {}
    for message in linter.reporter.messages:
        undefined.setdefault(message.path, set()).add(undefined_name(message.msg))
    for message in linter.reporter.messages:
        where = {"path": message.path, "line": message.line, "column": message.column}
        help_ = {
            "quote": sources.quote(message.path, message.line),
            "hint": sources.hint(message.path, message.msg, undefined[message.path]),
        }
        said = {"code": message.msg_id, "symbol": message.symbol, "text": _text(message.msg)}
        yield {"e": "message", **where, **said, **help_}


def _text(text: object) -> str:
    whole = str(text)
    if len(whole) <= _TEXT_CHARACTERS:
        return whole
    half = _TEXT_CHARACTERS // 2
    return f"{whole[:half]}\n[... {len(whole) - 2 * half} characters left out ...]\n{whole[-half:]}"
