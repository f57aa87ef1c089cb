"""A reply put together from what a server sends: pieces of a stream, or one whole completion."""

from typing import Any

from pydantic import BaseModel, ValidationError

from l2mac.processor.error_mapping import ErrorKind, Failure
from l2mac.processor.messages import ToolCall, Usage

_CUT_OFF = frozenset({"length", "max_tokens"})
_BROKEN_OFF = Failure(kind=ErrorKind.PASSING, text="the reply broke off")
_FAILED = {
    "content_filter": Failure(
        kind=ErrorKind.REQUEST, text="the provider's content filter ended the reply"
    ),
    "error": Failure(kind=ErrorKind.PASSING, text="the server ended the reply with an error"),
    "abort": Failure(kind=ErrorKind.PASSING, text="the server gave the reply up"),
}
_CIRCLE_CHARACTERS = 2400
_LONGEST_CIRCLE = 300
_LOOK_EVERY = 200
_SEEN_AGAIN = 32
_MODEL_CHARACTERS = 200
_MOST_TOKENS = 10_000_000


class MalformedAnswer(Exception):
    """A server sent something else than a chat completion."""


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
    usage: Any = None


class _Call:
    """A tool call while it arrives."""

    def __init__(self, piece: _CallPiece) -> None:
        self.index = piece.index
        self.id = piece.id or ""
        self.name = ""
        self.arguments: list[str] = []

    def continues(self, piece: _CallPiece) -> bool:
        """Whether a piece belongs to this call.

        Some servers give every call index 0 or none; some give every piece a new id. Only a name begins a call.
        """
        if piece.index != self.index:
            return False
        begins = bool(self.name and piece.function and piece.function.name)
        return not begins or (piece.id == self.id if piece.id else piece.index is not None)


class _Tail:
    """The newest text of a reply, and whether it has come to say the same over and over."""

    def __init__(self) -> None:
        self._text = ""
        self._unseen = 0
        self.circles = False

    def take(self, text: str) -> None:
        """Take in a piece; every few pieces it is looked at."""
        self._text = (self._text + text)[-_CIRCLE_CHARACTERS:]
        self._unseen += len(text)
        if self._unseen >= _LOOK_EVERY and len(self._text) == _CIRCLE_CHARACTERS:
            self._unseen = 0
            self.circles = self.circles or _is_periodic(self._text)


class ResponseParser:
    """Take what arrives and give content, tool calls, usage and how it ended.

    A reply that does nothing but repeat itself any more is given up like one that is too long: small models get caught
    in such circles and would go on to the end of their room, for minutes.

    Args:
        most_characters: Where an absurdly long reply is cut.
    """

    def __init__(self, most_characters: int) -> None:
        self._room = most_characters
        self._content: list[str] = []
        self._calls: list[_Call] = []
        self._ended_by = ""
        self._tail = _Tail()
        self.usage = Usage()
        self.model = ""

    @property
    def is_full(self) -> bool:
        """Whether the reply is longer than may be, so that the rest is dropped, or runs in circles."""
        return self._room < 0 or self._tail.circles

    @property
    def is_cut_off(self) -> bool:
        """Whether the reply is not what the model would have said in full."""
        return self.is_full or self._ended_by in _CUT_OFF

    @property
    def failure(self) -> Failure | None:
        """Why what came is no reply; None if it is one."""
        if self.is_full:
            return None
        return _FAILED.get(self._ended_by) if self._ended_by else _BROKEN_OFF

    @property
    def content(self) -> str:
        """The text so far."""
        return _sound("".join(self._content))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls so far, in the order in which they began."""
        return tuple(
            ToolCall(_sound(call.id), _sound(call.name), _sound("".join(call.arguments)))
            for call in self._calls
        )

    def take(self, data: object) -> str:
        """Take a chunk or a whole completion and give the text that was new in it.

        Raises:
            MalformedAnswer: It is neither.
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
        return _sound(self._take_text(text)) if text else ""

    @staticmethod
    def _checked(data: object) -> _Chunk:
        try:
            return _Chunk.model_validate(data)
        except ValidationError:
            # Without its cause: pydantic's message repeats what the server sent, which may hold a key.
            raise MalformedAnswer("the server sent something else than a chat completion") from None

    def _take_text(self, text: _Text) -> str:
        new = self._fitting(text.content or text.refusal or "")
        if new:
            self._content.append(new)
        for piece in text.tool_calls or ():
            new += self._take_call(piece)
        return new

    def _take_call(self, piece: _CallPiece) -> str:
        call = next((one for one in reversed(self._calls) if one.continues(piece)), None)
        if call is None:
            call = _Call(piece)
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
        self._tail.take(text)
        kept = text[: max(self._room, 0)]
        self._room -= len(text)
        return kept


def _count(usage: dict[str, Any], name: str) -> int | None:
    value = usage.get(name)
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def _sound(text: str) -> str:
    """Join surrogate pairs that a server split over two pieces; half a pair, which no encoding carries, becomes `�`."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_periodic(text: str) -> bool:
    """Whether a text is one short piece again and again, from its beginning to its end."""
    before = text.rfind(text[-_SEEN_AGAIN:], 0, len(text) - 1)
    period = len(text) - _SEEN_AGAIN - before
    return before >= 0 and period <= _LONGEST_CIRCLE and text[period:] == text[:-period]
