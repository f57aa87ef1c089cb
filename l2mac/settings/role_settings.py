"""What the roles beside `write` have of their own: model, server, key, window, limits, prices."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator


class RoleSettings(BaseModel, extra="forbid", allow_inf_nan=False):
    """What one role has of its own; whatever is not given is as for `write`.

    With a server of its own it also has a key of its own, or none: the main one is not sent there.
    """

    model: str = ""
    base_url: str = ""
    api_key_file: Path | None = None
    context_tokens: int = Field(default=0, ge=0)
    tool_protocol: Literal["", "auto", "native", "json"] = ""
    requests_per_minute: int | None = Field(default=None, gt=0)
    tokens_per_minute: int | None = Field(default=None, gt=0)
    prompt_price: float | None = Field(default=None, ge=0)
    completion_price: float | None = Field(default=None, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_none(cls, values: Any) -> Any:
        """Take an empty text for no value, as everywhere in a settings file."""
        return (
            {name: value for name, value in values.items() if value != ""}
            if isinstance(values, dict)
            else values
        )


class Roles(BaseModel, extra="forbid"):
    """The roles beside `write`, whose model is the main one."""

    plan: RoleSettings = RoleSettings()
    judge: RoleSettings = RoleSettings()
