"""Known servers: values of a preset, and keys that never go to another server."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from l2mac.errors import SettingsError
from l2mac.processor.messages import Message, Request, Role
from l2mac.processor.model_settings import ModelSettings
from l2mac.runs.wiring import make_processor
from l2mac.settings.presets import PRESETS
from l2mac.settings.settings import Settings, load_settings
from l2mac.testing.model_server import ModelServer, ScriptedReply, sequence

ALL_KEYS = {
    preset.key_variable: f"key-of-{name}" for name, preset in PRESETS.items() if preset.key_variable
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("L2MAC_", "OPENAI_", "AZURE_")) or name in ALL_KEYS:
            monkeypatch.delenv(name)


def load(
    tmp_path: Path,
    in_user: str = "",
    in_project: str = "",
    recorded: Mapping[str, object] | None = None,
    **more: object,
) -> Settings:
    project, user = tmp_path / "l2mac.toml", tmp_path / "config.toml"
    project.write_text(in_project)
    user.write_text(in_user)
    return load_settings(more, project=project, user=user, recorded=recorded)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_leads_to_a_server_and_to_its_own_key_only(tmp_path: Path, name: str) -> None:
    preset = PRESETS[name]
    environment = {
        **ALL_KEYS,
        "OPENAI_BASE_URL": "http://elsewhere/v1",
        "AZURE_OPENAI_ENDPOINT": "https://me.azure.com",
    }
    chosen = load(tmp_path, preset=name, model="m")
    server = chosen.server(environment)
    assert server == (preset.base_url or environment[preset.url_variable])
    assert ModelSettings(model="m", base_url=server).address == server
    assert chosen.key(environment) == ALL_KEYS.get(preset.key_variable, "")


def test_explicit_settings_override_the_preset_from_any_source(tmp_path: Path) -> None:
    assert (
        load(tmp_path, 'base_url = "http://gpu:9/v1"', preset="vllm").base_url == "http://gpu:9/v1"
    )
    assert (
        load(tmp_path, 'preset = "vllm"', base_url="http://gpu:9/v1").base_url == "http://gpu:9/v1"
    )
    assert load(tmp_path, 'preset = "vllm"').base_url == PRESETS["vllm"].base_url


def test_a_recorded_presets_key_does_not_go_to_another_server(tmp_path: Path) -> None:
    recorded = {"preset": "openrouter", "base_url": PRESETS["openrouter"].base_url}
    assert load(tmp_path, recorded=recorded).key(ALL_KEYS) == "key-of-openrouter"
    moved = load(tmp_path, recorded=recorded, base_url="http://other/v1")
    assert moved.key({"OPENROUTER_API_KEY": "k"}) == ""


@pytest.mark.parametrize("name", PRESETS)
def test_the_key_of_a_service_goes_to_no_other_address(tmp_path: Path, name: str) -> None:
    own = PRESETS[name].base_url.startswith("https:")
    moved = load(tmp_path, f'preset = "{name}"', base_url="https://other.example/v1")
    assert moved.preset == name
    assert moved.key(ALL_KEYS) == ("" if own else ALL_KEYS.get(PRESETS[name].key_variable, ""))


def test_a_project_file_chooses_no_preset(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not allowed in a project file"):
        load(tmp_path, in_project='preset = "ollama"')


def test_an_unknown_preset_is_refused_with_the_names_of_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"^--preset is invalid\. .*ollama, llama.cpp"
    ) as caught:
        load(tmp_path, preset="olama")
    assert caught.value.field == "--preset"


def test_azure_preset_requests_the_deployment_with_version_and_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelServer(sequence([ScriptedReply("hello")])) as server:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.base_url.removesuffix("/v1"))
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
        monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
        with make_processor(
            load(tmp_path, preset="azure", model="my-deployment", tool_protocol="native")
        ) as processor:
            processor.complete(Request(messages=(Message(Role.USER, "x"),)), lambda _: None)
    (request,) = server.requests
    assert (
        request.path == "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21"
    )
    assert request.headers["api-key"] == "azure-key"
    assert "openai-key" not in str(request.headers)


def test_azure_without_an_endpoint_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="endpoint of the resource"):
        make_processor(load(tmp_path, preset="azure", model="d", api_key="k"))
