"""The settings of one model: the server, the key, and the way to call it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from l2mac.errors import SettingsError

_OPENAI = "https://api.openai.com/v1"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The settings of one model. The `repr` shows no secrets.

    Attributes:
        model: The model's name at the server. With Azure the name of the deployment.
        base_url: The server's address, which usually ends in `/v1` and may hold `user:password@`.
            None for OpenAI itself. With Azure the resource's endpoint, without `/openai`.
        api_key: The key, empty where the server needs none.
        api_version: The version of Azure's API, such as `2024-10-21`. Empty for all other servers.
        timeout_s: The longest time of one try, from sending the request to the reply's last byte.
        stall_s: The longest silence within a try. A slow server is silent while it reads a prompt.
        max_retries: The number of tries after the first.
        extra_headers: Headers for every request. Their values count as secrets.
        protocol: The tool protocol. `auto` asks the server once.
        requests_per_minute: The account's limit, or None.
        tokens_per_minute: The account's limit, prompt and reply together, or None.

    Raises:
        SettingsError: A value is invalid.
    """

    model: str
    base_url: str | None = field(default=None, repr=False)
    api_key: str = field(default="", repr=False)
    api_version: str = ""
    timeout_s: float = 900
    stall_s: float = 300
    max_retries: int = 4
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    protocol: Literal["auto", "native", "json"] = "auto"
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def __post_init__(self) -> None:
        """Check the values. Error messages never repeat a value that may be secret."""
        checks = {
            "model": bool(self.model),
            "base_url": self.base_url is None or _is_http(self.base_url),
            "api_key": _is_token(self.api_key),
            "api_version": not self.api_version or self.base_url is not None,
            "timeout_s": self.timeout_s > 0,
            "stall_s": self.stall_s > 0,
            "max_retries": self.max_retries >= 0,
            "extra_headers": all(map(_is_header, self.extra_headers.items())),
            "protocol": self.protocol in {"auto", "native", "json"},
            "requests_per_minute": self.requests_per_minute is None or self.requests_per_minute > 0,
            "tokens_per_minute": self.tokens_per_minute is None or self.tokens_per_minute > 0,
        }
        for name, holds in checks.items():
            if not holds:
                raise SettingsError(name, _PROBLEMS[name])

    @property
    def address(self) -> str:
        """The base URL without credentials, query and fragment."""
        parts = urlsplit(self.base_url or _OPENAI)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    @property
    def login(self) -> tuple[str, str] | None:
        """The user name and password in the base URL."""
        parts = urlsplit(self.base_url or _OPENAI)
        if parts.username is None and parts.password is None:
            return None
        return unquote(parts.username or ""), unquote(parts.password or "")

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine, so that no proxy is needed."""
        return urlsplit(self.address).hostname in _LOOPBACK

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must not appear in a message or a file."""
        parts = urlsplit(self.base_url or "")
        written = (parts.username or "", parts.password or "")
        return (self.api_key, *written, *(self.login or ()), *self.extra_headers.values())


_PROBLEMS = {
    "model": "must not be empty. Name a model.",
    "base_url": "must be an http or https address, such as http://127.0.0.1:8080/v1",
    "api_key": "holds a space, a line break or another invalid character. Check the key's file.",
    "api_version": "requires base_url, the endpoint of the resource",
    "timeout_s": "must be more than 0",
    "stall_s": "must be more than 0",
    "max_retries": "must be 0 or more",
    "extra_headers": "must not hold characters that are invalid in an HTTP header",
    "protocol": "must be auto, native or json",
    "requests_per_minute": "must be more than 0",
    "tokens_per_minute": "must be more than 0",
}


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
    return is_address and _is_token(url) and port != 0


def _is_header(header: tuple[str, str]) -> bool:
    name, value = header
    return _is_token(name) and all(" " <= character <= "~" for character in value)


def _is_token(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)
