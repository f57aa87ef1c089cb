"""The small request that shows whether a model calls tools by a protocol.

A module of its own, because both the processor and `capability_probe` send the request.
"""

import json

from l2mac.processor.error_mapping import ErrorKind, Failure
from l2mac.processor.messages import Message, Reply, Request, Role, ToolSpec

_READY = ToolSpec(
    "ready",
    "Say that you are ready.",
    {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": ["yes"]}},
        "required": ["answer"],
        "additionalProperties": False,
    },
)
# A reasoning model spends some hundred tokens before its first call.
PROBE = Request(
    messages=(
        Message(Role.SYSTEM, "You answer by calling a tool."),
        Message(Role.USER, "Call the tool `ready` with the answer `yes`."),
    ),
    tools=(_READY,),
    tool=_READY.name,
    max_reply_tokens=1024,
)


def has_called(outcome: Reply | Failure) -> bool:
    """Return whether the reply to the probe is a call with readable arguments."""
    if isinstance(outcome, Failure) or not outcome.tool_calls:
        return False
    call = outcome.tool_calls[0]
    try:
        return call.name == _READY.name and isinstance(json.loads(call.arguments), dict)
    except (ValueError, RecursionError):
        return False


def is_about_tools(outcome: Reply | Failure) -> bool:
    """Return whether another tool protocol could succeed.

    Some servers answer tools that they do not support with status 500.
    """
    if isinstance(outcome, Reply):
        return True
    return outcome.kind is ErrorKind.REQUEST or (outcome.status or 0) >= 500
