"""The package index of a run and its hosts, from settings and pip."""

import configparser
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from l2mac.errors import SettingsError
from l2mac.settings.settings import Settings
from l2mac.settings.toml_file import expanded
from sandbox import PackageIndex, Reach

_PUBLIC_INDEX = "https://pypi.org/simple/"
_PUBLIC_FILES = "files.pythonhosted.org"
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?")
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_INDEX = "The package index (deps_index, PIP_INDEX_URL or pip.conf)"
_SYSTEM_FILE = Path("/etc/pip.conf")


def find_index(settings: Settings, environment: Mapping[str, str]) -> PackageIndex:
    """Return the index, its reachable hosts, and the authorities to trust.

    Args:
        settings: Stronger than pip's own configuration.
        environment: Variables such as `PIP_INDEX_URL` and `PIP_CERT`.

    Raises:
        SettingsError: The index cannot be used from a sandbox.
    """
    configured = _pip_configuration(environment)
    url = settings.deps_index or configured.get("index-url", "") or _PUBLIC_INDEX
    host = _checked(url)
    if any(environment.get(name) for name in _PROXIES):
        raise SettingsError(
            "--deps",
            "--deps requires a direct connection to the package index. Unset HTTPS_PROXY.",
        )
    private = _hosts(settings.deps_private_hosts)
    hosts = {host, *_hosts(settings.deps_hosts), *private}
    hosts |= {_PUBLIC_FILES} if url.rstrip("/") == _PUBLIC_INDEX.rstrip("/") else set()
    authorities = settings.deps_ca_file or Path(configured.get("cert", "") or "")
    return PackageIndex(
        url=url,
        certificates=b"" if authorities == Path() else _certificates(expanded(authorities)),
        reach=Reach(hosts=frozenset(hosts), private_hosts=frozenset(private)),
    )


def _checked(url: str) -> str:
    """Return the host of an index, if a sandbox may know its address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError("deps_index", f"{_INDEX} is not a URL.") from None
    if parts.username or parts.password or parts.query:
        raise SettingsError(
            "deps_index",
            f"{_INDEX} has a user, a password or a query, which the sandbox would see."
            " Use an index without them.",
        )
    if parts.scheme != "https" or not parts.hostname or port not in (None, 443):
        raise SettingsError("deps_index", f"{_INDEX} must start with https:// and use port 443.")
    return parts.hostname


def _hosts(text: str) -> list[str]:
    return [host.lower() for host in re.split(r"[\s,]+", text) if host]


def _certificates(path: Path) -> bytes:
    """Return the certificates of a PEM file, and nothing else such as a private key."""
    try:
        found = _CERTIFICATE.findall(path.read_bytes())
    except OSError as error:
        problem = f"The file deps_ca_file cannot be read: {path} ({error.strerror})."
        raise SettingsError("deps_ca_file", problem) from None
    if not found:
        raise SettingsError("deps_ca_file", f"The file deps_ca_file has no certificate: {path}.")
    return b"\n".join(found)


def _pip_configuration(environment: Mapping[str, str]) -> dict[str, str]:
    """Return pip's `index-url` and `cert`: variable > user's file > system's file."""
    found: dict[str, str] = {}
    for path in _pip_files(environment):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise SettingsError(str(path), f"{path} cannot be read: {error}.") from None
        for section in ("global", "download"):
            found |= dict(parser.items(section)) if parser.has_section(section) else {}
    variables = {
        "index-url": environment.get("PIP_INDEX_URL", ""),
        "cert": environment.get("PIP_CERT", ""),
    }
    return found | {name: value for name, value in variables.items() if value}


def _pip_files(environment: Mapping[str, str]) -> Sequence[Path]:
    if "PIP_CONFIG_FILE" in environment:
        return (_SYSTEM_FILE, Path(environment["PIP_CONFIG_FILE"]))
    base = expanded(Path(environment.get("XDG_CONFIG_HOME") or "~/.config"))
    return (_SYSTEM_FILE, expanded(Path("~/.pip/pip.conf")), base / "pip" / "pip.conf")
