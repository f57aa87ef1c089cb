"""The one door to the engine's API: opens it, and turns its errors into ours."""

import contextlib
from collections.abc import Iterator
from typing import Any, Self

import docker
import docker.errors
import requests

from sandbox.engine.address import find_engine
from sandbox.errors import EngineUnavailable, SandboxError

MINIMUM_API = (1, 41)
_REQUEST_S = 60


class Engine:
    """A Docker-compatible engine, reached as the `docker` command reaches it (`DOCKER_HOST`, a context, its socket).

    Raises:
        EngineUnavailable: From `connect`.
    """

    def __init__(self, api: docker.APIClient, version: dict[str, Any]) -> None:
        self.api = api
        self.version = version

    @classmethod
    def connect(cls, environment: dict[str, str] | None = None) -> "Engine":
        """Connect to the engine that the environment names.

        Args:
            environment: Where `DOCKER_HOST`, `DOCKER_CONTEXT` and their kin are looked up; the process's own when None.

        Raises:
            EngineUnavailable: Nothing answers there, it refuses us, or its API is older than 1.41.
        """
        found = find_engine(environment)
        try:
            api = docker.APIClient(
                base_url=found["base_url"],
                tls=found.get("tls", False),
                version="auto",
                timeout=_REQUEST_S,
            )
            version = api.version()
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise _unavailable(error) from error
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:  # its message may have a registry's key
            raise EngineUnavailable(
                f"the docker command's config.json cannot be used ({type(error).__name__}); mend it, or name another"
                " folder with DOCKER_CONFIG"
            ) from None
        offered = tuple(int(part) for part in str(version.get("ApiVersion", "0.0")).split("."))
        if offered < MINIMUM_API:
            api.close()
            raise EngineUnavailable(
                f"the engine's API is version {version.get('ApiVersion')}; Docker Engine 20.10 (API 1.41) or newer is"
                " needed"
            )
        return cls(api, version)

    def info(self) -> dict[str, Any]:
        """Give what the engine says of itself and its machine."""
        with engine_errors("reading the engine's facts"):
            info: dict[str, Any] = self.api.info()
            return info

    def close(self) -> None:
        """Close the connection; boxes stay as they are."""
        self.api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn every error of the engine's library into ours, saying what was being done.

    Raises:
        EngineUnavailable: The connection failed.
        SandboxError: The engine refused.
    """
    try:
        yield
    except docker.errors.APIError as error:
        raise SandboxError(
            f"{doing} failed: the engine says: {error.explanation or error}"
        ) from error
    except docker.errors.StreamParseError as error:
        raise SandboxError(f"{doing} failed: the engine's answer is not JSON") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise EngineUnavailable(
            f"{doing} failed: the engine does not answer ({_innermost(error)})"
        ) from error


def _unavailable(error: Exception) -> EngineUnavailable:
    text = _innermost(error)
    if "Permission denied" in text:
        return EngineUnavailable(
            "the Docker Engine's socket refuses this user; run as a member of its group, or set DOCKER_HOST to a"
            " rootless engine of your own"
        )
    return EngineUnavailable(
        f"no Docker Engine answers ({text}); start one (for example: sudo systemctl start docker) or set DOCKER_HOST,"
        " then try `l2mac doctor`"
    )


def _innermost(error: BaseException) -> str:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__
