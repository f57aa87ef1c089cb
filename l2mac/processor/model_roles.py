"""What the language model is asked for, and the three roles that may each have a model of their own."""

from typing import Literal

ModelRole = Literal["plan", "write", "judge"]
ROLES: tuple[ModelRole, ...] = ("write", "plan", "judge")

_ROLES: dict[str, ModelRole] = {
    "plan": "plan",
    "reflect": "plan",
    "coverage": "plan",
    "replan": "plan",
    "requirements": "judge",
    "judge": "judge",
}


def role_of(purpose: str) -> ModelRole:
    """Give the role that answers a purpose; `write` for turns, summaries and whatever is not listed."""
    return _ROLES.get(purpose, "write")
