"""The rules for a settings file in a project.

A model or a pull request may have written the file. The file may choose settings without influence
on security and may lower limits. Any other setting is refused.
"""

from typing import get_args

from pydantic.fields import FieldInfo

from l2mac.errors import SettingsError
from l2mac.settings.metadata import info_of
from sandbox import PolicyError, format_size, parse_size


def check_untrusted(label: str, field: FieldInfo, value: object, below: object) -> None:
    """Check one value of a project file against the weaker sources.

    Args:
        label: Name of the setting in an error.
        field: The setting.
        value: Value in the file.
        below: Value that holds without the file.

    Raises:
        SettingsError: A project file may not set this value.
    """
    rule = info_of(field).project
    if rule == "lower":
        _check_lower(label, field, value, below)
    elif rule != "free" and not (rule == "stricter" and _is_no_looser(field, value, below)):
        raise SettingsError(
            label,
            f"{label} is not allowed in a project file. Use a flag, a variable or the user's file.",
        )


def _check_lower(label: str, field: FieldInfo, value: object, below: object) -> None:
    is_size = info_of(field).unit == "size"
    wanted, allowed = _amount(value, is_size=is_size), _amount(below, is_size=is_size)
    if wanted is None or (allowed is None and below is not None):
        raise SettingsError(
            label,
            f"{label} may only be lowered in a project file, and {value!r} cannot be compared with"
            f" {below!r}. Write a plain number or size.",
        )
    if allowed is not None and wanted > allowed:
        most = format_size(int(allowed)) if is_size else below
        raise SettingsError(
            label,
            f"{label} may only be lowered in a project file. Set {most} or less, not {value!r}.",
        )


def _is_no_looser(field: FieldInfo, value: object, below: object) -> bool:
    """Return whether a choice is as strict as another; the strictest is first."""
    choices = get_args(field.annotation)
    known = value in choices and below in choices
    return known and choices.index(value) <= choices.index(below)


def _amount(value: object, *, is_size: bool) -> float | None:
    """Return the number that a value stands for, or None."""
    if is_size and isinstance(value, str):
        try:
            return parse_size(value)
        except PolicyError:
            return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
