"""Names for the parts of a request: its messages and its tools as objects.

A resumed run names everything again, to compare it with the trace. So slow work is done once:
messages and tools are known by identity, and a long text that is used twice, such as a tool call's
arguments in its key and in the next request, is quoted once.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from l2mac.processor.messages import Message, ToolCall, ToolSpec
from l2mac.trace.objects import ObjectStore


class RequestKeys:
    """Names of messages, tools and calls, which are kept as objects.

    Args:
        objects: Where messages and tools are kept.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._messages: dict[int, tuple[Message, str]] = {}
        self._tools: dict[int, tuple[tuple[ToolSpec, ...], str]] = {}
        self._quoted: dict[int, tuple[str, str]] = {}

    def messages(self, messages: Sequence[Message]) -> tuple[str, ...]:
        """Return the names of a request's messages, which are kept as objects."""
        known = self._messages
        names = tuple([(known.get(id(message)) or self._keep(message))[1] for message in messages])
        self._quoted.clear()
        return names

    def tools(self, tools: tuple[ToolSpec, ...]) -> str:
        """Return the name of a set of tools, which is kept as an object."""
        kept = self._tools.get(id(tools))
        if kept is None:
            name = self._objects.put(canonical([asdict(spec) for spec in tools]))
            kept = self._tools[id(tools)] = tools, name
        return kept[1]

    def key_of_call(self, call: ToolCall, tree: str) -> str:
        """Return the key of a tool's outcome: a hash of the call and the store before."""
        text = f"[{self._quote(call.name)},{self._quote(call.arguments)},{self._quote(tree)}]"
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def _keep(self, message: Message) -> tuple[Message, str]:
        kept = self._messages[id(message)] = message, self._objects.put(self._as_json(message))
        return kept

    def _as_json(self, message: Message) -> bytes:
        """Return `canonical(asdict(message))`."""
        quote = self._quote
        calls = ",".join(
            f'{{"arguments":{quote(call.arguments)},"id":{quote(call.id)},"name":{quote(call.name)}}}'
            for call in message.tool_calls
        )
        head = f'"content":{quote(message.content)},"role":{quote(message.role)}'
        text = f'{{{head},"tool_call_id":{quote(message.tool_call_id)},"tool_calls":[{calls}]}}'
        return text.encode("ascii")

    def _quote(self, text: str) -> str:
        kept = self._quoted.get(id(text))
        if kept is None:
            kept = self._quoted[id(text)] = text, json.dumps(text)
        return kept[1]


def canonical(value: object) -> bytes:
    """Return a value as JSON of which there is only one form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode(
        "ascii"
    )


def hash_of(value: object) -> str:
    """Return the hash of a value's canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()
