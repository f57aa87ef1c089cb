"""What a tool is: a name, a description, typed arguments, and a function from these to an outcome."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pydantic

from l2mac.file_store import FileStore, SandboxReplaced
from l2mac.processor.messages import ToolCall, ToolSpec
from sandbox import Change, Refused

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
A = TypeVar("A", bound="Arguments")


class Arguments(pydantic.BaseModel):
    """Base of all tools' arguments: nothing unknown, nothing converted."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """M_f of the paper: what a call came to, as text for the model, and what it changed in the store."""

    text: str
    ok: bool = True
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What tools work with: the store, and how many characters an outcome may have."""

    store: FileStore
    outcome_characters: int
    execution_timeout_s: float


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """A tool; `description` is what the model reads, `writes` whether it is there to change files."""

    name: str
    description: str
    arguments: type[A]
    perform: Callable[[A, ToolContext], ToolOutcome]
    writes: bool = False

    @property
    def spec(self) -> ToolSpec:
        """The tool as the model sees it."""
        return ToolSpec(self.name, self.description, plain_schema(self.arguments))


class Toolbelt:
    """The tools of a run, by name, and the refusals of whatever is no proper call of one.

    Args:
        tools: All that may be called.
        aliases: Other names under which models know them.
    """

    def __init__(self, tools: tuple[Tool[Any], ...], aliases: Mapping[str, str]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._aliases = dict(aliases)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """All tools as the model sees them."""
        return tuple(tool.spec for tool in self._tools.values())

    @property
    def writing_specs(self) -> tuple[ToolSpec, ...]:
        """Those that are there to change files."""
        return tuple(tool.spec for tool in self._tools.values() if tool.writes)

    def has(self, name: str) -> bool:
        """Whether there is a tool of that name."""
        return name in self._tools

    def proper_name(self, name: str) -> str:
        """Give the name that a tool has here."""
        return self._aliases.get(name, name)

    def perform(self, call: ToolCall, context: ToolContext) -> ToolOutcome:
        """Perform a call; whatever is wrong with it is an outcome, too."""
        tool = self._tools.get(self.proper_name(call.name))
        if tool is None:
            return ToolOutcome(
                f"there is no tool {call.name!r}; the tools are: {', '.join(self._tools)}", ok=False
            )
        try:
            arguments = parse_arguments(tool.arguments, call.arguments)
        except ValueError as error:
            return ToolOutcome(f"{call.name}: {error}", ok=False)
        try:
            return tool.perform(arguments, context)
        except Refused as refusal:
            return ToolOutcome(f"refused: {refusal}", ok=False)
        except SandboxReplaced as loss:
            text = f"this ended the sandbox ({loss}); the files are as they were before the call"
            return ToolOutcome(text, ok=False)


def parse_arguments(model: type[A], text: str) -> A:
    """Give a call's arguments from their JSON text; they are never repaired.

    Raises:
        ValueError: They are not JSON or do not fit; the message is for the model.
    """
    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"the arguments are not valid JSON ({error}); call again with complete, valid JSON"
        ) from None
    if _HALF_CHARACTER.search(json.dumps(content, ensure_ascii=False)):
        raise ValueError(
            "the arguments contain half a surrogate pair (\\ud800 to \\udfff), which is no character"
        )
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}"
            for item in error.errors()[:5]
        )
        raise ValueError(f"the arguments do not fit: {wrong}") from None


def plain_schema(model: type[Arguments]) -> dict[str, Any]:
    """Give the model's JSON schema with definitions in place and without titles, as simple servers need it."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return plain(definitions[node["$ref"].rpartition("/")[2]])
            return {
                key: plain(value)
                for key, value in node.items()
                if key != "title" or isinstance(value, dict)
            }
        return [plain(value) for value in node] if isinstance(node, list) else node

    result: dict[str, Any] = plain(schema)
    return result


def encode(path: str, text: str) -> bytes:
    """Give a file's bytes; text that is not valid Unicode is refused, never altered.

    Raises:
        Refused: The text has lone surrogates.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Refused(
            f"{path!r}: the text is not valid Unicode at character {error.start}"
        ) from None
