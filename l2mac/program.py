"""Prompt programs given by the user: a YAML or JSON list, or plain text with a blank line between instructions."""

import re
from pathlib import Path
from typing import Any

import yaml

from l2mac.errors import SettingsError
from l2mac.registry import MAX_INSTRUCTIONS, check_program

_MOST_BYTES = 4 * 1024 * 1024


def load_program(path: Path) -> tuple[str, ...]:
    """Give the instructions of a program file.

    A file whose name ends in `.yaml`, `.yml` or `.json` holds a list of strings, or a mapping with such a list under
    `steps`; any other file holds instructions separated by blank lines.

    Raises:
        SettingsError: The file cannot be read or holds no valid program.
    """
    field = f"--program {path}"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SettingsError(field, f"is larger than {_MOST_BYTES} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(field, f"cannot be read: {error}") from None
    if path.suffix.lower() in (".yaml", ".yml", ".json"):
        steps = _listed(field, text)
    else:
        steps = [part.strip() for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
    return check_program(steps, at_most=MAX_INSTRUCTIONS, field=field)


def _listed(field: str, text: str) -> list[str]:
    try:
        content: Any = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, LookupError, AttributeError) as error:
        # The library lets slip what its constructors raise, for example for the date 2026-13-45.
        raise SettingsError(field, f"is not valid: {error}".replace("\n", " ")) from None
    if isinstance(content, dict):
        content = content.get("steps")
    if not isinstance(content, list):
        raise SettingsError(field, "must be a list of instructions, or a mapping with such a list under 'steps'")
    for number, step in enumerate(content, 1):
        if not isinstance(step, str):
            raise SettingsError(field, f"instruction {number} is {type(step).__name__}, not text")
    return content
