"""The two tools that steer the control unit itself; it performs them, not the toolbelt."""

from pydantic import Field

from l2mac.messages import ToolSpec
from l2mac.tools.base import Arguments, plain_schema

SUBMIT_PLAN = "submit_plan"
COMPLETE_INSTRUCTION = "complete_instruction"

ALIASES = {
    "provide_detailed_sub_task_steps_for_sub_agents": SUBMIT_PLAN,
    "sub_task_step_complete": COMPLETE_INSTRUCTION,
    "pytest_files": "run_tests",
}
"""The original's names (release 0.0.3) for what has another name here."""


class SubmitPlan(Arguments):
    """The prompt program."""

    steps: list[str] = Field(min_length=1, description="the instructions in order, each a paragraph of its own")


class CompleteInstruction(Arguments):
    """No arguments."""


def plan_spec(at_most: int) -> ToolSpec:
    """Give the tool by which the model hands in a prompt program of at most so many instructions."""
    schema = plain_schema(SubmitPlan)
    schema["properties"]["steps"]["maxItems"] = at_most
    return ToolSpec(SUBMIT_PLAN, "Hand in the plan: the instructions that will be carried out one by one.", schema)


def complete_spec() -> ToolSpec:
    """Give the tool by which the model claims that the current instruction is done."""
    text = "Say that the current instruction is done. It is accepted only when all checks pass."
    return ToolSpec(COMPLETE_INSTRUCTION, text, plain_schema(CompleteInstruction))
