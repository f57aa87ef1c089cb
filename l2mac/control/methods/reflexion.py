"""Reflexion (Shinn et al. 2023): a trial, checks, a reflection, a new trial.

The files and the memory of reflections go from trial to trial; the checks' findings do not.
"""

from l2mac.control.methods.single_window import SingleWindowAgent
from l2mac.control.outcome import Outcome
from l2mac.control.project_files import ProjectFiles
from l2mac.control.registry import numbered_list
from l2mac.domains.prompt_set import PromptSet
from l2mac.evaluator.checks import describe
from l2mac.evaluator.verdict import CheckReport

FURTHER_TRIALS = 3
_REFLECTION_TOKENS = 400


class Reflexion:
    """The method in which the model tries again with its reflections on the checks.

    Args:
        agent: Works in one window at a time.
        prompts: The prompts of the domain.
        files: The file store.
        findings_characters: How long the checks' findings may be.
    """

    def __init__(
        self,
        agent: SingleWindowAgent,
        prompts: PromptSet,
        *,
        files: ProjectFiles,
        findings_characters: int,
    ) -> None:
        self._agent = agent
        self._prompts = prompts
        self._files = files
        self._findings_characters = findings_characters

    def run(self) -> Outcome:
        """Run the trials, then verify the result in a fresh sandbox."""
        return self._agent.outcome_of(self._try, by="reflexion, checked after each trial")

    def _try(self) -> None:
        self._agent.work("the draft", self._prompts.render("whole_task"))
        memory: list[str] = []
        report = self._agent.check()
        while not self._passed(report) and len(memory) < FURTHER_TRIALS:
            memory.append(self._reflection(report))
            text = self._prompts.render("trial", memory=numbered_list(memory))
            self._agent.work(f"further trial {len(memory)} of {FURTHER_TRIALS}", text)
            report = self._agent.check()
        self._agent.remarks.append(f"{len(memory)} of {FURTHER_TRIALS} further trials")

    def _passed(self, report: CheckReport) -> bool:
        is_whole = bool(self._files.entries) and not self._agent.unfinished
        return report.accepts_completion and is_whole

    def _reflection(self, report: CheckReport) -> str:
        findings = describe(report, self._findings_characters) or "(nothing was written)"
        if self._agent.unfinished:
            findings += "\n(the context was full before the attempt was done)"
        text = self._agent.review(
            "reflection",
            "reflection",
            _REFLECTION_TOKENS,
            task=self._agent.task,
            findings=findings,
        )
        return text or "(none)"
