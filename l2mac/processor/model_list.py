"""The models that a server offers: the answer of `GET /models`."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

# The same fact has five names: vLLM and SGLang, OpenRouter, Groq, LM Studio, llama.cpp. llama.cpp
# states it in `meta`, beside the window that the model was trained with and may not have here.
_WINDOWS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")
_MOST_TOKENS = 100_000_000


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model of a server.

    Attributes:
        name: The model's name at the server.
        context_tokens: The size of its context window, None where the server does not declare it.
    """

    name: str
    context_tokens: int | None = None


class _ListedModel(BaseModel, extra="allow"):
    id: str


class _ModelList(BaseModel):
    data: list[_ListedModel]


def parse_model_list(answer: object, *, at_most: int) -> tuple[ModelInfo, ...]:
    """Return the first `at_most` models of a server's answer.

    Raises:
        pydantic.ValidationError: The answer is not a list of models.
    """
    entries = _ModelList.model_validate(answer).data[:at_most]
    return tuple(ModelInfo(entry.id, _window(entry.model_extra or {})) for entry in entries)


def _window(fields: Mapping[str, object]) -> int | None:
    meta = fields.get("meta")
    if isinstance(meta, dict):
        fields = {**meta, **fields}
    for name in _WINDOWS:
        value = fields.get(name)
        if type(value) is int and 0 < value <= _MOST_TOKENS:
            return value
    return None
