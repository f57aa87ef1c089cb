"""A scripted model server over real HTTP on loopback.

    script = sequence([ScriptedReply("Hello"), RateLimited("2"), ScriptedReply(tool_calls=[("ready",
    {})])]) with ModelServer(script) as server:
        settings = ModelSettings(model="scripted", base_url=server.base_url, api_key="key")
        ...
    assert server.requests[0].body["temperature"] == 0

The server answers `POST /v1/chat/completions`, streamed and whole, with tools and with
`response_format`, the same under Azure's paths, and `GET /v1/models`.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self, cast

from l2mac.testing.faults import (
    ContextTooLong,
    Dribbled,
    Dropped,
    EchoesKey,
    FailedMidway,
    Fault,
    Garbage,
    RateLimited,
    Redirected,
    RefusedRequest,
    RefusesStreamOptions,
    ServerError,
    Stalled,
    Unauthorized,
    UnknownModel,
)
from l2mac.testing.scripted_reply import (
    ChatMessage,
    ScriptedReply,
    chunk,
    chunks,
    messages_of,
    tool_names_of,
    whole,
)

__all__ = [
    "ChatMessage",
    "ContextTooLong",
    "Dribbled",
    "Dropped",
    "EchoesKey",
    "FailedMidway",
    "Fault",
    "Garbage",
    "ModelServer",
    "RateLimited",
    "ReceivedRequest",
    "Redirected",
    "RefusedRequest",
    "RefusesStreamOptions",
    "Script",
    "ScriptedReply",
    "ServerError",
    "Stalled",
    "Unauthorized",
    "UnknownModel",
    "messages_of",
    "sequence",
    "tool_names_of",
]

_COMPLETIONS = re.compile(
    r"/v1/chat/completions|/openai/deployments/[^/]+/chat/completions\?api-version=.+"
)
_POLL_S = 0.003
_FILLER = "never to be finished "


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """A client's request: path, JSON body, and headers with names in lower case."""

    path: str
    body: dict[str, object]
    headers: dict[str, str]

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The messages in order."""
        return messages_of(self.body)

    @property
    def tool_names(self) -> frozenset[str]:
        """The names of the tools on offer."""
        return tool_names_of(self.body)


Script = Callable[[dict[str, object], int], ScriptedReply | Fault]


def sequence(answers: Sequence[ScriptedReply | Fault]) -> Script:
    """Return a script with these answers in order.

    One request more makes the script raise AssertionError. The server then answers 500, and raises
    the error again when it is closed.
    """

    def script(_: dict[str, object], index: int) -> ScriptedReply | Fault:
        if index >= len(answers):
            raise AssertionError(
                f"the script has {len(answers)} answers, and one more was asked for"
            )
        return answers[index]

    return script


class ModelServer:
    """A model server within a `with`.

    An exception of the script is raised again at the end of the `with`, as AssertionError.

    Args:
        script: Returns the answer to a request's body and number, from 0.
        models: The models for `GET /v1/models`.
        key: The only accepted key, empty for any.

    Attributes:
        requests: The chat completion requests received, in order.
    """

    def __init__(
        self, script: Script, *, models: Sequence[str] = ("scripted",), key: str = ""
    ) -> None:
        self.models = tuple(models)
        self.requests: list[ReceivedRequest] = []
        self.closing = threading.Event()
        self._script = script
        self._key = key
        self._failures: list[BaseException] = []
        self._lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.scripted = self
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(_POLL_S,), daemon=True
        )

    @property
    def base_url(self) -> str:
        """The server's address for a client."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Self:
        """Start serving."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop serving.

        Raises:
            AssertionError: The script ran out or broke, and nothing else is being raised.
        """
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        if self._failures and kind is None:
            raise AssertionError(f"the script failed: {self._failures[0]}") from self._failures[0]

    def answer(self, request: ReceivedRequest) -> ScriptedReply | Fault:
        """Record a request and return the script's answer."""
        with self._lock:
            self.requests.append(request)
            if self._key and request.headers.get("authorization") != f"Bearer {self._key}":
                return Unauthorized()
            try:
                return self._script(request.body, len(self.requests) - 1)
            except Exception as error:  # noqa: BLE001 - a script may raise anything
                self._failures.append(error)
                return ServerError(message=f"the script failed: {error}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    scripted: ModelServer

    def handle_error(self, *_: object) -> None:
        """Log nothing: clients of this server close connections by design."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self._json(404, {"error": {"message": f"no such path {self.path}"}})
        models = [{"id": name, "object": "model"} for name in self._scripted.models]
        return self._json(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not _COMPLETIONS.fullmatch(self.path):
            return self._json(404, {"error": {"message": f"no such path {self.path}"}})
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self._scripted.answer(ReceivedRequest(path=self.path, body=body, headers=headers))
        if not isinstance(answer, ScriptedReply):
            return self._misbehave(answer)
        if body.get("stream") and answer.streamed:
            return self._stream(chunks(answer, body))
        return self._json(200, whole(answer, body))

    @property
    def _scripted(self) -> ModelServer:
        return cast("_Server", self.server).scripted

    def _json(self, status: int, value: object, **headers: str) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {
            "content_type": "application/json",
            "connection": "close",
            **headers,
        }.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _start_stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.send_header("connection", "close")
        self.end_headers()

    def _send(self, line: str) -> None:
        content = f"{line}\n\n".encode()
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")

    def _stream(self, events: Iterator[dict[str, object]]) -> None:
        self._start_stream()
        for event in events:
            self._send(f"data: {json.dumps(event)}")
        self._end_stream()

    def _end_stream(self) -> None:
        self._send("data: [DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _misbehave(self, fault: Fault) -> None:
        refusal = _refusal(fault, self.headers.get("authorization", ""))
        if refusal is not None:
            error = {
                "message": refusal.message,
                "type": refusal.kind,
                "param": refusal.parameter,
                "code": refusal.code,
            }
            stated = fault.retry_after if isinstance(fault, RateLimited | ServerError) else ""
            wait = {"retry_after": stated} if stated else {}
            return self._json(refusal.status, {"error": error}, **wait)
        if isinstance(fault, Redirected):
            return self._json(307, {}, location=fault.location)
        return self._misbehave_in_stream(fault)

    def _misbehave_in_stream(self, fault: Fault) -> None:
        self._start_stream()
        for _ in range(getattr(fault, "after_chunks", 0)):
            self._send(f"data: {json.dumps(chunk({'content': _FILLER}))}")
        match fault:
            case Garbage():
                self._send(f"data: {fault.text}")
                self._end_stream()
            case Dropped(politely=True):
                self._end_stream()
            case Stalled():
                self._scripted.closing.wait(fault.seconds)
            case Dribbled():
                for _ in range(fault.comments):
                    self._send(": still there")
            case FailedMidway():
                self._send_error(fault.message, fault.code)
            case EchoesKey():
                self._send_error(f"what is {self.headers.get('authorization')} for?", None)
            case _:
                pass

    def _send_error(self, message: str, code: int | str | None) -> None:
        self._send(f"data: {json.dumps({'error': {'message': message, 'code': code}})}")


def _refusal(fault: Fault, authorization: str) -> RefusedRequest | None:
    """Return the error response of a fault, or None for other faults."""
    match fault:
        case RefusedRequest():
            return fault
        case ServerError():
            return RefusedRequest(fault.message, fault.status, kind="server_error")
        case EchoesKey(midway=False):
            return RefusedRequest(f"Incorrect API key provided: {authorization}", fault.status)
        case _:
            return _REFUSALS.get(type(fault))


_REFUSALS: dict[type[object], RefusedRequest] = {
    RateLimited: RefusedRequest("too many requests", 429, kind="rate_limit_error"),
    ContextTooLong: RefusedRequest(
        "This model's maximum context length is 4096 tokens."
        " However, your messages resulted in 5000 tokens.",
        parameter="messages",
        code="context_length_exceeded",
    ),
    Unauthorized: RefusedRequest("Incorrect API key provided.", 401, code="invalid_api_key"),
    UnknownModel: RefusedRequest(
        "The model does not exist or you do not have access to it.", 404, code="model_not_found"
    ),
    RefusesStreamOptions: RefusedRequest(
        "Extra inputs are not permitted: body, stream_options", 422
    ),
}
