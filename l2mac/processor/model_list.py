"""What a server says about the models that it offers: `GET /models`."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

# vLLM and SGLang, OpenRouter, Groq, LM Studio, llama.cpp (in `meta`, beside what the model was trained with, which the
# server may not give): the same fact under five names.
_WINDOWS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")
_MOST_TOKENS = 100_000_000


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model: its name, and its context window where the server declares one."""

    name: str
    context_tokens: int | None = None


class _Entry(BaseModel, extra="allow"):
    id: str


class _ModelList(BaseModel):
    data: list[_Entry]


def read_offers(answer: object, *, at_most: int) -> tuple[ModelInfo, ...]:
    """Read the list of models.

    Raises:
        pydantic.ValidationError: It is none.
    """
    entries = _ModelList.model_validate(answer).data[:at_most]
    return tuple(ModelInfo(entry.id, _window(entry.model_extra or {})) for entry in entries)


def _window(fields: dict[str, Any]) -> int | None:
    meta = fields.get("meta")
    fields = {**(meta if isinstance(meta, dict) else {}), **fields}
    for name in _WINDOWS:
        value = fields.get(name)
        if type(value) is int and 0 < value <= _MOST_TOKENS:
            return value
    return None
