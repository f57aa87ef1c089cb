"""The settings' TOML and key files: bounded reading, line numbers, template."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from l2mac.errors import SettingsError, reason_of
from l2mac.settings.metadata import written_default

_MOST_FILE_BYTES = 1024 * 1024


def read_toml(path: Path) -> dict[str, object]:
    """Return the values of a file; none if it does not exist.

    Raises:
        SettingsError: The file is unreadable; names the line where TOML's parser does.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_FILE_BYTES + 1)
        if len(content) > _MOST_FILE_BYTES:
            raise SettingsError(str(path), f"{path} is larger than {_MOST_FILE_BYTES} bytes.")
        return tomllib.loads(content.decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # a home may be /dev/null
        return {}
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror}. Check the path and its permissions."
        raise SettingsError(str(path), problem) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        problem = f"{path} cannot be read as TOML: {error}. Correct the file."
        raise SettingsError(str(path), problem) from None


def expanded(path: Path) -> Path:
    """Return a path of a setting with the home folder in place of `~`.

    Raises:
        SettingsError: The home folder is unknown.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        problem = f"The home folder in {path} is unknown. Set HOME to a folder."
        raise SettingsError("HOME", problem) from None


def read_key(path: Path, field: str) -> str:
    """Return the key in a file.

    Raises:
        SettingsError: The file is unreadable or empty.
    """
    try:
        key = expanded(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            field, f"{field} cannot be read: {path} ({reason_of(error)})."
        ) from None
    if not key:
        raise SettingsError(field, f"{field} names an empty file: {path}.")
    return key


def at_line(path: Path, name: str) -> str:
    """Return ` (line N)` for the line that plainly sets a top-level name, or ''."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    for number, line in enumerate(lines, 1):
        if re.match(rf"\s*(\[\s*{re.escape(name)}\b|{re.escape(name)}\s*[=.])", line):
            return f" (line {number})"
    return ""


def template_of(model: type[BaseModel]) -> str:
    """Return a settings file with every default, commented out, tables last."""
    lines = ["# Settings of l2mac. Remove the # in front of a setting to change it.", ""]
    tables: list[str] = []
    for name, field in model.model_fields.items():
        if table := _as_table(field.annotation):
            tables += [f"# {field.description}", *_table(name, table), ""]
        else:
            lines += [f"# {field.description}", f"# {name} = {written_default(field)}", ""]
    return "\n".join([*lines, *tables])


def _table(name: str, table: type[BaseModel]) -> Iterator[str]:
    for part, inner in table.model_fields.items():
        yield f"# [{name}.{part}]"
        own = _as_table(inner.annotation)
        for key, field in own.model_fields.items() if own else ():
            yield f"# {key} = {written_default(field)}"


def _as_table(annotation: object) -> type[BaseModel] | None:
    """Return the annotation of a setting if TOML writes the setting as a table."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None
