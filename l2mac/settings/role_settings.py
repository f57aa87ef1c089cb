"""Settings of the roles `plan` and `judge`: model, server, limits, prices."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, model_validator

from l2mac.settings.metadata import setting


class RoleSettings(BaseModel, extra="forbid", allow_inf_nan=False):
    """Settings of one role. An unset value is the value of the main model.

    A role with a server of its own uses the key in its own key file, or no key. The main key is
    never sent to another server.
    """

    model: str = setting("", "Name of the model at its server.")
    base_url: str = setting("", "Address of an OpenAI-compatible server.")
    api_key_file: Path | None = setting(None, "File with the API key for this server.")
    context_tokens: int = setting(0, "Context window of the model, in tokens.", ge=0)
    tool_protocol: Literal["", "auto", "native", "json"] = setting(
        "", "Tool call format: native, json, or auto to detect it."
    )
    requests_per_minute: int | None = setting(None, "Request limit of the server.", gt=0)
    tokens_per_minute: int | None = setting(None, "Token limit of the server.", gt=0)
    prompt_price: float | None = setting(None, "Price of prompt tokens, in USD per million.", ge=0)
    completion_price: float | None = setting(
        None, "Price of reply tokens, in USD per million.", ge=0
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_texts(cls, values: object) -> object:
        """Treat an empty text as no value, as everywhere in a settings file."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value != ""}


class Roles(BaseModel, extra="forbid"):
    """The roles beside `write`, which uses the main model."""

    plan: RoleSettings = setting(RoleSettings(), "Model for planning, if not the main model.")
    judge: RoleSettings = setting(RoleSettings(), "Model for judging, if not the main model.")
