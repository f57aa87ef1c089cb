"""Metadata of settings: all facts about a setting, stated once, at its field.

The command line, the template of the settings file, the reference, the trace of a run and the rules
for untrusted files are all generated from it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, TypeVar, Unpack

from pydantic import BaseModel, Field, SecretStr
from pydantic.fields import FieldInfo

from sandbox import format_size

Section = Literal[
    "", "Task", "Model", "Roles and cache", "Planning", "Budget", "Sandbox", "Storage"
]
ProjectRule = Literal["refused", "free", "lower", "stricter"]
Place = Literal["", "spec", "planning", "setup"]

_KEY = "l2mac"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingInfo:
    """Metadata of one setting.

    Attributes:
        section: Heading of the option in `--help`; empty for a setting without an option.
        flag: Name of the option, without dashes, if it is not the name of the setting.
        unit: Unit or kind of the value. `size` stands for bytes, also written as `512m`.
        unset: Meaning of an empty default.
        project: Rights of the untrusted `l2mac.toml`: none, any value, only lower values, or only
            values that stand no later in the list of choices than the value in force.
        recorded: Place in the run specification that keeps the value; empty for a setting of one
            session. A value in `setup` holds again when the run is resumed.
    """

    section: Section = ""
    flag: str = ""
    unit: str = ""
    unset: str = ""
    project: ProjectRule = "refused"
    recorded: Place = ""


class _InfoFields(TypedDict, total=False):
    """The fields of `SettingInfo` as keywords, for the type checker."""

    section: Section
    flag: str
    unit: str
    unset: str
    project: ProjectRule
    recorded: Place


def setting(
    default: T,
    description: str,
    *,
    gt: float | None = None,
    ge: float | None = None,
    le: float | None = None,
    **info: Unpack[_InfoFields],
) -> T:
    """Return a pydantic field with default, description, bounds and metadata.

    The annotated result is the type of the default, as with pydantic's own `Field`.
    """
    return Field(
        default=default,
        description=description,
        gt=gt,
        ge=ge,
        le=le,
        json_schema_extra={_KEY: SettingInfo(**info)},  # type: ignore[dict-item]  # never exported
    )


def info_of(field: FieldInfo) -> SettingInfo:
    """Return the metadata of a field made by `setting`."""
    extra = field.json_schema_extra
    info: object = extra.get(_KEY) if isinstance(extra, dict) else None
    return info if isinstance(info, SettingInfo) else SettingInfo()


def help_of(field: FieldInfo) -> str:
    """Return the help text of a field: its description and its default, as one line."""
    default = default_of(field)
    return f"{field.description} Default: {default}." if default else str(field.description)


def default_of(field: FieldInfo) -> str:
    """Return the default as a person reads it, or '' if there is nothing to say."""
    info, value = info_of(field), field.default
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or value == "" or isinstance(value, BaseModel | SecretStr):
        return info.unset
    if info.unit == "size":
        return format_size(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def recorded_values(settings: BaseModel, place: Place) -> dict[str, object]:
    """Return the values that a run records in one place, as JSON has them."""
    fields = type(settings).model_fields
    names = {name for name, field in fields.items() if info_of(field).recorded == place}
    return settings.model_dump(mode="json", include=names)


def written_default(field: FieldInfo) -> object:
    """Return the default as TOML writes it."""
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None:
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str | Path) else value
