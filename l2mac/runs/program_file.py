"""Prompt programs given by the user: a YAML or JSON list, or plain text with a blank line between instructions."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from l2mac.control.registry import MAX_INSTRUCTIONS, check_program
from l2mac.errors import SettingsError

_MOST_BYTES = 4 * 1024 * 1024
_LITERAL = "--program"


def given_program(given: str) -> tuple[str, ...]:
    """Give the instructions of what stands on a command line: a JSON list, which begins with `[`, or a file's path.

    Raises:
        SettingsError: It is no list of texts, or the file cannot be read or holds no valid program.
    """
    text = given.strip()
    if not text:
        raise SettingsError(_LITERAL, "is empty; give a file, or a JSON list of instructions")
    if not text.startswith("["):
        return load_program(Path(given))
    if len(text) > _MOST_BYTES:
        raise SettingsError(_LITERAL, f"is longer than {_MOST_BYTES} characters")
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = f"begins with [ and is no valid JSON list ({error}); put each instruction in double quotes"
        raise SettingsError(_LITERAL, f"{problem}, or write ./ before the name of a file") from None
    return check_program(_texts(_LITERAL, content), at_most=MAX_INSTRUCTIONS, field=_LITERAL)


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
    except (
        yaml.YAMLError,
        RecursionError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
    ) as error:
        # The library lets slip what its constructors raise, for example for the date 2026-13-45.
        raise SettingsError(field, f"is not valid: {error}".replace("\n", " ")) from None
    return _texts(field, content.get("steps") if isinstance(content, dict) else content)


def _texts(field: str, content: Any) -> list[str]:
    if not isinstance(content, list):
        raise SettingsError(
            field, "must be a list of instructions, or a mapping with such a list under 'steps'"
        )
    for number, step in enumerate(content, 1):
        if not isinstance(step, str):
            raise SettingsError(field, f"instruction {number} is {type(step).__name__}, not text")
    return content
