"""Self-Refine (Madaan et al. 2023): a draft, then rounds of the model's own feedback on it and a revision by it.

Nothing is run on the way: the feedback is what the model sees in its files.
"""

from l2mac.control.effects import Effects
from l2mac.control.methods.single_window import SingleWindowAgent
from l2mac.control.outcome import Outcome
from l2mac.control.registry import numbered_list
from l2mac.control.run_spec import Job

ROUNDS = 3
_FEEDBACK_TOKENS = 500


class SelfRefine:
    """Have the model write, judge what it wrote, and revise it.

    Args:
        job: What to do.
        effects: Model, tools and checks.
    """

    def __init__(self, job: Job, effects: Effects) -> None:
        self._task = job.task
        self._prompts = effects.domain.prompts
        self._author = SingleWindowAgent("self-refine, without checks on the way", job, effects)

    def run(self) -> Outcome:
        """Have it written and revised, then verify the result in a fresh box."""
        return self._author.outcome_of(self._refine)

    def _refine(self) -> None:
        self._author.work("the draft", self._prompts.render("whole_task"))
        history: list[str] = []
        for number in range(1, ROUNDS + 1):
            feedback = self._author.review(
                "feedback", "feedback", _FEEDBACK_TOKENS, task=self._task
            )
            history.append(feedback or "(none)")
            text = self._prompts.render("revision", feedback=numbered_list(history))
            self._author.work(f"revision {number} of {ROUNDS}", text)
