"""One shot: the task, the tools, one context. The paper's tables call it GPT4."""

from l2mac.control.methods.single_window import SingleWindowAgent
from l2mac.control.outcome import Outcome
from l2mac.domains.prompt_set import PromptSet


class OneShot:
    """The method in which the model writes in one context until it is done.

    Args:
        agent: Works in one window.
        prompts: The prompts of the domain.
    """

    def __init__(self, agent: SingleWindowAgent, prompts: PromptSet) -> None:
        self._agent = agent
        self._prompts = prompts

    def run(self) -> Outcome:
        """Perform the task in one window, then verify the result in a fresh sandbox."""
        return self._agent.outcome_of(self._write, by="one-shot, without checks on the way")

    def _write(self) -> None:
        self._agent.work("the draft", self._prompts.render("whole_task"))
