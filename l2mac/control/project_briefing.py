"""What the model is told of the files that a run begins with: what they hold, and what was wrong with them before."""

from l2mac.control.effects import Effects
from l2mac.evaluator.baseline import named
from l2mac.evaluator.verdict import CheckReport

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

    def look(self) -> CheckReport | None:
        """Have the files checked as they came, and an outline made; gives the report, None without files.

        Raises:
            SettingsError: They cannot be checked.
        """
        if not self._effects.origin:
            return None
        examination, prompts = self._effects.examination, self._effects.domain.prompts
        report = examination.begin()
        findings = named(report)[:_FINDINGS_CHARACTERS] or "Nothing was found."
        outline = examination.survey(self._effects.outcome_characters, self._task) or "(none)"
        self.rules = prompts.render("existing", findings=findings)
        self.outline = prompts.render(
            "outline", files=self._effects.files(), outline=outline, findings=findings
        )
        return report
