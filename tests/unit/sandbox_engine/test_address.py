"""The engine's address: the host variable, a context by name, or the machine's socket."""

import hashlib
import json
from pathlib import Path

import pytest
from docker.tls import TLSConfig

from sandbox import EngineUnavailable
from sandbox.engine.address import find_engine

SOCKET = "unix:///var/run/docker.sock"


def context(folder: Path, name: str, **endpoint: object) -> Path:
    """Write a context as `docker context create` does; return its certificates' folder."""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts/meta" / key
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}})
    )
    return folder / "contexts/tls" / key / "docker"


def test_default_engine_address_is_the_local_socket(tmp_path: Path) -> None:
    assert find_engine({"DOCKER_CONFIG": str(tmp_path)}) == {"base_url": SOCKET}
    variables = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "default"}
    assert find_engine(variables) == {"base_url": SOCKET}


def test_engine_host_wins_over_the_variable_and_the_current_context(tmp_path: Path) -> None:
    context(tmp_path, "rootless", Host="unix:///run/user/1000/docker.sock")
    context(tmp_path, "other", Host="tcp://127.0.0.1:2375")
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "rootless", "auths": {}}))
    variables = {"DOCKER_CONFIG": str(tmp_path)}
    assert find_engine(variables)["base_url"] == "unix:///run/user/1000/docker.sock"
    variables |= {"DOCKER_CONTEXT": "other"}
    assert find_engine(variables)["base_url"] == "tcp://127.0.0.1:2375"
    variables |= {"DOCKER_HOST": "unix:///mine.sock"}
    assert find_engine(variables)["base_url"] == "unix:///mine.sock"


def test_contexts_come_from_the_home_and_never_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    context(tmp_path, "planted", Host="tcp://127.0.0.1:1")
    (tmp_path / "config.json").write_text('{"currentContext": "planted"}')
    home = tmp_path / "home"
    home.mkdir()
    assert find_engine({"HOME": str(home)}) == {"base_url": SOCKET}
    with pytest.raises(EngineUnavailable, match="'planted'"):
        find_engine({"HOME": str(home), "DOCKER_CONTEXT": "planted"})


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ({}, "docker context ls"),
        ({"Host": ""}, "docker context ls"),
        ({"Host": "ssh://user@build"}, "ssh -L"),
    ],
)
def test_unusable_context_is_an_error_with_advice(
    tmp_path: Path, endpoint: dict[str, str], message: str
) -> None:
    context(tmp_path, "far", **endpoint)
    with pytest.raises(EngineUnavailable, match=message):
        find_engine({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"})


def test_damaged_configuration_never_selects_another_engine(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{not json")
    with pytest.raises(EngineUnavailable, match=r"config\.json cannot be read"):
        find_engine({"DOCKER_CONFIG": str(tmp_path)})


def test_context_certificates_are_verified(tmp_path: Path) -> None:
    folder = context(tmp_path, "tls", Host="tcp://127.0.0.1:2376", SkipTLSVerify=False)
    folder.mkdir(parents=True)
    (folder / "ca.pem").write_text("not a certificate, and only named here")
    found = find_engine({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "tls"})
    tls = found["tls"]
    assert isinstance(tls, TLSConfig)
    assert (tls.verify, tls.ca_cert) == (True, str(folder / "ca.pem"))
    assert tls.cert is None
