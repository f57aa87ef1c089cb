"""Settings: flag > variable > project file > user file > preset > default.

The only reader of the environment. `l2mac.settings.untrusted_file` has the rules for project files.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pydantic
from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from l2mac.errors import SettingsError, reason_of
from l2mac.settings.metadata import setting
from l2mac.settings.presets import PRESETS, Preset
from l2mac.settings.role_settings import Roles
from l2mac.settings.sources import FileSource, PresetSource
from l2mac.settings.toml_file import at_line, expanded, read_key, read_toml, template_of
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
        raise ValueError(f"{value!r} is not a known server. Choose one of: {', '.join(PRESETS)}")
    return value


Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]


class Settings(BaseSettings):
    """Every setting with its default; make it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="L2MAC_", extra="forbid", env_ignore_empty=True, allow_inf_nan=False
    )
    files: ClassVar[tuple[Path, Path]] = (Path(), Path())

    # A table of settings: default, description, and all other facts about each one.
    # fmt: off
    domain: str = setting("codebase", "Kind of work: codebase, book or custom.", section="Task",
        unit="name", project="free")
    domain_file: Path | None = setting(None, "File that defines a custom domain.", section="Task")
    tools: str = setting("", "Tools of the domain to offer, separated by commas.", section="Task",
        unit="names", unset="all")
    steps: int = setting(10, "Maximum number of planned instructions.", gt=0, le=1000,
        section="Task", project="free", recorded="spec")
    judge: bool = setting(False, "Ask the model for a second opinion on each file.", section="Task",
        recorded="spec")
    seed: int | None = setting(None, "Sampling seed, sent with every request.", section="Task",
        project="free", recorded="spec")

    preset: Annotated[str, BeforeValidator(_preset)] = setting(
        "", "Server preset, such as ollama. See `l2mac models --presets`.", section="Model",
        unit="name", recorded="setup")
    model: str = setting("", "Name of the model at its server, such as gpt-4.1.", section="Model",
        unit="name", project="free", recorded="setup")
    base_url: str = setting("", "OpenAI-compatible server.", section="Model", unit="url",
        unset="OPENAI_BASE_URL or OpenAI", recorded="setup")
    api_key: SecretStr = setting(
        SecretStr(""), "API key. Prefer the variable OPENAI_API_KEY or api_key_file.")
    api_key_file: Path | None = setting(None, "File with the API key.", section="Model",
        unset="the variable OPENAI_API_KEY")
    api_type: Literal["openai", "azure"] = setting(
        "openai", "Kind of API: openai, or azure for Azure OpenAI.", recorded="setup")
    api_version: str = setting("", "API version of Azure OpenAI.", recorded="setup")
    context_tokens: int = setting(8192, "Context window of the model, in tokens.", ge=2048,
        section="Model", unit="tokens", project="free", recorded="spec")
    tool_protocol: Literal["auto", "native", "json"] = setting(
        "auto", "Tool call format: native, json, or auto to detect it.", section="Model",
        project="free", recorded="setup")
    reply_tokens: int = setting(
        0, "Maximum tokens of a reply. 0: a quarter of the window.", ge=0,
        unit="tokens", project="free")
    request_timeout: float = setting(600, "Maximum time for one reply, in seconds.", gt=0,
        unit="seconds")
    requests_per_minute: int | None = setting(None, "Request limit of the server.", gt=0,
        project="lower", recorded="setup")
    tokens_per_minute: int | None = setting(None, "Token limit of the server.", gt=0,
        project="lower", recorded="setup")
    prompt_price: float = setting(0, "Price of prompt tokens, in USD per million.", ge=0,
        recorded="setup")
    completion_price: float = setting(0, "Price of reply tokens, in USD per million.", ge=0,
        recorded="setup")
    response_cache: Path | None = setting(
        None, "Cache folder. A repeated request gets the cached reply.", section="Roles and cache",
        flag="cache", unset="none")
    roles: Roles = setting(Roles(), "Models for planning and judging, if not the main model.",
        recorded="setup")

    method: Literal["l2mac", "one-shot", "codet", "self-refine", "reflexion"] = setting(
        "l2mac", "Algorithm: l2mac, or a comparison method of the paper.", section="Planning",
        recorded="spec")
    mode: Literal["auto", "guided", "agentic"] = setting(
        "auto", "guided: one question at a time. agentic: free tool use.", section="Planning",
        recorded="spec")
    reflections: int = setting(0, "Number of times that the model revises its plan.", ge=0, le=5,
        section="Planning", recorded="planning")
    coverage: bool = setting(True, "Compare the plan with the requirements of the task.",
        section="Planning", recorded="planning")
    max_replans: int = setting(3, "Maximum number of replanned instructions per run.", ge=0, le=50,
        section="Planning", project="lower", recorded="planning")
    requirements: bool = setting(True, "Verify the requirements of the task at the end.",
        section="Planning", recorded="planning")
    requirement_rounds: int = setting(1, "Extra rounds to implement unverified requirements.", ge=0,
        le=5, section="Planning", recorded="planning")
    summary: bool = setting(True, "Pass a summary from each instruction to the next.",
        section="Planning", recorded="planning")
    evaluator: bool = setting(True, "Run checks after every write. Final checks always run.",
        section="Planning", recorded="planning")
    task_in_context: bool = setting(True, "Show the whole task with each instruction.",
        section="Planning", recorded="planning")

    max_turns: int = setting(40, "Maximum replies per instruction.", gt=0, section="Budget",
        project="lower")
    max_restarts: int = setting(30, "Maximum context restarts per instruction.", ge=0,
        section="Budget", project="lower")
    max_tokens: int | None = setting(None, "Maximum tokens of the run, prompts and replies.", gt=0,
        section="Budget", unit="tokens", unset="unlimited", project="lower")
    max_cost: float | None = setting(None, "Maximum cost of the run, in USD.", gt=0,
        section="Budget", unit="usd", unset="unlimited", project="lower")
    max_time: float | None = setting(None, "Maximum working time of the run, in seconds.", gt=0,
        section="Budget", unit="seconds", unset="unlimited", project="lower")

    image: Annotated[str, Field(min_length=1)] = setting(
        "python:3.11", "Base image of the sandbox.", section="Sandbox", unit="name",
        recorded="setup")
    runtime: str = setting("", "Runtime, such as runsc. auto: the strongest.", section="Sandbox",
        unit="name", unset="the engine's", recorded="setup")
    memory: Size = setting(SandboxPolicy().memory_bytes, "Memory of the sandbox, tmpfs included.",
        section="Sandbox", unit="size", project="lower", recorded="setup")
    cpus: float = setting(2.0, "CPUs of the sandbox.", gt=0, section="Sandbox", project="lower",
        recorded="setup")
    pids: int = setting(256, "Maximum processes and threads of the sandbox.", gt=0,
        section="Sandbox", project="lower", recorded="setup")
    disk: Size = setting(SandboxPolicy().disk_bytes, "Size of the file store.", section="Sandbox",
        unit="size", project="lower", recorded="setup")
    volume: Literal["tmpfs", "disk"] = setting(
        "tmpfs", "Medium of the file store. disk has no size limit.", recorded="setup")
    timeout: float = setting(60, "Maximum time for one check or command, in seconds.", gt=0,
        section="Sandbox", unit="seconds", project="lower", recorded="setup")
    deps: Literal["off", "locked", "resolve"] = setting(
        "off", "Packages: off, locked (versions with hashes), or resolve.", section="Sandbox",
        project="stricter", recorded="setup")
    deps_index: str = setting("", "URL of the package index.", unit="url", unset="the index of pip",
        recorded="setup")
    deps_hosts: str = setting("", "Further hosts of the package index, separated by commas.",
        unit="hosts", recorded="setup")
    deps_private_hosts: str = setting(
        "", "Index hosts with private addresses, separated by commas.", unit="hosts",
        recorded="setup")
    deps_ca_file: Path | None = setting(
        None, "CA certificates of the package index, if not public.", recorded="setup")

    runs_dir: Path = setting(Path("~/.local/state/l2mac/runs"), "Folder of the recorded runs.",
        section="Storage")
    cache_dir: Path = setting(Path("~/.cache/l2mac"), "Folder of the checkers' wheels.")
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "warning", "Lowest level of log messages on standard error.")
    # fmt: on

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in order, strongest first."""
        project, user = cls.files
        lower = FileSource(settings_cls, user, {})
        middle = FileSource(settings_cls, project, lower(), trusted=False)
        return (init_settings, env_settings, middle, lower, PresetSource(settings_cls))

    @property
    def reply_room(self) -> int:
        """Number of tokens that one reply may have."""
        return self.reply_tokens or min(4096, self.context_tokens // 4)

    def policy(self) -> SandboxPolicy:
        """Return the limits of the sandbox.

        Raises:
            SettingsError: The limits contradict each other.
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
            problem = f"The limits of the sandbox contradict each other: {reason_of(error)}."
            raise SettingsError("limits of the sandbox", problem) from error

    def key(self, environment: Mapping[str, str] = os.environ) -> str:
        """Return the API key: of file, settings, preset or `OPENAI_API_KEY`.

        Raises:
            SettingsError: The key file is unreadable or empty.
        """
        if self.api_key_file is not None:
            return read_key(self.api_key_file, "--api-key-file")
        variable = self._known.key_variable if self._known else "OPENAI_API_KEY"
        if self._known and self._known.is_one_server and self.base_url != self._known.base_url:
            variable = ""  # the key of a service is for that service alone
        return self.api_key.get_secret_value() or _variable(environment, variable)

    def server(self, environment: Mapping[str, str] = os.environ) -> str:
        """Return the base URL: as set, of the preset or `OPENAI_BASE_URL`; or ''."""
        variable = self._known.url_variable if self._known else "OPENAI_BASE_URL"
        return self.base_url or _variable(environment, variable)

    @property
    def _known(self) -> Preset | None:
        return PRESETS.get(self.preset)


def load_settings(
    flags: Mapping[str, object],
    *,
    project: Path,
    user: Path,
    recorded: Mapping[str, object] | None = None,
) -> Settings:
    """Return the settings from all sources.

    Args:
        flags: Values of the command line; None for options that were not given.
        project: The project's file, which need not exist.
        user: The user's file, which need not exist.
        recorded: Settings of a resumed run; weaker than flags and variables, stronger than files.

    Raises:
        SettingsError: A source has an invalid value; names the field.
    """
    kept = {
        name: value
        for name, value in (recorded or {}).items()
        if not os.environ.get(f"L2MAC_{name.upper()}")
    }
    if flags.get("base_url") or os.environ.get("L2MAC_BASE_URL"):
        kept.pop("preset", None)  # its address and API type belong to another server
    given = kept | _with_roles({name: value for name, value in flags.items() if value is not None})
    bound = type(
        "BoundSettings", (Settings,), {"files": (project, user), "__doc__": Settings.__doc__}
    )
    try:
        settings: Settings = bound(**given)
    except pydantic.ValidationError as error:
        raise _as_settings_error(error, given, project, user) from None
    return settings


def user_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the user's settings file.

    Raises:
        SettingsError: The home folder is unknown.
    """
    base = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return expanded(Path(base)) / "l2mac" / "config.toml"


def variables() -> Mapping[str, str]:
    """Return the variables of the process, for those of programs such as pip."""
    return os.environ


def configured_log_level(*, project: Path, user: Path) -> str:
    """Return the configured log level, or the default while the settings are invalid.

    The command that needs the settings reports the error.
    """
    try:
        return load_settings({}, project=project, user=user).log_level
    except SettingsError:
        return str(Settings.model_fields["log_level"].default)


def template() -> str:
    """Return a settings file with every setting commented out at its default."""
    return template_of(Settings)


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "") if name else ""


def _with_roles(flags: dict[str, object]) -> dict[str, object]:
    """Move `--plan-model` and `--judge-model` into the table of roles."""
    roles = {
        role: {"model": flags.pop(f"{role}_model")}
        for role in Roles.model_fields
        if f"{role}_model" in flags
    }
    return {**flags, "roles": roles} if roles else flags


def _as_settings_error(
    error: pydantic.ValidationError, given: Mapping[str, object], project: Path, user: Path
) -> SettingsError:
    """Return the first problem as a sentence with its source, never the value."""
    first = error.errors()[0]
    name, *inner = map(str, first["loc"])
    field = ".".join([_origin(name, given, project, user), *inner])
    line = ""
    if ": " in field:
        line = at_line(project if field.startswith(f"{project.name}: ") else user, name)
    if first["type"] == "extra_forbidden":
        problem = "is not a known setting. `l2mac init-config` writes a file with all settings"
        return SettingsError(field, f"{field}{line} {problem}.")
    reason = first["msg"].removeprefix("Value error, ").partition(", unable to parse")[0]
    reason = reason.replace("Input should", "The value must").removesuffix(".")
    reason = reason.replace(
        "String should have at least 1 character", "The value must not be empty"
    )
    return SettingsError(field, f"{field}{line} is invalid. {reason}.")


def _origin(name: str, given: Mapping[str, object], project: Path, user: Path) -> str:
    if name in given:
        return "--" + name.replace("_", "-")
    variable = f"L2MAC_{name.upper()}"
    if any(one.upper() == variable and value for one, value in os.environ.items()):
        return variable
    return f"{project.name}: {name}" if name in read_toml(project) else f"{user}: {name}"
