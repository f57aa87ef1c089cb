"""One turn of the model: each tool call of a reply gets exactly one answer.

Agentic mode and the comparison methods (`l2mac.control.methods`) share it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from l2mac.control.effects import Tools
from l2mac.processor.messages import Message, Reply, Role, ToolCall
from l2mac.tools.forms import COMPLETE_INSTRUCTION, SUBMIT_PLAN, proper_name


@dataclass(frozen=True, slots=True)
class Turn:
    """The result of one reply.

    Attributes:
        messages: The reply and the answers to its calls, to be remembered.
        claimed: Whether the model claimed that its work is done.
        completed: Whether the claim was accepted.
    """

    messages: tuple[Message, ...]
    claimed: bool
    completed: bool


class TurnRunner:
    """The part that performs the tool calls of replies.

    Args:
        tools: The tools that the model may call.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._calls = 0

    def perform(self, reply: Reply, accepts: Callable[[], bool]) -> Turn:
        """Perform a reply's tool calls in order, but none behind an accepted claim.

        Args:
            reply: The reply of the model.
            accepts: Returns whether a claim that the work is done may be accepted now.
        """
        reply = self._with_own_ids(reply)
        messages = [reply.as_message()]
        completed = claimed = False
        for call in reply.tool_calls:
            name = proper_name(call.name)
            if completed:
                text = "not performed: the instruction was already done"
            elif name == COMPLETE_INSTRUCTION:
                claimed, completed = True, accepts()
                text = "accepted" if completed else "not accepted: the checks do not pass"
            elif name == SUBMIT_PLAN:
                text = "the plan stands; carry out the current instruction"
            else:
                text = self._tools.use(call).text
            messages.append(Message(Role.TOOL, text, tool_call_id=call.id))
        return Turn(tuple(messages), claimed, completed)

    def _with_own_ids(self, reply: Reply) -> Reply:
        """Return the reply with its calls numbered over the whole run."""
        # Ids of servers are random, sometimes missing or given twice.
        calls = []
        for call in reply.tool_calls:
            self._calls += 1
            calls.append(ToolCall(f"call_{self._calls}", call.name, call.arguments))
        return Reply(
            content=reply.content,
            tool_calls=tuple(calls),
            usage=reply.usage,
            truncated=reply.truncated,
        )
