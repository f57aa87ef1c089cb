"""Open the engine's API and turn its errors into ours."""

import contextlib
from collections.abc import Iterator
from typing import Any, Self, TypeAlias

import docker
import docker.errors
import requests

from sandbox.engine.address import find_engine
from sandbox.errors import EngineUnavailable, SandboxError

# The Engine API's JSON has hundreds of optional fields, which docker-py leaves untyped, and the
# guest's has as many. A wrong shape raises KeyError or TypeError, and then no sandbox is used.
JsonObject: TypeAlias = dict[str, Any]  # type: ignore[explicit-any] # see above
MINIMUM_API = (1, 41)
_REQUEST_S = 60


class Engine:
    """A Docker-compatible engine, found as the `docker` command finds it."""

    def __init__(self, api: docker.APIClient, version: JsonObject) -> None:
        self.api = api
        self.version = version

    @classmethod
    def connect(cls, environment: dict[str, str] | None = None) -> "Engine":
        """Connect to the engine that the environment names.

        Args:
            environment: Variables to read, such as `DOCKER_HOST`; the process's own when None.

        Raises:
            EngineUnavailable: No engine answers, it denies access, or its API is older than 1.41.
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
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # The cause is suppressed: its message may hold a registry's key.
            raise EngineUnavailable(
                f"The docker command's config.json cannot be used ({type(error).__name__})."
                " Fix the file, or name another folder with DOCKER_CONFIG."
            ) from None
        offered = tuple(int(part) for part in str(version.get("ApiVersion", "0.0")).split("."))
        if offered < MINIMUM_API:
            api.close()
            raise EngineUnavailable(
                f"The engine's API version {version.get('ApiVersion')} is too old."
                " Install Docker Engine 20.10 (API 1.41) or newer."
            )
        return cls(api, version)

    def info(self) -> JsonObject:
        """Return the engine's description of itself and its machine."""
        with engine_errors("reading the engine's facts"):
            info: JsonObject = self.api.info()
            return info

    def close(self) -> None:
        """Close the connection; sandboxes are not affected."""
        self.api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Convert every error of the engine's library into ours.

    Args:
        doing: The action that may fail, as a noun phrase for the message.

    Raises:
        EngineUnavailable: The connection failed.
        SandboxError: The engine refused.
    """
    subject = doing[:1].upper() + doing[1:]
    try:
        yield
    except docker.errors.APIError as error:
        reason = str(error.explanation or error).rstrip(".")
        raise SandboxError(f"{subject} failed. The engine reports: {reason}.") from error
    except docker.errors.StreamParseError as error:
        raise SandboxError(f"{subject} failed. The engine's answer is not JSON.") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise EngineUnavailable(
            f"{subject} failed. The engine does not answer ({_innermost(error)})."
        ) from error


def _unavailable(error: Exception) -> EngineUnavailable:
    text = _innermost(error)
    if "Permission denied" in text:
        return EngineUnavailable(
            "The Docker Engine's socket denies access to this user. Run l2mac as a member of the"
            " socket's group, or set DOCKER_HOST to a rootless engine of your own."
        )
    return EngineUnavailable(
        f"No Docker Engine answers ({text}). Start one (for example: sudo systemctl start docker)"
        " or set DOCKER_HOST, then run `l2mac doctor`."
    )


def _innermost(error: BaseException) -> str:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__
