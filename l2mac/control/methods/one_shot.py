"""One shot: the task, the tools, one context. What the paper's tables call by the model's name alone (GPT4)."""

from l2mac.control.effects import Effects
from l2mac.control.methods.single_window import SingleWindowAgent
from l2mac.control.outcome import Outcome
from l2mac.control.run_spec import Job


class OneShot:
    """Have the model write in one context until it says that it is done.

    Args:
        job: What to do.
        effects: Model, tools and checks.
    """

    def __init__(self, job: Job, effects: Effects) -> None:
        self._prompts = effects.domain.prompts
        self._author = SingleWindowAgent("one-shot, without checks on the way", job, effects)

    def run(self) -> Outcome:
        """Have it written, then verify the result in a fresh box."""
        return self._author.outcome_of(self._write)

    def _write(self) -> None:
        self._author.work("the draft", self._prompts.render("whole_task"))
