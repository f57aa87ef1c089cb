"""What is compared: a variant is a name and the settings that make it; a method is the setting `method`."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from l2mac.errors import SettingsError
from l2mac.settings.settings import Settings

L2MAC = "l2mac"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_OURS = {
    "seed": "--seeds says which seeds there are",
    "runs_dir": "--dir says where runs are kept",
    "cache_dir": "it is the same for all",
    "log_level": "it changes nothing that is measured",
    "api_key": "a key does not belong into what is recorded; give it in a variable or a file",
    "api_key_file": "it is the same for all; what a role needs stands in [roles]",
}


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to do a task, as settings that take the place of the common ones."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def method_variant(name: str) -> Variant:
    """Return the variant that is a method as it is; whether there is one of that name the settings say."""
    return Variant(name, {"method": name})


def parse_variant(text: str) -> Variant:
    """Return the variant in a text such as `no-summary = {summary = false, steps = 20}`, in TOML.

    Raises:
        SettingsError: It is none, or sets what a variant may not.
    """
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(
            "--variant", f"write NAME = {{setting = value}} as in TOML, not {text!r} ({error})"
        ) from None
    if len(content) != 1 or not isinstance(next(iter(content.values())), dict):
        raise SettingsError("--variant", f"write one NAME = {{setting = value}}, not {text!r}")
    ((name, settings),) = content.items()
    for key in settings:
        if key in _OURS:
            raise SettingsError("--variant", f"{name}.{key} cannot be set here: {_OURS[key]}")
        if key not in Settings.model_fields:
            raise SettingsError("--variant", f"{name}.{key}: there is no such setting")
    return Variant(name, settings)


def method_of(settings: Settings) -> str:
    """Return the method that settings name, in a version that has no other than l2mac, too."""
    return str(getattr(settings, "method", L2MAC))


def check_variants(variants: Sequence[Variant], default: str = L2MAC) -> tuple[Variant, ...]:
    """Return the variants, or the one method that is the default where there are none.

    Raises:
        SettingsError: A name is no folder's name, or stands twice.
    """
    chosen = tuple(variants) or (method_variant(default),)
    for variant in chosen:
        if not _NAME.fullmatch(variant.name):
            problem = "is no name: small letters, digits, - and _, at most 40, beginning with a letter or digit"
            raise SettingsError("--variant", f"{variant.name!r} {problem}")
    names = [variant.name for variant in chosen]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError("--variant", f"two variants are called {name!r}")
    return chosen
