"""The processor against a real HTTP server that misbehaves by a script."""

import contextlib
import json
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypedDict, Unpack

import pytest
from json_parts import part
from loguru import logger

from l2mac.errors import (
    ContextOverflow,
    ModelRejected,
    ModelUnavailable,
    ProcessorError,
    SettingsError,
)
from l2mac.processor.messages import Message, Reply, Request, Role, ToolSpec, Usage
from l2mac.processor.openai_processor import ModelSettings, OpenAIProcessor
from l2mac.processor.server_capabilities import ServerCapabilities
from l2mac.testing.model_server import (
    ContextTooLong,
    Dribbled,
    Dropped,
    EchoesKey,
    FailedMidway,
    Fault,
    Garbage,
    ModelServer,
    RateLimited,
    Redirected,
    RefusedRequest,
    RefusesStreamOptions,
    Script,
    ScriptedReply,
    ServerError,
    Stalled,
    Unauthorized,
    UnknownModel,
    sequence,
    tool_names_of,
)

KEY = "test-key-0123456789"
READY = ("ready", {"answer": "yes"})
READ = ToolSpec(
    "read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}}
)
PLAIN = Request(messages=(Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Hello?")))
TOOLED = replace(PLAIN, tools=(READ,))
HELLO = ScriptedReply("Hello, this is more than one piece.")


class Time:
    """A clock that moves by `step` at each reading, and by every sleep."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 0.0
        self.step = step
        self.sleeps: list[float] = []

    def clock(self) -> float:
        self.now += self.step
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps.append(seconds)


def unwatched(_: str) -> None:
    """Ignore the text."""


class Options(TypedDict, total=False):
    api_key: str
    api_version: str
    extra_headers: Mapping[str, str]
    max_retries: int
    protocol: Literal["auto", "native", "json"]
    requests_per_minute: int
    stall_s: float
    timeout_s: float
    tokens_per_minute: int


def make(base_url: str, time: Time | None = None, **settings: Unpack[Options]) -> OpenAIProcessor:
    time = time or Time()
    given: Options = {"api_key": KEY, "protocol": "native", **settings}
    return OpenAIProcessor(
        ModelSettings(model="m", base_url=base_url, **given),
        clock=time.clock,
        sleep=time.sleep,
        jitter=lambda: 1.0,
    )


@contextlib.contextmanager
def serving(
    answers: Sequence[ScriptedReply | Fault] | Script,
    time: Time | None = None,
    **settings: Unpack[Options],
) -> Iterator[tuple[OpenAIProcessor, ModelServer]]:
    script = answers if callable(answers) else sequence(answers)
    with (
        ModelServer(script, models=("a-model", "b-model")) as server,
        make(server.base_url, time, **settings) as it,
    ):
        yield it, server


def complete(
    answers: Sequence[ScriptedReply | Fault] | Script,
    request: Request = PLAIN,
    time: Time | None = None,
    **settings: Unpack[Options],
) -> Reply:
    with serving(answers, time, **settings) as (processor, _):
        return processor.complete(request, unwatched)


def failure(
    answers: Sequence[ScriptedReply | Fault] | Script,
    time: Time | None = None,
    **settings: Unpack[Options],
) -> ProcessorError:
    with pytest.raises(ProcessorError) as caught:
        complete(answers, time=time, **settings)
    return caught.value


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


# Requests


def test_a_request_goes_out_streamed_with_its_limits() -> None:
    with serving([HELLO], extra_headers={"X-Team": "blue-team"}) as (processor, server):
        processor.complete(replace(TOOLED, temperature=0.5, max_reply_tokens=77, seed=3), unwatched)
    body = server.requests[0].body
    assert (body["model"], body["temperature"], body["max_tokens"], body["seed"]) == (
        "m",
        0.5,
        77,
        3,
    )
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert server.requests[0].tool_names == {"read"}
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.requests[0].headers["x-team"] == "blue-team"


def test_no_seed_is_sent_where_none_is_set() -> None:
    with serving([HELLO]) as (processor, server):
        processor.complete(PLAIN, unwatched)
    assert "seed" not in server.requests[0].body


def test_azure_requests_use_the_deployment_path_and_api_key_header() -> None:
    with ModelServer(sequence([HELLO])) as server:
        with make(server.base_url.removesuffix("/v1"), api_version="2024-10-21") as processor:
            assert processor.complete(PLAIN, unwatched).content == HELLO.content
    assert (
        server.requests[0].path == "/openai/deployments/m/chat/completions?api-version=2024-10-21"
    )
    assert server.requests[0].headers["api-key"] == KEY


def test_credentials_in_the_address_go_into_a_header() -> None:
    with ModelServer(sequence([HELLO])) as server:
        with make(server.base_url.replace("//", "//user:p%40ss@"), api_key="") as processor:
            processor.complete(PLAIN, unwatched)
    assert server.requests[0].headers["authorization"] == "Basic dXNlcjpwQHNz"


# Replies


def test_a_streamed_reply_is_watched_piece_by_piece() -> None:
    pieces: list[str] = []
    with serving([HELLO]) as (processor, _):
        reply = processor.complete(PLAIN, pieces.append)
    assert reply.content == HELLO.content == "".join(pieces)
    assert len(pieces) > 1
    assert (reply.model, reply.truncated) == ("scripted", False)


def test_tool_calls_come_in_order_and_their_arguments_are_watched() -> None:
    pieces: list[str] = []
    calls: list[tuple[str, dict[str, str] | str]] = [
        ("read", {"path": "a" * 40}),
        ("read", "{broken"),
    ]
    with serving([ScriptedReply("I read.", tool_calls=calls)]) as (processor, _):
        reply = processor.complete(TOOLED, pieces.append)
    assert [(call.name, call.arguments) for call in reply.tool_calls] == [
        ("read", json.dumps({"path": "a" * 40})),
        ("read", "{broken"),
    ]
    assert "".join(pieces) == "I read." + json.dumps({"path": "a" * 40}) + "{broken"


def test_an_empty_reply_is_a_reply() -> None:
    reply = complete([ScriptedReply()])
    assert (reply.content, reply.tool_calls, reply.truncated) == ("", (), False)


def test_usage_is_taken_from_the_server() -> None:
    assert complete(
        [ScriptedReply("x", usage={"prompt_tokens": 5, "completion_tokens": 2})]
    ).usage == Usage(5, 2)


@pytest.mark.parametrize("lie", [-1, "7", 1.5, True, None, 10**12, [3]])
def test_usage_that_cannot_be_is_unknown(lie: object) -> None:
    reply = complete([ScriptedReply("x", usage={"prompt_tokens": lie, "completion_tokens": 2})])
    assert reply.usage == Usage(None, 2)


def test_a_reply_that_reached_its_limit_is_marked() -> None:
    assert complete([ScriptedReply("half a", truncated=True)]).truncated


def test_an_absurdly_long_reply_is_cut_and_marked() -> None:
    reply = complete([ScriptedReply("x" * 2000)], replace(PLAIN, max_reply_tokens=10))
    assert reply.truncated
    assert reply.content == "x" * 320


def test_a_reply_that_the_content_filter_ended_is_refused() -> None:
    chunk = {"choices": [{"delta": {"content": "I"}, "finish_reason": "content_filter"}]}
    error = failure([Garbage(json.dumps(chunk))])
    assert isinstance(error, ModelRejected)
    assert "content filter" in str(error)


# Retries


@pytest.mark.parametrize(
    "fault",
    [
        RateLimited(),
        ServerError(500),
        ServerError(503),
        RefusedRequest("timeout", 408),
        RefusedRequest("conflict", 409),
        Dropped(0),
        Dropped(2),
        Dropped(2, politely=True),
        FailedMidway("overloaded"),
        FailedMidway("overloaded", code=502),
        Garbage(),
        Garbage("null"),
        Garbage("[1]"),
        Garbage('{"choices": 1}'),
        Garbage('{"choices": [{"delta": {"content": 5}}]}'),
        Garbage("[" * 100_000),
    ],
    ids=repr,
)
def test_passing_trouble_is_tried_again(fault: Fault) -> None:
    with serving([fault, fault, HELLO]) as (processor, server):
        assert processor.complete(PLAIN, unwatched).content == HELLO.content
    assert len(server.requests) == 3


def test_trouble_that_does_not_pass_ends_after_all_retries() -> None:
    time = Time()
    with serving(lambda *_: ServerError(500, "out of order"), time, max_retries=3) as (
        processor,
        server,
    ):
        with pytest.raises(ModelUnavailable, match=r"no complete reply in 4 tries.*out of order"):
            processor.complete(PLAIN, unwatched)
    assert len(server.requests) == 4
    assert time.sleeps == [1, 2, 4]


def test_garbage_that_does_not_end_makes_the_model_unavailable() -> None:
    assert isinstance(failure(lambda *_: Garbage(), max_retries=1), ModelUnavailable)


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [("7", 7), ("0.5", 0.5), ("3600", 60), ("-5", 0), ("nan", 1), ("soon", 1), ("", 1)],
)
def test_the_server_says_how_long_to_wait(stated: str, seconds: float) -> None:
    time = Time()
    complete([RateLimited(stated), HELLO], time=time)
    assert time.sleeps == [seconds]


def test_pauses_are_spread_by_chance_and_bounded() -> None:
    time = Time()
    failure(lambda *_: ServerError(), time=time, max_retries=8)
    assert time.sleeps == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(
    "fault",
    [
        RefusedRequest("what is this?"),
        RefusedRequest("no", 422),
        RefusedRequest("pay", 402),
        RefusedRequest("You exceeded your current quota.", 429, code="insufficient_quota"),
        Unauthorized(),
        RefusedRequest("not you", 403),
        UnknownModel(),
        RefusedRequest("not here", 404),
        Redirected("http://127.0.0.1:1/v1"),
    ],
    ids=repr,
)
def test_a_refusal_is_never_tried_again(fault: Fault) -> None:
    time = Time()
    with serving([fault], time) as (processor, server), pytest.raises(ModelRejected):
        processor.complete(PLAIN, unwatched)
    assert len(server.requests) == 1
    assert time.sleeps == []


def test_a_connection_lost_after_the_end_of_the_reply_does_not_cost_it() -> None:
    chunk = {"choices": [{"delta": {"content": "all"}, "finish_reason": "stop"}]}
    assert complete([Garbage(json.dumps(chunk) + "\n\ndata: {oops")]).content == "all"


# Time


def test_silence_ends_a_try() -> None:
    error = failure(lambda *_: Stalled(30, after_chunks=1), stall_s=0.02, max_retries=1)
    assert isinstance(error, ModelUnavailable)
    assert "0.02 s of silence" in str(error)


def test_endless_stream_of_comments_ends_at_its_deadline() -> None:
    error = failure([Dribbled(100_000)], time=Time(step=1), timeout_s=5, max_retries=0)
    assert isinstance(error, ModelUnavailable)
    assert "5 s in total" in str(error)


def test_requests_per_minute_are_kept() -> None:
    time = Time()
    with serving([HELLO] * 4, time, requests_per_minute=2) as (processor, _):
        for _ in range(4):
            processor.complete(PLAIN, unwatched)
    assert time.sleeps == [30, 30]


def test_tokens_per_minute_are_limited_by_actual_usage() -> None:
    time = Time()
    reply = ScriptedReply("x", usage={"prompt_tokens": 500, "completion_tokens": 100})
    with serving([reply] * 3, time, tokens_per_minute=1000) as (processor, _):
        for _ in range(3):
            processor.complete(replace(PLAIN, max_reply_tokens=10_000), unwatched)
    assert time.sleeps == [36, 36]


def test_a_whole_reply_may_come_after_a_long_silence() -> None:
    stall_s = 0.02

    def script(body: Mapping[str, object], _: int) -> ScriptedReply | Fault:
        assert "stream" not in body
        threading.Event().wait(3 * stall_s)
        return HELLO

    with serving(script, stall_s=stall_s, timeout_s=600, max_retries=0) as (processor, _):
        # No streamed request comes first: a busy machine would need longer than `stall_s` for it.
        processor._capabilities = ServerCapabilities(streams=False)
        assert processor.complete(PLAIN, unwatched).content == HELLO.content


# Capabilities of servers


def learns(
    refused: Callable[[Mapping[str, object]], Fault | None], request: Request = PLAIN
) -> list[dict[str, object]]:
    """Complete twice with a server that refuses requests.

    Return the bodies of the accepted requests, then of the refused ones.
    """
    with serving(lambda body, _: refused(body) or HELLO) as (processor, server):
        for _ in range(2):
            assert processor.complete(request, unwatched).content == HELLO.content
    assert len(server.requests) == 3, "the second time it is known"
    return [received.body for received in server.requests]


def test_a_server_without_stream_options_is_asked_once_without() -> None:
    bodies = learns(lambda body: RefusesStreamOptions() if "stream_options" in body else None)
    assert bodies[2]["stream"] is True


def test_a_server_that_cannot_stream_is_asked_for_a_whole_reply() -> None:
    bodies = learns(
        lambda body: RefusedRequest("Streaming is not supported.") if body.get("stream") else None
    )
    assert "stream_options" not in bodies[1]


def test_a_server_that_answers_whole_is_read_whole() -> None:
    calls = ScriptedReply("I read.", tool_calls=[("read", {"path": "x"})], streamed=False)
    with serving([calls, calls]) as (processor, server):
        for _ in range(2):
            reply = processor.complete(TOOLED, unwatched)
            assert (reply.content, reply.tool_calls[0].name) == ("I read.", "read")
            assert reply.usage.prompt_tokens
    assert "stream" not in server.requests[1].body


def test_a_server_that_wants_max_completion_tokens_gets_it() -> None:
    words = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead."
    )
    bodies = learns(
        lambda body: RefusedRequest(words, parameter="max_tokens") if "max_tokens" in body else None
    )
    assert bodies[2]["max_completion_tokens"] == PLAIN.max_reply_tokens


def test_a_server_that_fixes_the_temperature_is_not_told_one() -> None:
    words = "Unsupported value: 'temperature' does not support 0 with this model."
    bodies = learns(
        lambda body: (
            RefusedRequest(words, parameter="temperature") if "temperature" in body else None
        )
    )
    assert "max_tokens" in bodies[2]


def test_a_server_without_seed_is_asked_without() -> None:
    learns(
        lambda body: RefusedRequest("seed: extra input", 422) if "seed" in body else None,
        replace(PLAIN, seed=1),
    )


def test_a_server_that_takes_no_named_tool_gets_that_tool_alone() -> None:
    words = "Invalid tool_choice type: 'object'. Supported string values: none, auto, required"
    request = replace(TOOLED, tools=(READ, replace(READ, name="other")), tool="read")
    bodies = learns(
        lambda body: RefusedRequest(words) if isinstance(body["tool_choice"], dict) else None,
        request,
    )
    assert bodies[2]["tool_choice"] == "required"
    assert tool_names_of(bodies[2]) == {"read"}


def test_max_tokens_that_are_too_many_are_not_renamed() -> None:
    with serving([RefusedRequest("max_tokens is too large: 4096", parameter="max_tokens")]) as (
        processor,
        server,
    ):
        with pytest.raises(ModelRejected, match="too large"):
            processor.complete(PLAIN, unwatched)
    assert len(server.requests) == 1


# Errors


@pytest.mark.parametrize(
    "fault", [ContextTooLong(), FailedMidway("Context size has been exceeded.")], ids=repr
)
def test_messages_that_do_not_fit_are_an_overflow(fault: Fault) -> None:
    assert isinstance(failure([fault]), ContextOverflow)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Unauthorized(), "Check OPENAI_API_KEY or --api-key-file"),
        (UnknownModel(), "has no model m: .*. Set --model to one of: a-model, b-model"),
        (RefusedRequest("not here", 404), "Check --base-url, which usually ends in /v1"),
        (Redirected("http://127.0.0.1:1/v1"), "Check --base-url"),
        (RefusedRequest("pay", 402), "Add credit to the account"),
        (RefusedRequest("odd request"), '(400) "odd request"'),
    ],
    ids=repr,
)
def test_refusals_advise_the_user(fault: Fault, words: str) -> None:
    error = str(failure([fault]))
    assert words.partition(": .*")[0] in error
    assert words.partition(": .*")[2] in error


def test_a_server_that_is_not_there_is_named_without_credentials() -> None:
    port = closed_port()
    time = Time()
    with make(f"http://user:{KEY}@127.0.0.1:{port}/v1", time, max_retries=2) as processor:
        with pytest.raises(ModelUnavailable) as caught:
            processor.complete(PLAIN, unwatched)
    assert f"http://127.0.0.1:{port}/v1 gave no complete reply in 3 tries" in str(caught.value)
    assert "refused" in str(caught.value)
    assert "user" not in str(caught.value)
    assert len(time.sleeps) == 2


def everything(error: BaseException) -> str:
    """Return all text in an exception and in its causes."""
    chain = [error]
    while (following := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(following)
    told = "".join(traceback.format_exception(error))
    return told + "".join(f"{one!s}{one!r}{one.args!r}{vars(one)!r}" for one in chain)


@pytest.mark.parametrize(
    "fault",
    [
        EchoesKey(),
        EchoesKey(400),
        EchoesKey(404),
        EchoesKey(429),
        EchoesKey(500),
        EchoesKey(midway=True),
        Garbage(f"Bearer {KEY}"),
        Garbage(f'{{"choices": "{KEY}"}}'),
        Redirected(f"http://127.0.0.1:1/{KEY}"),
        UnknownModel(),
        Dropped(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("protocol", ["auto", "native"])
def test_the_key_is_in_no_exception(fault: Fault, protocol: Literal["auto", "native"]) -> None:
    error = failure(lambda *_: fault, protocol=protocol, max_retries=1)
    assert KEY not in everything(error)
    assert error.__cause__ is None
    assert error.__context__ is None


def test_the_key_would_be_found_if_it_were_not_taken_out() -> None:
    # The control of the test above: the server's words do reach the exception.
    error = failure(lambda *_: RefusedRequest(f"what is {KEY} for?"), api_key="another-key")
    assert KEY in everything(error)


def test_the_key_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, level=0, diagnose=True, backtrace=True)
    try:
        with caplog.at_level(logging.DEBUG):
            failure(lambda *_: EchoesKey(500), max_retries=2)
    finally:
        logger.remove(sink)
    assert len(lines) == 2
    assert caplog.records
    assert KEY not in "".join(lines) + caplog.text


def test_repr_of_the_processor_shows_no_secret() -> None:
    settings = ModelSettings(
        model="m",
        base_url=f"http://user:{KEY}@h/v1",
        api_key=KEY,
        extra_headers={"X-Key": f"{KEY}2"},
    )
    with OpenAIProcessor(settings) as processor:
        assert KEY not in repr(settings) + str(settings) + repr(processor)


def test_the_servers_words_are_one_printable_line() -> None:
    error = str(failure([RefusedRequest("a\x1b[31m\nb\u202e" + "c" * 5000)]))
    assert error.isprintable()
    assert len(error) < 600


# How tools are called


def test_negotiation_finds_native_calls() -> None:
    with serving([ScriptedReply(tool_calls=[READY])], protocol="auto") as (processor, server):
        assert processor.negotiate(unwatched) == processor.protocol == "native"
    assert part(server.requests[0].body, "tool_choice", "function", "name") == "ready"


@pytest.mark.parametrize(
    "refusal",
    [
        ScriptedReply('```json\n{"name": "ready"}\n```'),
        ScriptedReply(tool_calls=[("ready", "{broken")]),
        ScriptedReply(tool_calls=[("other", {})]),
        RefusedRequest("registry.ollama.ai/library/gemma3:latest does not support tools"),
        RefusedRequest("No endpoints found that support tool use.", 404),
        ServerError(500, "tools param requires --jinja flag"),
    ],
    ids=["text", "broken", "other tool", "ollama", "openrouter", "llama.cpp"],
)
def test_negotiation_finds_json_where_no_call_comes_back(refusal: ScriptedReply | Fault) -> None:
    with serving([refusal, ScriptedReply(tool_calls=[READY])], protocol="auto") as (
        processor,
        server,
    ):
        assert processor.negotiate(unwatched) == processor.protocol == "json"
    assert "response_format" in server.requests[1].body
    assert "tools" not in server.requests[1].body


@pytest.mark.parametrize(
    "second", [ScriptedReply("no JSON"), RefusedRequest("response_format is unavailable")]
)
def test_failed_negotiation_advises_another_model(second: ScriptedReply | Fault) -> None:
    with serving([ScriptedReply("text"), second], protocol="auto") as (processor, _):
        with pytest.raises(ModelRejected, match=r"neither calls tools.*Choose another model"):
            processor.negotiate(unwatched)
        assert processor.protocol == ""


def test_negotiation_does_not_mistake_other_trouble_for_missing_tools() -> None:
    with serving([Unauthorized()], protocol="auto") as (processor, server):
        with pytest.raises(ModelRejected, match="OPENAI_API_KEY"):
            processor.negotiate(unwatched)
    assert len(server.requests) == 1


def test_negotiation_with_a_server_out_of_order_says_so() -> None:
    with serving(lambda *_: ServerError(503), protocol="auto", max_retries=1) as (
        processor,
        server,
    ):
        with pytest.raises(ModelUnavailable):
            processor.negotiate(unwatched)
    assert len(server.requests) == 4


@pytest.mark.parametrize("protocol", ["native", "json"])
def test_configured_protocol_is_not_negotiated(protocol: Literal["native", "json"]) -> None:
    with serving([], protocol=protocol) as (processor, server):
        assert processor.negotiate(unwatched) == processor.protocol == protocol
    assert server.requests == []


def test_completing_negotiates_once_by_itself() -> None:
    ready = ScriptedReply(tool_calls=[READY])
    with serving([ready, HELLO, HELLO], protocol="auto") as (processor, server):
        processor.complete(TOOLED, unwatched)
        processor.complete(TOOLED, unwatched)
    assert len(server.requests) == 3


def test_a_known_protocol_is_not_negotiated() -> None:
    with serving(
        [ScriptedReply("Look.", tool_calls=[("read", {"path": "x"})])], protocol="auto"
    ) as (processor, _):
        processor.use_protocol("json")
        reply = processor.complete(TOOLED, unwatched)
    assert (reply.content, reply.tool_calls[0].arguments) == ("Look.", '{"path": "x"}')


def test_an_unknown_protocol_is_refused() -> None:
    with (
        make("http://127.0.0.1:1/v1") as processor,
        pytest.raises(SettingsError, match="native or json"),
    ):
        processor.use_protocol("xml")


# Models and settings


def test_models_are_listed() -> None:
    with serving([]) as (processor, _):
        assert [offer.name for offer in processor.list_models()] == ["a-model", "b-model"]


def test_listing_models_of_a_server_that_is_not_there_fails_alike() -> None:
    with make(f"http://127.0.0.1:{closed_port()}/v1") as processor, pytest.raises(ModelUnavailable):
        processor.list_models()


def test_listing_models_at_a_wrong_address_says_so() -> None:
    with ModelServer(sequence([])) as server, make(server.base_url + "/more") as processor:
        with pytest.raises(ModelRejected, match="--base-url"):
            processor.list_models()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", ""),
        ("base_url", "127.0.0.1:8080/v1"),
        ("base_url", "ftp://host/v1"),
        ("base_url", f"http://{KEY}@[::1/v1"),
        ("base_url", None),
        ("api_key", f"{KEY}\n"),
        ("api_key", f"{KEY} and more"),
        ("api_key", f"{KEY}é"),
        ("extra_headers", {"X-Key": f"{KEY}\r\nX-Other: 1"}),
        ("extra_headers", {"X Key": KEY}),
        ("timeout_s", 0),
        ("stall_s", -1),
        ("max_retries", -1),
        ("protocol", "xml"),
        ("requests_per_minute", 0),
        ("tokens_per_minute", 0),
    ],
)
def test_settings_that_cannot_be_are_refused_without_repeating_them(
    name: str, value: object
) -> None:
    given = {"model": "m", "base_url": "http://127.0.0.1:1/v1", "api_version": "1", name: value}
    make_settings: type = ModelSettings  # mypy does not see that the values are invalid
    with pytest.raises(SettingsError) as caught:
        make_settings(**given)
    assert caught.value.field in {name, "api_version"}
    assert KEY not in everything(caught.value)


def test_openai_is_the_default_server() -> None:
    assert ModelSettings(model="m").address == "https://api.openai.com/v1"


def test_closing_twice_is_harmless() -> None:
    processor = make("http://127.0.0.1:1/v1")
    processor.close()
    processor.close()
    assert processor._client.is_closed()
