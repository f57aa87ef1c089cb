"""Reflexion (Shinn et al. 2023): a trial, checks, a reflection in words on what failed, and a new trial that has it.

What goes from trial to trial is the files and the memory of reflections, not what the checks said.
"""

from l2mac.control.effects import Effects
from l2mac.control.methods.single_window import SingleWindowAgent
from l2mac.control.outcome import Outcome
from l2mac.control.registry import numbered_list
from l2mac.control.run_spec import Job
from l2mac.evaluator.checks import describe
from l2mac.evaluator.verdict import CheckReport

FURTHER_TRIALS = 3
_REFLECTION_TOKENS = 400


class Reflexion:
    """Have the model write, and try anew with what it learned from the checks, until they pass.

    Args:
        job: What to do.
        effects: Model, tools and checks.
    """

    def __init__(self, job: Job, effects: Effects) -> None:
        self._task = job.task
        self._effects = effects
        self._prompts = effects.domain.prompts
        self._author = SingleWindowAgent("reflexion, checked after each trial", job, effects)

    def run(self) -> Outcome:
        """Have trials made, then verify the result in a fresh box."""
        return self._author.outcome_of(self._try)

    def _try(self) -> None:
        self._author.work("the draft", self._prompts.render("whole_task"))
        memory: list[str] = []
        report = self._author.check()
        while not self._passed(report) and len(memory) < FURTHER_TRIALS:
            memory.append(self._reflection(report))
            text = self._prompts.render("trial", memory=numbered_list(memory))
            self._author.work(f"further trial {len(memory)} of {FURTHER_TRIALS}", text)
            report = self._author.check()
        self._author.remarks.append(f"{len(memory)} of {FURTHER_TRIALS} further trials")

    def _passed(self, report: CheckReport) -> bool:
        return (
            report.accepts_completion
            and bool(self._effects.store.files)
            and not self._author.unfinished
        )

    def _reflection(self, report: CheckReport) -> str:
        findings = (
            describe(report, self._effects.outcome_characters // 2) or "(nothing was written)"
        )
        if self._author.unfinished:
            findings += "\n(the context was full before the attempt was done)"
        text = self._author.review(
            "reflection", "reflection", _REFLECTION_TOKENS, task=self._task, findings=findings
        )
        return text or "(none)"
