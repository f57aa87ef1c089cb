"""Cancellation of a model call in progress, by a time limit or by the user."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import pytest
from recorded_run import STORY, sandbox_maker
from run_specs import run_spec

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.errors import OutOfTime
from l2mac.processor.cancellation import CancelScope
from l2mac.processor.messages import Message, Request, Role
from l2mac.processor.openai_processor import ModelSettings, OpenAIProcessor
from l2mac.runs.audit import audit_run
from l2mac.runs.execute import Resources, SessionResult, execute
from l2mac.testing.model_server import (
    Fault,
    ModelServer,
    RateLimited,
    ScriptedReply,
    Stalled,
    sequence,
)
from l2mac.trace.chain import read_trace
from l2mac.trace.events import ModelCalled, RunEnded

REQUEST = Request(messages=(Message(Role.USER, "Hello?"),))
LONG_S, SOON_S = 60.0, 30.0


class GivenUp(Exception):
    """The exception that ends a cancelled session."""


def give_up() -> None:
    raise GivenUp


def unwatched(_: str) -> None:
    """Ignore the text."""


class Silence:
    """A script of a server that sends nothing until the end of the test."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.over = threading.Event()

    def __call__(self, body: Mapping[str, object], number: int) -> ScriptedReply:
        self.reached.set()
        self.over.wait(LONG_S)
        return ScriptedReply("too late")


@pytest.fixture
def silence() -> Iterator[Silence]:
    found = Silence()
    yield found
    found.over.set()


@contextlib.contextmanager
def soon() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < SOON_S


def make(
    server: ModelServer,
    cancel_scope: CancelScope | None = None,
    *,
    protocol: Literal["auto", "native"] = "native",
) -> OpenAIProcessor:
    settings = ModelSettings(
        model="m", base_url=server.base_url, api_key="key", protocol=protocol, max_retries=9
    )
    return OpenAIProcessor(settings, cancel_scope=cancel_scope)


def test_a_server_that_says_nothing_is_left_when_the_time_is_over(silence: Silence) -> None:
    with ModelServer(silence) as server, make(server) as processor, soon():
        with pytest.raises(OutOfTime, match="--max-time"):
            processor.complete(replace(REQUEST, within_s=0.3), unwatched)
        silence.over.set()


def test_a_server_that_falls_silent_is_left_when_the_time_is_over() -> None:
    with (
        ModelServer(sequence([Stalled(after_chunks=3, seconds=LONG_S)])) as server,
        make(server) as processor,
        soon(),
    ):
        with pytest.raises(OutOfTime):
            processor.complete(replace(REQUEST, within_s=0.3), unwatched)


def test_no_pause_between_two_tries_is_longer_than_the_time() -> None:
    with ModelServer(sequence([RateLimited("50")])) as server, make(server) as processor, soon():
        with pytest.raises(OutOfTime):
            processor.complete(replace(REQUEST, within_s=0.3), unwatched)


def test_server_that_stalls_in_the_tls_handshake_is_left_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, soon():
        settings = ModelSettings(
            model="m",
            base_url=f"https://127.0.0.1:{mute.getsockname()[1]}/v1",
            api_key="key",
            protocol="native",
        )
        with OpenAIProcessor(settings) as processor, pytest.raises(OutOfTime):
            processor.complete(replace(REQUEST, within_s=0.3), unwatched)


def test_negotiating_ends_with_its_time(silence: Silence) -> None:
    with ModelServer(silence) as server, make(server, protocol="auto") as processor, soon():
        with pytest.raises(OutOfTime):
            processor.negotiate(unwatched, within_s=0.3)
        silence.over.set()


def test_processor_still_works_after_a_call_reached_its_deadline() -> None:
    answers: list[ScriptedReply | Fault] = [
        ScriptedReply("one"),
        Stalled(seconds=LONG_S),
        ScriptedReply("two"),
    ]
    with ModelServer(sequence(answers)) as server, make(server) as processor:
        assert processor.complete(replace(REQUEST, within_s=SOON_S), unwatched).content == "one"
        with pytest.raises(OutOfTime):
            processor.complete(replace(REQUEST, within_s=0.3), unwatched)
        assert processor.complete(REQUEST, unwatched).content == "two"


def test_a_cancelled_call_ends_while_the_server_is_silent(silence: Silence) -> None:
    cancel_scope = CancelScope(give_up)
    with ModelServer(silence) as server, make(server, cancel_scope) as processor, soon():

        def cancel_in_silence() -> None:
            silence.reached.wait(LONG_S)
            cancel_scope.cancel()

        watcher = threading.Thread(target=cancel_in_silence)
        watcher.start()
        with pytest.raises(GivenUp):
            processor.complete(REQUEST, unwatched)
        silence.over.set()
        watcher.join()


def test_cancelled_processor_sends_no_request() -> None:
    cancel_scope = CancelScope(give_up)
    with ModelServer(sequence([])) as server, make(server, cancel_scope) as processor:
        cancel_scope.cancel()
        for within_s in (None, 1.0, None):
            with pytest.raises(GivenUp):
                processor.complete(replace(REQUEST, within_s=within_s), unwatched)
        assert server.requests == []


class Work(Protocol):
    def __call__(self, server: ModelServer, limits: Limits, name: str) -> SessionResult: ...


@pytest.fixture
def run(tmp_path: Path) -> Work:
    def work(server: ModelServer, limits: Limits, name: str) -> SessionResult:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        with make(server) as processor:
            means = Resources(
                processor=processor,
                open_sandbox=sandbox_maker(),
                limits=limits,
                prices=Prices(),
                model="scripted",
                image="none",
            )
            return execute(folder, run_spec(), means, "run")

    return work


def test_run_whose_time_ends_during_a_call_can_be_resumed(
    run: Work,
) -> None:
    scripted = [
        ScriptedReply(
            one.content, tool_calls=[(c.name, json.loads(c.arguments)) for c in one.tool_calls]
        )
        for one in STORY
    ]

    def attempt(time_s: int) -> tuple[int, SessionResult, bool]:
        silence = Silence()

        def then_silent(body: Mapping[str, object], number: int) -> ScriptedReply:
            return scripted[number] if number < 2 else silence(body, number)

        with ModelServer(then_silent) as server:
            ended = run(server, Limits(time_s=time_s), f"{time_s}")
            silence.over.set()
        return time_s, ended, silence.reached.is_set()

    # A slow machine needs more time until it comes to the silence.
    attempts = map(attempt, (1, 4, 16, 64))
    time_s, ended, _ = next(one for one in attempts if one[2])
    assert ended.outcome.status == "budget exhausted"
    assert (
        f"{time_s} seconds of work are over (--max-time), which ended a call of the model"
        in ended.outcome.cause
    )
    assert audit_run(ended.folder).verdict == "intact"
    events = [entry.event for entry in read_trace(ended.folder / "trace.jsonl")[0]]
    assert sum(isinstance(event, ModelCalled) for event in events) == 2
    assert events[-1] == RunEnded(status="budget exhausted", cause=ended.outcome.cause)
    with ModelServer(sequence(scripted[2:])) as server:
        done = run(server, Limits(time_s=3600), f"{time_s}")
    assert done.outcome.status == "completed"
    assert audit_run(done.folder).verdict == "intact"
