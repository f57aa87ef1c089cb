"""Map a server's failures to kinds and to exceptions.

Servers report the same failure with different statuses, codes and wordings. Here each failed try
becomes a `Failure` of one kind, and the last failure becomes an exception with the next step.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum

from l2mac.errors import ContextOverflow, ModelRejected, ModelUnavailable, OutOfTime, ProcessorError

_QUOTED_CHARACTERS = 300
_LINE_CHARACTERS = 2000
_READ_CHARACTERS = 20_000
_SECRET_CHARACTERS = 4
_SHOWN_MODELS = 20

# The wordings, newest first, of: llama.cpp, vLLM, OpenAI, SGLang, LM Studio, Ollama,
# llama-cpp-python, TGI, Groq, Mistral, Gemini, xAI, Anthropic and Bedrock behind gateways,
# DashScope, MiniMax, Kimi, Z.ai.
_OVERFLOW = re.compile(
    r"exceed_context_size|context[_ ](length|window)[_ ]exceeded|"
    r"exceeds? the available context size|"
    r"(maximum|model'?s) context length|longer than the (maximum model length|model'?s context)|"
    r"exceeds? the (model'?s )?context (length|window)|exceed context window|"
    r"context size has been exceeded|"
    r"(tokens to keep|keep the first \d+ tokens).{0,120}context|greater than the context length|"
    r"reduce the length of the (messages|input|prompt)|"
    r"`?inputs`? (tokens \+ .{0,40}must be|must have less than)|"
    r"input token count.{0,40}exceeds|maximum prompt length|(prompt|input) is too long|"
    r"request too large|"
    r"prompt exceeds max length|context window exceeds limit|exceeded model token limit|"
    r"range of input length should be|too large for model with \d+ maximum context",
    re.IGNORECASE,
)
_NO_TOOLS = re.compile(
    r"(not support|unsupported|no endpoints found|requires?|cannot use|must be set).{0,60}"
    r"\b(tools?|tool[-_]\w+|jinja)\b|"
    r"\btools?\b.{0,60}(not supported|unsupported|requires? --|not enabled)",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model_?not_?found|deploymentnotfound|no_?such_?model|unknown model|no models? loaded|"
    r"model\b.{0,200}?(not found|not exist|not a valid model|not available|not loaded)",
    re.IGNORECASE,
)
_NO_CREDIT = re.compile(r"insufficient_quota")
_KEY_LIKE = re.compile(r"\S{0,100}\*{3,}\S{0,100}|\bsk-[\w-]{6,}", re.ASCII)


class ErrorKind(StrEnum):
    """The kinds of failures. The reaction to a kind is the same for every server.

    `TRANSIENT` failures are retried. `CANCELLED` means that the run's time ended the call.
    """

    TRANSIENT = "transient"
    CANCELLED = "cancelled"
    OVERFLOW = "overflow"
    KEY = "key"
    CREDIT = "credit"
    MODEL = "model"
    ADDRESS = "address"
    REQUEST = "request"
    NO_TOOLS = "no_tools"


_BY_WORDS = (
    (_OVERFLOW, ErrorKind.OVERFLOW),
    (_NO_TOOLS, ErrorKind.REQUEST),
    (_NO_CREDIT, ErrorKind.CREDIT),
)
_BY_STATUS = {
    401: ErrorKind.KEY,
    402: ErrorKind.CREDIT,
    403: ErrorKind.KEY,
    404: ErrorKind.ADDRESS,
    405: ErrorKind.ADDRESS,
    408: ErrorKind.TRANSIENT,
    409: ErrorKind.TRANSIENT,
    413: ErrorKind.OVERFLOW,
    429: ErrorKind.TRANSIENT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One try without a reply.

    Attributes:
        kind: The kind of failure.
        text: The server's message or ours, one line without secrets.
        status: The HTTP status, or None where there was no response.
        parameter: The request's field that the server names, or empty.
        retry_after_s: The pause that the server asks for, or None.
    """

    kind: ErrorKind
    text: str
    status: int | None = None
    parameter: str = ""
    retry_after_s: float | None = None


def classify(status: int | None, code: str, text: str) -> ErrorKind:
    """Return the kind of an error response.

    Args:
        status: The HTTP status, None for an error inside a stream.
        code: The response's `code` and `type`.
        text: The response's message.
    """
    words = f"{code} {text}"
    for pattern, kind in _BY_WORDS:
        if pattern.search(words):
            return kind
    if status is None or status >= 500:
        return ErrorKind.TRANSIENT
    unlisted = ErrorKind.REQUEST if status >= 400 else ErrorKind.ADDRESS
    kind = _BY_STATUS.get(status, unlisted)
    if kind is not ErrorKind.TRANSIENT and _NO_MODEL.search(words):
        return ErrorKind.MODEL
    return kind


def failure_from_response(
    status: int | None, body: object, redactor: "Redactor", *, wait_s: float | None = None
) -> Failure:
    """Return the failure that an error response in one of the usual forms reports.

    Args:
        status: The HTTP status. None for an error inside a stream, whose `code` may be a status.
        body: The response's JSON value or text, without an enclosing `error`.
        redactor: Removes secrets from the server's words.
        wait_s: The pause that the server asks for.
    """
    fields = body if isinstance(body, dict) else {"message": body}
    stated = fields.get("message") or fields.get("detail") or fields.get("error")
    if not stated:
        stated = "no reason given"
    text = redactor.line(stated if isinstance(stated, str) else json.dumps(stated, default=str))
    code = redactor.line(f"{fields.get('code') or ''} {fields.get('type') or ''}")
    number = str(fields.get("code"))
    if status is None and re.fullmatch(r"[45]\d\d", number):
        status = int(number)
    return Failure(
        kind=classify(status, code, text),
        text=text,
        status=status,
        parameter=redactor.line(str(fields.get("param") or "")),
        retry_after_s=wait_s,
    )


def to_exception(
    failure: Failure, *, where: str, model: str, tries: int, offered: Iterable[str] = ()
) -> ProcessorError:
    """Return the exception that states the failure and the next step.

    Args:
        failure: The last failure.
        where: The server's address.
        model: The model's name as configured.
        tries: The number of tries.
        offered: The names of the server's models, where they are known.
    """
    said = f'"{shortened(failure.text, _QUOTED_CHARACTERS)}"'
    if failure.status:
        said = f"({failure.status}) {said}"
    match failure.kind:
        case ErrorKind.OVERFLOW:
            return ContextOverflow(
                f"{where} says that the messages do not fit into the model's context: {said}."
            )
        case ErrorKind.TRANSIENT:
            return ModelUnavailable(
                f"{where} gave no complete reply in {tries} tries. The last failure was: {said}."
                " Check that the server runs and that --base-url is right, then resume."
            )
        case ErrorKind.CANCELLED:
            return OutOfTime(
                f"The run's time was over before {where} had replied."
                " Resume it with a larger --max-time."
            )
        case ErrorKind.MODEL:
            return ModelRejected(f"{where} has no model {model}: {said}. {_offer(offered)}.")
        case ErrorKind.NO_TOOLS:
            return ModelRejected(
                f"{model} at {where} neither calls tools nor answers in JSON by a schema. The last"
                f" answer was: {said}. Choose another model, or start its server with support for"
                " tools or for response_format."
            )
        case ErrorKind.KEY | ErrorKind.CREDIT | ErrorKind.ADDRESS | ErrorKind.REQUEST:
            step = _NEXT_STEPS[failure.kind]
            return ModelRejected(f"{where} refuses the request: {said}. {step}.")


_NEXT_STEPS = {
    ErrorKind.KEY: "Check OPENAI_API_KEY or --api-key-file",
    ErrorKind.CREDIT: "Add credit to the account or use another key",
    ErrorKind.ADDRESS: "Check --base-url, which usually ends in /v1",
    ErrorKind.REQUEST: "Check that the model and its settings fit this server",
}


def _offer(offered: Iterable[str]) -> str:
    names = list(offered)
    if not names:
        return "Check --model"
    more = ", …" if len(names) > _SHOWN_MODELS else ""
    return f"Set --model to one of: {', '.join(names[:_SHOWN_MODELS])}{more}"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the pause that the server asks for in seconds, or None.

    A date is compared with the response's own `Date`, so that no local clock has to be right.
    """
    stated = headers.get("retry-after", "")
    milliseconds = headers.get("retry-after-ms")
    try:
        wait = float(stated) if milliseconds is None else float(milliseconds) / 1000
    except ValueError:
        wait = _until(stated, headers.get("date", ""))
    return max(wait, 0.0) if math.isfinite(wait) else None


def _until(stated: str, now: str) -> float:
    try:
        return (parsedate_to_datetime(stated) - parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError):  # TypeError: only one of the dates has a time zone.
        return math.nan


class Redactor:
    """Removes secrets from text that a server wrote.

    Args:
        secrets: The secrets. Texts of less than 4 characters are ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        long_enough = {secret for secret in secrets if len(secret) >= _SECRET_CHARACTERS}
        # The longest first, because a secret can contain another one.
        self._secrets = sorted(long_enough, key=len, reverse=True)

    def line(self, text: str) -> str:
        """Return text as one printable line of at most 2000 characters, without secrets."""
        text = _KEY_LIKE.sub("[redacted]", self._without_secrets(text)[:_READ_CHARACTERS])
        text = "".join(one for one in " ".join(text.split()) if one.isprintable())
        return shortened(self._without_secrets(text), _LINE_CHARACTERS)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text


def shortened(text: str, characters: int) -> str:
    """Return text truncated to so many characters, marked with an ellipsis."""
    return text if len(text) <= characters else text[: characters - 1] + "…"
