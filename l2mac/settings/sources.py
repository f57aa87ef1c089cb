"""Sources of settings besides flags and variables: TOML files and presets."""

from collections.abc import Mapping
from pathlib import Path

import pydantic
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from l2mac.errors import SettingsError
from l2mac.settings.presets import PRESETS
from l2mac.settings.toml_file import at_line, read_toml
from l2mac.settings.untrusted_file import check_untrusted


class PresetSource(PydanticBaseSettingsSource):
    """Values of the preset that the stronger sources name; the weakest source of all."""

    def get_field_value(
        self,
        field: pydantic.fields.FieldInfo,  # noqa: ARG002 - part of the signature
        field_name: str,
    ) -> tuple[object, str, bool]:
        """Return nothing; the source yields all its values at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, object]:
        """Return the values of the preset."""
        preset = PRESETS.get(str(self.current_state.get("preset", "")))
        if preset is None:
            return {}
        values = {
            "base_url": preset.base_url,
            "api_type": preset.api_type,
            "api_version": preset.api_version,
        }
        return {name: value for name, value in values.items() if value}


class FileSource(PydanticBaseSettingsSource):
    """Settings of one TOML file; none if it does not exist.

    Args:
        settings_cls: The settings' class.
        path: The file.
        below: Values of the weaker sources, which bound an untrusted file.
        trusted: Whether the file may set everything.

    Raises:
        SettingsError: The file is unreadable or sets something unknown or not allowed.
    """

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        path: Path,
        below: Mapping[str, object],
        *,
        trusted: bool = True,
    ) -> None:
        super().__init__(settings_cls)
        fields, values = settings_cls.model_fields, read_toml(path)
        for name in sorted(values.keys() - fields.keys()):
            label = f"{path}: {name}"
            raise SettingsError(
                label,
                f"{label}{at_line(path, name)} is not a known setting."
                " `l2mac init-config` writes a file with all settings.",
            )
        # As in a variable, an empty text stands for no value; TOML has no other way to say so.
        self._values = {
            name: value
            for name, value in values.items()
            if value != "" or fields[name].default is not None
        }
        if not trusted:
            for name, value in self._values.items():
                default = fields[name].default
                check_untrusted(
                    f"{path.name}: {name}", fields[name], value, below.get(name, default)
                )

    def get_field_value(
        self,
        field: pydantic.fields.FieldInfo,  # noqa: ARG002 - part of the signature
        field_name: str,
    ) -> tuple[object, str, bool]:
        """Return one value."""
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, object]:
        """Return all values."""
        return self._values
