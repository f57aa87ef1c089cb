"""The prompts: one Markdown file per kind of message and domain."""

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
    "fix_existing": frozenset({"instruction", "files", "findings"}),
    "no_call": frozenset({"instruction", "files"}),
    "no_tests": frozenset({"instruction", "files"}),
    "repeated": frozenset({"instruction", "files", "findings"}),
    "truncated": frozenset({"limit"}),
    "exhausted": frozenset(),
    "completed": frozenset(),
    "replan": frozenset(
        {"task", "number", "plan", "instruction", "cause", "files", "findings", "most"}
    ),
    "unfinished": frozenset({"instruction", "findings"}),
    "evidence": frozenset({"requirements", "files", "tests", "page", "contents"}),
    "follow_up": frozenset({"requirements"}),
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
    "guided_system": frozenset(),
    "guided_plan": frozenset({"task", "most"}),
    "guided_parts": frozenset({"files"}),
    "guided_state": frozenset({"task", "number", "total", "instruction", "files", "summary"}),
    "guided_files": frozenset({"instruction", "most"}),
    "guided_write": frozenset({"path", "holds"}),
    "guided_choose": frozenset({"findings"}),
    "guided_edit": frozenset({"findings", "path", "wrong", "numbered"}),
    "guided_correct": frozenset({"findings", "path", "wrong"}),
    "guided_rewrite": frozenset({"path", "wrong"}),
    "guided_undone": frozenset({"path", "findings"}),
    "guided_done": frozenset({"instruction", "checks"}),
}
"""Every kind of prompt with exactly the placeholders that its text must use."""

PURPOSES: Mapping[str, str] = {
    "system": "system message of every context window: the model's role and rules",
    "packages_locked": "addition to `system` where packages need exact versions and hashes",
    "packages_resolve": "addition to `system` where packages may be named",
    "existing": "addition to `system` where the run begins with existing files",
    "bootstrap": "question for the plan",
    "outline": "addition to `bootstrap` where the run begins with existing files: their outline",
    "plan_again": "repeated question after an unusable plan",
    "reflect": "question for a better plan, with the plan",
    "requirements": "question for the task's requirements",
    "coverage": "question for the instructions that cover each requirement",
    "gaps": "question for a plan that covers the uncovered requirements",
    "answer_again": "repeated question after an unusable answer",
    "instruction": "first message of an instruction",
    "change": "the same where the run begins with existing files",
    "cycle": "question whether the instruction is done, after checks without findings",
    "idle": "the same for a model that has changed no file",
    "fix": "findings of the checks",
    "fix_existing": "the same where the run begins with existing files",
    "no_call": "answer to a reply without a tool call",
    "no_tests": "request for tests, after checks that found nothing to check",
    "repeated": "answer to a reply that repeats an earlier one",
    "truncated": "answer to a reply that was truncated",
    "exhausted": "question for a summary before an instruction is restarted",
    "completed": "question for a summary of a completed instruction",
    "replan": "question for smaller instructions in place of an exhausted one",
    "unfinished": "first message of the rest of an exhausted instruction",
    "evidence": "question for the files and tests that show each requirement",
    "follow_up": "instruction for requirements that could not be verified",
    "judge": "question for a second opinion on one file of the result",
    "unchecked": "addition to `system` without checks (--no-evaluator, comparison methods)",
    "completed_unchecked": "`completed` without checks",
    "task_not_shown": "substitute for the task in an instruction (--no-task-in-context)",
    "whole_task": "the one instruction of a method without a plan",
    "interface": "question for an interface of candidates and tests (codet)",
    "candidate": "instruction to write a candidate (codet)",
    "candidate_tests": "instruction to write the tests for all candidates (codet)",
    "feedback": "question for feedback on the files (self-refine)",
    "revision": "instruction to revise the files by the feedback (self-refine)",
    "reflection": "question for the lessons of a failed trial (reflexion)",
    "trial": "instruction for a new trial (reflexion)",
    "guided_system": "`system` in guided mode",
    "guided_plan": "question for the files that the task needs",
    "guided_parts": "instruction made of these files",
    "guided_state": "first message of every question: task, instruction and files",
    "guided_files": "question for the files that an instruction writes",
    "guided_write": "question for the content of one file",
    "guided_choose": "findings of the checks and question for the file to change",
    "guided_edit": "question for a change of a few lines of that file",
    "guided_correct": "question for the corrected content, after edits without effect",
    "guided_rewrite": "question for the content from scratch, after failed corrections",
    "guided_undone": "notice that a correction made it worse and was undone",
    "guided_done": "question whether the instruction is done",
}
"""Every kind with its purpose, as a noun phrase for people."""


class PromptSet:
    """The prompts of one domain.

    Args:
        texts: Kind → text with `$placeholders`. `$$` is a literal dollar sign.

    Raises:
        SettingsError: A kind is missing or unknown, or a text has other placeholders than its kind.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        for kind in sorted(KINDS.keys() - texts.keys()):
            raise SettingsError(f"prompt {kind!r}", f"The prompt {kind!r} is missing. Add it.")
        for kind, text in texts.items():
            for _, problem in problems(kind, text):
                raise SettingsError(f"prompt {kind!r}", f"The prompt {kind!r} {problem}")
        self._templates = {kind: Template(text.strip()) for kind, text in texts.items()}

    def render(self, kind: str, **values: object) -> str:
        """Return a prompt with its placeholders replaced.

        Placeholders inside the values are left as they are.

        Raises:
            KeyError: The values are not exactly those of the kind's placeholders.
        """
        if values.keys() != KINDS[kind]:
            raise KeyError(f"the prompt {kind!r} takes {sorted(KINDS[kind])}, not {sorted(values)}")
        texts = {name: str(value) for name, value in values.items()}
        return self._templates[kind].substitute(texts)


def problems(kind: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield the problems of a prompt: the line of its text, from 1, and a predicate.

    Line 0 means the whole text.
    """
    if kind not in KINDS:
        yield 0, f"is not a kind of prompt. The kinds are: {', '.join(KINDS)}."
        return
    if not text.strip():
        yield 0, "is empty. Write its text."
        return
    used: set[str] = set()
    for match in Template.pattern.finditer(text):
        name = match["named"] or match["braced"]
        line = text.count("\n", 0, match.start()) + 1
        where = f"line {line}, column {match.start() - text.rfind(chr(10), 0, match.start())}"
        if match["invalid"] is not None:
            yield line, f"has a '$' without a name at {where}. Write $$ for a dollar sign."
        elif name and name not in KINDS[kind]:
            yield line, f"has an unknown ${name} at {where}. Known are: {placeholders(kind)}."
        elif name:
            used.add(name)
    for name in sorted(KINDS[kind] - used):
        yield 0, f"does not use ${name}, so the model would never see its value. Use it."


def placeholders(kind: str) -> str:
    """Return the placeholders of a kind as a list for people, or `none`."""
    return ", ".join(f"${name}" for name in sorted(KINDS[kind])) or "none"


def shipped(domain: str) -> tuple[str, dict[str, str]]:
    """Return a shipped domain's `domain.toml` and its own prompts, kind → text."""
    folder = resources.files("l2mac.domains") / domain
    prompts = [entry for entry in folder.iterdir() if entry.name.endswith(".md")]
    texts: dict[str, str] = {}
    for entry in sorted(prompts, key=lambda entry: entry.name):
        texts[entry.name.removesuffix(".md")] = entry.read_text(encoding="utf-8")
    return (folder / "domain.toml").read_text(encoding="utf-8"), texts
