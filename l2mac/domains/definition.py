"""The definition of a domain as data: prompts, tools, checks and commands.

Users write a definition as a TOML file. Unlike YAML, TOML converts no word into a truth value and
no `1:30` into a number, a duplicate key is an error, and errors come with their line.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import pydantic
from pydantic import Field

from l2mac.domains.prompt_set import KINDS, PURPOSES, placeholders, problems
from l2mac.errors import SettingsError

_MOST_BYTES = 1024 * 1024
_TABLE = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
_QUOTES = re.compile(r"'''|\"\"\"")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
T = TypeVar("T")
_Text = Annotated[str, Field(min_length=1)]
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class _Table(pydantic.BaseModel):
    """The base of a file's tables: no unknown fields, no conversions."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


class Command(_Table):
    """A program that runs in the sandbox as a check.

    Attributes:
        name: The check's name.
        argv: The program and its arguments, passed without a shell.
        exit_codes: The exit codes that are a pass.
        files: Patterns of paths. The check runs if a file of the file store matches one. `*` also
            matches `/`.
    """

    name: _Name
    argv: Annotated[list[_Text], Field(min_length=1)]
    exit_codes: Annotated[list[Annotated[int, Field(ge=0, le=125)]], Field(min_length=1)] = [0]
    files: Annotated[list[_Text], Field(min_length=1)] = ["*"]


class SecondOpinionSpec(_Table):
    """The files that a second opinion is about.

    Attributes:
        files: Patterns of paths.
        context: The path of a file that is shown with each of them, or empty.
    """

    files: Annotated[list[_Text], Field(min_length=1)]
    context: str = ""


class _DomainFile(_Table):
    """A domain's file as the user writes it."""

    name: _Name
    extends: _Name | None = None
    tools: list[_Text] | None = None
    checks: list[_Text] | None = None
    commands: list[Command] | None = None
    judge: SecondOpinionSpec | None = None
    prompts: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A domain as data.

    A field with the value None is taken from the domain that this one extends.

    Attributes:
        name: The domain's name.
        prompts: Kind → text.
        extends: The name of the extended domain, or empty.
        tools: The names of tools or groups of tools.
        checks: The names of built-in checks.
        commands: The domain's own checks.
        judge: The files for a second opinion. None also where there is no second opinion.
    """

    name: str
    prompts: Mapping[str, str]
    extends: str = ""
    tools: tuple[str, ...] | None = None
    checks: tuple[str, ...] | None = None
    commands: tuple[Command, ...] | None = None
    judge: SecondOpinionSpec | None = None

    def over(self, base: "Definition") -> "Definition":
        """Return this definition with its missing parts taken from another."""
        return Definition(
            name=self.name,
            prompts={**base.prompts, **self.prompts},
            tools=base.tools if self.tools is None else self.tools,
            checks=base.checks if self.checks is None else self.checks,
            commands=base.commands if self.commands is None else self.commands,
            judge=base.judge if self.judge is None else self.judge,
        )

    def as_toml(self, name: str, *, extends: str) -> str:
        """Return the definition as a file to start a new domain from, with all prompts.

        Args:
            name: The new domain's name.
            extends: The shipped domain that provides the parts that a user removes from the file.
        """
        lines = [
            "# A domain of your own: l2mac run --domain custom --domain-file THIS_FILE ...",
            "",
            f"name = {_quoted(name)}",
            f"extends = {_quoted(extends)}",
            f"tools = {_listed(self.tools or ())}",
            f"checks = {_listed(self.checks or ())}",
        ]
        if self.judge is not None:
            lines += ["", "[judge]", f"files = {_listed(self.judge.files)}"]
            lines.append(f"context = {_quoted(self.judge.context)}")
        for command in self.commands or ():
            lines += ["", "[[commands]]", f"name = {_quoted(command.name)}"]
            lines += [f"argv = {_listed(command.argv)}", f"exit_codes = {command.exit_codes}"]
            lines.append(f"files = {_listed(command.files)}")
        lines += ["", "[prompts]"]
        for kind in KINDS:
            lines += ["", f"# {PURPOSES[kind]}; placeholders: {placeholders(kind)}"]
            lines.append(f"{kind} = {_block(self.prompts[kind])}")
        return "\n".join(lines) + "\n"

    def as_text(self) -> str:
        """Return the definition as it is recorded with a run: one JSON object."""
        content = {**asdict(self), "prompts": dict(self.prompts)}
        if self.commands is not None:
            content["commands"] = [command.model_dump() for command in self.commands]
        content["judge"] = self.judge.model_dump() if self.judge else None
        content["extends"] = self.extends or None
        return json.dumps(content, sort_keys=True)


class DefinitionSource:
    """The text of a definition, which adds the place to errors.

    Args:
        name: The name of the text in errors, such as the file's path.
        text: The whole text.
    """

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._lines = text.split("\n")

    def error(self, field: tuple[str | int, ...], problem: str, *, below: int = 0) -> SettingsError:
        """Return the error about a field, or about a line of its value.

        Args:
            field: The path of keys and positions to the field.
            problem: The problem as a predicate, such as `is missing. Add it.`
            below: The line of a text value, from 1, or 0 for the whole field.
        """
        line = self._line_of(field)
        if line and below:
            opened = re.search(r"('''|\"\"\")\s*$", self._lines[line - 1])
            line += below if opened else below - 1
        where = f"{self._name}: {_field_name(field)}" if field else self._name
        place = f"{where} (line {line})" if line else where
        return SettingsError(where, f"{place} {problem}")

    def _line_of(self, field: tuple[str | int, ...]) -> int:
        """Return the line of the field or of its nearest container, or 0."""
        places = dict(self._places())
        for length in range(len(field), 0, -1):
            if field[:length] in places:
                return places[field[:length]]
        return 0

    def _places(self) -> Iterator[tuple[tuple[str | int, ...], int]]:
        """Yield each field and table with its line. Python's TOML parser keeps no lines."""
        table: tuple[str | int, ...] = ()
        counts: dict[str, int] = {}
        for number, line in self._lines_outside_texts():
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

    def _lines_outside_texts(self) -> Iterator[tuple[int, str]]:
        """Yield the lines that do not begin inside a multi-line string, from 1."""
        inside = ""
        for number, line in enumerate(self._lines, 1):
            if not inside:
                yield number, line
            for quote in _QUOTES.findall(line):
                if not inside:
                    inside = quote
                elif inside == quote:
                    inside = ""


def _field_name(field: tuple[str | int, ...]) -> str:
    """Return a field as users write it, such as `commands[1].name`."""
    name = ""
    for part in field:
        name += f".{part}" if isinstance(part, str) else f"[{part + 1}]"
    return name.removeprefix(".")


def read_definition(path: Path) -> tuple[Definition, DefinitionSource]:
    """Read a user's file.

    Raises:
        SettingsError: The file is not readable or not valid. Names the line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            problem = f"{path} is larger than {_MOST_BYTES} bytes. Choose a domain's file."
            raise SettingsError(str(path), problem)
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"{path} is not readable as UTF-8 text: {error}.") from None
    return parse_definition(str(path), text, {})


def parse_definition(
    name: str, text: str, prompts: Mapping[str, str]
) -> tuple[Definition, DefinitionSource]:
    """Parse a definition from TOML.

    Args:
        name: The name of the text in errors.
        text: The text as TOML.
        prompts: Prompts from other files, kind → text. The text's own prompts take precedence.

    Raises:
        SettingsError: The text is not valid. Names the line.
    """
    source = DefinitionSource(name, text)
    try:
        file = _DomainFile.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(name, f"{name} is not valid TOML: {error}.") from None
    except pydantic.ValidationError as error:
        raise _first_error(error, source) from None
    for kind, prompt in file.prompts.items():
        for line, problem in problems(kind, prompt):
            raise source.error(("prompts", kind), problem, below=line)
    return _definition(file, prompts), source


def recorded_definition(text: str) -> Definition:
    """Parse a definition from the JSON text of `Definition.as_text`.

    Raises:
        ValueError: The text is not a definition.
    """
    return _definition(_DomainFile.model_validate_json(text), {})


def _quoted(text: str) -> str:
    """Return a text as a TOML string, like JSON except for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _listed(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _block(text: str) -> str:
    """Return a prompt as a multi-line TOML string, without escapes where possible."""
    plain = "'''" not in text and not _CONTROL.search(text)
    return f"'''\n{text.rstrip()}\n'''" if plain else _quoted(text)


def _definition(file: _DomainFile, prompts: Mapping[str, str]) -> Definition:
    return Definition(
        name=file.name,
        extends=file.extends or "",
        prompts={**prompts, **file.prompts},
        tools=_tuple(file.tools),
        checks=_tuple(file.checks),
        commands=_tuple(file.commands),
        judge=file.judge,
    )


def _tuple(items: list[T] | None) -> tuple[T, ...] | None:
    return None if items is None else tuple(items)


def _first_error(error: pydantic.ValidationError, source: DefinitionSource) -> SettingsError:
    first = error.errors()[0]
    field = first["loc"]
    if first["type"] == "extra_forbidden":
        known = ", ".join(_fields_at(field))
        return source.error(field, f"is not a field. The fields here are: {known}.")
    if first["type"] == "missing":
        return source.error(field, "is missing. Add it.")
    if first["type"] == "string_pattern_mismatch":
        rule = "must be a name in lower case: letters, digits, - and _, a letter first."
        return source.error(field, rule)
    return source.error(field, f"is invalid: {first['msg'][:1].lower()}{first['msg'][1:]}.")


def _fields_at(field: tuple[str | int, ...]) -> list[str]:
    tables: dict[str | int, type[_Table]] = {"commands": Command, "judge": SecondOpinionSpec}
    table = tables.get(field[0], _DomainFile) if len(field) > 1 else _DomainFile
    return list(table.model_fields)
