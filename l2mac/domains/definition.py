"""What a domain is made of, as data: prompts by kind, tools and checks by name, commands of its own.

A user writes one as a TOML file. TOML, because nothing in it changes its meaning by itself: no word turns into a truth
value and no `1:30` into a number inside a prompt, a key that stands twice is an error, and errors come with their line.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import Field

from l2mac.domains.prompt_set import KINDS, PURPOSES, problems
from l2mac.errors import SettingsError

_MOST_BYTES = 1024 * 1024
_TABLE = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
_QUOTES = re.compile(r"'''|\"\"\"")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_Text = Annotated[str, Field(min_length=1)]
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class _Part(pydantic.BaseModel):
    """Base of what a file holds: nothing unknown, nothing converted."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


class Command(_Part):
    """A program that is run in the box as a check.

    Attributes:
        argv: The program and its arguments; no shell reads them.
        exit_codes: Those that are a pass.
        files: Patterns of paths; the check is due as soon as a file of the store fits one. `*` also crosses folders.
    """

    name: _Name
    argv: Annotated[list[_Text], Field(min_length=1)]
    exit_codes: Annotated[list[Annotated[int, Field(ge=0, le=125)]], Field(min_length=1)] = [0]
    files: Annotated[list[_Text], Field(min_length=1)] = ["*"]


class Judging(_Part):
    """What a second opinion is asked about: the files by pattern, each with one other file beside it as context."""

    files: Annotated[list[_Text], Field(min_length=1)]
    context: str = ""


class _File(_Part):
    """A domain's file as its author writes it."""

    name: _Name
    extends: _Name | None = None
    tools: list[_Text] | None = None
    checks: list[_Text] | None = None
    commands: list[Command] | None = None
    judge: Judging | None = None
    prompts: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A domain in full, with all that it took over from another.

    Attributes:
        tools: Names of tools or groups of them; None when that is left to the domain that is extended.
        checks: Names of built-in checks; None likewise.
        commands: Checks of its own; None likewise.
        judge: None where nothing is to be judged, or likewise.
    """

    name: str
    prompts: Mapping[str, str]
    extends: str = ""
    tools: tuple[str, ...] | None = None
    checks: tuple[str, ...] | None = None
    commands: tuple[Command, ...] | None = None
    judge: Judging | None = None

    def over(self, base: "Definition") -> "Definition":
        """Give this definition with what it does not say taken from another."""
        return Definition(
            name=self.name,
            prompts={**base.prompts, **self.prompts},
            tools=base.tools if self.tools is None else self.tools,
            checks=base.checks if self.checks is None else self.checks,
            commands=base.commands if self.commands is None else self.commands,
            judge=base.judge if self.judge is None else self.judge,
        )

    def as_toml(self, name: str, *, extends: str) -> str:
        """Give the definition as a file to start a domain of another name from; prompts stand in full.

        Args:
            name: Of the new domain.
            extends: The shipped domain that what is removed from the file is taken from.
        """
        lines = [
            "# A domain of your own: l2mac run --domain custom --domain-file THIS_FILE ...",
            "",
        ]
        lines += [f"name = {_quoted(name)}", f"extends = {_quoted(extends)}"]
        lines.append(f"tools = {_listed(self.tools or ())}")
        lines.append(f"checks = {_listed(self.checks or ())}")
        if self.judge is not None:
            lines += [
                "",
                "[judge]",
                f"files = {_listed(self.judge.files)}",
                f"context = {_quoted(self.judge.context)}",
            ]
        for command in self.commands or ():
            lines += [
                "",
                "[[commands]]",
                f"name = {_quoted(command.name)}",
                f"argv = {_listed(command.argv)}",
            ]
            lines += [f"exit_codes = {command.exit_codes}", f"files = {_listed(command.files)}"]
        lines += ["", "[prompts]"]
        for kind in KINDS:
            placeholders = ", ".join(f"${one}" for one in sorted(KINDS[kind])) or "none"
            lines += [
                "",
                f"# {PURPOSES[kind]}; placeholders: {placeholders}",
                f"{kind} = {_block(self.prompts[kind])}",
            ]
        return "\n".join(lines) + "\n"

    def as_text(self) -> str:
        """Give the definition as it is recorded with a run: one JSON object."""
        content = {**asdict(self), "prompts": dict(self.prompts)}
        content["commands"] = (
            None if self.commands is None else [one.model_dump() for one in self.commands]
        )
        content["judge"] = self.judge.model_dump() if self.judge else None
        content["extends"] = self.extends or None
        return json.dumps(content, sort_keys=True)


class DefinitionSource:
    """The text that a definition was read from, so that whatever is wrong with it is said with its place.

    Args:
        name: How the text is called in errors, such as the file's path.
        text: The whole of it.
    """

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._lines = text.split("\n")

    def error(self, field: tuple[str | int, ...], problem: str, *, below: int = 0) -> SettingsError:
        """Give the error to raise about a field, or about a line `below` where its value begins."""
        line = self._line_of(field)
        if line and below:
            opened = re.search(r"('''|\"\"\")\s*$", self._lines[line - 1])
            line += below if opened else below - 1
        where = f"{self._name}, line {line}" if line else self._name
        named = ".".join(str(part) if isinstance(part, str) else f"[{part + 1}]" for part in field)
        return SettingsError(where, f"{named.replace('.[', '[')}: {problem}" if named else problem)

    def _line_of(self, field: tuple[str | int, ...]) -> int:
        """Give the line of the field or of the nearest thing that it is in, from 1; 0 when there is none."""
        places = dict(self._places())
        for length in range(len(field), 0, -1):
            if field[:length] in places:
                return places[field[:length]]
        return 0

    def _places(self) -> Iterator[tuple[tuple[str | int, ...], int]]:
        table: tuple[str | int, ...] = ()
        counts: dict[str, int] = {}
        inside = ""
        for number, line in enumerate(self._lines, 1):
            was_inside = inside
            for quote in _QUOTES.findall(line):
                inside = "" if inside == quote else inside or quote
            if was_inside:
                continue
            header = _TABLE.match(line)
            if header and header[1] == "[[":
                counts[header[2]] = counts.get(header[2], -1) + 1
                table = (header[2], counts[header[2]])
                yield table, number
            elif header and "=" not in line.partition("]")[0]:
                table = tuple(header[2].split("."))
                yield table, number
            elif key := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line):
                yield (*table, key[1]), number


def read_definition(path: Path) -> tuple[Definition, DefinitionSource]:
    """Read a user's file.

    Raises:
        SettingsError: It cannot be read, or says something that cannot be; names the line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SettingsError(
                str(path), f"is larger than {_MOST_BYTES} bytes; a domain is a short file"
            )
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"cannot be read as UTF-8 text: {error}") from None
    return parse_definition(str(path), text, {})


def parse_definition(
    name: str, text: str, prompts: Mapping[str, str]
) -> tuple[Definition, DefinitionSource]:
    """Give the definition in a TOML text, with further prompts that stand beside it.

    Args:
        name: How the text is called in errors.
        text: TOML.
        prompts: Kind → text.

    Raises:
        SettingsError: It says something that cannot be; names the line.
    """
    source = DefinitionSource(name, text)
    try:
        file = _File.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(name, f"is not valid TOML: {error}") from None
    except pydantic.ValidationError as error:
        raise _first(error, source) from None
    for kind, prompt in file.prompts.items():
        for line, problem in problems(kind, prompt):
            raise source.error(("prompts", kind), problem, below=line)
    return _definition(file, prompts), source


def recorded_definition(text: str) -> Definition:
    """Give a definition from the JSON text that `Definition.as_text` made.

    Raises:
        ValueError: It is none.
    """
    return _definition(_File.model_validate_json(text), {})


def _quoted(text: str) -> str:
    """Give a text as a TOML string; JSON's escapes are TOML's, too, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _listed(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _block(text: str) -> str:
    """Give a prompt as a TOML string over several lines, as it is wherever that can be."""
    plain = "'''" not in text and not _CONTROL.search(text)
    return f"'''\n{text.rstrip()}\n'''" if plain else _quoted(text)


def _definition(file: _File, prompts: Mapping[str, str]) -> Definition:
    return Definition(
        name=file.name,
        extends=file.extends or "",
        prompts={**prompts, **file.prompts},
        tools=None if file.tools is None else tuple(file.tools),
        checks=None if file.checks is None else tuple(file.checks),
        commands=None if file.commands is None else tuple(file.commands),
        judge=file.judge,
    )


def _first(error: pydantic.ValidationError, source: DefinitionSource) -> SettingsError:
    first: Any = error.errors()[0]
    field = tuple(part for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = ", ".join(_fields_at(field))
        return source.error(field, f"there is no such field; the fields here are: {known}")
    if first["type"] == "missing":
        return source.error(field, "is missing; add it")
    if first["type"] == "string_pattern_mismatch":
        return source.error(
            field, "must be a name in lower case: letters, digits, - and _, a letter first"
        )
    return source.error(field, f"{first['msg'][:1].lower()}{first['msg'][1:]}")


def _fields_at(field: tuple[str | int, ...]) -> list[str]:
    parts: dict[str | int, type[_Part]] = {"commands": Command, "judge": Judging}
    return list(parts.get(field[0], _File).model_fields if len(field) > 1 else _File.model_fields)
