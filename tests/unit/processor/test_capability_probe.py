"""The probe finds the capabilities of servers, and their lack."""

import json
from collections.abc import Mapping

import pytest

from l2mac.errors import ModelRejected
from l2mac.processor.capability_probe import (
    Capability,
    probe_capabilities,
    probe_window,
    window_cost_tokens,
)
from l2mac.processor.model_list import ModelInfo, parse_model_list
from l2mac.processor.openai_processor import ModelSettings, OpenAIProcessor
from l2mac.testing.model_server import (
    ContextTooLong,
    Fault,
    ModelServer,
    RefusedRequest,
    Script,
    ScriptedReply,
    Unauthorized,
    messages_of,
)


class Model:
    """The behaviour of a server, of which each capability can be switched off."""

    def __init__(self, **lacking: bool) -> None:
        self.lacking = lacking
        self.asked = 0

    def lacks(self, name: str) -> bool:
        return self.lacking.get(name, False)

    def __call__(self, body: Mapping[str, object], _: int) -> ScriptedReply | Fault:
        self.asked += 1
        if self.lacks("key"):
            return Unauthorized()
        usage: dict[str, object] | None = {} if self.lacks("usage") else None
        streamed = not self.lacks("streaming")
        if body.get("tools") or body.get("response_format"):
            kind = "native" if body.get("tools") else "json"
            if self.lacks(kind):
                return (
                    RefusedRequest(f"{kind} is not supported")
                    if kind == "json"
                    else ScriptedReply("ready!")
                )
            return ScriptedReply(
                tool_calls=[("ready", {"answer": "yes"})], usage=usage, streamed=streamed
            )
        if self.lacks("seed_at_all") and "seed" in body:
            return RefusedRequest("unknown field seed")
        text = f"words {body.get('seed')}" + (f" {self.asked}" if self.lacks("seed") else "")
        return ScriptedReply(
            "same" if self.lacks("chance") else text, usage=usage, streamed=streamed
        )


def client(server: ModelServer) -> OpenAIProcessor:
    settings = ModelSettings(
        model="m", base_url=server.base_url, api_key="a-long-key", max_retries=0
    )
    return OpenAIProcessor(settings, sleep=lambda _: None)


def found(**lacking: bool) -> dict[str, Capability]:
    with ModelServer(Model(**lacking)) as server, client(server) as processor:
        return {one.name: one for one in probe_capabilities(processor)}


def test_a_server_that_can_do_everything() -> None:
    abilities = found()
    assert list(abilities) == ["answers", "usage", "streaming", "native", "json", "seed"]
    assert all(one.works for one in abilities.values())


@pytest.mark.parametrize("lacking", ["usage", "streaming", "native", "json", "seed"])
def test_probe_finds_exactly_the_missing_capabilities(lacking: str) -> None:
    assert [name for name, one in found(**{lacking: True}).items() if not one.works] == [lacking]


def test_a_seed_that_is_refused_is_said_to_be() -> None:
    assert found(seed_at_all=True)["seed"] == Capability(
        "seed", works=False, text="the server refuses a seed"
    )


def test_a_model_that_never_varies_says_nothing_about_seeds() -> None:
    assert found(chance=True)["seed"].works is None


def test_a_refused_key_ends_the_probe_at_once() -> None:
    with ModelServer(Model(key=True)) as server, client(server) as processor:
        with pytest.raises(ModelRejected, match="refuses"):
            list(probe_capabilities(processor))
        assert len(server.requests) == 1


def windowed(window: int, *, cuts: bool = False, counts: bool = True) -> Script:
    """Return the script of a server with a context window of 1.5 tokens a word."""

    def answer(body: Mapping[str, object], _: int) -> ScriptedReply | Fault:
        tokens = int(messages_of(body)[0].content.count("word") * 1.5)
        if tokens > window and not cuts:
            return ContextTooLong()
        usage = {"prompt_tokens": min(tokens, window), "completion_tokens": 1} if counts else {}
        return ScriptedReply("yes", usage=usage)

    return answer


@pytest.mark.parametrize("window", [1000, 3000, 5000, 8191])
def test_the_window_is_found_from_below_within_an_eighth(window: int) -> None:
    with ModelServer(windowed(window)) as server, client(server) as processor:
        finding = probe_window(processor, up_to=20_000, progress=lambda _: None)
    assert finding.limit_found
    assert window * 0.85 <= finding.accepted_tokens <= window


def test_a_server_that_cuts_without_saying_so_is_found_out() -> None:
    with ModelServer(windowed(3000, cuts=True)) as server, client(server) as processor:
        finding = probe_window(processor, up_to=20_000, progress=lambda _: None)
    assert (finding.accepted_tokens, finding.limit_found) == (3000, True)
    assert "without an error" in finding.text


def test_window_probe_stays_within_its_limit_and_announced_cost() -> None:
    with ModelServer(windowed(10**9)) as server, client(server) as processor:
        finding = probe_window(processor, up_to=8000, progress=lambda _: None)
    sent = [request.messages[0].content.count("word") * 1.5 for request in server.requests]
    assert max(sent) <= 8000
    assert sum(sent) <= window_cost_tokens(8000)
    assert not finding.limit_found


def test_window_probe_without_usage_counts_states_its_doubt() -> None:
    with ModelServer(windowed(10**9, counts=False)) as server, client(server) as processor:
        assert (
            "truncation is not detectable"
            in probe_window(processor, up_to=2000, progress=lambda _: None).text
        )


@pytest.mark.parametrize(
    ("fields", "window"),
    [
        ({}, None),
        ({"max_model_len": 32768}, 32768),
        ({"context_length": 128000}, 128000),
        ({"context_window": 131072}, 131072),
        ({"meta": {"n_ctx": 16384, "n_ctx_train": 32768}}, 16384),
        ({"meta": ["n_ctx"]}, None),
        ({"max_model_len": "many"}, None),
        ({"max_model_len": True}, None),
        ({"max_model_len": -1}, None),
    ],
)
def test_a_declared_window_is_read_where_it_is_one(
    fields: dict[str, object], window: int | None
) -> None:
    answer = json.loads(json.dumps({"data": [{"id": "m", **fields}, {"id": "n"}]}))
    assert parse_model_list(answer, at_most=1) == (ModelInfo("m", window),)
