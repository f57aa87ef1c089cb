"""`l2mac models` as its users meet it; nothing of it needs an engine."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from l2mac.testing.model_server import ModelServer, ScriptedReply, Unauthorized

KEY = "sk-models-0123456789"


def answer(body: dict[str, Any], _: int) -> ScriptedReply:
    if body.get("tools") or body.get("response_format"):
        return ScriptedReply(tool_calls=[("ready", {"answer": "yes"})])
    return ScriptedReply(f"words {body.get('seed')}")


def models(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("L2MAC_", "OPENAI_"))
    }
    variables = {**kept, "XDG_CONFIG_HOME": str(folder), "OPENAI_API_KEY": KEY}
    command = [sys.executable, "-m", "l2mac", "models", *words]
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


def test_models_command_probes_the_only_model_and_prints_settings(tmp_path: Path):
    with ModelServer(answer) as server:
        done = models(tmp_path, "--base-url", server.base_url, "--probe-context", "2048")
    assert done.returncode == 0, done.stderr
    assert "at most about 10240 tokens" in done.stderr
    assert KEY not in done.stdout + done.stderr
    snippet = done.stdout.partition("\n\n")[2]
    written = tomllib.loads(snippet)
    assert (written["model"], written["base_url"], written["tool_protocol"]) == (
        "scripted",
        server.base_url,
        "native",
    )


def test_models_command_prints_one_json_object(tmp_path: Path):
    with ModelServer(answer, models=("a", "b")) as server:
        done = models(tmp_path, "--base-url", server.base_url, "--model", "b", "--json")
    found = json.loads(done.stdout)
    assert [offer["name"] for offer in found["offers"]] == ["a", "b"]
    assert {one["name"]: one["works"] for one in found["abilities"]}["native"]
    assert tomllib.loads(found["settings"])["model"] == "b"


def test_among_several_none_is_tried_unless_named(tmp_path: Path):
    with ModelServer(answer, models=("a", "b")) as server:
        done = models(tmp_path, "--base-url", server.base_url)
        assert server.requests == []
    assert (done.returncode, "--model" in done.stderr) == (0, True)


def test_a_refused_key_is_the_models_exit_code(tmp_path: Path):
    with ModelServer(lambda *_: Unauthorized()) as server:
        done = models(tmp_path, "--base-url", server.base_url, "--model", "scripted")
    assert done.returncode == 6
    assert "OPENAI_API_KEY" in done.stderr


def test_presets_are_listed_without_any_request(tmp_path: Path):
    done = models(tmp_path, "--presets")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("ollama", "azure", "http://127.0.0.1:11434/v1"))
