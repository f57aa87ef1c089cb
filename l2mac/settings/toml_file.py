"""The settings' TOML files: read within a bound, searched for the line of a name, written as a template."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from l2mac.errors import SettingsError

_MOST_FILE_BYTES = 1024 * 1024


def read_toml(path: Path) -> dict[str, Any]:
    """Give a file's values; none when it does not exist.

    Raises:
        SettingsError: It cannot be read; names the line where TOML's parser does.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_FILE_BYTES + 1)
        if len(content) > _MOST_FILE_BYTES:
            raise SettingsError(str(path), f"is larger than {_MOST_FILE_BYTES} bytes")
        return tomllib.loads(content.decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # a home may be /dev/null
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(str(path), f"cannot be read: {error}") from None


def read_key(path: Path, field: str) -> str:
    """Give the key in a file.

    Raises:
        SettingsError: It cannot be read or is empty.
    """
    try:
        key = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(field, f"{path} cannot be read ({error})") from None
    if not key:
        raise SettingsError(field, f"{path} is empty")
    return key


def at_line(path: Path, name: str) -> str:
    """Give ` (line N)` for the line that sets a name at the file's top level, or nothing where none plainly does."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    for number, line in enumerate(lines, 1):
        if re.match(rf"\s*(\[\s*{re.escape(name)}\b|{re.escape(name)}\s*[=.])", line):
            return f" (line {number})"
    return ""


def template_of(model: type[BaseModel]) -> str:
    """Give a settings file with every setting commented out at its default, tables last as TOML wants it."""
    plain = {
        name: field for name, field in model.model_fields.items() if not _is_table(field.annotation)
    }
    tables = {name: field for name, field in model.model_fields.items() if name not in plain}
    lines = ["# Settings of l2mac. Remove the # before what you change.", ""]
    for name, field in plain.items():
        lines += [f"# {field.description}", f"# {name} = {_shown(field.default)}", ""]
    for name, field in tables.items():
        lines += [f"# {field.description}", *_table(name, field.annotation), ""]
    return "\n".join(lines)


def _table(name: str, table: Any) -> Iterator[str]:
    for part, inner in table.model_fields.items():
        yield f"# [{name}.{part}]"
        for key, field in inner.annotation.model_fields.items():
            yield f"# {key} = {_shown(field.default)}"


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _shown(default: Any) -> object:
    value = default.get_secret_value() if isinstance(default, SecretStr) else default
    if isinstance(value, bool):
        return str(value).lower()
    return '""' if value is None else f'"{value}"' if isinstance(value, str | Path) else value
