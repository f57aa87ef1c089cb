"""The outline of a run's input for the model, shorter the more files there are."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import pydantic

from l2mac.evaluator.checker_report import ReportLine, ValidText, read_clean_report
from l2mac.evaluator.wording import cause_sentence
from l2mac.file_store import FileStore, SandboxReplaced
from l2mac.trace.events import ProjectOutlined
from l2mac.trace.journal import Journal
from sandbox import Job, JobResult

_README_SHARE = 4
_OUTLINED = (".py", ".md")


class _Readme(ReportLine):
    e: Literal["readme"]
    path: str
    text: ValidText


class _File(ReportLine):
    e: Literal["file"]
    path: ValidText
    # JSON has no tuples, which a strict model wants to see.
    names: list[Annotated[tuple[ValidText, list[ValidText]], pydantic.Field(strict=False)]]
    more: int


class _Unread(ReportLine):
    e: Literal["unread"]
    path: str


_Line = _Readme | _File | _Unread
_LINE: pydantic.TypeAdapter[_Line] = pydantic.TypeAdapter(
    Annotated[_Line, pydantic.Field(discriminator="e")]
)


@dataclass(frozen=True, slots=True)
class _Module:
    """A file with the names that it defines, each with the names inside it."""

    path: str
    names: tuple[tuple[str, tuple[str, ...]], ...]
    more: int

    @property
    def is_test(self) -> bool:
        name = self.path.rpartition("/")[2]
        return name.startswith(("test_", "conftest.")) or name.endswith("_test.py")


class ProjectOutliner:
    """The maker of the outline, in the sandbox and without running any file.

    Args:
        journal: Records the outline.
        store: The file store, which holds the unchanged input.
    """

    def __init__(self, journal: Journal, store: FileStore) -> None:
        self._journal = journal
        self._store = store

    def outline(self, limit: int, task: str) -> str:
        """Return the outline in about `limit` characters; see `read_survey`."""
        key = f"survey {self._store.tree}"

        def perform() -> ProjectOutlined:
            text = self._outlined(limit, task)
            return ProjectOutlined(key=key, text_object=self._journal.objects.put_text(text))

        event = self._journal.effect(ProjectOutlined, key, perform)
        return self._journal.objects.get_text(event.text_object)

    def _outlined(self, limit: int, task: str) -> str:
        paths = tuple(path for path in self._store.paths if _is_outlined(path))
        if not paths:
            return ""
        job = Job("survey", checker="survey", paths=paths)
        try:
            execution = self._store.execute((job,), keep_changes=False)
        except SandboxReplaced as loss:
            return f"(there is no outline: {loss})"
        return read_survey(execution.result.job("survey"), limit, task)


def _is_outlined(path: str) -> bool:
    is_readme = "/" not in path and path.casefold().startswith("readme")
    return is_readme or path.endswith(_OUTLINED)


def read_survey(job: JobResult, limit: int, task: str) -> str:
    """Return the outline in about `limit` characters, from the report of `survey`.

    The beginning of the README comes first, with at most a quarter of the room; then each file with
    the names that it defines, tests last. Where not all have room, files that share words with the
    task come first, and the rest is counted. Without a readable report the outline says so, as
    nothing depends on it.
    """
    try:
        readme, modules = _read(job)
    except (ValueError, RecursionError):
        return f"(there is no outline: {cause_sentence(job)})"
    parts = [f"{readme[: limit // _README_SHARE].rstrip()}\n"] if readme.strip() else []
    ordered = sorted(modules, key=lambda module: (module.is_test, module.path))
    parts.append(_fitting(ordered, limit - sum(map(len, parts)), _words(task)))
    return "\n".join(part for part in parts if part)


def _read(job: JobResult) -> tuple[str, list[_Module]]:
    readme, modules = "", []
    for line in map(_LINE.validate_python, read_clean_report(job)):
        if isinstance(line, _Readme):
            readme = readme or line.text
        elif isinstance(line, _File) and line.names:
            names = tuple((name, tuple(inside)) for name, inside in line.names)
            modules.append(_Module(line.path, names, line.more))
    return readme, modules


def _fitting(modules: Sequence[_Module], limit: int, wanted: frozenset[str]) -> str:
    for line in (_full, _short):
        text = "\n".join(map(line, modules))
        if len(text) <= limit:
            return text
    nearest = sorted(modules, key=lambda module: -len(wanted & _words(_short(module))))
    return _counted(nearest, limit, _short)


def _words(text: str) -> frozenset[str]:
    """Return the longer words of a text, without an `s` at their ends."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    return frozenset(word.removesuffix("s") for word in re.findall(r"[a-z]{4,}", spaced.lower()))


def _full(module: _Module) -> str:
    shown = [_with_members(name, inside) for name, inside in module.names]
    more = f"; and {module.more} more" if module.more else ""
    return f"{module.path}: {'; '.join(shown)}{more}"


def _with_members(name: str, inside: Sequence[str]) -> str:
    return f"{name}: {', '.join(inside)}" if inside else name


def _short(module: _Module) -> str:
    names = ", ".join(name.partition("(")[0].removeprefix("class ") for name, _ in module.names)
    return f"{module.path}: {names}"


def _counted(modules: Sequence[_Module], limit: int, line: Callable[[_Module], str]) -> str:
    """Return the first modules in half of the room, and counts by folder of the rest."""
    lines: list[str] = []
    left = limit // 2
    for module in modules:
        left -= len(line(module)) + 1
        if left < 0:
            break
        lines.append(line(module))
    rest = modules[len(lines) :]
    folders = Counter(module.path.rpartition("/")[0] or "." for module in rest)
    counts = ", ".join(f"{folder}/ ({count})" for folder, count in folders.most_common())
    room = limit - sum(len(one) + 1 for one in lines) - 80
    counts = counts if len(counts) <= room else f"{counts[: max(room, 0)]}…"
    return "\n".join([*lines, f"and {len(rest)} more files, by folder: {counts}"])
