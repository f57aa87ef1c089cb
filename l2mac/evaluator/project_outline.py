"""The outline of an input as the model sees it: what the box found, with less detail the more there is of it."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from l2mac.evaluator.wording import cause_sentence, valid_text
from sandbox import JobResult

_README_SHARE = 4
_END = {"e": "end", "code": 0}


@dataclass(frozen=True, slots=True)
class _Module:
    """A file with what it defines: each name with what is in it."""

    path: str
    names: tuple[tuple[str, tuple[str, ...]], ...]
    more: int

    @property
    def is_test(self) -> bool:
        name = self.path.rpartition("/")[2]
        return name.startswith(("test_", "conftest.")) or name.endswith("_test.py")


def read_survey(job: JobResult, limit: int, task: str) -> str:
    """Give the outline in at most about `limit` characters, from the report of the job `survey`.

    The beginning of the README comes first, with at most a quarter of the room; then each file with what it defines,
    tests last. Where not all have room, those come first that share words with the task, and the rest is counted. A
    report that cannot be read is said to be none: nothing hangs on it.
    """
    try:
        readme, modules = _read(job)
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"(there is no outline: {cause_sentence(job)})"
    parts = [f"{readme[: limit // _README_SHARE].rstrip()}\n"] if readme.strip() else []
    ordered = sorted(modules, key=lambda module: (module.is_test, module.path))
    parts.append(_fitting(ordered, limit - sum(map(len, parts)), _words(task)))
    return "\n".join(part for part in parts if part)


def _read(job: JobResult) -> tuple[str, list[_Module]]:
    if not job.succeeded or job.report.elided:
        raise ValueError("there is no complete report")
    *lines, end = (job.report.head + job.report.tail).splitlines() or [b""]
    if json.loads(end) != _END:
        raise ValueError("the last line is not an end")
    readme, modules = "", []
    for event in map(json.loads, lines):
        if event["e"] == "readme":
            readme = readme or valid_text(str(event["text"]))
        elif event["e"] == "file" and event["names"]:
            modules.append(_module(event))
    return readme, modules


def _module(event: dict[str, Any]) -> _Module:
    names = tuple(
        (valid_text(name), tuple(map(valid_text, inside))) for name, inside in event["names"]
    )
    return _Module(valid_text(event["path"]), names, int(event["more"]))


def _fitting(modules: Sequence[_Module], limit: int, wanted: frozenset[str]) -> str:
    for line in (_full, _short):
        text = "\n".join(map(line, modules))
        if len(text) <= limit:
            return text
    nearest = sorted(modules, key=lambda module: -len(wanted & _words(_short(module))))
    return _counted(nearest, limit, _short)


def _words(text: str) -> frozenset[str]:
    """Give the words of a text, in the singular as far as an ending shows it; short ones say nothing."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    return frozenset(word.removesuffix("s") for word in re.findall(r"[a-z]{4,}", spaced.lower()))


def _full(module: _Module) -> str:
    shown = [name + (f": {', '.join(inside)}" if inside else "") for name, inside in module.names]
    return f"{module.path}: {'; '.join(shown)}" + (
        f"; and {module.more} more" if module.more else ""
    )


def _short(module: _Module) -> str:
    names = ", ".join(name.partition("(")[0].removeprefix("class ") for name, _ in module.names)
    return f"{module.path}: {names}"


def _counted(modules: Sequence[_Module], limit: int, line: Callable[[_Module], str]) -> str:
    """Give half of the room to the first modules and the rest to counts by folder."""
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
