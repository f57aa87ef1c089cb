"""Settings: flag > `L2MAC_*` variable > project file > user file > default. The only reader of the environment.

A project file can have been written by a model or come with a pull request. It may choose what has no bearing on
security, may lower limits, and is refused when it says anything else.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from l2mac.errors import SettingsError
from sandbox import PolicyError, SandboxPolicy, parse_size

PROJECT_FILE = "l2mac.toml"
_MOST_FILE_BYTES = 1024 * 1024
_FREE = frozenset({"model", "domain", "steps", "context_tokens", "reply_tokens", "tool_protocol", "seed"})
_LOWER_ONLY = frozenset(
    "memory cpus pids disk timeout max_turns max_restarts max_tokens max_cost max_time requests_per_minute"
    " tokens_per_minute".split()
)
_SIZES = frozenset({"memory", "disk"})
_STRICTEST_FIRST = ("off", "locked", "resolve")


def _size(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_size(value)
    except PolicyError as error:
        raise ValueError(str(error)) from None


Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]


class Settings(BaseSettings):
    """Every setting with its default; make it with `load_settings`."""

    model_config = SettingsConfigDict(env_prefix="L2MAC_", extra="forbid", env_ignore_empty=True, allow_inf_nan=False)
    files: ClassVar[tuple[Path, Path]] = (Path(), Path())

    model: str = Field(default="", description="the model's name at its server, such as gpt-4.1 or qwen2.5-coder")
    base_url: str = Field(default="", description="the server, if not OpenAI's, such as http://127.0.0.1:8000/v1")
    api_key: SecretStr = Field(default=SecretStr(""), description="the key; better in OPENAI_API_KEY or api_key_file")
    api_key_file: Path | None = Field(default=None, description="a file that holds the key")
    api_type: Literal["openai", "azure"] = Field(default="openai", description="azure for Azure OpenAI")
    api_version: str = Field(default="", description="for azure")
    tool_protocol: Literal["auto", "native", "json"] = Field(
        default="auto", description="how tools are called: native tool calls, JSON by schema, or find out"
    )
    context_tokens: int = Field(default=8192, ge=2048, description="the model's context window, prompt and reply")
    reply_tokens: int = Field(default=0, ge=0, description="room for one reply; 0 for a quarter of the window")
    request_timeout: float = Field(default=600, gt=0, description="seconds that one reply may take")
    requests_per_minute: int | None = Field(default=None, gt=0, description="the server's limit, if any")
    tokens_per_minute: int | None = Field(default=None, gt=0, description="the server's limit, if any")
    prompt_price: float = Field(default=0, ge=0, description="USD per million prompt tokens")
    completion_price: float = Field(default=0, ge=0, description="USD per million reply tokens")
    seed: int | None = Field(default=None, description="for servers that honour it")

    domain: str = Field(default="codebase", description="what is made")
    steps: int = Field(default=10, gt=0, le=1000, description="how many instructions the model may plan")
    max_turns: int = Field(default=40, gt=0, description="replies per instruction")
    max_restarts: int = Field(default=30, ge=0, description="how often one instruction may run out of context")
    max_tokens: int | None = Field(default=None, gt=0, description="tokens of the whole run, prompts and replies")
    max_cost: float | None = Field(default=None, gt=0, description="USD of the whole run, by the declared prices")
    max_time: float | None = Field(default=None, gt=0, description="seconds of work on the whole run")

    image: str = Field(default="python:3.11", min_length=1, description="the base image of the box")
    runtime: str = Field(default="", description="the engine's runtime, such as runsc; empty for its default")
    memory: Size = Field(default=SandboxPolicy().memory_bytes, description="memory of the box, tmpfs included")
    cpus: float = Field(default=2.0, gt=0, description="processors of the box")
    pids: int = Field(default=256, gt=0, description="processes and threads of the box")
    disk: Size = Field(default=SandboxPolicy().disk_bytes, description="size of the file store")
    volume: Literal["tmpfs", "disk"] = Field(default="tmpfs", description="where the file store lies; disk has no cap")
    timeout: float = Field(default=60, gt=0, description="seconds that one check or command may take")

    deps: Literal["off", "locked", "resolve"] = Field(
        default="off", description="packages that the code may name: none, exact versions with hashes, or any wheels"
    )
    deps_index: str = Field(default="", description="the package index, if neither pip's configuration nor the public")
    deps_hosts: str = Field(default="", description="further hosts that the index sends pip to")
    deps_private_hosts: str = Field(default="", description="such hosts that have a private address")
    deps_ca_file: Path | None = Field(default=None, description="the index's certificate authorities, if not public")

    runs_dir: Path = Field(default=Path("~/.local/state/l2mac/runs"), description="where runs are recorded")
    cache_dir: Path = Field(default=Path("~/.cache/l2mac"), description="where the checkers' wheels are kept")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="warning", description="what is logged")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the sources in order, strongest first."""
        project, user = cls.files
        lower = _FileSource(settings_cls, user, {})
        return (init_settings, env_settings, _FileSource(settings_cls, project, lower(), trusted=False), lower)

    @property
    def reply_room(self) -> int:
        """How many tokens one reply may have."""
        return self.reply_tokens or min(4096, self.context_tokens // 4)

    def policy(self) -> SandboxPolicy:
        """Give the limits of the box.

        Raises:
            SettingsError: They contradict each other.
        """
        try:
            return SandboxPolicy(
                memory_bytes=self.memory,
                cpus=self.cpus,
                pids=self.pids,
                disk_bytes=self.disk,
                file_bytes=min(self.disk, SandboxPolicy().file_bytes),
                timeout_s=self.timeout,
                runtime=self.runtime,
                volume=self.volume,
            )
        except PolicyError as error:
            raise SettingsError("the box's limits", str(error)) from error

    def key(self, environment: Mapping[str, str] = os.environ) -> str:
        """Give the API key: from the settings, the key file, or `OPENAI_API_KEY`; empty when there is none.

        Raises:
            SettingsError: The key file cannot be read or is empty.
        """
        if self.api_key_file is not None:
            try:
                key = self.api_key_file.expanduser().read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError("--api-key-file", f"{self.api_key_file} cannot be read ({error})") from None
            if not key:
                raise SettingsError("--api-key-file", f"{self.api_key_file} is empty")
            return key
        return self.api_key.get_secret_value() or environment.get("OPENAI_API_KEY", "")

    def server(self, environment: Mapping[str, str] = os.environ) -> str:
        """Give the server's base URL, from the settings or `OPENAI_BASE_URL`; empty for OpenAI's own."""
        return self.base_url or environment.get("OPENAI_BASE_URL", "")


class _FileSource(PydanticBaseSettingsSource):
    """Settings from one TOML file; nothing when it does not exist.

    Args:
        settings_cls: The settings' class.
        path: The file.
        below: What the weaker sources say, which an untrusted file may only tighten.
        trusted: Whether the file may say anything.
    """

    def __init__(
        self, settings_cls: type[BaseSettings], path: Path, below: Mapping[str, Any], *, trusted: bool = True
    ) -> None:
        super().__init__(settings_cls)
        fields, values = settings_cls.model_fields, _read_toml(path)
        for name in sorted(values.keys() - fields.keys()):
            raise SettingsError(
                f"{path}: {name}", "there is no such setting; `l2mac init-config` writes a file with all"
            )
        # As in a variable, an empty text stands for no value; TOML has no other way to say so.
        self._values = {
            name: value for name, value in values.items() if value != "" or fields[name].default is not None
        }
        if not trusted:
            for name, value in self._values.items():
                _check_untrusted(f"{path.name}: {name}", name, value, below.get(name, fields[name].default))

    def get_field_value(self, field: pydantic.fields.FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - part of the signature
        """See the base class."""
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Give all values."""
        return self._values


def load_settings(
    flags: Mapping[str, Any], *, project: Path, user: Path, recorded: Mapping[str, Any] | None = None
) -> Settings:
    """Give the settings from all sources.

    Args:
        flags: What the command line says; None for what it does not.
        project: The project's file, which need not exist.
        user: The user's file, which need not exist.
        recorded: Settings of a run that is taken up; weaker than flags and variables, stronger than files.

    Raises:
        SettingsError: A source says something that cannot be; names the field.
    """
    kept = {name: value for name, value in (recorded or {}).items() if not os.environ.get(f"L2MAC_{name.upper()}")}
    given = kept | {name: value for name, value in flags.items() if value is not None}
    bound = type("BoundSettings", (Settings,), {"files": (project, user), "__doc__": Settings.__doc__})
    try:
        settings: Settings = bound(**given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise SettingsError(_origin(name, given, project, user), first["msg"].removeprefix("Value error, ")) from None
    return settings


def user_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Give the path of the user's settings file."""
    base = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "l2mac" / "config.toml"


def variables() -> Mapping[str, str]:
    """Give the process's variables, for what other programs' variables say, such as pip's."""
    return os.environ


def configured_log_level(*, project: Path, user: Path) -> str:
    """Give what is to be logged; the default as long as the settings are not valid, which whoever needs them says."""
    try:
        return load_settings({}, project=project, user=user).log_level
    except SettingsError:
        return str(Settings.model_fields["log_level"].default)


def template() -> str:
    """Give a settings file with every setting commented out at its default."""
    lines = ["# Settings of l2mac. Remove the # before what you change.", ""]
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        shown = '""' if default is None else f'"{default}"' if isinstance(default, str | Path) else default
        lines += [f"# {field.description}", f"# {name} = {shown}", ""]
    return "\n".join(lines)


def _origin(name: str, given: Mapping[str, Any], project: Path, user: Path) -> str:
    if name in given:
        return "--" + name.replace("_", "-")
    if any(variable.upper() == f"L2MAC_{name.upper()}" and value for variable, value in os.environ.items()):
        return f"L2MAC_{name.upper()}"
    return f"{project.name}: {name}" if name in _read_toml(project) else f"{user}: {name}"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_FILE_BYTES + 1)
        if len(content) > _MOST_FILE_BYTES:
            raise SettingsError(str(path), f"is larger than {_MOST_FILE_BYTES} bytes")
        return tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(str(path), f"cannot be read: {error}") from None


def _check_untrusted(field: str, name: str, value: Any, below: Any) -> None:
    if name in _FREE:
        return
    if name == "deps" and value in _STRICTEST_FIRST and _stricter(value, below):
        return
    if name not in _LOWER_ONLY:
        raise SettingsError(field, "a project file may not set this; use a flag, a variable or the user's file")
    wanted, allowed = _amount(name, value), _amount(name, below)
    if wanted is None or (allowed is None and below is not None):
        raise SettingsError(
            field, f"a project file may only lower this, and {value!r} cannot be compared with {below!r}"
        )
    if allowed is not None and wanted > allowed:
        raise SettingsError(field, f"a project file may only lower this (to at most {below}), not set it to {value!r}")


def _stricter(value: str, below: object) -> bool:
    return below in _STRICTEST_FIRST and _STRICTEST_FIRST.index(value) <= _STRICTEST_FIRST.index(str(below))


def _amount(name: str, value: Any) -> float | None:
    """Give what a bound comes to; None when it is not a number, or a size where sizes may stand, as it is written."""
    if name in _SIZES and isinstance(value, str):
        try:
            return parse_size(value)
        except PolicyError:
            return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
