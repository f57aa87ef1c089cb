"""Settings: flag > `L2MAC_*` variable > project file > user file > preset > default.

The only reader of the environment. What a project file may say is in `l2mac.settings.untrusted_file`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from l2mac.errors import SettingsError
from l2mac.settings.presets import PRESETS, Preset
from l2mac.settings.role_settings import Roles
from l2mac.settings.sources import FileSource, PresetSource
from l2mac.settings.toml_file import at_line, read_key, read_toml, template_of
from sandbox import PolicyError, SandboxPolicy, parse_size

PROJECT_FILE = "l2mac.toml"


def _size(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_size(value)
    except PolicyError as error:
        raise ValueError(str(error)) from None


def _preset(value: object) -> object:
    if value and value not in PRESETS:
        raise ValueError(f"there is no such preset; there are {', '.join(PRESETS)}")
    return value


Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]


class Settings(BaseSettings):
    """Every setting with its default; make it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="L2MAC_", extra="forbid", env_ignore_empty=True, allow_inf_nan=False
    )
    files: ClassVar[tuple[Path, Path]] = (Path(), Path())

    preset: Annotated[str, BeforeValidator(_preset)] = Field(
        default="",
        description="a known server, such as ollama; fills what is not given: l2mac models --presets",
    )
    model: str = Field(
        default="", description="the model's name at its server, such as gpt-4.1 or qwen2.5-coder"
    )
    base_url: str = Field(
        default="", description="the server, if not OpenAI's, such as http://127.0.0.1:8000/v1"
    )
    api_key: SecretStr = Field(
        default=SecretStr(""), description="the key; better in OPENAI_API_KEY or api_key_file"
    )
    api_key_file: Path | None = Field(default=None, description="a file that holds the key")
    api_type: Literal["openai", "azure"] = Field(
        default="openai", description="azure for Azure OpenAI"
    )
    api_version: str = Field(default="", description="for azure")
    tool_protocol: Literal["auto", "native", "json"] = Field(
        default="auto",
        description="how tools are called: native tool calls, JSON by schema, or find out",
    )
    guidance: Literal["auto", "close", "free"] = Field(
        default="auto",
        description="close: ask for one thing at a time, for small models; free: let it choose; auto: close with json",
    )
    context_tokens: int = Field(
        default=8192, ge=2048, description="the model's context window, prompt and reply"
    )
    reply_tokens: int = Field(
        default=0, ge=0, description="room for one reply; 0 for a quarter of the window"
    )
    request_timeout: float = Field(default=600, gt=0, description="seconds that one reply may take")
    requests_per_minute: int | None = Field(
        default=None, gt=0, description="the server's limit, if any"
    )
    tokens_per_minute: int | None = Field(
        default=None, gt=0, description="the server's limit, if any"
    )
    prompt_price: float = Field(default=0, ge=0, description="USD per million prompt tokens")
    completion_price: float = Field(default=0, ge=0, description="USD per million reply tokens")
    seed: int | None = Field(
        default=None, description="sent with every call; for servers that honour it"
    )
    response_cache: Path | None = Field(
        default=None, description="a folder; equal requests are answered from it"
    )
    roles: Roles = Field(
        default=Roles(), description="models for planning and for judging, if not the main one"
    )

    domain: str = Field(default="codebase", description="what is made: codebase, book, or custom")
    domain_file: Path | None = Field(
        default=None, description="the file that defines a custom domain"
    )
    tools: str = Field(
        default="", description="only these tools of the domain, with commas; empty for all"
    )
    method: Literal["l2mac", "one-shot", "codet", "self-refine", "reflexion"] = Field(
        default="l2mac",
        description="how the task is carried out: by l2mac, or as the paper's baselines do",
    )
    judge: bool = Field(
        default=False, description="ask the model for a second opinion on the result, file by file"
    )
    steps: int = Field(
        default=10, gt=0, le=1000, description="how many instructions the model may plan"
    )
    reflections: int = Field(
        default=0, ge=0, le=5, description="how often the model is asked for a better plan"
    )
    coverage: bool = Field(
        default=True, description="whether the plan has to cover the task's requirements"
    )
    max_replans: int = Field(
        default=3, ge=0, le=50, description="how often instructions may be split in a run"
    )
    requirements: bool = Field(
        default=True, description="whether the result has to show the task's requirements"
    )
    requirement_rounds: int = Field(
        default=1, ge=0, le=5, description="how often what is not shown is carried out"
    )
    summary: bool = Field(
        default=True, description="whether a summary goes from instruction to instruction"
    )
    evaluator: bool = Field(
        default=True, description="whether checks run on the way; at the end they always do"
    )
    task_in_context: bool = Field(
        default=True, description="whether each instruction comes with the whole task"
    )
    max_turns: int = Field(default=40, gt=0, description="replies per instruction")
    max_restarts: int = Field(
        default=30, ge=0, description="how often one instruction may run out of context"
    )
    max_tokens: int | None = Field(
        default=None, gt=0, description="tokens of the whole run, prompts and replies"
    )
    max_cost: float | None = Field(
        default=None, gt=0, description="USD of the whole run, by the declared prices"
    )
    max_time: float | None = Field(
        default=None, gt=0, description="seconds of work on the whole run"
    )

    image: str = Field(default="python:3.11", min_length=1, description="the base image of the box")
    runtime: str = Field(
        default="",
        description="the engine's runtime, such as runsc; auto for the strongest that works; empty for its default",
    )
    memory: Size = Field(
        default=SandboxPolicy().memory_bytes, description="memory of the box, tmpfs included"
    )
    cpus: float = Field(default=2.0, gt=0, description="processors of the box")
    pids: int = Field(default=256, gt=0, description="processes and threads of the box")
    disk: Size = Field(default=SandboxPolicy().disk_bytes, description="size of the file store")
    volume: Literal["tmpfs", "disk"] = Field(
        default="tmpfs", description="where the file store lies; disk has no cap"
    )
    timeout: float = Field(
        default=60, gt=0, description="seconds that one check or command may take"
    )

    deps: Literal["off", "locked", "resolve"] = Field(
        default="off",
        description="packages that the code may name: none, exact versions with hashes, or any wheels",
    )
    deps_index: str = Field(
        default="", description="the package index, if neither pip's configuration nor the public"
    )
    deps_hosts: str = Field(default="", description="further hosts that the index sends pip to")
    deps_private_hosts: str = Field(
        default="", description="such hosts that have a private address"
    )
    deps_ca_file: Path | None = Field(
        default=None, description="the index's certificate authorities, if not public"
    )

    runs_dir: Path = Field(
        default=Path("~/.local/state/l2mac/runs"), description="where runs are recorded"
    )
    cache_dir: Path = Field(
        default=Path("~/.cache/l2mac"), description="where the checkers' wheels are kept"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="what is logged"
    )

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
        lower = FileSource(settings_cls, user, {})
        middle = FileSource(settings_cls, project, lower(), trusted=False)
        return (init_settings, env_settings, middle, lower, PresetSource(settings_cls))

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
        """Give the API key: from the settings, the key file, or the variable of the preset or `OPENAI_API_KEY`.

        Raises:
            SettingsError: The key file cannot be read or is empty.
        """
        if self.api_key_file is not None:
            return read_key(self.api_key_file, "--api-key-file")
        variable = self._known.key_variable if self._known else "OPENAI_API_KEY"
        if self._known and self._known.is_one_server and self.base_url != self._known.base_url:
            variable = ""  # the key of a service is for that service alone
        return self.api_key.get_secret_value() or (
            environment.get(variable, "") if variable else ""
        )

    def server(self, environment: Mapping[str, str] = os.environ) -> str:
        """Give the server's base URL: as set, or from the variable of the preset or `OPENAI_BASE_URL`; or empty."""
        variable = self._known.url_variable if self._known else "OPENAI_BASE_URL"
        return self.base_url or (environment.get(variable, "") if variable else "")

    @property
    def _known(self) -> Preset | None:
        return PRESETS.get(self.preset)


def load_settings(
    flags: Mapping[str, Any],
    *,
    project: Path,
    user: Path,
    recorded: Mapping[str, Any] | None = None,
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
    kept = {
        name: value
        for name, value in (recorded or {}).items()
        if not os.environ.get(f"L2MAC_{name.upper()}")
    }
    if flags.get("base_url") or os.environ.get("L2MAC_BASE_URL"):
        kept.pop("preset", None)  # what it fills in is not for another server
    given = kept | _with_roles({name: value for name, value in flags.items() if value is not None})
    bound = type(
        "BoundSettings", (Settings,), {"files": (project, user), "__doc__": Settings.__doc__}
    )
    try:
        settings: Settings = bound(**given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name, *inner = map(str, first["loc"])
        field = ".".join([_origin(name, given, project, user), *inner])
        unknown = first["type"] == "extra_forbidden"
        problem = (
            "there is no such setting" if unknown else first["msg"].removeprefix("Value error, ")
        )
        line = (
            at_line(project if field.startswith(f"{project.name}: ") else user, name)
            if ": " in field
            else ""
        )
        raise SettingsError(field, problem + line) from None
    return settings


def _with_roles(flags: dict[str, Any]) -> dict[str, Any]:
    """Put `--plan-model` and `--judge-model` where they belong: into the table of roles."""
    named = {
        role: flags.pop(f"{role}_model") for role in ("plan", "judge") if f"{role}_model" in flags
    }
    return (
        {**flags, "roles": {role: {"model": name} for role, name in named.items()}}
        if named
        else flags
    )


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
    return template_of(Settings)


def _origin(name: str, given: Mapping[str, Any], project: Path, user: Path) -> str:
    if name in given:
        return "--" + name.replace("_", "-")
    if any(
        variable.upper() == f"L2MAC_{name.upper()}" and value
        for variable, value in os.environ.items()
    ):
        return f"L2MAC_{name.upper()}"
    return f"{project.name}: {name}" if name in read_toml(project) else f"{user}: {name}"
