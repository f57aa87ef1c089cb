"""Prompt programs of the user: a YAML or JSON list, or text with blank lines."""

import json
import re
from pathlib import Path

import yaml

from l2mac.control.registry import MAX_INSTRUCTIONS, check_program
from l2mac.errors import SettingsError, reason_of

_MOST_BYTES = 4 * 1024 * 1024
_LITERAL = "--program"


def given_program(given: str) -> tuple[str, ...]:
    """Return the instructions of a JSON list, which starts with `[`, or of a file.

    Raises:
        SettingsError: The list is not a list of texts, or the file is unreadable or invalid.
    """
    text = given.strip()
    if not text:
        raise SettingsError(
            _LITERAL, f"{_LITERAL} is empty. Name a file or give a JSON list of instructions."
        )
    if not text.startswith("["):
        return load_program(Path(given))
    if len(text) > _MOST_BYTES:
        problem = f"{_LITERAL} is longer than {_MOST_BYTES} characters. Use a file."
        raise SettingsError(_LITERAL, problem)
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = f"{_LITERAL} starts with [ and is not a valid JSON list ({error})."
        advice = "Put each instruction in double quotes, or write ./ before the name of a file."
        raise SettingsError(_LITERAL, f"{problem} {advice}") from None
    return check_program(_texts(_LITERAL, content), at_most=MAX_INSTRUCTIONS, field=_LITERAL)


def load_program(path: Path) -> tuple[str, ...]:
    """Return the instructions of a program file.

    A file with the ending `.yaml`, `.yml` or `.json` has a list of strings, or a mapping with
    such a list under `steps`. Any other file has instructions separated by blank lines.

    Raises:
        SettingsError: The file is unreadable or invalid.
    """
    field = f"--program {path}"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SettingsError(field, f"{field} is larger than {_MOST_BYTES} bytes.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(field, f"{field} cannot be read: {reason_of(error)}.") from None
    if path.suffix.lower() in (".yaml", ".yml", ".json"):
        steps = _listed(field, text)
    else:
        steps = [part.strip() for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
    return check_program(steps, at_most=MAX_INSTRUCTIONS, field=field)


def _listed(field: str, text: str) -> list[str]:
    try:
        content: object = yaml.safe_load(text)
    except (
        yaml.YAMLError,
        RecursionError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
    ) as error:
        # The library passes on exceptions of its constructors, for example for the date 2026-13-45.
        problem = f"{field} is not valid YAML or JSON: {error}."
        raise SettingsError(field, problem.replace("\n", " ")) from None
    return _texts(field, content.get("steps") if isinstance(content, dict) else content)


def _texts(field: str, content: object) -> list[str]:
    if not isinstance(content, list):
        problem = "must be a list of instructions, or a mapping with such a list under 'steps'"
        raise SettingsError(field, f"{field} {problem}.")
    for number, step in enumerate(content, 1):
        if not isinstance(step, str):
            problem = (
                f"{field} has an invalid instruction {number}: {type(step).__name__}, not text."
            )
            raise SettingsError(field, problem)
    return content
