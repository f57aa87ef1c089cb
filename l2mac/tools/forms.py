"""The tools that the control unit performs itself.

All of them except `complete_instruction` are *forms*: the control unit asks a question, and the
model must answer by calling the one tool on offer. The docstrings of the argument classes are part
of the schemas, so they are prompts.
"""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pydantic import Field

from l2mac.processor.messages import ToolSpec
from l2mac.tools.base import Arguments, plain_schema

SUBMIT_PLAN = "submit_plan"
COMPLETE_INSTRUCTION = "complete_instruction"
MOST_REQUIREMENTS = 40
MOST_PIECES = 5
MOST_FILES = 5

ALIASES = {
    "provide_detailed_sub_task_steps_for_sub_agents": SUBMIT_PLAN,
    "sub_task_step_complete": COMPLETE_INSTRUCTION,
    "pytest_files": "run_tests",
}
"""The names of tools in release 0.0.3 → their names here."""

A = TypeVar("A", bound=Arguments)


@dataclass(frozen=True, slots=True)
class Form(Generic[A]):
    """A tool that must be called, and the class of its arguments."""

    spec: ToolSpec
    arguments: type[A]


class SubmitPlan(Arguments):
    """The prompt program."""

    steps: list[str] = Field(
        min_length=1, description="the instructions in order, each a paragraph of its own"
    )


class CompleteInstruction(Arguments):
    """No arguments."""


class SubmitRequirements(Arguments):
    """What the task demands."""

    requirements: list[str] = Field(
        min_length=1, description="one demand of the task each, a short sentence"
    )


class Covered(Arguments):
    """One requirement and the steps that carry it out."""

    requirement: int = Field(description="the requirement's number")
    steps: list[int] = Field(
        description="the numbers of the steps that carry it out; empty if none does"
    )


class SubmitCoverage(Arguments):
    """Which steps of the plan carry out which requirement."""

    coverage: list[Covered] = Field(description="one entry for each requirement")


class PlannedFile(Arguments):
    """One file and what it is for."""

    path: str = Field(min_length=1, description="path of the file")
    holds: str = Field(
        min_length=1, description="everything that it has to hold, in one to three sentences"
    )


class SubmitFiles(Arguments):
    """The files that are to be written, in order."""

    files: list[PlannedFile] = Field(
        min_length=1, description="the files in the order in which they are written"
    )


class ChooseFile(Arguments):
    """The one file that is to be changed next."""

    wrong: str = Field(
        min_length=1, description="what is wrong and how to correct it, in one or two sentences"
    )
    path: str = Field(min_length=1, description="path of the one file to write anew")


class EditLines(Arguments):
    """A change of a file by its line numbers."""

    action: Literal["insert_before", "replace", "delete"] = Field(
        description="what is done at the line"
    )
    line: int = Field(ge=1, description="the line's number")
    last_line: int = Field(
        description="the last line that is replaced or deleted; the same number for one line"
    )
    text: str = Field(description="the new line or lines with their indentation; empty for delete")


class SubmitDone(Arguments):
    """Whether an instruction is done."""

    done: bool = Field(description="true when everything that was asked for is in the files")
    missing: str = Field(description="what is missing; empty when it is done")
    path: str = Field(description="path of the one file to add it to; empty when it is done")


class SubmitReplan(Arguments):
    """What takes the place of an instruction that was too much, or goes before it."""

    action: Literal["split", "insert"] = Field(
        description="split: the steps replace the instruction;"
        " insert: the steps are done first, then the instruction"
    )
    steps: list[str] = Field(
        min_length=1, description="the new steps in order, each smaller than the instruction"
    )


class Evidence(Arguments):
    """One requirement and what shows that it is met."""

    requirement: int = Field(description="the requirement's number")
    files: list[str] = Field(description="paths of the files that meet it; empty if none does")
    tests: list[str] = Field(
        description="ids of passed tests that show it, as they are listed; empty if none does"
    )


class SubmitEvidence(Arguments):
    """What shows that the requirements are met."""

    evidence: list[Evidence] = Field(description="one entry for each requirement")


def proper_name(name: str) -> str:
    """Return the name that a tool has here, from the name that a model called."""
    return ALIASES.get(name, name)


def plan_form(at_most: int) -> Form[SubmitPlan]:
    """Return the form for a prompt program of at most so many instructions."""
    text = "Hand in the plan: the instructions that will be carried out one by one."
    return _form(SUBMIT_PLAN, text, SubmitPlan, steps=at_most)


def files_form(at_most: int) -> Form[SubmitFiles]:
    """Return the form for the names of at most so many files to write."""
    return _form("submit_files", "Name the files.", SubmitFiles, files=at_most)


def choice_form() -> Form[ChooseFile]:
    """Return the form for the file to change next."""
    return _form("choose_file", "Name the one file to change.", ChooseFile)


def edit_form() -> Form[EditLines]:
    """Return the form for a change of some lines of a file."""
    return _form("edit_lines", "Change some lines of the file.", EditLines)


def done_form() -> Form[SubmitDone]:
    """Return the form for the claim whether an instruction is done."""
    return _form("submit_done", "Say whether it is done.", SubmitDone)


def requirements_form() -> Form[SubmitRequirements]:
    """Return the form for the list of the task's requirements."""
    text = "Hand in the list of everything that the task demands."
    return _form("submit_requirements", text, SubmitRequirements, requirements=MOST_REQUIREMENTS)


def coverage_form(requirements: int) -> Form[SubmitCoverage]:
    """Return the form for the steps that carry out so many requirements."""
    text = "Hand in, for every requirement, the steps that carry it out."
    return _form("submit_coverage", text, SubmitCoverage, coverage=requirements)


def replan_form() -> Form[SubmitReplan]:
    """Return the form that splits an instruction or puts others before it."""
    return _form("submit_replan", "Hand in the smaller steps.", SubmitReplan, steps=MOST_PIECES)


def evidence_form(requirements: int) -> Form[SubmitEvidence]:
    """Return the form for the evidence that so many requirements are met."""
    text = "Hand in, for every requirement, the files and the passed tests that show it."
    return _form("submit_evidence", text, SubmitEvidence, evidence=requirements)


def complete_spec(*, checked: bool = True) -> ToolSpec:
    """Return the tool that claims that the current instruction is done.

    Args:
        checked: Whether the evaluator checks the claim.
    """
    condition = "It is accepted without any check."
    if checked:
        condition = "It is accepted only when all checks pass."
    text = f"Say that the current instruction is done. {condition}"
    return ToolSpec(COMPLETE_INSTRUCTION, text, plain_schema(CompleteInstruction))


def _form(name: str, text: str, arguments: type[A], **most: int) -> Form[A]:
    """Build a form with bounded lists.

    The bounds are in the schema for servers that turn the schema into a grammar.
    """
    return Form(ToolSpec(name, text, plain_schema(arguments, **most)), arguments)
