"""Shared options of the commands, generated from `Settings` for every setting."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Literal, ParamSpec, Protocol, TypeVar, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from l2mac.runs.folders import find_run
from l2mac.settings.metadata import Section, help_of, info_of
from l2mac.settings.role_settings import Roles
from l2mac.settings.settings import PROJECT_FILE, Settings, load_settings, user_file
from l2mac.settings.toml_file import expanded

P = ParamSpec("P")
R = TypeVar("R")

_OWN = "Options"
_SECTIONS = (_OWN, "Task", "Model", "Roles and cache", "Planning", "Budget", "Sandbox")
"""Sections of help, in order; the options of the section Storage stand among a command's own."""

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on standard output."
)
output_folder_option = click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="New folder for the result. Default: ./workspace/NAME.",
)
run_argument = click.argument("name", metavar="[RUN]", default="last")


class Option(Protocol):
    """Decorator that adds an option to the function of a command."""

    def __call__(self, command: Callable[P, R], /) -> Callable[P, R]:
        """Return the function with the option."""
        ...


class SectionedCommand(click.Command):
    """A command whose help lists its own options first, the others by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each in its section."""
        section_of = {name: section for section, name, _ in _setting_options()}
        rows: dict[str, list[tuple[str, str]]] = {section: [] for section in _SECTIONS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                section = section_of.get(parameter.name or "", _OWN)
                rows[section if section in rows else _OWN].append(record)
        for section, records in rows.items():
            if records:
                with formatter.section(section):
                    formatter.write_dl(records)


def setting_options(*sections: Section) -> Option:
    """Return a decorator that adds the options of these sections of `Settings`."""

    def add(command: Callable[P, R]) -> Callable[P, R]:
        chosen = [option for section, _, option in _setting_options() if section in sections]
        for option in reversed(chosen):
            command = option(command)
        return command

    return add


def runs_dir_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --runs-dir."""
    return setting_options("Storage")(command)


def output_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add --quiet and --json."""
    quiet = click.option("--quiet", "-q", is_flag=True, help="Print only the result and errors.")
    return quiet(json_option(command))


def settings_from(
    flags: Mapping[str, object], recorded: Mapping[str, object] | None = None
) -> Settings:
    """Return the settings of a command: flags, variables, trace, then files.

    Raises:
        SettingsError: A source has an invalid value.
    """
    return load_settings(flags, project=Path(PROJECT_FILE), user=user_file(), recorded=recorded)


def runs_folder(runs_dir: Path | None) -> Path:
    """Return the folder of the recorded runs: the flag's, or the configured one."""
    return expanded(settings_from({"runs_dir": runs_dir}).runs_dir)


def run_folder(name: str, runs_dir: Path | None) -> Path:
    """Return the folder of the run that the user named.

    Raises:
        RunNotFound: No run, or more than one, has the name.
    """
    return find_run(runs_folder(runs_dir), name)


def _setting_options() -> Iterator[tuple[Section, str, Option]]:
    """Yield section, parameter and option of each setting that has an option."""
    for name, field in Settings.model_fields.items():
        if section := info_of(field).section:
            yield section, name, _option(name, field)
    for role, field in Roles.model_fields.items():
        option = click.option(f"--{role}-model", metavar="NAME", help=help_of(field))
        yield "Roles and cache", f"{role}_model", option


def _option(name: str, field: FieldInfo) -> Option:
    info, kind = info_of(field), _value_type(field.annotation)
    flag = info.flag or name.replace("_", "-")
    if kind is bool:
        return click.option(f"--{flag}/--no-{flag}", name, default=None, help=help_of(field))
    return click.option(
        f"--{flag}",
        name,
        type=str if info.unit == "size" else kind,
        metavar=info.unit.upper() or None,
        help=help_of(field),
    )


def _value_type(annotation: object) -> object:
    """Return the type that click reads for the type of a setting."""
    if get_origin(annotation) is Literal:
        return click.Choice(get_args(annotation))
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not NoneType]
    return click.Path(path_type=Path) if kinds[0] is Path else kinds[0]
