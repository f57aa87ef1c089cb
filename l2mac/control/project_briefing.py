"""What the model is told of the files that a run begins with: what they hold, and what was wrong with them before."""

from l2mac.control.effects import Effects
from l2mac.evaluator.baseline import named
from l2mac.evaluator.project_outline import ProjectOutliner

_FINDINGS_CHARACTERS = 1000
_IN_THEIR_PLACE = {"instruction": "change", "fix": "fix_existing"}


class ProjectBriefing:
    """The existing files of a run; without any, all texts are empty.

    Args:
        effects: For the checks, prompts and the record.
        task: What is to be done; what has to do with it comes first in an outline that cannot show all.

    Attributes:
        rules: What follows the system message in each instruction's window.
        outline: What follows the question for a plan.
    """

    def __init__(self, effects: Effects, task: str) -> None:
        self._task = task
        self._effects = effects
        self.rules = ""
        self.outline = ""

    def prompt(self, kind: str) -> str:
        """Give the kind of prompt that takes another's place where there are files already."""
        return _IN_THEIR_PLACE.get(kind, kind) if self.rules else kind

    def prepare(self) -> None:
        """Have an outline made of files whose checks have been recorded by the evaluator's `start`."""
        if not self._effects.origin:
            return
        prompts = self._effects.domain.prompts
        input_report = self._effects.evaluator.input_report
        findings = named(input_report)[:_FINDINGS_CHARACTERS] or "Nothing was found."
        outliner = ProjectOutliner(self._effects.journal, self._effects.store)
        outline = outliner.outline(self._effects.outcome_characters, self._task) or "(none)"
        self.rules = prompts.render("existing", findings=findings)
        self.outline = prompts.render(
            "outline", files=self._effects.files(), outline=outline, findings=findings
        )
