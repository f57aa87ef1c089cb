"""`l2mac models` as its users meet it; nothing of it needs an engine."""

import tomllib
from collections.abc import Mapping

from cli import Cli
from json_parts import part, parts

from l2mac.testing.model_server import ScriptedReply, Unauthorized

KEY = "sk-models-0123456789"


def answer(body: Mapping[str, object], _: int) -> ScriptedReply:
    if body.get("tools") or body.get("response_format"):
        return ScriptedReply(tool_calls=[("ready", {"answer": "yes"})])
    return ScriptedReply(f"words {body.get('seed')}")


def test_models_command_probes_the_only_model_and_prints_settings(cli: Cli) -> None:
    with cli.serving(answer) as server:
        done = cli.run("models", "--probe-context", "2048", OPENAI_API_KEY=KEY, L2MAC_MODEL="")
    assert "at most about 10240 tokens" in done.stderr
    assert KEY not in done.stdout + done.stderr
    snippet = done.stdout.partition("\n\n")[2]
    written = tomllib.loads(snippet)
    assert (written["model"], written["base_url"], written["tool_protocol"]) == (
        "scripted",
        server.base_url,
        "native",
    )


def test_models_command_prints_one_json_object(cli: Cli) -> None:
    with cli.serving(answer, models=("a", "b")):
        found = cli.json("models", "--model", "b")
    assert [part(offer, "name") for offer in parts(found, "offers")] == ["a", "b"]
    abilities = {part(one, "name"): part(one, "works") for one in parts(found, "abilities")}
    assert abilities["native"]
    assert tomllib.loads(str(found["settings"]))["model"] == "b"


def test_among_several_none_is_tried_unless_named(cli: Cli) -> None:
    with cli.serving(answer, models=("a", "b")) as server:
        done = cli.run("models", L2MAC_MODEL="")
        assert server.requests == []
    assert "--model" in done.stderr


def test_a_refused_key_is_the_models_exit_code(cli: Cli) -> None:
    with cli.serving(lambda *_: Unauthorized()):
        done = cli.run("models", code=6)
    assert "OPENAI_API_KEY" in done.stderr


def test_presets_are_listed_without_any_request(cli: Cli) -> None:
    done = cli.run("models", "--presets")
    assert all(name in done.stdout for name in ("ollama", "azure", "http://127.0.0.1:11434/v1"))
