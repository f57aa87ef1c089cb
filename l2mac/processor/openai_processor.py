"""The language model behind any server that speaks OpenAI's chat completions API; the only door to `openai`."""

import json
import random
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from typing import Any, Self, TypeVar

import httpx2
import openai
from pydantic import ValidationError

from l2mac.errors import SettingsError
from l2mac.processor.bounded_stream import BoundedStream
from l2mac.processor.cancellation import CancelScope
from l2mac.processor.error_mapping import (
    ErrorKind,
    Failure,
    Redactor,
    explain,
    refused,
    retry_after_s,
)
from l2mac.processor.http_client import make_client
from l2mac.processor.messages import Reply, Request
from l2mac.processor.model_list import ModelInfo, read_offers
from l2mac.processor.model_settings import ModelSettings
from l2mac.processor.protocol import Watcher
from l2mac.processor.rate_limit import RateLimit
from l2mac.processor.response_parser import MalformedAnswer, ResponseParser
from l2mac.processor.retry import Retries
from l2mac.processor.server_capabilities import ServerCapabilities
from l2mac.processor.tool_probe import PROBE, has_called, is_about_tools
from l2mac.processor.tool_protocol import JsonTools, NativeTools, ToolProtocol

__all__ = ["ModelSettings", "OpenAIProcessor"]

_MOST_CHARACTERS = 8 * 1024 * 1024
_MOST_CHARACTERS_PER_TOKEN = 4 * 8
_CHARACTERS_PER_TOKEN = 4
_MOST_MODELS = 1000
_ENDED = Failure(kind=ErrorKind.ENDED, text="the call was ended")
_PROTOCOLS: dict[str, type[NativeTools] | type[JsonTools]] = {
    "native": NativeTools,
    "json": JsonTools,
}
T = TypeVar("T")


class OpenAIProcessor:
    """Call a language model; what a server turns out not to take is remembered for the next call.

    Close it, or use it in a `with`; one call at a time. No exception that it raises, nor one behind it, holds a secret.
    One `complete` takes at most `max_retries + 1` times `timeout_s + stall_s`, and a minute between two tries; or what
    its request says.

    Args:
        settings: Where the model is and how it is called.
        fuse: Ends a call from outside.
        clock: Seconds that only grow.
        sleep: Waits for seconds; the fuse's when None.
        chance: Gives a number from 0 to 1, which spreads retries.
    """

    def __init__(
        self,
        settings: ModelSettings,
        *,
        fuse: CancelScope | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._fuse = fuse or CancelScope()
        sleep = sleep or self._fuse.sleep
        self._client = make_client(settings, self._bound, self._fuse.attach)
        self._retries = Retries(most=settings.max_retries, sleep=sleep, chance=chance)
        self._redactor = Redactor(settings.secrets)
        self._dialect = ServerCapabilities()
        self._protocol: str = "" if settings.protocol == "auto" else settings.protocol
        self._deadline = 0.0
        self._requests = RateLimit(settings.requests_per_minute, clock=clock, sleep=sleep)
        self._tokens = RateLimit(settings.tokens_per_minute, clock=clock, sleep=sleep)

    def __enter__(self) -> Self:
        """Give the processor."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connections; closing twice is harmless."""
        self._client.close()

    @property
    def protocol(self) -> str:
        """How tools are called: `native` or `json`; empty until that has been found out."""
        return self._protocol

    def use_protocol(self, name: str) -> None:
        """Call tools in a way that is known already.

        Raises:
            SettingsError: There is no such way.
        """
        if name not in _PROTOCOLS:
            raise SettingsError("protocol", f"must be native or json, not {name!r}")
        self._protocol = name

    def negotiate(self, watch: Watcher, *, within_s: float | None = None) -> str:
        """Find out how the model calls tools, unless that is set, use it from now on, and give it: `native` or `json`.

        Raises:
            ModelRejected: It does neither, or the server refuses the key, the model's name or the request.
            ModelUnavailable: No whole reply after all retries.
            OutOfTime: That takes longer than `within_s`.
        """
        if self._settings.protocol != "auto":
            self.use_protocol(self._settings.protocol)
            return self._settings.protocol
        with self._fuse.within(within_s):
            return self._negotiated(watch)

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Give the model's reply; finds out first how tools are called, where that is neither set nor known.

        Raises:
            ContextOverflow: The server says that the messages do not fit.
            ModelUnavailable: No whole reply after all retries.
            ModelRejected: The server refuses the key, the model's name or the request.
            OutOfTime: The request's time is over.
            ValueError: Calls and answers do not fit together, or the required tool is not among the tools.
        """
        with self._fuse.within(request.within_s):
            protocol = _PROTOCOLS[self._protocol or self._negotiated(watch)]()
            return self._settled(self._ask(request, protocol, watch))

    @property
    def identity(self) -> str:
        """What replies depend on beside the request: server, version of its API, model, way to call tools."""
        settings = self._settings
        return json.dumps(
            [settings.address, settings.api_version, settings.model, settings.protocol]
        )

    @property
    def model(self) -> str:
        """The model's name as configured."""
        return self._settings.model

    @property
    def secrets(self) -> tuple[str, ...]:
        """Whatever must not be kept anywhere."""
        return self._settings.secrets

    @property
    def dialect(self) -> ServerCapabilities:
        """Which optional parts of the API the server has taken so far."""
        return self._dialect

    def list_models(self) -> tuple[ModelInfo, ...]:
        """Give the models that the server offers.

        Raises:
            ModelUnavailable: No answer after all retries.
            ModelRejected: The server refuses the key, or lists no models.
        """
        return self._settled(self._retries.persist(self._try_to_list))

    def _negotiated(self, watch: Watcher) -> str:
        for name, protocol in _PROTOCOLS.items():
            outcome = self._ask(PROBE, protocol(), watch)
            if has_called(outcome):
                self._protocol = name
                return name
            if not is_about_tools(outcome):
                self._settled(outcome)
        if isinstance(outcome, Failure):
            kind = ErrorKind.NO_TOOLS if outcome.kind is ErrorKind.REQUEST else outcome.kind
            raise self._error(replace(outcome, kind=kind))
        raise self._error(
            Failure(kind=ErrorKind.NO_TOOLS, text=self._redactor.line(outcome.content))
        )

    def _ask(self, request: Request, protocol: ToolProtocol, watch: Watcher) -> Reply | Failure:
        return self._retries.persist(lambda: self._try_in_dialects(request, protocol, watch))

    def _try_in_dialects(
        self, request: Request, protocol: ToolProtocol, watch: Watcher
    ) -> Reply | Failure:
        """Try once, and once more without each part of the API that the server refuses to take."""
        while True:
            outcome = self._try(request, protocol, watch)
            dialect = (
                self._dialect.after(outcome, request) if isinstance(outcome, Failure) else None
            )
            if dialect is None:
                return outcome
            self._dialect = dialect

    def _try(self, request: Request, protocol: ToolProtocol, watch: Watcher) -> Reply | Failure:
        body = {
            "model": self._settings.model,
            **self._dialect.say(request, protocol.encode(request)),
        }
        reader = ResponseParser(
            min(request.max_reply_tokens * _MOST_CHARACTERS_PER_TOKEN, _MOST_CHARACTERS)
        )
        estimate = len(json.dumps(body)) / _CHARACTERS_PER_TOKEN + request.max_reply_tokens
        self._requests.take(1)
        self._tokens.take(estimate)
        failure = _ENDED if self._fuse.is_cut else self._exchange(body, reader, watch)
        usage = reader.usage
        if usage.prompt_tokens is not None and usage.completion_tokens is not None:
            self._tokens.settle(taken=estimate, used=usage.prompt_tokens + usage.completion_tokens)
        # What breaks behind the reply's end, where only the token counts are still to come, does not cost the reply.
        if reader.failure is not None:
            return _ENDED if self._fuse.is_cut else failure or reader.failure
        content, calls = protocol.decode(request, reader.content, reader.tool_calls)
        return Reply(
            content=content,
            tool_calls=calls,
            usage=usage,
            cut_off=reader.is_cut_off,
            model=reader.model,
        )

    def _exchange(
        self, body: dict[str, Any], reader: ResponseParser, watch: Watcher
    ) -> Failure | None:
        """Send a request and let the reader take what comes back, until that ends or is too much."""
        self._deadline = self._clock() + self._settings.timeout_s
        try:
            with closing(self._receive(body)) as pieces:
                for piece in pieces:
                    if isinstance(piece, dict) and piece.get("error"):
                        return refused(None, piece["error"], self._redactor)
                    if text := reader.take(piece):
                        watch(text)
                    if reader.is_full:
                        break
        except (openai.OpenAIError, httpx2.HTTPError, MalformedAnswer) as error:
            return self._failed(error)
        return None

    def _receive(self, body: dict[str, Any]) -> Generator[object]:
        """Send a request and give the JSON values of the stream, or the one of an answer that is no stream."""
        if not body.get("stream"):
            # A whole reply comes after one long silence.
            patient: openai.RequestOptions = {"timeout": self._settings.timeout_s}
            yield _json(
                self._client.post(
                    "/chat/completions", body=body, cast_to=httpx2.Response, options=patient
                )
            )
            return
        with self._client.post(
            "/chat/completions",
            body=body,
            cast_to=object,
            stream=True,
            stream_cls=openai.Stream[object],
        ) as stream:
            if "json" in stream.response.headers.get("content-type", ""):
                self._dialect = replace(self._dialect, streams=False)
                stream.response.read()
                yield _json(stream.response)
                return
            try:
                yield from stream
            except (ValueError, RecursionError):
                # Without its cause, which repeats what the server sent.
                raise MalformedAnswer("the server sent an event that is no JSON") from None

    def _try_to_list(self) -> tuple[ModelInfo, ...] | Failure:
        self._deadline = self._clock() + self._settings.timeout_s
        try:
            offers = read_offers(
                _json(self._client.get("/models", cast_to=httpx2.Response)), at_most=_MOST_MODELS
            )
        except (openai.OpenAIError, httpx2.HTTPError, MalformedAnswer) as error:
            return self._failed(error)
        except ValidationError:
            return Failure(kind=ErrorKind.ADDRESS, text="what it sends is no list of models")
        return tuple(replace(offer, name=self._redactor.line(offer.name)) for offer in offers)

    def _failed(self, error: Exception) -> Failure:
        """Turn an exception into a value, so that what is raised later has nothing behind it that holds a secret."""
        if isinstance(error, openai.APIStatusError):
            wait_s = retry_after_s(error.response.headers)
            return refused(error.status_code, error.body, self._redactor, wait_s=wait_s)
        if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
            limits = (
                f"{self._settings.stall_s:g} s of silence or {self._settings.timeout_s:g} s in all"
            )
            return Failure(kind=ErrorKind.PASSING, text=f"it takes longer than {limits}")
        if isinstance(error, openai.APIError) and not isinstance(error, openai.APIConnectionError):
            return refused(None, error.body, self._redactor)
        return Failure(
            kind=ErrorKind.PASSING, text=self._redactor.line(str(error.__cause__ or error))
        )

    def _settled(self, outcome: T | Failure) -> T:
        if isinstance(outcome, Failure):
            self._fuse.check()
            raise self._error(outcome)
        return outcome

    def _error(self, failure: Failure) -> Exception:
        settings = self._settings
        offered = (
            self._try_to_list()
            if failure.kind is ErrorKind.MODEL and not settings.api_version
            else ()
        )
        return explain(
            failure,
            where=settings.address,
            model=settings.model,
            tries=settings.max_retries + 1,
            offered=() if isinstance(offered, Failure) else [offer.name for offer in offered],
        )

    def _bound(self, response: httpx2.Response) -> None:
        response.stream = BoundedStream(response, clock=self._clock, deadline=self._deadline)


def _json(response: httpx2.Response) -> object:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        raise MalformedAnswer("the server sent an answer that is no JSON") from None
