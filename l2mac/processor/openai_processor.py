"""The processor for any server with OpenAI's chat completions API.

This module and `http_client` are the only users of `openai`.
"""

import json
import random
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from typing import Self, TypeVar

import httpx2
import openai
from pydantic import ValidationError

from l2mac.errors import SettingsError
from l2mac.processor.cancellation import CancelScope
from l2mac.processor.error_mapping import (
    ErrorKind,
    Failure,
    Redactor,
    failure_from_response,
    retry_after_s,
    to_exception,
)
from l2mac.processor.http_client import BoundedStream, make_client
from l2mac.processor.messages import Reply, Request
from l2mac.processor.model_list import ModelInfo, parse_model_list
from l2mac.processor.model_settings import ModelSettings
from l2mac.processor.pacing import RateLimit, RetryPolicy
from l2mac.processor.protocol import Watcher
from l2mac.processor.response_parser import MalformedAnswer, ResponseParser
from l2mac.processor.server_capabilities import ServerCapabilities
from l2mac.processor.tool_probe import PROBE, has_called, is_about_tools
from l2mac.processor.tool_protocol import JsonTools, NativeTools, ToolProtocol

__all__ = ["ModelSettings", "OpenAIProcessor"]

_MOST_CHARACTERS = 8 * 1024 * 1024
_MOST_CHARACTERS_PER_TOKEN = 4 * 8
_CHARACTERS_PER_TOKEN = 4
_MOST_MODELS = 1000
_CANCELLED = Failure(kind=ErrorKind.CANCELLED, text="the call was cancelled")
_FAILURES = (openai.OpenAIError, httpx2.HTTPError, MalformedAnswer)
_PROTOCOLS: dict[str, type[NativeTools] | type[JsonTools]] = {
    "native": NativeTools,
    "json": JsonTools,
}
T = TypeVar("T")


class OpenAIProcessor:
    """A language model behind an OpenAI-compatible server.

    Close the processor, or use it in a `with`. One call may be in progress at a time. All later
    calls omit parts of the API that the server has rejected. No exception, nor its cause, holds a
    secret.

    One `complete` takes at most `max_retries + 1` times `timeout_s + stall_s`, plus a minute
    between two tries, or the time that the request states.

    Args:
        settings: The server and the way to call it.
        cancel_scope: Cancels a call from another thread.
        clock: A monotonic clock in seconds.
        sleep: Waits for seconds. The cancel scope's `sleep` when None.
        jitter: Returns a random number from 0 to 1, which spreads retries.
    """

    def __init__(
        self,
        settings: ModelSettings,
        *,
        cancel_scope: CancelScope | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._cancel_scope = cancel_scope or CancelScope()
        sleep = sleep or self._cancel_scope.sleep
        self._client = make_client(settings, self._bound, self._cancel_scope.attach)
        self._retry = RetryPolicy(max_retries=settings.max_retries, sleep=sleep, jitter=jitter)
        self._redactor = Redactor(settings.secrets)
        self._capabilities = ServerCapabilities()
        self._protocol: str = "" if settings.protocol == "auto" else settings.protocol
        self._deadline = 0.0
        self._requests = RateLimit(settings.requests_per_minute, clock=clock, sleep=sleep)
        self._tokens = RateLimit(settings.tokens_per_minute, clock=clock, sleep=sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        self._client.close()

    @property
    def protocol(self) -> str:
        """The tool protocol, `native` or `json`, or empty until it has been found."""
        return self._protocol

    def use_protocol(self, name: str) -> None:
        """Use a tool protocol that is known already.

        Raises:
            SettingsError: The name is not a tool protocol.
        """
        if name not in _PROTOCOLS:
            raise SettingsError("protocol", f"protocol must be native or json, not {name!r}.")
        self._protocol = name

    def negotiate(self, watch: Watcher, *, within_s: float | None = None) -> str:
        """Find the model's tool protocol, use it from now on and return its name.

        A protocol in the settings is used without asking the server.

        Raises:
            ModelRejected: The model calls tools by neither protocol, or the server refuses the key,
                the model's name or the request.
            ModelUnavailable: The server gave no complete reply after all retries.
            OutOfTime: The search takes longer than `within_s`.
        """
        if self._settings.protocol != "auto":
            self.use_protocol(self._settings.protocol)
            return self._settings.protocol
        with self._cancel_scope.time_limit(within_s):
            return self._find_protocol(watch)

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Return the model's reply. The tool protocol is found first unless it is known.

        Raises:
            ContextOverflow: The server says that the messages do not fit.
            ModelUnavailable: The server gave no complete reply after all retries.
            ModelRejected: The server refuses the key, the model's name or the request.
            OutOfTime: The request's time is over.
            ValueError: Calls and answers do not match, or the required tool is not among the tools.
        """
        with self._cancel_scope.time_limit(request.within_s):
            protocol = _PROTOCOLS[self._protocol or self._find_protocol(watch)]()
            return self._checked(self._ask(request, protocol, watch))

    @property
    def identity(self) -> str:
        """The server, API, model and protocol, on which replies depend."""
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
        """The texts that must not be stored anywhere."""
        return self._settings.secrets

    @property
    def capabilities(self) -> ServerCapabilities:
        """The optional parts of the API that the server has not rejected so far."""
        return self._capabilities

    def list_models(self) -> tuple[ModelInfo, ...]:
        """Return the models that the server offers.

        Raises:
            ModelUnavailable: The server did not answer after all retries.
            ModelRejected: The server refuses the key, or lists no models.
        """
        return self._checked(self._retry.run(self._try_to_list))

    def _find_protocol(self, watch: Watcher) -> str:
        outcome: Reply | Failure = _CANCELLED
        for name, protocol in _PROTOCOLS.items():
            outcome = self._ask(PROBE, protocol(), watch)
            if has_called(outcome):
                self._protocol = name
                return name
            if not is_about_tools(outcome):
                self._checked(outcome)
        if not isinstance(outcome, Failure):
            text = self._redactor.line(outcome.content)
            raise self._error(Failure(kind=ErrorKind.NO_TOOLS, text=text))
        if outcome.kind is ErrorKind.REQUEST:
            outcome = replace(outcome, kind=ErrorKind.NO_TOOLS)
        raise self._error(outcome)

    def _ask(self, request: Request, protocol: ToolProtocol, watch: Watcher) -> Reply | Failure:
        return self._retry.run(lambda: self._try_capabilities(request, protocol, watch))

    def _try_capabilities(
        self, request: Request, protocol: ToolProtocol, watch: Watcher
    ) -> Reply | Failure:
        """Try once, and again without each part of the API that the server rejects."""
        while True:
            outcome = self._try(request, protocol, watch)
            if not isinstance(outcome, Failure):
                return outcome
            fewer = self._capabilities.without_rejected(outcome, request)
            if fewer is None:
                return outcome
            self._capabilities = fewer

    def _try(self, request: Request, protocol: ToolProtocol, watch: Watcher) -> Reply | Failure:
        fields = self._capabilities.apply(request, protocol.encode(request))
        body = {"model": self._settings.model, **fields}
        limit = min(request.max_reply_tokens * _MOST_CHARACTERS_PER_TOKEN, _MOST_CHARACTERS)
        parser = ResponseParser(limit)
        estimate = len(json.dumps(body)) / _CHARACTERS_PER_TOKEN + request.max_reply_tokens
        self._requests.take(1)
        self._tokens.take(estimate)
        if self._cancel_scope.is_interrupted:
            return _CANCELLED
        failure = self._exchange(body, parser, watch)
        usage = parser.usage
        if usage.prompt_tokens is not None and usage.completion_tokens is not None:
            self._tokens.settle(taken=estimate, used=usage.prompt_tokens + usage.completion_tokens)
        # A failure after the reply's end is ignored: only the token counts were still to come.
        if parser.failure is not None:
            return self._cause(failure or parser.failure)
        content, calls = protocol.decode(request, parser.content, parser.tool_calls)
        return Reply(
            content=content,
            tool_calls=calls,
            usage=usage,
            truncated=parser.is_truncated,
            model=parser.model,
        )

    def _cause(self, failure: Failure) -> Failure:
        """Return the failure, or the cancellation that caused it."""
        return _CANCELLED if self._cancel_scope.is_interrupted else failure

    def _exchange(
        self, body: dict[str, object], parser: ResponseParser, watch: Watcher
    ) -> Failure | None:
        """Send a request and feed the answer to the parser until its end or its limit."""
        self._deadline = self._clock() + self._settings.timeout_s
        try:
            with closing(self._receive(body)) as pieces:
                for piece in pieces:
                    if isinstance(piece, dict) and piece.get("error"):
                        return failure_from_response(None, piece["error"], self._redactor)
                    if text := parser.feed(piece):
                        watch(text)
                    if parser.is_over_limit:
                        break
        except _FAILURES as error:
            return self._failure(error)
        return None

    def _receive(self, body: dict[str, object]) -> Generator[object]:
        """Send a request and yield the JSON values of the stream, or of the whole answer."""
        path = "/chat/completions"
        if not body.get("stream"):
            # A complete reply arrives after one long silence.
            patient: openai.RequestOptions = {"timeout": self._settings.timeout_s}
            yield _json(
                self._client.post(path, body=body, cast_to=httpx2.Response, options=patient)
            )
            return
        with self._client.post(
            path, body=body, cast_to=object, stream=True, stream_cls=openai.Stream[object]
        ) as stream:
            if "json" in stream.response.headers.get("content-type", ""):
                self._capabilities = replace(self._capabilities, streams=False)
                stream.response.read()
                yield _json(stream.response)
                return
            try:
                yield from stream
            except (ValueError, RecursionError):
                # Without its cause, which repeats the server's answer.
                raise MalformedAnswer("the server sent an event that is not JSON") from None

    def _try_to_list(self) -> tuple[ModelInfo, ...] | Failure:
        self._deadline = self._clock() + self._settings.timeout_s
        try:
            answer = _json(self._client.get("/models", cast_to=httpx2.Response))
            models = parse_model_list(answer, at_most=_MOST_MODELS)
        except _FAILURES as error:
            return self._failure(error)
        except ValidationError:
            return Failure(kind=ErrorKind.ADDRESS, text="the answer is not a list of models")
        return tuple(replace(model, name=self._redactor.line(model.name)) for model in models)

    def _failure(self, error: Exception) -> Failure:
        """Return an exception as a value, so that no later exception has it as its cause.

        The exceptions of `openai` and `httpx2` may hold secrets.
        """
        if isinstance(error, openai.APIStatusError):
            wait_s = retry_after_s(error.response.headers)
            return failure_from_response(
                error.status_code, error.body, self._redactor, wait_s=wait_s
            )
        if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
            stall_s, timeout_s = self._settings.stall_s, self._settings.timeout_s
            text = f"timeout after {stall_s:g} s of silence or {timeout_s:g} s in total"
            return Failure(kind=ErrorKind.TRANSIENT, text=text)
        if isinstance(error, openai.APIError) and not isinstance(error, openai.APIConnectionError):
            return failure_from_response(None, error.body, self._redactor)
        text = self._redactor.line(str(error.__cause__ or error))
        return Failure(kind=ErrorKind.TRANSIENT, text=text)

    def _checked(self, outcome: T | Failure) -> T:
        """Return the outcome, or raise the exception for a failure or a cancellation."""
        if isinstance(outcome, Failure):
            self._cancel_scope.raise_if_cancelled()
            raise self._error(outcome)
        return outcome

    def _error(self, failure: Failure) -> Exception:
        settings = self._settings
        offered: tuple[ModelInfo, ...] | Failure = ()
        if failure.kind is ErrorKind.MODEL and not settings.api_version:
            offered = self._try_to_list()
        if isinstance(offered, Failure):
            offered = ()
        return to_exception(
            failure,
            where=settings.address,
            model=settings.model,
            tries=settings.max_retries + 1,
            offered=[model.name for model in offered],
        )

    def _bound(self, response: httpx2.Response) -> None:
        response.stream = BoundedStream(response, clock=self._clock, deadline=self._deadline)


def _json(response: httpx2.Response) -> object:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        raise MalformedAnswer("the server's answer is not JSON") from None
