"""The model's briefing on the files that a run begins with."""

from l2mac.control.project_files import ProjectFiles
from l2mac.domains.prompt_set import PromptSet
from l2mac.evaluator.baseline import named
from l2mac.evaluator.project_outline import ProjectOutliner
from l2mac.evaluator.verdict import CheckReport
from l2mac.processor.messages import Message, Role

_FINDINGS_CHARACTERS = 1000
_IN_THEIR_PLACE = {"instruction": "change", "fix": "fix_existing"}


class ProjectBriefing:
    """The texts about existing files; empty in a run that began without any.

    Args:
        files: The file store, for prompts.
        outliner: Outlines the files.
        prompts: The prompts of the domain.
        task: The task; files that share words with it come first in an outline without enough room.
        outline_characters: How long the outline may be.

    Attributes:
        outline: The text that follows the question for a plan.
    """

    def __init__(
        self,
        *,
        files: ProjectFiles,
        outliner: ProjectOutliner,
        prompts: PromptSet,
        task: str,
        outline_characters: int,
    ) -> None:
        self._files = files
        self._outliner = outliner
        self._prompts = prompts
        self._task = task
        self._outline_characters = outline_characters
        self._rules = ""
        self.outline = ""

    def prepare(self, baseline: CheckReport) -> None:
        """Build the outline of the files that the run begins with, if any.

        Args:
            baseline: The checks' result on these files.
        """
        if not self._files.began_with_files:
            return
        findings = named(baseline)[:_FINDINGS_CHARACTERS] or "Nothing was found."
        outline = self._outliner.outline(self._outline_characters, self._task) or "(none)"
        self._rules = self._prompts.render("existing", findings=findings)
        self.outline = self._prompts.render(
            "outline", files=self._files.listing(), outline=outline, findings=findings
        )

    def prompt(self, kind: str) -> str:
        """Return the kind of prompt in another's place where files exist already."""
        return _IN_THEIR_PLACE.get(kind, kind) if self._rules else kind

    def with_rules(self, system: Message) -> Message:
        """Return the system message with the rules for existing files."""
        if not self._rules:
            return system
        return Message(Role.SYSTEM, f"{system.content}\n\n{self._rules}")
