"""The summary M_rs of the paper, from one context window to the next."""

from typing import Protocol

from l2mac.control.context_window import ContextWindow
from l2mac.control.effects import Model
from l2mac.control.repetition import BASE_TEMPERATURE
from l2mac.domains.prompt_set import PromptSet
from l2mac.processor.messages import Message, Role

SUMMARY_CHARACTERS = 1500
_SUMMARY_TOKENS = 400


class Summariser(Protocol):
    """The maker of summaries, which decides how much of them a window shows."""

    def summarise(self, window: ContextWindow, kind: str) -> str:
        """Return a summary M_rs of a window; empty where there is none."""
        ...

    def shown(self, summary: str) -> str:
        """Return the part of a summary that the next window shows."""
        ...


class ModelSummariser:
    """The summariser that asks the model for each summary.

    Args:
        model: The language model.
        prompts: The prompts of the domain.
    """

    def __init__(self, model: Model, prompts: PromptSet) -> None:
        self._model = model
        self._prompts = prompts

    def summarise(self, window: ContextWindow, kind: str) -> str:
        """Ask for a summary (M_cs), dropping the oldest turns until the question fits.

        Args:
            window: The context window; turns that are dropped are lost to it.
            kind: The kind of prompt: an instruction is done, or the context is exhausted.
        """
        question = Message(Role.USER, self._prompts.render(kind))
        while True:
            if window.has_room((question,)):
                messages = (*window.messages, question)
                reply = self._model.ask(
                    "summary", messages, temperature=BASE_TEMPERATURE, reply_tokens=_SUMMARY_TOKENS
                )
                if reply is not None:
                    return reply.content.strip()[:SUMMARY_CHARACTERS]
            if not window.drop_oldest():
                return ""

    def shown(self, summary: str) -> str:
        """Return the whole summary."""
        return summary


class NoSummaries:
    """The summariser of `--no-summary`, an ablation of the paper."""

    def summarise(self, window: ContextWindow, kind: str) -> str:  # noqa: ARG002 - as `Summariser`
        """Return no summary, without asking the model."""
        return ""

    def shown(self, summary: str) -> str:  # noqa: ARG002 - as `Summariser`
        """Return nothing, not even what a replan noted."""
        return ""
