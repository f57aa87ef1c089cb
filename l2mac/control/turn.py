"""One turn of the model: its tool calls are performed in order, and each gets exactly one answer.

Shared by the control unit and the methods that it is compared with (`l2mac.control.methods`), as is the window that opens
every piece of work.
"""

from collections.abc import Callable
from dataclasses import dataclass

from l2mac.control.budget import BudgetExhausted
from l2mac.control.context_window import ContextWindow
from l2mac.control.effects import Effects
from l2mac.control.run_spec import Job
from l2mac.processor.messages import Message, Reply, Role, ToolCall, ToolSpec
from l2mac.tools.forms import COMPLETE_INSTRUCTION, SUBMIT_PLAN


@dataclass(frozen=True, slots=True)
class Turn:
    """What one reply came to.

    Attributes:
        messages: The reply and the answers to its calls, to be remembered.
        claimed: Whether the model said that what it was to do is done.
        completed: Whether that was accepted.
    """

    messages: tuple[Message, ...]
    claimed: bool
    completed: bool


class TurnRunner:
    """Performs replies.

    Args:
        effects: The tools.
    """

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._calls = 0

    def perform(self, reply: Reply, accepts: Callable[[], bool]) -> Turn:
        """Perform a reply's tool calls in order; behind an accepted claim that the work is done none is performed.

        Args:
            reply: What the model says.
            accepts: Whether such a claim may be accepted now.
        """
        reply = self._with_own_ids(reply)
        messages = [reply.as_message()]
        completed = claimed = False
        for call in reply.tool_calls:
            name = self._effects.domain.toolbelt.proper_name(call.name)
            if completed:
                text = "not performed: the instruction was already done"
            elif name == COMPLETE_INSTRUCTION:
                claimed, completed = True, accepts()
                text = "accepted" if completed else "not accepted: the checks do not pass"
            elif name == SUBMIT_PLAN:
                text = "the plan stands; carry out the current instruction"
            else:
                text = self._effects.use_tool(call).text
            messages.append(Message(Role.TOOL, text, tool_call_id=call.id))
        return Turn(tuple(messages), claimed, completed)

    def _with_own_ids(self, reply: Reply) -> Reply:
        """Number the calls ourselves: servers' ids are random, sometimes missing or given twice."""
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


def system_message(job: Job, effects: Effects, *, checked: bool) -> Message:
    """Give the message M_s that heads every window; `checked` is whether the model is told what checks find."""
    prompts = effects.domain.prompts
    packages = (
        () if job.dependencies == "off" else (prompts.render(f"packages_{job.dependencies}"),)
    )
    unchecked = () if checked else (prompts.render("unchecked"),)
    head = prompts.render("guided_system" if job.closely else "system")
    return Message(Role.SYSTEM, "\n\n".join((head, *packages, *unchecked)))


def open_window(
    job: Job, effects: Effects, head: tuple[Message, ...], tools: tuple[ToolSpec, ...]
) -> ContextWindow:
    """Give a fresh context window.

    Raises:
        BudgetSpent: Its head alone leaves no room for a reply.
    """
    window = ContextWindow(
        head,
        tools,
        context_tokens=job.context_tokens,
        reply_tokens=effects.reply_tokens,
        estimator=effects.estimator,
    )
    if not window.has_room():
        raise BudgetExhausted(
            f"the task, the instruction and the tools alone take about {window.used_tokens} tokens, which leaves no"
            f" room for a reply in a window of {job.context_tokens} (--context-tokens)"
        )
    return window
