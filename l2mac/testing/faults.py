"""What a scripted model server does instead of answering."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Answer 429; `retry_after` goes into the header as it is, a number of seconds or a date, unless empty."""

    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class ServerError:
    """Answer with a status of 500 or above; `retry_after` as for `RateLimited`."""

    status: int = 500
    message: str = "the server had an error"
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """Answer 400, or another status, with an error object as OpenAI writes it."""

    message: str
    status: int = 400
    parameter: str = ""
    code: str = ""
    kind: str = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class Dropped:
    """OutputStream some pieces of a text, then cut the connection; `politely` ends the stream as if all were well."""

    after_chunks: int = 1
    politely: bool = False


@dataclass(frozen=True, slots=True)
class FailedMidway:
    """OutputStream some pieces of a text, then an error event, as LM Studio and OpenRouter do."""

    message: str
    after_chunks: int = 1
    code: int | str | None = None


@dataclass(frozen=True, slots=True)
class Garbage:
    """Answer 200 with an event stream that is no JSON, or with `text` as its one event."""

    text: str = "{not json"


@dataclass(frozen=True, slots=True)
class Stalled:
    """Say nothing for seconds, after some pieces of a text; then cut the connection."""

    seconds: float
    after_chunks: int = 0


@dataclass(frozen=True, slots=True)
class Dribbled:
    """Send comments that are no events, as a server does that keeps a connection alive; then cut the connection."""

    comments: int = 1000


@dataclass(frozen=True, slots=True)
class ContextTooLong:
    """Answer 400 in OpenAI's words for messages that do not fit."""


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """Answer 401."""


@dataclass(frozen=True, slots=True)
class UnknownModel:
    """Answer 404 in OpenAI's words for a model that is not there."""


@dataclass(frozen=True, slots=True)
class RefusesStreamOptions:
    """Answer 400 in Mistral's words for `stream_options`; ask for it when a request has the field."""


@dataclass(frozen=True, slots=True)
class EchoesKey:
    """Answer with an error that repeats the key that was sent; `midway` puts it into a stream."""

    status: int = 401
    midway: bool = False


@dataclass(frozen=True, slots=True)
class Redirected:
    """Answer 307 with another address."""

    location: str


Fault = (
    RateLimited
    | ServerError
    | RefusedRequest
    | Dropped
    | FailedMidway
    | Garbage
    | Stalled
    | Dribbled
    | ContextTooLong
    | Unauthorized
    | UnknownModel
    | RefusesStreamOptions
    | EchoesKey
    | Redirected
)
