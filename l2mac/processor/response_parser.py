"""Parse the pieces of a stream, or one whole completion, into a reply."""

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from l2mac.processor.error_mapping import ErrorKind, Failure
from l2mac.processor.messages import ToolCall, Usage
from l2mac.safe_text import replace_surrogates

_TRUNCATED = frozenset({"length", "max_tokens"})
_ABORTED = Failure(kind=ErrorKind.TRANSIENT, text="the reply ended before it was complete")
_FAILED = {
    "content_filter": Failure(
        kind=ErrorKind.REQUEST, text="the provider's content filter ended the reply"
    ),
    "error": Failure(kind=ErrorKind.TRANSIENT, text="the server ended the reply with an error"),
    "abort": Failure(kind=ErrorKind.TRANSIENT, text="the server gave the reply up"),
}
_REPETITION_CHARACTERS = 2400
_LONGEST_PERIOD = 300
_CHECK_EVERY = 200
_SAMPLE_CHARACTERS = 32
_MODEL_CHARACTERS = 200
_MOST_TOKENS = 10_000_000


class MalformedAnswer(Exception):
    """The server's answer is not a chat completion."""


class _Function(BaseModel):
    name: str | None = None
    arguments: str | None = None


class _CallPiece(BaseModel):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Text(BaseModel):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_CallPiece] | None = None


class _Choice(BaseModel):
    delta: _Text | None = None
    message: _Text | None = None
    finish_reason: str | None = None


class _Chunk(BaseModel):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: object = None


class _PartialCall:
    """A tool call that is still arriving."""

    def __init__(self, piece: _CallPiece) -> None:
        self.index = piece.index
        self.id = piece.id or ""
        self.name = ""
        self.arguments: list[str] = []

    def continues(self, piece: _CallPiece) -> bool:
        """Return whether a piece belongs to this call.

        Some servers send index 0 or no index with every call, and some send a new id with every
        piece. Therefore only a name begins a new call.
        """
        if piece.index != self.index:
            return False
        if not (self.name and piece.function and piece.function.name):
            return True
        if piece.id:
            return piece.id == self.id
        return piece.index is not None


class _Tail:
    """The newest text of a reply, watched for endless repetition."""

    def __init__(self) -> None:
        self._text = ""
        self._unchecked = 0
        self.repeats = False

    def feed(self, text: str) -> None:
        """Append a piece. The text is checked every few pieces."""
        self._text = (self._text + text)[-_REPETITION_CHARACTERS:]
        self._unchecked += len(text)
        if self._unchecked >= _CHECK_EVERY and len(self._text) == _REPETITION_CHARACTERS:
            self._unchecked = 0
            self.repeats = self.repeats or _is_periodic(self._text)


class ResponseParser:
    """A reply that is put together from the pieces of a server's answer.

    A reply that has begun to repeat itself without end is truncated like one that is too long:
    small models get caught in such repetitions and would fill their context window, for minutes.

    Args:
        most_characters: The length at which the reply is truncated.

    Attributes:
        usage: The server's token counts so far.
        model: The model's name as the server states it.
    """

    def __init__(self, most_characters: int) -> None:
        self._room = most_characters
        self._content: list[str] = []
        self._calls: list[_PartialCall] = []
        self._ended_by = ""
        self._tail = _Tail()
        self.usage = Usage()
        self.model = ""

    @property
    def is_over_limit(self) -> bool:
        """Whether the reply is too long or repeats itself, so that the rest is dropped."""
        return self._room < 0 or self._tail.repeats

    @property
    def is_truncated(self) -> bool:
        """Whether the model would have written more."""
        return self.is_over_limit or self._ended_by in _TRUNCATED

    @property
    def failure(self) -> Failure | None:
        """The reason why the answer is not a reply, or None."""
        if self.is_over_limit:
            return None
        return _FAILED.get(self._ended_by) if self._ended_by else _ABORTED

    @property
    def content(self) -> str:
        """The text so far."""
        return replace_surrogates("".join(self._content))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls so far, in the order in which they began."""
        return tuple(map(_tool_call, self._calls))

    def feed(self, data: object) -> str:
        """Add a chunk or a whole completion and return the text that is new in it.

        Raises:
            MalformedAnswer: The data are neither.
        """
        chunk = self._checked(data)
        self.model = (chunk.model or self.model)[:_MODEL_CHARACTERS]
        if isinstance(chunk.usage, dict):
            self.usage = Usage(
                _count(chunk.usage, "prompt_tokens"), _count(chunk.usage, "completion_tokens")
            )
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        self._ended_by = choice.finish_reason or self._ended_by
        text = choice.delta or choice.message
        return replace_surrogates(self._add_text(text)) if text else ""

    @staticmethod
    def _checked(data: object) -> _Chunk:
        try:
            return _Chunk.model_validate(data)
        except ValidationError:
            # Without its cause: pydantic's message repeats the server's answer, which may hold a
            # key.
            raise MalformedAnswer("the server's answer is not a chat completion") from None

    def _add_text(self, text: _Text) -> str:
        new = self._fitting(text.content or text.refusal or "")
        if new:
            self._content.append(new)
        for piece in text.tool_calls or ():
            new += self._add_call(piece)
        return new

    def _add_call(self, piece: _CallPiece) -> str:
        call = next((one for one in reversed(self._calls) if one.continues(piece)), None)
        if call is None:
            call = _PartialCall(piece)
            self._calls.append(call)
            self._room -= 1 + len(call.id)
        function = piece.function or _Function()
        call.id = call.id or piece.id or ""
        call.name = call.name or self._fitting(function.name or "")
        new = self._fitting(function.arguments or "")
        if new:
            call.arguments.append(new)
        return new

    def _fitting(self, text: str) -> str:
        self._tail.feed(text)
        kept = text[: max(self._room, 0)]
        self._room -= len(text)
        return kept


def _count(usage: Mapping[str, object], name: str) -> int | None:
    value = usage.get(name)
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def _tool_call(call: _PartialCall) -> ToolCall:
    # A server may split a surrogate pair over two pieces, so the whole text is joined first.
    texts = (call.id, call.name, "".join(call.arguments))
    return ToolCall(*map(replace_surrogates, texts))


def _is_periodic(text: str) -> bool:
    """Return whether a text is a short piece repeated from its beginning to its end."""
    before = text.rfind(text[-_SAMPLE_CHARACTERS:], 0, len(text) - 1)
    period = len(text) - _SAMPLE_CHARACTERS - before
    return before >= 0 and period <= _LONGEST_PERIOD and text[period:] == text[:-period]
