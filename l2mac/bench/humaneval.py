"""HumanEval's problems as tasks of one instruction each.

The format is that of the public file: one JSON object a line with `task_id`, `prompt`,
`entry_point`, `canonical_solution` and `test`, which defines `check(candidate)`. The problems are
not shipped.
"""

import gzip
import re
import zlib
from pathlib import Path
from typing import Annotated

import pydantic
from pydantic import Field

from l2mac.bench.task import HandWritten, Task, render
from l2mac.errors import SettingsError

SUITE = "humaneval"
_MOST_BYTES = 64 * 1024 * 1024
_GZIP = b"\x1f\x8b"
_SETTINGS = {"coverage": False, "requirements": False, "max_replans": 0}


class Problem(pydantic.BaseModel):
    """One line of the file; further fields, which some editions have, are ignored."""

    model_config = pydantic.ConfigDict(strict=True, frozen=True)

    task_id: Annotated[str, Field(min_length=1, max_length=100)]
    prompt: Annotated[str, Field(min_length=1)]
    entry_point: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    test: Annotated[str, Field(min_length=1)]
    canonical_solution: str = ""


def read_problems(path: Path) -> tuple[Task, ...]:
    """Return the problems of a file, which may be gzipped, as tasks.

    Raises:
        SettingsError: The file cannot be read, or the named line is not a problem.
    """
    tasks: dict[str, Task] = {}
    for number, line in enumerate(_read(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            problem = Problem.model_validate_json(line)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise _invalid(path, number, field, f"is invalid: {first['msg']}.") from None
        if "def check(" not in problem.test:
            raise _invalid(path, number, "test", "does not define check(candidate). Add it.")
        task = as_task(problem)
        if task.name in tasks:
            text = f"repeats {problem.task_id!r}, apart from punctuation. Rename one of them."
            raise _invalid(path, number, "task_id", text)
        tasks[task.name] = task
    if not tasks:
        raise SettingsError(str(path), f"{path} has no problems. Choose another file.")
    return tuple(tasks.values())


def _invalid(path: Path, line: int, field: str, problem: str) -> SettingsError:
    """Return the error about a field of a line, or about the whole line."""
    where = f"{path}: {field}" if field else str(path)
    return SettingsError(where, f"{where} (line {line}) {problem}")


def as_task(problem: Problem) -> Task:
    """Return a problem as a task whose only hand-written test is the problem's own."""
    name = re.sub(r"[^a-z0-9]+", "-", problem.task_id.lower()).strip("-")
    if not name:
        raise SettingsError(
            "task_id", f"The task_id {problem.task_id!r} has neither letters nor digits. Rename it."
        )
    return Task(
        name=name,
        title=problem.task_id,
        prompt=render(
            "humaneval", prompt=problem.prompt.strip("\n"), entry_point=problem.entry_point
        ),
        program=(render("humaneval_program", entry_point=problem.entry_point),),
        handwritten=HandWritten(text=_test_file(problem), tests=1),
        settings=_SETTINGS,
        suite=SUITE,
    )


def _test_file(problem: Problem) -> str:
    """Return the problem's test as a file for pytest.

    The prompt comes first, because some tests use definitions of it beside the function itself.
    """
    parts = (
        problem.prompt.rstrip(),
        "from solution import *",
        f"from solution import {problem.entry_point} as _the_candidate",
        problem.test.strip(),
        "def test_the_problem_is_solved():\n    check(_the_candidate)",
    )
    return "\n\n\n".join(parts) + "\n"


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            source = gzip.GzipFile(fileobj=file) if packed else file
            content = source.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SettingsError(
                str(path), f"{path} is larger than {_MOST_BYTES} bytes. Choose another file."
            )
        return content.decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"{path} cannot be read as UTF-8 text: {error}.") from None
