"""Where the engine is: found as the `docker` command finds it.

`DOCKER_HOST` first, with `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`; then the context of `DOCKER_CONTEXT` or of
`docker context use`; then the socket of this machine. The library's own reading of contexts is not used: it knows no
`DOCKER_CONTEXT`, and without a configuration file it looks for contexts in the current folder, which may be anybody's.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker.errors
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from sandbox.errors import EngineUnavailable

_SOCKET = {"base_url": "unix:///var/run/docker.sock"}


def find_engine(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Give the `base_url` and `tls` of the engine that the environment, the process's own when None, names.

    Raises:
        EngineUnavailable: It names one that cannot be used.
    """
    variables = os.environ if environment is None else environment
    found: dict[str, Any]
    try:
        if variables.get("DOCKER_HOST"):
            found = {**kwargs_from_env(environment=dict(variables))}
        else:
            found = _of_context(_docker_folder(variables), variables.get("DOCKER_CONTEXT", ""))
    except (docker.errors.DockerException, OSError) as error:
        raise EngineUnavailable(f"the engine's certificates cannot be used: {error}") from error
    if str(found["base_url"]).startswith("ssh:"):
        raise EngineUnavailable(
            "an engine behind ssh:// cannot be used, as its library has no whole connection to a container there;"
            " forward its socket (ssh -L) and set DOCKER_HOST=unix://..."
        )
    return found


def _docker_folder(variables: Mapping[str, str]) -> Path:
    home = variables.get("HOME") or "~"
    return Path(variables.get("DOCKER_CONFIG") or f"{home}/.docker").expanduser()


def _of_context(folder: Path, name: str) -> dict[str, Any]:
    name = name or str(_read(folder / "config.json").get("currentContext") or "")
    if name in ("", "default"):
        return dict(_SOCKET)
    key = hashlib.sha256(name.encode()).hexdigest()
    endpoint = (_read(folder / "contexts/meta" / key / "meta.json").get("Endpoints") or {}).get(
        "docker"
    ) or {}
    if not isinstance(endpoint, dict) or not endpoint.get("Host"):
        raise EngineUnavailable(
            f"there is no docker context {name!r} with an engine; `docker context ls` lists them, and DOCKER_HOST goes"
            " before them"
        )
    found = {"base_url": str(endpoint["Host"])}
    return found | _certificates(
        folder / "contexts/tls" / key / "docker", verify=not endpoint.get("SkipTLSVerify")
    )


def _certificates(folder: Path, *, verify: bool) -> dict[str, Any]:
    if not folder.is_dir():
        return {}
    pair = (folder / "cert.pem", folder / "key.pem")
    return {
        "tls": TLSConfig(
            client_cert=(str(pair[0]), str(pair[1]))
            if all(path.exists() for path in pair)
            else None,
            ca_cert=str(folder / "ca.pem") if (folder / "ca.pem").exists() else None,
            verify=verify,
        )
    }


def _read(path: Path) -> dict[str, Any]:
    """Give a JSON file's object; nothing when there is no such file."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineUnavailable(
            f"{path} cannot be read ({error}), so that it is not known which engine it names; mend it or set"
            " DOCKER_HOST"
        ) from error
    return facts if isinstance(facts, dict) else {}
