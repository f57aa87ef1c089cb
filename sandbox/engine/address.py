"""Find the engine in the same places as the `docker` command.

The order is: `DOCKER_HOST` with `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`, then the context of
`DOCKER_CONTEXT` or of `docker context use`, then the socket of this machine. docker-py's own
search is not used: it ignores `DOCKER_CONTEXT`, and without a configuration file it looks for
contexts in the current folder, which may belong to another user.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NotRequired, TypedDict

import docker.errors
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from sandbox.errors import EngineUnavailable

_SOCKET = "unix:///var/run/docker.sock"


class EngineAddress(TypedDict):
    """Options of docker-py's client that select an engine."""

    base_url: str
    tls: NotRequired[TLSConfig | bool]


def find_engine(environment: Mapping[str, str] | None = None) -> EngineAddress:
    """Return the address of the engine that the environment names.

    Args:
        environment: Variables to read; the process's own when None.

    Raises:
        EngineUnavailable: The environment names an engine that cannot be used.
    """
    variables = os.environ if environment is None else environment
    found: EngineAddress
    try:
        if variables.get("DOCKER_HOST"):
            found = _of_variables(dict(variables))
        else:
            found = _of_context(_docker_folder(variables), variables.get("DOCKER_CONTEXT", ""))
    except (docker.errors.DockerException, OSError) as error:
        raise EngineUnavailable(
            f"The engine's certificates cannot be used: {error}. Check DOCKER_CERT_PATH."
        ) from error
    if found["base_url"].startswith("ssh:"):
        raise EngineUnavailable(
            "An engine behind ssh:// cannot be used, because the engine's library cannot attach to"
            " a container there. Forward the engine's socket (ssh -L) and set"
            " DOCKER_HOST=unix://..."
        )
    return found


def _docker_folder(variables: Mapping[str, str]) -> Path:
    home = variables.get("HOME") or "~"
    return Path(variables.get("DOCKER_CONFIG") or f"{home}/.docker").expanduser()


def _of_variables(variables: dict[str, str]) -> EngineAddress:
    options = kwargs_from_env(environment=variables)
    address = EngineAddress(base_url=str(options["base_url"]))
    if "tls" in options:
        address["tls"] = options["tls"]
    return address


def _of_context(folder: Path, name: str) -> EngineAddress:
    name = name or str(_read(folder / "config.json").get("currentContext") or "")
    if name in ("", "default"):
        return EngineAddress(base_url=_SOCKET)
    key = hashlib.sha256(name.encode()).hexdigest()
    context = _read(folder / "contexts/meta" / key / "meta.json")
    endpoint = _object(_object(context.get("Endpoints")).get("docker"))
    if not endpoint.get("Host"):
        raise EngineUnavailable(
            f"There is no docker context {name!r} with an engine. `docker context ls` lists the"
            " contexts. DOCKER_HOST takes precedence over a context."
        )
    address = EngineAddress(base_url=str(endpoint["Host"]))
    certificates = folder / "contexts/tls" / key / "docker"
    if certificates.is_dir():
        address["tls"] = _certificates(certificates, verify=not endpoint.get("SkipTLSVerify"))
    return address


def _certificates(folder: Path, *, verify: bool) -> TLSConfig:
    pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
    authorities = folder / "ca.pem"
    has_pair = all(os.path.exists(path) for path in pair)
    return TLSConfig(
        client_cert=pair if has_pair else None,
        ca_cert=str(authorities) if authorities.exists() else None,
        verify=verify,
    )


def _read(path: Path) -> dict[str, object]:
    """Return a JSON file's object; empty if the file does not exist."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineUnavailable(
            f"{path} cannot be read ({error}), so the engine that it names is unknown."
            " Fix the file or set DOCKER_HOST."
        ) from error
    return _object(facts)


def _object(value: object) -> dict[str, object]:
    """Return a JSON object, and an empty one for any other value."""
    return value if isinstance(value, dict) else {}
