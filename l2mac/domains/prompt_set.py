"""The prompts: one Markdown file per kind of message and domain, checked in full when they are loaded."""

from collections.abc import Iterator, Mapping
from importlib import resources
from string import Template

from l2mac.errors import SettingsError

KINDS: Mapping[str, frozenset[str]] = {
    "system": frozenset(),
    "packages_locked": frozenset(),
    "packages_resolve": frozenset(),
    "existing": frozenset({"findings"}),
    "bootstrap": frozenset({"task", "steps"}),
    "outline": frozenset({"files", "outline", "findings"}),
    "plan_again": frozenset({"problem", "steps"}),
    "reflect": frozenset({"task", "plan", "steps"}),
    "requirements": frozenset({"task", "most"}),
    "coverage": frozenset({"requirements", "plan"}),
    "gaps": frozenset({"task", "plan", "gaps", "steps"}),
    "answer_again": frozenset({"problem", "tool"}),
    "instruction": frozenset({"task", "number", "total", "instruction", "files", "summary"}),
    "change": frozenset({"task", "number", "total", "instruction", "files", "summary"}),
    "cycle": frozenset({"instruction", "files", "checks"}),
    "idle": frozenset({"instruction", "files", "checks"}),
    "fix": frozenset({"instruction", "files", "findings"}),
    "mend": frozenset({"instruction", "files", "findings"}),
    "no_call": frozenset({"instruction", "files"}),
    "no_tests": frozenset({"instruction", "files"}),
    "repeated": frozenset({"instruction", "files", "findings"}),
    "cut_off": frozenset({"limit"}),
    "exhausted": frozenset(),
    "completed": frozenset(),
    "replan": frozenset(
        {"task", "number", "plan", "instruction", "cause", "files", "findings", "most"}
    ),
    "unfinished": frozenset({"instruction", "findings"}),
    "evidence": frozenset({"requirements", "files", "tests", "page", "contents"}),
    "further": frozenset({"requirements"}),
    "judge": frozenset({"task", "context", "path", "text"}),
    "unchecked": frozenset(),
    "completed_unchecked": frozenset(),
    "task_not_shown": frozenset(),
    "whole_task": frozenset(),
    "interface": frozenset({"task"}),
    "candidate": frozenset({"interface", "number", "total"}),
    "candidate_tests": frozenset({"interface"}),
    "feedback": frozenset({"task", "contents"}),
    "revision": frozenset({"feedback"}),
    "reflection": frozenset({"task", "findings", "contents"}),
    "trial": frozenset({"memory"}),
    "close_system": frozenset(),
    "close_plan": frozenset({"task", "most"}),
    "close_parts": frozenset({"files"}),
    "close_state": frozenset({"task", "number", "total", "instruction", "files", "summary"}),
    "close_files": frozenset({"instruction", "most"}),
    "close_write": frozenset({"path", "holds"}),
    "close_choose": frozenset({"findings"}),
    "close_edit": frozenset({"findings", "path", "wrong", "numbered"}),
    "close_correct": frozenset({"findings", "path", "wrong"}),
    "close_anew": frozenset({"path", "wrong"}),
    "close_undone": frozenset({"path", "findings"}),
    "close_done": frozenset({"instruction", "checks"}),
}
"""Every kind of message with the placeholders that its prompt must use, no more and no fewer."""

PURPOSES: Mapping[str, str] = {
    "system": "heads every context window: what the model is and what rules hold",
    "packages_locked": "follows it where packages may be named with exact versions and hashes",
    "packages_resolve": "follows it where packages may be named",
    "existing": "follows it where the work begins with existing files",
    "bootstrap": "asks for the plan",
    "outline": "follows it where the work begins with existing files: what they are",
    "plan_again": "asks again after a plan that could not be used",
    "reflect": "shows the plan and asks for a better one",
    "requirements": "asks for the task's requirements",
    "coverage": "asks which instruction covers which requirement",
    "gaps": "asks for a plan that covers what is not covered",
    "answer_again": "asks again after an answer that could not be used",
    "instruction": "opens the context window of an instruction",
    "change": "does so where the work begins with existing files",
    "cycle": "asks whether the instruction is done, while nothing is found wrong",
    "idle": "asks the same of a model that has only looked around",
    "fix": "says what the checks found",
    "mend": "says so where the work begins with existing files",
    "no_call": "answers a reply that calls no tool",
    "no_tests": "asks for what would show that the work is right, when the checks found nothing to check",
    "repeated": "answers a reply that has been given before",
    "cut_off": "answers a reply that was too long",
    "exhausted": "asks for a summary when the context is full and the instruction starts anew",
    "completed": "asks for a summary when the instruction is done",
    "replan": "asks for smaller instructions in the place of one that used up its budget",
    "unfinished": "opens what is left of such an instruction",
    "evidence": "asks which files and tests show which requirement",
    "further": "asks for what is not shown, as an instruction",
    "judge": "asks for a second opinion on one file of the result",
    "unchecked": "follows the system message where nothing is checked on the way (--no-evaluator, other methods)",
    "completed_unchecked": "asks for a summary there, in the place of `completed`",
    "task_not_shown": "stands for the task in an instruction's window (--no-task-in-context)",
    "whole_task": "is the one instruction of a method without a plan",
    "interface": "asks what candidates and tests have to agree on (codet)",
    "candidate": "is the instruction to write a candidate (codet)",
    "candidate_tests": "is the instruction to write the tests for all candidates (codet)",
    "feedback": "asks for feedback on the files (self-refine)",
    "revision": "is the instruction to revise the files by it (self-refine)",
    "reflection": "asks what is to be learned from a trial that failed (reflexion)",
    "trial": "is the instruction for a new trial (reflexion)",
    "close_system": "takes the place of the first where a model is led closely",
    "close_plan": "asks such a model for the files that the task needs",
    "close_parts": "is an instruction made of such files",
    "close_state": "opens every question of an instruction: the task, the instruction, the files with their contents",
    "close_files": "asks which files an instruction writes",
    "close_write": "asks for the content of one file",
    "close_choose": "says what the checks found and asks which file has to be changed",
    "close_edit": "asks for a change of a few lines of that file",
    "close_correct": "asks for the corrected content of that file, when no such change helped",
    "close_anew": "asks for its content from scratch, after several corrections in vain",
    "close_undone": "says that a correction made it worse and was undone",
    "close_done": "asks whether the instruction is done",
}
"""What each kind is for, one phrase each."""


class PromptSet:
    """The prompts of one domain.

    Args:
        texts: Kind → text with `$placeholders`; `$$` stands for a dollar sign.

    Raises:
        SettingsError: A kind is missing or unknown, or a prompt's placeholders are not those of its kind.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        for kind in sorted(KINDS.keys() - texts.keys()):
            raise SettingsError(f"prompt {kind!r}", "is missing")
        for kind, text in texts.items():
            for _, problem in problems(kind, text):
                raise SettingsError(f"prompt {kind!r}", problem)
        self._templates = {kind: Template(text.strip()) for kind, text in texts.items()}

    def render(self, kind: str, **values: object) -> str:
        """Give a prompt with its placeholders filled in; values are not searched for placeholders themselves.

        Raises:
            KeyError: A value is missing, or one has no place in this prompt.
        """
        if values.keys() != KINDS[kind]:
            raise KeyError(f"the prompt {kind!r} takes {sorted(KINDS[kind])}, not {sorted(values)}")
        return self._templates[kind].substitute(
            {name: str(value) for name, value in values.items()}
        )


def problems(kind: str, text: str) -> Iterator[tuple[int, str]]:
    """Give what is wrong with a prompt: the line in it, from 1, and a sentence; line 0 stands for all of it."""
    if kind not in KINDS:
        yield 0, f"is not a kind of prompt; the kinds are: {', '.join(KINDS)}"
        return
    if not text.strip():
        yield 0, "is empty"
        return
    used: set[str] = set()
    for match in Template.pattern.finditer(text):
        name = match["named"] or match["braced"]
        line = text.count("\n", 0, match.start()) + 1
        where = f"line {line}, column {match.start() - text.rfind(chr(10), 0, match.start())}"
        if match["invalid"] is not None:
            yield line, f"{where}: a '$' is not followed by a name; write $$ for a dollar sign"
        elif name and name not in KINDS[kind]:
            known = ", ".join(f"${one}" for one in sorted(KINDS[kind])) or "none"
            yield line, f"{where}: ${name} is not known there; known are: {known}"
        elif name:
            used.add(name)
    for name in sorted(KINDS[kind] - used):
        yield 0, f"${name} is not used; the model would never see it"


def shipped(domain: str) -> tuple[str, dict[str, str]]:
    """Give a shipped domain's `domain.toml`, and the prompts that it does not take over from another."""
    folder = resources.files("l2mac.domains") / domain
    files = {
        entry.name.removesuffix(".md"): entry
        for entry in folder.iterdir()
        if entry.name.endswith(".md")
    }
    texts = {kind: files[kind].read_text(encoding="utf-8") for kind in sorted(files)}
    return (folder / "domain.toml").read_text(encoding="utf-8"), texts
