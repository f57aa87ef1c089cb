import functools
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from l2mac.errors import SettingsError
from l2mac.settings.settings import (
    Settings,
    configured_log_level,
    load_settings,
    template,
    user_file,
)

KEY = "sk-very-secret-0123456789"
SECURITY = (
    "image",
    "runtime",
    "volume",
    "base_url",
    "api_key",
    "api_key_file",
    "api_type",
    "runs_dir",
    "cache_dir",
)


class Load(Protocol):
    """Loader of settings from flags and the texts of the two files."""

    def __call__(
        self,
        flags: Mapping[str, object] | None = None,
        *,
        in_project: str = "",
        in_user: str = "",
        recorded: Mapping[str, object] | None = None,
    ) -> Settings: ...


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("L2MAC_", "OPENAI_", "XDG_CONFIG")):
            monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return settings from flags and the texts of the two files."""
    project, user = tmp_path / "l2mac.toml", tmp_path / "home" / "config.toml"
    user.parent.mkdir()

    def load_from(
        flags: Mapping[str, object] | None = None,
        *,
        in_project: str = "",
        in_user: str = "",
        recorded: Mapping[str, object] | None = None,
    ) -> Settings:
        project.write_text(in_project, encoding="utf-8")
        user.write_text(in_user, encoding="utf-8")
        return load_settings(flags or {}, project=project, user=user, recorded=recorded)

    return load_from


def field_of(
    load: Load,
    flags: Mapping[str, object] | None = None,
    *,
    in_project: str = "",
    in_user: str = "",
) -> str:
    with pytest.raises(SettingsError) as caught:
        load(flags, in_project=in_project, in_user=in_user)
    sentence = str(caught.value)
    assert caught.value.field in sentence
    assert sentence.endswith(".")
    return caught.value.field


def test_defaults_hold_without_any_settings_source(tmp_path: Path) -> None:
    settings = load_settings(
        {}, project=tmp_path / "none.toml", user=tmp_path / "none" / "config.toml"
    )
    assert dict(settings) == {name: field.default for name, field in Settings.model_fields.items()}


def test_each_source_is_stronger_than_the_one_below_it(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_files = functools.partial(load, in_project="steps = 4", in_user="steps = 5")
    assert load().steps == 10
    assert load(in_user="steps = 5").steps == 5
    assert from_files().steps == 4
    monkeypatch.setenv("L2MAC_STEPS", "3")
    assert from_files().steps == 3
    assert from_files({"steps": 2}).steps == 2


def test_omitted_flag_leaves_the_weaker_sources_in_force(load: Load) -> None:
    assert load({"steps": None}, in_user="steps = 5").steps == 5


def test_recorded_settings_stand_between_variables_and_files(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = {"steps": 6}
    assert load(in_user="steps = 5", recorded=recorded).steps == 6
    assert load({"steps": 2}, recorded=recorded).steps == 2
    monkeypatch.setenv("L2MAC_STEPS", "3")
    assert load(recorded=recorded).steps == 3


def test_an_empty_variable_counts_as_none(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("L2MAC_STEPS", "")
    assert load(in_user="steps = 5").steps == 5


@pytest.mark.parametrize("name", SECURITY)
def test_project_file_may_set_neither_confinement_nor_key_destination(
    load: Load, name: str
) -> None:
    assert field_of(load, in_project=f'{name} = "x"') == f"l2mac.toml: {name}"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_project_file_may_set_only_listed_settings(load: Load, name: str) -> None:
    """A new setting is closed to project files until it is opened on purpose."""
    free = {"model", "domain", "steps", "context_tokens", "reply_tokens", "tool_protocol", "seed"}
    lowerable = {
        "memory",
        "cpus",
        "pids",
        "disk",
        "timeout",
        "max_turns",
        "max_restarts",
        "max_tokens",
        "max_cost",
    }
    lowerable |= {"max_time", "max_replans", "requests_per_minute", "tokens_per_minute"}
    value = (
        '"auto"'
        if name == "tool_protocol"
        else '"codebase"'
        if name in ("model", "domain")
        else "4096"
    )
    try:
        load(in_project=f"{name} = {'1' if name == 'steps' else value}")
        accepted = True
    except SettingsError as error:
        accepted = "is not allowed in a project file" not in str(error)
    assert accepted == (name in free | lowerable)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('memory = "600m"', "memory", 600 * 1024**2),
        ("cpus = 1.5", "cpus", 1.5),
        ("pids = 64", "pids", 64),
        ("timeout = 5", "timeout", 5.0),
        ("max_tokens = 1000", "max_tokens", 1000),
        ("max_restarts = 0", "max_restarts", 0),
    ],
)
def test_a_project_file_may_lower_a_limit(load: Load, text: str, name: str, value: object) -> None:
    assert getattr(load(in_project=text), name) == value


@pytest.mark.parametrize(
    "text",
    [
        'memory = "2g"',
        "memory = 2147483648",
        "cpus = 2.5",
        'cpus = "2.9"',
        'timeout = "60.9"',
        'timeout = "1e9"',
        "timeout = inf",
        "timeout = nan",
        'pids = "1k"',
        "pids = true",
        "pids = [1]",
        "pids = {a = 1}",
        "max_turns = 41",
        'memory = "lots"',
        'disk = ""',
    ],
)
def test_project_file_may_not_raise_a_limit_in_any_notation(load: Load, text: str) -> None:
    assert field_of(load, in_project=text) == f"l2mac.toml: {text.partition(' ')[0]}"


def test_project_file_limits_are_compared_with_the_user_file(load: Load) -> None:
    assert load(in_user='memory = "4g"', in_project='memory = "3g"').memory == 3 * 1024**3
    assert field_of(load, in_user="pids = 100", in_project="pids = 101") == "l2mac.toml: pids"


def test_a_limit_that_cannot_be_compared_may_not_be_set_by_a_project_file(load: Load) -> None:
    assert (
        field_of(load, in_user='memory = "lots"', in_project='memory = "1g"')
        == "l2mac.toml: memory"
    )


@given(value=st.one_of(st.floats(), st.integers(), st.text(max_size=8), st.booleans()))
def test_no_value_of_a_project_file_raises_the_timeout(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    project = tmp_path_factory.mktemp("p") / "l2mac.toml"
    quoted = (
        '"'
        + "".join(f"\\U{ord(one):08x}" for one in str(value) if not 0xD800 <= ord(one) < 0xE000)
        + '"'
    )
    shown = quoted if isinstance(value, str) else str(value).lower()
    project.write_text(f"timeout = {shown}", encoding="utf-8")
    try:
        timeout_s = load_settings({}, project=project, user=project.with_name("none")).timeout
    except SettingsError:
        timeout_s = 60
    assert timeout_s <= 60


@pytest.mark.parametrize(("in_project", "in_user"), [("modle = 'x'", ""), ("", "modle = 'x'")])
def test_an_unknown_key_is_refused_by_name(load: Load, in_project: str, in_user: str) -> None:
    assert field_of(load, in_project=in_project, in_user=in_user).endswith(": modle")


def test_an_unknown_flag_is_refused_by_name(load: Load) -> None:
    assert field_of(load, {"no_such": 1}) == "--no-such"


@pytest.mark.parametrize(
    "text", ["steps = ", "a" * 2_000_000, "x = " + "[" * 100_000, "steps = 1\nsteps = 2", "\udcff"]
)
def test_a_file_that_is_no_toml_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=r"broken\.toml"):
        load_settings({}, project=tmp_path / "none", user=broken)


def test_folder_in_place_of_a_settings_file_is_named_as_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({}, project=tmp_path, user=tmp_path / "none")


def test_endless_settings_file_is_not_read_whole(tmp_path: Path) -> None:
    endless = tmp_path / "l2mac.toml"
    endless.symlink_to("/dev/zero")
    with pytest.raises(SettingsError, match="is larger than"):
        load_settings({}, project=endless, user=tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512m", 512 * 1024**2),
        ("1g", 1024**3),
        ("1GiB", 1024**3),
        ("1048576", 1024**2),
        ("1.5k", 1536),
    ],
)
def test_sizes_are_read_in_every_common_form(load: Load, text: str, size: int) -> None:
    assert load({"disk": text}).disk == size
    assert load(in_user=f'disk = "{text}"').disk == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1x", "g", "1e3", "nan", "½g"])
def test_invalid_size_setting_is_refused_with_an_example(load: Load, text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--disk is invalid\. .*(512m|greater than 0)"):
        load({"disk": text})


def test_an_error_names_the_source_that_said_it(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert field_of(load, {"steps": "x"}) == "--steps"
    assert field_of(load, in_project="steps = 'x'", in_user="steps = 'y'") == "l2mac.toml: steps"
    assert field_of(load, in_user="steps = 'y'").endswith("config.toml: steps")
    monkeypatch.setenv("l2mac_max_turns", "x")
    assert field_of(load, in_user="max_turns = 'y'") == "L2MAC_MAX_TURNS"


def test_an_empty_variable_is_not_blamed(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("L2MAC_STEPS", "")
    assert field_of(load, in_project="steps = 'x'") == "l2mac.toml: steps"


@pytest.mark.parametrize(
    "flag", [{"timeout": float("inf")}, {"cpus": float("nan")}, {"max_cost": float("inf")}]
)
def test_non_finite_limits_are_refused(load: Load, flag: dict[str, float]) -> None:
    assert field_of(load, flag) == "--" + next(iter(flag)).replace("_", "-")


def test_the_template_is_all_comments(tmp_path: Path) -> None:
    assert tomllib.loads(template()) == {}


def test_the_template_uncommented_names_every_setting_and_changes_none(load: Load) -> None:
    lines = [
        line.removeprefix("# ")
        for line in template().splitlines()
        if " = " in line or line.startswith("# [")
    ]
    assert set(tomllib.loads("\n".join(lines))) == set(Settings.model_fields)
    assert load(in_user="\n".join(lines)).model_dump() == load().model_dump()


def test_an_empty_text_stands_for_no_value(load: Load) -> None:
    assert load(in_user='api_key_file = ""\nmax_tokens = ""').api_key_file is None


def test_the_key_shows_in_no_text_of_the_settings(load: Load) -> None:
    settings = load(in_user=f'api_key = "{KEY}"')
    shown = (
        repr(settings),
        str(settings),
        repr(settings.model_dump()),
        settings.model_dump_json(),
        f"{settings.api_key}",
    )
    assert all(KEY not in text for text in shown)
    assert settings.key({}) == KEY


def test_a_broken_key_shows_in_no_error(load: Load) -> None:
    with pytest.raises(SettingsError) as caught:
        load(in_user=f'api_key = ["{KEY}"]')
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_key_comes_from_its_file_before_anything_else(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"  {KEY}\n", encoding="utf-8")
    assert (
        load({"api_key_file": file, "api_key": SecretStr("other")}).key({"OPENAI_API_KEY": "third"})
        == KEY
    )
    assert load({"api_key": SecretStr("other")}).key({"OPENAI_API_KEY": "third"}) == "other"
    assert load().key({"OPENAI_API_KEY": "third"}) == "third"
    assert load().key({}) == ""


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xff", None])
def test_a_key_file_that_holds_no_key_is_an_error(
    load: Load, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match="--api-key-file"):
        load({"api_key_file": file}).key({})


def test_the_server_comes_from_the_settings_or_the_common_variable(load: Load) -> None:
    assert load({"base_url": "http://a"}).server({"OPENAI_BASE_URL": "http://b"}) == "http://a"
    assert load().server({"OPENAI_BASE_URL": "http://b"}) == "http://b"
    assert load().server({}) == ""


def test_a_reply_has_a_quarter_of_the_window_unless_told_otherwise(load: Load) -> None:
    assert load({"context_tokens": 8192}).reply_room == 2048
    assert load({"context_tokens": 200_000}).reply_room == 4096
    assert load({"context_tokens": 8192, "reply_tokens": 100}).reply_room == 100


def test_limits_that_contradict_each_other_are_a_usage_error(load: Load) -> None:
    with pytest.raises(SettingsError, match="limits of the sandbox"):
        load({"memory": "64m"}).policy()


def test_limits_reach_the_sandbox_policy(load: Load) -> None:
    policy = load(
        {"memory": "2g", "cpus": 1.0, "pids": 99, "disk": "64m", "timeout": 7.0, "runtime": "runsc"}
    ).policy()
    limits = (
        policy.memory_bytes,
        policy.cpus,
        policy.pids,
        policy.disk_bytes,
        policy.timeout_s,
        policy.runtime,
    )
    assert limits == (2 * 1024**3, 1.0, 99, 64 * 1024**2, 7.0, "runsc")
    assert policy.file_bytes <= policy.disk_bytes


def test_the_users_file_is_where_the_desktop_keeps_such_files() -> None:
    assert user_file({"XDG_CONFIG_HOME": "/etc/somewhere"}) == Path(
        "/etc/somewhere/l2mac/config.toml"
    )
    assert user_file({}) == Path("~/.config/l2mac/config.toml").expanduser()


def test_unknown_home_folder_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="Set HOME to a folder"):
        user_file({"XDG_CONFIG_HOME": "~no-such-user-of-l2mac/.config"})


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"memory": "12q"}, "--memory is invalid. '12q' is not a size. Write for example"),
        ({"image": ""}, "--image is invalid. The value must not be empty."),
        ({"steps": 0}, "--steps is invalid. The value must be greater than 0."),
    ],
)
def test_invalid_values_are_explained_in_whole_sentences(
    load: Load, flags: Mapping[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(flags)
    assert str(caught.value).startswith(sentence)
    assert not str(caught.value).endswith("..")


def test_unreadable_settings_file_is_not_called_invalid_toml(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_settings({}, project=tmp_path / "none", user=tmp_path)


def test_the_log_level_comes_from_the_settings_and_survives_broken_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = tmp_path / "config.toml"
    user.write_text('log_level = "info"', encoding="utf-8")
    assert configured_log_level(project=tmp_path / "none", user=user) == "info"
    monkeypatch.setenv("L2MAC_LOG_LEVEL", "debug")
    assert configured_log_level(project=tmp_path / "none", user=user) == "debug"
    monkeypatch.setenv("L2MAC_LOG_LEVEL", "shout")
    assert configured_log_level(project=tmp_path / "none", user=user) == "warning"


def test_a_project_file_may_only_make_the_packages_stricter(load: Load) -> None:
    user = 'deps = "locked"'
    assert load(in_project='deps = "off"', in_user=user).deps == "off"
    assert load(in_project='deps = "locked"', in_user=user).deps == "locked"
    assert "deps" in field_of(load, in_project='deps = "resolve"', in_user=user)
    assert "deps" in field_of(load, in_project='deps = "locked"')
    assert "deps_hosts" in field_of(load, in_project='deps_hosts = "evil.test"')
