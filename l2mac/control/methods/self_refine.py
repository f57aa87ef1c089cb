"""Self-Refine (Madaan et al. 2023): a draft, then feedback and revisions.

Nothing is run on the way: the feedback is about what the model sees in its files.
"""

from l2mac.control.methods.single_window import SingleWindowAgent
from l2mac.control.outcome import Outcome
from l2mac.control.registry import numbered_list
from l2mac.domains.prompt_set import PromptSet

ROUNDS = 3
_FEEDBACK_TOKENS = 500


class SelfRefine:
    """The method in which the model judges its own files and revises them.

    Args:
        agent: Works in one window at a time.
        prompts: The prompts of the domain.
    """

    def __init__(self, agent: SingleWindowAgent, prompts: PromptSet) -> None:
        self._agent = agent
        self._prompts = prompts

    def run(self) -> Outcome:
        """Generate and revise the result, then verify it in a fresh sandbox."""
        return self._agent.outcome_of(self._refine, by="self-refine, without checks on the way")

    def _refine(self) -> None:
        self._agent.work("the draft", self._prompts.render("whole_task"))
        history: list[str] = []
        for number in range(1, ROUNDS + 1):
            feedback = self._agent.review(
                "feedback", "feedback", _FEEDBACK_TOKENS, task=self._agent.task
            )
            history.append(feedback or "(none)")
            text = self._prompts.render("revision", feedback=numbered_list(history))
            self._agent.work(f"revision {number} of {ROUNDS}", text)
