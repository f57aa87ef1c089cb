"""Where the language model is and how it is called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from l2mac.errors import SettingsError

_OPENAI = "https://api.openai.com/v1"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Where the language model is and how it is called; `repr` shows nothing secret.

    Attributes:
        model: Its name at the server; with Azure the name of the deployment.
        base_url: Usually ends in `/v1`; may hold `user:password@`. None for OpenAI itself. With Azure the resource's
            endpoint, without `/openai`.
        api_key: Empty where the server wants none.
        api_version: Makes it an Azure endpoint, such as `2024-10-21`.
        timeout_s: Longest time of one try, from sending the request to the last byte of the reply.
        stall_s: Longest silence within a try; a slow server is silent while it reads a long prompt.
        max_retries: Tries after the first.
        extra_headers: Sent with every request; their values count as secrets.
        protocol: How tools are called; `auto` asks the server once.
        requests_per_minute: The account's limit, or None.
        tokens_per_minute: The account's limit, prompt and reply together, or None.

    Raises:
        SettingsError: A value cannot be.
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
        """Refuse what cannot be, without repeating what may be secret."""
        checks = {
            "model": bool(self.model),
            "base_url": self.base_url is None or _is_http(self.base_url),
            "api_key": _is_token(self.api_key),
            "api_version": not self.api_version or self.base_url is not None,
            "timeout_s": self.timeout_s > 0,
            "stall_s": self.stall_s > 0,
            "max_retries": self.max_retries >= 0,
            "extra_headers": all(
                _is_token(name) and _is_line(value) for name, value in self.extra_headers.items()
            ),
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
        """User name and password in the base URL."""
        parts = urlsplit(self.base_url or _OPENAI)
        if parts.username is None and parts.password is None:
            return None
        return unquote(parts.username or ""), unquote(parts.password or "")

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine, so that no proxy stands between."""
        return urlsplit(self.address).hostname in _LOOPBACK

    @property
    def secrets(self) -> tuple[str, ...]:
        """Whatever must not appear in a message."""
        parts = urlsplit(self.base_url or "")
        written = (parts.username or "", parts.password or "")
        return (self.api_key, *written, *(self.login or ()), *self.extra_headers.values())


_PROBLEMS = {
    "model": "name a model",
    "base_url": "give an http or https address, such as http://127.0.0.1:8080/v1",
    "api_key": "it holds a space, a line break or another character that no key has; is it the right file?",
    "api_version": "Azure needs base_url, too: the endpoint of the resource",
    "timeout_s": "must be more than 0",
    "stall_s": "must be more than 0",
    "max_retries": "must be 0 or more",
    "extra_headers": "a name or a value holds a character that no HTTP header has",
    "protocol": "must be auto, native or json",
    "requests_per_minute": "must be more than 0",
    "tokens_per_minute": "must be more than 0",
}


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and _is_token(url)
            and parts.port != 0
        )
    except ValueError:
        return False


def _is_token(text: str) -> bool:
    return all("!" <= one <= "~" for one in text)


def _is_line(text: str) -> bool:
    return all(" " <= one <= "~" for one in text)
