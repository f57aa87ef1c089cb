"""The faults of a scripted model server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Answer 429. `retry_after` is the header's text, a number of seconds or a date."""

    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class ServerError:
    """Answer with a status of 500 or above; `retry_after` as in `RateLimited`."""

    status: int = 500
    message: str = "the server had an error"
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """Answer 400, or another status, with an error object in OpenAI's form."""

    message: str
    status: int = 400
    parameter: str = ""
    code: str = ""
    kind: str = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class Dropped:
    """Stream some pieces of a text, then close the connection.

    With `politely` the stream ends as if it were complete.
    """

    after_chunks: int = 1
    politely: bool = False


@dataclass(frozen=True, slots=True)
class FailedMidway:
    """Stream some pieces of a text, then an error event.

    LM Studio and OpenRouter send such events.
    """

    message: str
    after_chunks: int = 1
    code: int | str | None = None


@dataclass(frozen=True, slots=True)
class Garbage:
    """Answer 200 with an event stream whose one event is `text`, by default not JSON."""

    text: str = "{not json"


@dataclass(frozen=True, slots=True)
class Stalled:
    """Stay silent for seconds after some pieces of a text, then close the connection."""

    seconds: float
    after_chunks: int = 0


@dataclass(frozen=True, slots=True)
class Dribbled:
    """Send comments, which are not events, then close the connection.

    Servers send comments to keep a connection alive.
    """

    comments: int = 1000


@dataclass(frozen=True, slots=True)
class ContextTooLong:
    """Answer 400 in OpenAI's words for messages that exceed the context window."""


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """Answer 401."""


@dataclass(frozen=True, slots=True)
class UnknownModel:
    """Answer 404 in OpenAI's words for a model that does not exist."""


@dataclass(frozen=True, slots=True)
class RefusesStreamOptions:
    """Answer 422 in Mistral's words for `stream_options`.

    A script returns this fault when a request has the field.
    """


@dataclass(frozen=True, slots=True)
class EchoesKey:
    """Answer with an error that repeats the request's key, with `midway` in a stream."""

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
