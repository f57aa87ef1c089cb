"""What a model's server means when it does not give a reply, in its own words or by its silence."""

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

# Wordings, newest first, of: llama.cpp, vLLM, OpenAI, SGLang, LM Studio, Ollama, llama-cpp-python, TGI, Groq, Mistral,
# Gemini, xAI, Anthropic and Bedrock behind gateways, DashScope, MiniMax, Kimi, Z.ai.
_OVERFLOW = re.compile(
    r"exceed_context_size|context[_ ](length|window)[_ ]exceeded|exceeds? the available context size|"
    r"(maximum|model'?s) context length|longer than the (maximum model length|model'?s context)|"
    r"exceeds? the (model'?s )?context (length|window)|exceed context window|context size has been exceeded|"
    r"(tokens to keep|keep the first \d+ tokens).{0,120}context|greater than the context length|"
    r"reduce the length of the (messages|input|prompt)|`?inputs`? (tokens \+ .{0,40}must be|must have less than)|"
    r"input token count.{0,40}exceeds|maximum prompt length|(prompt|input) is too long|request too large|"
    r"prompt exceeds max length|context window exceeds limit|exceeded model token limit|"
    r"range of input length should be|too large for model with \d+ maximum context",
    re.IGNORECASE,
)
_NO_TOOLS = re.compile(
    r"(not support|unsupported|no endpoints found|requires?|cannot use|must be set).{0,60}"
    r"\b(tools?|tool[-_]\w+|jinja)\b|\btools?\b.{0,60}(not supported|unsupported|requires? --|not enabled)",
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
    """Why there is no reply; what follows from it is the same for every server."""

    PASSING = "passing"
    ENDED = "ended"
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
    408: ErrorKind.PASSING,
    409: ErrorKind.PASSING,
    413: ErrorKind.OVERFLOW,
    429: ErrorKind.PASSING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One try that gave no reply.

    Attributes:
        kind: What it means.
        text: The server's words or ours: one line without secrets.
        status: HTTP status, or None where there was none.
        parameter: The request's field that the server names, where it does.
        retry_after_s: How long the server wants us to wait.
    """

    kind: ErrorKind
    text: str
    status: int | None = None
    parameter: str = ""
    retry_after_s: float | None = None


def judge(status: int | None, code: str, text: str) -> ErrorKind:
    """Tell what an error answer means.

    Args:
        status: HTTP status; None for an error inside a stream.
        code: The answer's `code` and `type`.
        text: Its message.
    """
    words = f"{code} {text}"
    for pattern, trouble in _BY_WORDS:
        if pattern.search(words):
            return trouble
    if status is None or status >= 500:
        return ErrorKind.PASSING
    by_status = _BY_STATUS.get(status, ErrorKind.REQUEST if status >= 400 else ErrorKind.ADDRESS)
    return (
        ErrorKind.MODEL
        if by_status is not ErrorKind.PASSING and _NO_MODEL.search(words)
        else by_status
    )


def refused(
    status: int | None, body: object, redactor: "Redactor", *, wait_s: float | None = None
) -> Failure:
    """Read an error answer in whichever of the usual forms it comes.

    Args:
        status: HTTP status; None for an error inside a stream, which may state one in its code.
        body: The answer's JSON value or text, unwrapped from `error`.
        redactor: Cleans what is kept of it.
        wait_s: How long the server wants us to wait.
    """
    fields = body if isinstance(body, dict) else {"message": body}
    stated = (
        fields.get("message") or fields.get("detail") or fields.get("error") or "no reason given"
    )
    text = redactor.line(stated if isinstance(stated, str) else json.dumps(stated, default=str))
    code = redactor.line(f"{fields.get('code') or ''} {fields.get('type') or ''}")
    number = str(fields.get("code"))
    if status is None and re.fullmatch(r"[45]\d\d", number):
        status = int(number)
    return Failure(
        kind=judge(status, code, text),
        text=text,
        status=status,
        parameter=redactor.line(str(fields.get("param") or "")),
        retry_after_s=wait_s,
    )


def explain(
    failure: Failure, *, where: str, model: str, tries: int, offered: Iterable[str] = ()
) -> ProcessorError:
    """Give the exception that says what happened and what to do."""
    said = f'"{shortened(failure.text, _QUOTED_CHARACTERS)}"'
    said = f"({failure.status}) {said}" if failure.status else said
    match failure.kind:
        case ErrorKind.OVERFLOW:
            return ContextOverflow(
                f"{where} says that the messages do not fit into the model's context: {said}."
            )
        case ErrorKind.PASSING:
            return ModelUnavailable(
                f"No whole reply from {where} after {tries} tries, the last one: {said}; "
                "check that the server runs and that --base-url is right, then resume."
            )
        case ErrorKind.ENDED:
            return OutOfTime(
                f"The run's time was over before {where} had replied; resume it with a larger --max-time."
            )
        case ErrorKind.KEY:
            todo = "check OPENAI_API_KEY or --api-key-file"
        case ErrorKind.CREDIT:
            todo = "the account has no credit left; add some or use another key"
        case ErrorKind.MODEL:
            names = list(offered)
            shown = ", ".join(names[:_SHOWN_MODELS]) + (", …" if len(names) > _SHOWN_MODELS else "")
            offer = f"it offers {shown}; set --model" if names else "check --model"
            return ModelRejected(f"{where} has no model {model}: {said}; {offer}.")
        case ErrorKind.ADDRESS:
            todo = "check --base-url, which usually ends in /v1"
        case ErrorKind.REQUEST:
            todo = "check that the model and its settings fit this server"
        case ErrorKind.NO_TOOLS:
            return ModelRejected(
                f"{model} at {where} neither calls tools nor answers in JSON to a schema, its last answer: {said}; "
                "choose another model, or start its server with support for tools or for response_format."
            )
    return ModelRejected(f"{where} refuses: {said}; {todo}.")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Give how many seconds the server wants us to wait, or None if it does not say.

    A date is compared with the answer's own `Date`, so that no clock of ours has to be right.
    """
    stated = headers.get("retry-after", "")
    try:
        wait = (
            float(headers["retry-after-ms"]) / 1000
            if "retry-after-ms" in headers
            else float(stated)
        )
    except ValueError:
        wait = _until(stated, headers.get("date", ""))
    return max(wait, 0.0) if math.isfinite(wait) else None


def _until(stated: str, now: str) -> float:
    try:
        return (parsedate_to_datetime(stated) - parsedate_to_datetime(now)).total_seconds()
    except (
        ValueError,
        TypeError,
    ):  # TypeError: one of the dates has a time zone, the other has none.
        return math.nan


class Redactor:
    """Take secrets out of text that others wrote.

    Args:
        secrets: What must not be shown; what is shorter than 4 characters is no secret.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted(
            {one for one in secrets if len(one) >= _SECRET_CHARACTERS}, key=len, reverse=True
        )

    def line(self, text: str) -> str:
        """Give text as one printable line of at most 2000 characters, without secrets."""
        text = _KEY_LIKE.sub("[redacted]", self._without_secrets(text)[:_READ_CHARACTERS])
        text = "".join(one for one in " ".join(text.split()) if one.isprintable())
        return shortened(self._without_secrets(text), _LINE_CHARACTERS)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text


def shortened(text: str, characters: int) -> str:
    """Cut text off, marked with an ellipsis."""
    return text if len(text) <= characters else text[: characters - 1] + "…"
