"""Tasks as files: those that are shipped, and a user's own; whatever is wrong in one is said with its line."""

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


class _Part(pydantic.BaseModel):
    """Base of what a file holds: nothing unknown, nothing converted."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


class _Group(_Part):
    name: _Text
    features: Annotated[list[_Text], Field(min_length=1)]


class _HandWritten(_Part):
    file: _Text
    tests: Annotated[int, Field(gt=0, le=1000)]


class _File(_Part):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
    title: _Text
    prompt: _Text
    interface: str = ""
    groups: list[_Group] = []
    handwritten: _HandWritten | None = None
    input_dir: _Text | None = None


def shipped_names() -> tuple[str, ...]:
    """Return the names of the tasks that are shipped."""
    entries = (entry.name for entry in (resources.files("l2mac.bench") / "tasks").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in entries if name.endswith(".toml")))


def shipped_task(name: str) -> Task:
    """Return a shipped task.

    Raises:
        SettingsError: There is none of that name.
    """
    if name not in shipped_names():
        raise SettingsError(
            "--task", f"there is no task {name!r}; there are {', '.join(shipped_names())}"
        )
    folder = resources.files("l2mac.bench") / "tasks"
    text = (folder / f"{name}.toml").read_text(encoding="utf-8")
    return _parse(
        f"{name}.toml", text, lambda file: (folder / file).read_text(encoding="utf-8"), Path()
    )


def read_task(path: Path) -> Task:
    """Return a user's task; the files that it names stand beside it.

    Raises:
        SettingsError: It cannot be read, or says something that cannot be; names the line.
    """
    return _parse(str(path), _read(path), lambda file: _read(path.parent / file), path.parent)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SettingsError(str(path), f"is larger than {_MOST_BYTES} bytes")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"cannot be read as UTF-8 text: {error}") from None


def _parse(name: str, text: str, read: Read, folder: Path) -> Task:
    source = DefinitionSource(name, text)
    try:
        file = _File.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(name, f"is no valid TOML: {error}") from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        unknown = first["type"] == "extra_forbidden"
        raise source.error(
            first["loc"], "there is no such key" if unknown else first["msg"]
        ) from None
    _check(file, source)
    handwritten = None
    if file.handwritten is not None:
        try:
            handwritten = HandWritten(
                text=read(file.handwritten.file), tests=file.handwritten.tests
            )
        except SettingsError as error:
            raise source.error(("handwritten", "file"), str(error)) from None
    return Task(
        name=file.name,
        title=file.title.strip(),
        description=file.prompt,
        groups=tuple(
            Group(group.name, tuple(" ".join(one.split()) for one in group.features))
            for group in file.groups
        ),
        interface=file.interface,
        handwritten=handwritten,
        input_dir=None
        if file.input_dir is None
        else (folder / Path(file.input_dir).expanduser()).resolve(),
    )


def _check(file: _File, source: DefinitionSource) -> None:
    """Refuse what each key allows for itself and all together do not."""
    features = [" ".join(feature.split()) for group in file.groups for feature in group.features]
    if not features and file.handwritten is None:
        raise source.error(
            ("groups",),
            "a task needs features, hand-written tests, or both: there is nothing to measure",
        )
    if len(features) > _MOST_FEATURES:
        raise source.error(
            ("groups",),
            f"there are {len(features)} features; at most {_MOST_FEATURES} can be judged",
        )
    seen: set[str] = set()
    for number, group in enumerate(file.groups):
        for feature in group.features:
            normal = " ".join(feature.lower().split())
            if normal in seen:
                raise source.error(
                    ("groups", number, "features"), f"this feature stands twice: {feature!r}"
                )
            seen.add(normal)
    if file.handwritten is not None and not file.interface.strip():
        problem = "the prompt has to name what the tests import; say it in `interface`"
        raise source.error(("handwritten",), problem)
    if file.handwritten is not None and Path(file.handwritten.file).name != file.handwritten.file:
        raise source.error(
            ("handwritten", "file"), "the tests stand beside the task: give a name without a folder"
        )
