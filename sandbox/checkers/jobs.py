"""The preloaded jobs: pytest, pylint, prose, measuring; each in a child.

Jobs report JSON lines. Every report ends with an `end` line; its reader treats a report without one
as broken, with any exit code.
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
from sandbox.checkers.collecting import ShorterListings
from sandbox.checkers.declared import VERDICT_HOOKS, declared_in
from sandbox.checkers.measure import count, cover
from sandbox.checkers.source_only import believe_sources_only
from sandbox.checkers.sources import Sources, undefined_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import ModuleType
    from typing import Protocol, TextIO, TypedDict

    import pytest

    class Request(TypedDict, total=False):
        """A job: its kind, its files, and the folder and environment to run in."""

        job: int
        kind: str
        paths: list[str]
        others: list[str]
        cwd: str
        environment: dict[str, str]
        cpu_s: int

    class _HookImplementation(Protocol):
        """The used part of `pluggy.HookImpl`."""

        function: Callable[[], object]
        plugin_name: str

    class _Hook(Protocol):
        """The used part of `pluggy.HookCaller`."""

        def get_hookimpls(self) -> Iterable[_HookImplementation]:
            """Return the implementations of the hook."""
            ...

    class _Message(Protocol):
        """The used part of `pylint.message.Message`."""

        path: str
        line: int
        column: int
        msg_id: str
        symbol: str
        msg: str

    class _Reporter(Protocol):
        """The used part of `pylint.reporters.CollectingReporter`."""

        messages: Sequence[_Message]

    class _Linter(Protocol):
        """The used part of `pylint.lint.PyLinter`."""

        reporter: _Reporter

        def set_reporter(self, reporter: _Reporter) -> None:
            """Send messages to a reporter."""


_TEXT_CHARACTERS = 6000
# Objects allocated before a collection. Syntax trees and inference results live to the end of the
# job, so more collections only cost time. Only the linter's own code runs in such a job.
_LINT_COLLECTS_EVERY = 50_000
_SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample.py")
_COMMON_MODULES = (
    "builtins collections collections.abc dataclasses datetime enum functools itertools json"
    " json.decoder json.encoder os os.path pathlib re sys typing abc argparse contextlib copy csv"
    " hashlib io logging math random string tempfile threading time unittest urllib.parse uuid"
).split()
_PYTEST_OPTIONS = (
    "-q --tb=short --no-header -p no:cacheprovider -p no:faulthandler --color=no"
    " --continue-on-collection-errors"
).split()
_PYLINT_OPTIONS = "--disable=all --enable=E,F --persistent=n --jobs=1 --score=n".split()
_NEVER_FORGOTTEN = frozenset({"pytest", "_pytest", "pluggy", "sandbox", "builtins", "sys", "os"})


def preload() -> Iterator[None]:
    """Import and warm the checkers, in steps that let a waiting job run.

    pytest comes first, because every check needs it, then pylint, then the modules that generated
    code commonly imports, so that pylint's inference finds them parsed.
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
                _unused_linter()
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(quiet)
        sys.path[:] = search_path


def perform(request: Request, report: TextIO) -> int:
    """Run one job and return the exit code of its process."""
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


def _tests(request: Request, root: str, report: TextIO | None = None) -> int:
    """Run the store's tests; without a report their outcomes are recorded nowhere."""
    _forget_shadowed(root)
    believe_sources_only(root)
    _import_from(root)
    return _pytest(request, report or io.StringIO(), rootdir=root)


def _import_from(root: str) -> None:
    """Import the store's modules from its root, and from a `src` layout."""
    source = os.path.join(root, "src")
    laid_out = os.path.isdir(source) and not os.path.lexists(os.path.join(source, "__init__.py"))
    sys.path[:0] = [root, source] if laid_out else [root]


def _forget_shadowed(root: str) -> None:
    """Drop preloaded modules that files of the store shadow."""
    names = {entry.split(".")[0] for entry in os.listdir(root)} - _NEVER_FORGOTTEN
    for name in list(sys.modules):
        if name.split(".")[0] not in names:
            continue
        if "site-packages" in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


class _Recorder:
    """A pytest plugin that reports collected tests and phases' outcomes.

    Any other hook that decides about outcomes is reported, however it was made: even a hook whose
    name is in no file of the store has to be registered with pytest.

    Args:
        report: File for the lines.
        own: Identities of pytest's own such hooks, collected before any code of the store was
            loaded.
    """

    def __init__(self, report: TextIO, own: frozenset[int]) -> None:
        self._report = report
        self._hooks: dict[str, _Hook] = {}
        self._known = {*own, id(_Recorder.pytest_runtest_logreport)}

    def line(self, **fields: object) -> None:
        self._report.write(json.dumps(fields) + "\n")
        self._report.flush()

    def pytest_configure(self, config: pytest.Config) -> None:
        self._hooks = {name: getattr(config.hook, name) for name in sorted(VERDICT_HOOKS)}

    def report_foreign_hooks(self) -> None:
        """Report each hook that decides about outcomes and is not pytest's own, once."""
        for name, hook in self._hooks.items():
            for found in hook.get_hookimpls():
                identity = id(getattr(found.function, "__func__", found.function))
                if identity not in self._known:
                    self._known.add(identity)
                    self.line(e="hook", name=name, plugin=_text(found.plugin_name))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome != "passed":
            text = _text(report.longreprtext)
            self.line(e="collect", id=report.nodeid, outcome=report.outcome, text=text)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self.line(e="deselected", ids=[item.nodeid for item in items])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.report_foreign_hooks()
        self.line(e="collected", ids=[item.nodeid for item in session.items])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.line(e="start", id=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        fields: dict[str, object] = {
            "e": "phase",
            "id": report.nodeid,
            "when": report.when,
            "outcome": report.outcome,
        }
        if hasattr(report, "wasxfail"):
            fields["xfail"] = True
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            fields["text"] = _text(str(report.longrepr[2]))
        elif report.outcome != "passed":
            fields["text"] = _text(report.longreprtext)
        self.line(**fields)

    def pytest_internalerror(self, excrepr: object) -> None:
        self.line(e="internal", text=_text(str(excrepr)))


@functools.cache  # the preloaded process computes this once, for all its children
def _own_hooks() -> frozenset[int]:
    """Return the identity of every hook of pytest itself that decides about outcomes."""
    from _pytest.config import default_plugins  # here: only the preloaded process has it

    modules = [importlib.import_module(f"_pytest.{name}") for name in default_plugins]
    holders: list[ModuleType | type] = list(modules)
    for module in modules:
        holders += [value for value in vars(module).values() if isinstance(value, type)]
    found = [vars(holder).get(name) for holder in holders for name in VERDICT_HOOKS]
    return frozenset(id(hook) for hook in found if isinstance(hook, FunctionType))


def _pytest(request: Request, report: TextIO, *, rootdir: str) -> int:
    import pytest  # here: only the preloaded process has it

    recorder = _Recorder(report, _own_hooks())
    declared = declared_in(rootdir)  # before any code of the store is loaded
    recorder.line(e="declared", ids=list(declared), fingerprints=list(declared.values()))
    arguments = ["-c", os.devnull, "--rootdir", rootdir, "--confcutdir", rootdir, *_PYTEST_OPTIONS]
    plugins: list[object] = [recorder]
    if not request["paths"]:
        plugins.append(ShorterListings())
    code = int(pytest.main([*arguments, "--", *request["paths"]], plugins=plugins))
    recorder.report_foreign_hooks()
    sys.stdout.flush()
    recorder.line(e="end", code=code)
    return code


def _pylint(request: Request, report: TextIO) -> int:
    """Compile every file; run pylint on valid ones that are not `others`."""
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
def _unused_linter() -> _Linter:
    """Return a linter with its options read, which takes long, and no file."""
    from pylint.lint import PyLinter, Run  # here: only the preloaded process has it

    class Waiting(PyLinter):  # type: ignore[misc, no-any-unimported]  # pylint has no types here
        def check(self, files_or_modules: object) -> None:
            """Skip the check that pylint makes as soon as the options are read."""

    class Prepared(Run):  # type: ignore[misc, no-any-unimported]  # the same
        LinterClass = Waiting

    arguments = ["--rcfile", os.devnull, *_PYLINT_OPTIONS, "--", _SAMPLE]
    linter: _Linter = Prepared(arguments, exit=False).linter
    return linter


def _pylint_messages(paths: list[str], sources: Sources) -> Iterator[dict[str, object]]:
    from pylint.lint import PyLinter  # here: only the preloaded process has it
    from pylint.reporters import CollectingReporter

    linter = _unused_linter()
    # A reporter gives paths relative to the folder in which the reporter was made.
    linter.set_reporter(CollectingReporter())
    PyLinter.check(linter, paths)
    _unused_linter.cache_clear()
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
    return f"{whole[:half]}\n[... {len(whole) - 2 * half} characters omitted ...]\n{whole[-half:]}"
