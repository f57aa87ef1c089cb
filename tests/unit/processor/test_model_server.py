"""The shipped fakes of a language model follow their script exactly."""

import http.client
import json
from collections.abc import Sequence
from typing import TypedDict
from urllib.parse import urlsplit

import pytest

from l2mac.errors import ModelUnavailable
from l2mac.processor.messages import Message, Reply, Request, Role
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
    RefusesStreamOptions,
    ScriptedReply,
    ServerError,
    Stalled,
    Unauthorized,
    UnknownModel,
    messages_of,
    sequence,
)
from l2mac.testing.processor import ScriptedProcessor

HELLO = {"role": "user", "content": "Hello?"}
ASKED: dict[str, object] = {"model": "m", "messages": [HELLO]}
STREAMED = {**ASKED, "stream": True, "stream_options": {"include_usage": True}}


def post(
    server: ModelServer, body: dict[str, object], path: str = "/v1/chat/completions"
) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=5)
    try:
        headers = {"Content-Type": "application/json", "Authorization": "Bearer secret"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return (
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read().decode(),
        )
    finally:
        connection.close()


def ask(
    answers: Sequence[ScriptedReply | Fault], body: dict[str, object]
) -> tuple[int, dict[str, str], str]:
    with ModelServer(sequence(answers)) as server:
        return post(server, body)


class Delta(TypedDict, total=False):
    content: str | None


class Choice(TypedDict):
    delta: Delta
    finish_reason: str | None


class Event(TypedDict, total=False):
    choices: list[Choice]
    usage: dict[str, int]


def events(text: str) -> list[Event]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_a_whole_reply_has_content_and_usage() -> None:
    status, _, text = ask([ScriptedReply("Hello.")], ASKED)
    answer = json.loads(text)
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] > 0


def test_a_streamed_reply_comes_in_pieces_with_usage_last() -> None:
    _, headers, text = ask(
        [ScriptedReply("Hello, this is more than one piece.", truncated=True)], STREAMED
    )
    parts = events(text)
    assert headers["content-type"] == "text/event-stream"
    assert "".join(part["choices"][0]["delta"].get("content") or "" for part in parts[:-1]) == (
        "Hello, this is more than one piece."
    )
    assert parts[-2]["choices"][0]["finish_reason"] == "length"
    assert parts[-1]["usage"]["total_tokens"] > 0


def test_no_usage_is_streamed_where_none_is_asked_for() -> None:
    _, _, text = ask([ScriptedReply("Hello.")], {**ASKED, "stream": True})
    assert not any("usage" in part for part in events(text))


def test_calls_have_ids_that_no_earlier_call_has() -> None:
    later = {**ASKED, "messages": [HELLO, {"role": "assistant", "content": "x"}]}
    ids = []
    with ModelServer(
        sequence([ScriptedReply(tool_calls=[("a", {}), ("b", "{broken")])] * 2)
    ) as server:
        for body in (ASKED, later):
            message = json.loads(post(server, body)[2])["choices"][0]["message"]
            assert [call["function"]["arguments"] for call in message["tool_calls"]] == [
                "{}",
                "{broken",
            ]
            ids += [call["id"] for call in message["tool_calls"]]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("body", [ASKED, STREAMED])
def test_model_server_sends_the_call_as_content_with_a_response_format(
    body: dict[str, object],
) -> None:
    reply = ScriptedReply("First.", tool_calls=[("read", {"path": "x"}), ("other", {})])
    _, _, text = ask([reply], {**body, "response_format": {"type": "json_schema"}})
    if body.get("stream"):
        deltas = [choice["delta"] for part in events(text) for choice in part["choices"]]
        content = "".join(delta.get("content") or "" for delta in deltas)
    else:
        content = json.loads(text)["choices"][0]["message"]["content"]
    assert json.loads(content) == {"thought": "First.", "tool": "read", "arguments": {"path": "x"}}


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (RateLimited("3"), 429),
        (ServerError(503), 503),
        (ContextTooLong(), 400),
        (Unauthorized(), 401),
        (UnknownModel(), 404),
        (RefusesStreamOptions(), 422),
        (EchoesKey(), 401),
        (Redirected("http://127.0.0.1:1/"), 307),
    ],
    ids=repr,
)
def test_a_fault_answers_with_its_status(fault: Fault, status: int) -> None:
    answered, headers, text = ask([fault], STREAMED)
    assert answered == status
    assert headers.get("retry-after") == ("3" if status == 429 else None)
    assert ("secret" in text) == isinstance(fault, EchoesKey)


@pytest.mark.parametrize(
    "fault",
    [Dropped(2), Stalled(0), Dribbled(3), FailedMidway("no"), EchoesKey(midway=True)],
    ids=repr,
)
def test_a_stream_that_is_cut_is_seen_to_be_cut(fault: Fault) -> None:
    with pytest.raises(http.client.IncompleteRead):
        ask([fault], STREAMED)


def test_a_stream_can_end_politely_without_a_reply() -> None:
    assert [
        part["choices"][0]["finish_reason"]
        for part in events(ask([Dropped(2, politely=True)], STREAMED)[2])
    ] == [
        None,
        None,
    ]


def test_garbage_is_no_json() -> None:
    with pytest.raises(json.JSONDecodeError):
        events(ask([Garbage()], STREAMED)[2])


def test_requests_are_kept() -> None:
    with ModelServer(sequence([ScriptedReply()] * 2)) as server:
        post(server, ASKED)
        post(server, STREAMED)
    assert [request.body for request in server.requests] == [ASKED, STREAMED]
    assert server.requests[0].headers["authorization"] == "Bearer secret"
    assert server.requests[0].path == "/v1/chat/completions"


def test_a_script_sees_the_request_and_its_number() -> None:
    with ModelServer(
        lambda body, index: ScriptedReply(f"{index}: {messages_of(body)[0].content}")
    ) as server:
        post(server, ASKED)
        assert "1: Hello?" in post(server, ASKED)[2]


def test_a_script_that_runs_out_fails_the_test() -> None:
    with pytest.raises(
        AssertionError, match="the script has 1 answers, and one more was asked for"
    ):
        with ModelServer(sequence([ScriptedReply()])) as server:
            post(server, ASKED)
            assert post(server, ASKED)[0] == 500


def test_the_end_of_the_server_does_not_hide_the_first_error() -> None:
    with pytest.raises(ValueError, match="first"):
        with ModelServer(sequence([])) as server:
            post(server, ASKED)
            raise ValueError("first")


def test_model_server_accepts_only_its_key() -> None:
    with ModelServer(sequence([]), key="another") as server:
        assert post(server, ASKED)[0] == 401


def test_model_server_answers_404_on_other_paths() -> None:
    with ModelServer(sequence([])) as server:
        assert post(server, ASKED, "/v2/chat/completions")[0] == 404
    assert server.requests == []


def test_a_stalled_stream_does_not_outlive_its_server() -> None:
    with ModelServer(sequence([Stalled(3600, after_chunks=1)])) as server:
        connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=5)
        connection.request("POST", "/v1/chat/completions", json.dumps(STREAMED))
        answer = connection.getresponse()
        assert answer.readline().startswith(b"data:")
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()


# The scripted processor

REQUEST = Request(messages=(Message(Role.USER, "Hello?"),))


def test_scripted_processor_returns_replies_in_order_and_keeps_requests() -> None:
    pieces: list[str] = []
    processor = ScriptedProcessor([Reply(content="one"), Reply(content="")])
    assert [processor.complete(REQUEST, pieces.append).content for _ in range(2)] == ["one", ""]
    assert pieces == ["one"]
    assert processor.requests == [REQUEST, REQUEST]
    assert processor.left == 0


def test_scripted_processor_raises_scripted_exceptions() -> None:
    processor = ScriptedProcessor([ModelUnavailable("gone"), Reply(content="back")])
    with pytest.raises(ModelUnavailable, match="gone"):
        processor.complete(REQUEST, print)
    assert processor.complete(REQUEST, lambda _: None).content == "back"


def test_a_scripted_processor_raises_when_its_script_runs_out() -> None:
    with pytest.raises(AssertionError, match="one more was asked for"):
        ScriptedProcessor([]).complete(REQUEST, lambda _: None)
