"""One text, one default and one place for each setting."""

import json
import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import click
import pytest
from pydantic import BaseModel

from l2mac.cli.main import l2mac
from l2mac.control.run_spec import METHODS, RunSpec
from l2mac.domains.loader import load_domain
from l2mac.runs.recorded_spec import read_spec, record_spec
from l2mac.runs.session import find_source
from l2mac.runs.wiring import make_plan
from l2mac.settings.metadata import help_of, info_of, recorded_values
from l2mac.settings.role_settings import Roles, RoleSettings
from l2mac.settings.settings import Settings, load_settings, template
from l2mac.trace.journal import Journal

FIELDS = Settings.model_fields
RECORDED = [name for name, field in FIELDS.items() if info_of(field).recorded]
OTHER_VALUES: dict[str, object] = {
    "preset": "ollama",
    "base_url": "http://127.0.0.1:9/v1",
    "tool_protocol": "json",
    "roles": {"plan": {"model": "large", "prompt_price": 3.0}},
    "deps_ca_file": Path("/etc/ca.pem"),
    "disk": 2**27,
    "memory": 2**31,
}


def other_value(name: str) -> object:
    """Return a valid value that is not the default."""
    field = FIELDS[name]
    if name in OTHER_VALUES:
        return OTHER_VALUES[name]
    if get_origin(field.annotation) is Literal:
        return next(one for one in get_args(field.annotation) if one != field.default)
    if isinstance(field.default, bool):
        return not field.default
    if isinstance(field.default, str):
        return "other"
    return (field.default or 0) + 1


def settings_with(folder: Path, **given: object) -> Settings:
    return load_settings(given, project=folder / "none", user=folder / "none")


@pytest.mark.parametrize("model", [Settings, RoleSettings, Roles])
def test_descriptions_are_sentences_that_fit_one_line_of_help(model: type[BaseModel]) -> None:
    texts = {name: help_of(field) for name, field in model.model_fields.items()}
    assert {
        name: text for name, text in texts.items() if not re.fullmatch(r".{8,71}\.", text)
    } == {}


def test_every_option_for_a_setting_shows_the_description_of_the_setting() -> None:
    context = click.Context(l2mac)
    run = l2mac.get_command(context, "run")
    assert run is not None
    shown = {one.name: one.help for one in run.params if isinstance(one, click.Option)}
    wanted = {name: help_of(field) for name, field in FIELDS.items() if info_of(field).section}
    assert {name: shown.get(name) for name in wanted} == wanted
    assert {"plan_model", "judge_model"} <= shown.keys()


def test_the_log_level_has_the_same_text_and_choices_at_both_places() -> None:
    option = next(one for one in l2mac.params if one.name == "log_level")
    assert isinstance(option, click.Option)
    assert isinstance(option.type, click.Choice)
    assert option.help == help_of(FIELDS["log_level"])
    assert tuple(option.type.choices) == get_args(FIELDS["log_level"].annotation)


def test_the_template_describes_every_setting() -> None:
    text = template()
    assert [name for name, field in FIELDS.items() if f"# {field.description}\n" not in text] == []


def test_methods_of_the_settings_are_those_of_the_control_unit() -> None:
    assert get_args(FIELDS["method"].annotation) == METHODS


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_settings_survive_a_resume(tmp_path: Path, name: str) -> None:
    """Settings are copied into the specification and read back without any list of names."""
    settings = settings_with(tmp_path, **{name: other_value(name)})
    plan = make_plan(settings, "Make it.", (), load_domain("codebase"))
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    with Journal(folder) as journal:
        journal.note(record_spec(plan, journal.objects))
    assert read_spec(folder) == plan
    source = find_source(tmp_path / "runs", "one")
    resumed = load_settings(
        {}, project=tmp_path / "none", user=tmp_path / "none", recorded=source.settings
    )
    if info_of(FIELDS[name]).recorded == "setup":
        assert getattr(resumed, name) == getattr(settings, name)
    else:
        assert value_in_plan(plan, name) == getattr(settings, name)


def value_in_plan(plan: RunSpec, name: str) -> object:
    return getattr(plan if hasattr(plan, name) else plan.planning, name)


def test_specification_and_settings_have_the_same_defaults() -> None:
    """Except the mode: without a server's answer, `auto` cannot be resolved."""
    spec = RunSpec(task="Make it.", definition="")
    names = [name for name in RECORDED if info_of(FIELDS[name]).recorded == "spec"]
    assert {
        name: getattr(spec, name)
        for name in names
        if name != "mode" and getattr(spec, name) != FIELDS[name].default
    } == {}


def test_recorded_values_are_json(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    for place in ("spec", "planning", "setup"):
        values = recorded_values(settings, place)
        assert json.loads(json.dumps(values)) == values


def test_no_secret_is_recorded() -> None:
    assert {"api_key", "api_key_file", "response_cache"}.isdisjoint(RECORDED)
