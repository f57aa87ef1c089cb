"""The definition of a tool, its arguments and its outcome.

Texts of this package that reach the model are prompts: descriptions of tools and fields, outcomes,
and the docstrings of `Arguments` classes, which pydantic puts into their schemas. Mistakes of the
model become outcomes, so that the model can correct its call.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import pydantic
from pydantic_core import ErrorDetails

from l2mac.file_store import FileStore, SandboxReplaced
from l2mac.processor.messages import ToolCall, ToolSpec
from l2mac.safe_text import has_surrogates
from sandbox import Change, Refused

_MOST_PROBLEMS = 5
A = TypeVar("A", bound="Arguments")


class InvalidArguments(ValueError):
    """The arguments of a call are invalid; the message is for the model."""


class Arguments(pydantic.BaseModel):
    """The base of all tools' arguments: no unknown fields, no conversions."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """The outcome of a call: M_f of the paper.

    Attributes:
        text: The text for the model.
        ok: Whether the call succeeded.
        changes: The changes of the file store.
    """

    text: str
    ok: bool = True
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The surroundings of a call.

    Attributes:
        store: The file store.
        outcome_characters: The bound of an outcome's length.
        execution_timeout_s: The wall time for a program that the call runs.
    """

    store: FileStore
    outcome_characters: int
    execution_timeout_s: float


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """A tool.

    Attributes:
        name: The name by which the model calls it.
        description: The description for the model.
        arguments: The class of the arguments. The fields' descriptions are for the model, too.
        perform: The function that performs a call.
        writes: Whether the purpose of the tool is to change files.
    """

    name: str
    description: str
    arguments: type[A]
    perform: Callable[[A, ToolContext], ToolOutcome]
    writes: bool = False

    @property
    def spec(self) -> ToolSpec:
        """The tool as the model sees it."""
        return ToolSpec(self.name, self.description, plain_schema(self.arguments))

    def call(self, arguments: str, context: ToolContext) -> ToolOutcome:
        """Perform a call with arguments in JSON.

        Raises:
            InvalidArguments: The arguments are not JSON or do not fit.
            Refused: The file store refuses the call.
            SandboxReplaced: The sandbox was lost during the call.
        """
        return self.perform(parse_arguments(self.arguments, arguments), context)


class AnyTool(Protocol):
    """A `Tool` with arguments of any class."""

    @property
    def name(self) -> str:
        """The name by which the model calls it."""
        ...

    @property
    def writes(self) -> bool:
        """Whether the purpose of the tool is to change files."""
        ...

    @property
    def spec(self) -> ToolSpec:
        """The tool as the model sees it."""
        ...

    def call(self, arguments: str, context: ToolContext) -> ToolOutcome:
        """Perform a call; see `Tool.call`."""
        ...


class Toolbelt:
    """The tools of a run by name.

    Args:
        tools: All tools that may be called.
        aliases: Other names by which models call the tools, alias → name.
    """

    def __init__(self, tools: tuple[AnyTool, ...], aliases: Mapping[str, str]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._aliases = dict(aliases)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """All tools as the model sees them."""
        return tuple(tool.spec for tool in self._tools.values())

    @property
    def writing_specs(self) -> tuple[ToolSpec, ...]:
        """The tools that change files, as the model sees them."""
        return tuple(tool.spec for tool in self._tools.values() if tool.writes)

    def has(self, name: str) -> bool:
        """Return whether a tool has that name."""
        return name in self._tools

    def proper_name(self, name: str) -> str:
        """Return the name of the tool with this name or alias."""
        return self._aliases.get(name, name)

    def perform(self, call: ToolCall, context: ToolContext) -> ToolOutcome:
        """Perform a call. Mistakes and refusals are outcomes, not exceptions."""
        tool = self._tools.get(self.proper_name(call.name))
        if tool is None:
            return ToolOutcome(
                f"there is no tool {call.name!r}; the tools are: {', '.join(self._tools)}", ok=False
            )
        try:
            return tool.call(call.arguments, context)
        except InvalidArguments as error:
            return ToolOutcome(f"{call.name}: {error}", ok=False)
        except Refused as refusal:
            return ToolOutcome(f"refused: {refusal}", ok=False)
        except SandboxReplaced as loss:
            text = f"this ended the sandbox ({loss}); the files are as they were before the call"
            return ToolOutcome(text, ok=False)


def parse_arguments(model: type[A], text: str) -> A:
    """Parse a call's arguments from JSON. Invalid arguments are never repaired.

    Raises:
        InvalidArguments: The text is not JSON, or does not fit the model.
    """
    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise InvalidArguments(
            f"the arguments are not valid JSON ({error}); call again with complete, valid JSON"
        ) from None
    if has_surrogates(json.dumps(content, ensure_ascii=False)):
        raise InvalidArguments(
            "the arguments contain half a surrogate pair (\\ud800 to \\udfff),"
            " which is no character"
        )
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        problems = "; ".join(map(_problem, error.errors()[:_MOST_PROBLEMS]))
        raise InvalidArguments(f"the arguments do not fit: {problems}") from None


def _problem(error: ErrorDetails) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{place or 'arguments'}: {error['msg']}"


def plain_schema(model: type[Arguments], **most_items: int) -> dict[str, object]:
    """Return the model's JSON schema for simple servers.

    Definitions replace their references, and titles are excluded.

    Args:
        model: The class of the arguments.
        most_items: The longest list for fields of this name.
    """
    schema = model.model_json_schema()
    for field, items in most_items.items():
        schema["properties"][field]["maxItems"] = items
    return _plain_fields(schema, schema.pop("$defs", {}))


def _plain_fields(
    fields: Mapping[str, object], definitions: Mapping[str, object]
) -> dict[str, object]:
    kept = dict(fields)
    # A property may be called `title`. Its value is a schema, a real title is a text.
    if not isinstance(kept.get("title"), dict):
        kept.pop("title", None)
    return {key: _plain(value, definitions) for key, value in kept.items()}


def _plain(node: object, definitions: Mapping[str, object]) -> object:
    if isinstance(node, list):
        return [_plain(value, definitions) for value in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _plain(definitions[node["$ref"].rpartition("/")[2]], definitions)
    return _plain_fields(node, definitions)


def encode(path: str, text: str) -> bytes:
    """Return a file's bytes. Invalid text is refused, never altered.

    Raises:
        Refused: The text has lone surrogates.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Refused(
            f"{path!r}: the text is not valid Unicode at character {error.start}"
        ) from None
