"""Read tasks from files, shipped ones and the user's own; errors name the line."""

import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Annotated

import pydantic
from pydantic import Field

from l2mac.bench.task import Group, HandWritten, Task
from l2mac.domains.definition import DefinitionSource
from l2mac.errors import SettingsError

_MOST_BYTES = 1024 * 1024
_MOST_FEATURES = 100
Read = Callable[[str], str]
_Text = Annotated[str, Field(min_length=1, pattern=r"\S")]


class _TaskPart(pydantic.BaseModel):
    """Base of a file's parts: no unknown keys, no conversion."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


class _Group(_TaskPart):
    name: _Text
    features: Annotated[list[_Text], Field(min_length=1)]


class _HandWritten(_TaskPart):
    file: _Text
    tests: Annotated[int, Field(gt=0, le=1000)]


class _TaskFile(_TaskPart):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
    title: _Text
    prompt: _Text
    interface: str = ""
    groups: list[_Group] = []
    handwritten: _HandWritten | None = None
    input_dir: _Text | None = None


def shipped_names() -> tuple[str, ...]:
    """Return the names of the shipped tasks."""
    names = [entry.name for entry in (resources.files("l2mac.bench") / "tasks").iterdir()]
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def shipped_task(name: str) -> Task:
    """Return a shipped task.

    Raises:
        SettingsError: No shipped task has this name.
    """
    if name not in shipped_names():
        known = ", ".join(shipped_names())
        problem = f"--task names {name!r}, which is not a task. Choose one of {known}."
        raise SettingsError("--task", problem)
    folder = resources.files("l2mac.bench") / "tasks"
    text = (folder / f"{name}.toml").read_text(encoding="utf-8")
    return _parse(
        f"{name}.toml", text, lambda file: (folder / file).read_text(encoding="utf-8"), Path()
    )


def read_task(path: Path) -> Task:
    """Return a user's task; the files that it names are beside it.

    Raises:
        SettingsError: The task cannot be read or is invalid; the message names the line.
    """
    return _parse(str(path), _read(path), lambda file: _read(path.parent / file), path.parent)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SettingsError(
                str(path), f"{path} is larger than {_MOST_BYTES} bytes. Choose another file."
            )
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"{path} cannot be read as UTF-8 text: {error}.") from None


def _parse(name: str, text: str, read: Read, folder: Path) -> Task:
    source = DefinitionSource(name, text)
    try:
        file = _TaskFile.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(name, f"{name} is not valid TOML: {error}.") from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        unknown = first["type"] == "extra_forbidden"
        problem = "is not a key. Correct its name." if unknown else f"is invalid: {first['msg']}."
        raise source.error(first["loc"], problem) from None
    _check(file, source)
    handwritten = None
    if file.handwritten is not None:
        try:
            handwritten = HandWritten(
                text=read(file.handwritten.file), tests=file.handwritten.tests
            )
        except SettingsError as error:
            raise source.error(("handwritten", "file"), f"is invalid. {error}") from None
    groups = []
    for group in file.groups:
        features = tuple(" ".join(feature.split()) for feature in group.features)
        groups.append(Group(group.name, features))
    input_dir = None
    if file.input_dir is not None:
        input_dir = (folder / Path(file.input_dir).expanduser()).resolve()
    return Task(
        name=file.name,
        title=file.title.strip(),
        description=file.prompt,
        groups=tuple(groups),
        interface=file.interface,
        handwritten=handwritten,
        input_dir=input_dir,
    )


def _check(file: _TaskFile, source: DefinitionSource) -> None:
    """Refuse combinations of values that are valid on their own."""
    _check_features(file, source)
    if file.handwritten is None:
        return
    if not file.interface.strip():
        problem = "requires a prompt that names the tests' imports. Add them to `interface`."
        raise source.error(("handwritten",), problem)
    if Path(file.handwritten.file).name != file.handwritten.file:
        problem = "must be a file beside the task. Write its name without a folder."
        raise source.error(("handwritten", "file"), problem)


def _check_features(file: _TaskFile, source: DefinitionSource) -> None:
    total = sum(len(group.features) for group in file.groups)
    if not total and file.handwritten is None:
        problem = (
            "must not be empty with nothing else to measure. Add features or hand-written tests."
        )
        raise source.error(("groups",), problem)
    if total > _MOST_FEATURES:
        problem = f"have {total} features, but at most {_MOST_FEATURES} can be judged. Remove some."
        raise source.error(("groups",), problem)
    seen: set[str] = set()
    for number, group in enumerate(file.groups):
        for feature in group.features:
            normal = " ".join(feature.lower().split())
            if normal in seen:
                problem = f"repeat the feature {feature!r}. Remove one of them."
                raise source.error(("groups", number, "features"), problem)
            seen.add(normal)
