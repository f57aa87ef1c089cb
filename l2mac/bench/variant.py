"""Variants that are compared: a name and settings, such as `method`."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from l2mac.errors import SettingsError
from l2mac.settings.settings import Settings

L2MAC = "l2mac"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_OURS = {
    "seed": "--seeds sets the number of seeds",
    "runs_dir": "--dir sets the folder of the runs",
    "cache_dir": "all variants share one cache",
    "log_level": "it affects no measurement",
    "api_key": "a key must not be recorded. Use a variable or a file",
    "api_key_file": "all variants share one key. Set the keys of roles in [roles]",
}


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to do a task, as settings that replace the common ones."""

    name: str
    settings: Mapping[str, object] = field(default_factory=dict)


def method_variant(name: str) -> Variant:
    """Return the variant that is a plain method; its name is not checked."""
    return Variant(name, {"method": name})


def parse_variant(text: str) -> Variant:
    """Return the variant in a TOML text.

    An example is `no-summary = {summary = false, steps = 20}`.

    Raises:
        SettingsError: The text is not a variant, or sets a setting that a variant may not set.
    """
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(
            "--variant",
            f"--variant {text!r} is not TOML ({error}). Write NAME = {{setting = value}}.",
        ) from None
    if len(content) != 1 or not isinstance(next(iter(content.values())), dict):
        raise SettingsError(
            "--variant",
            f"--variant {text!r} is not one variant. Write one NAME = {{setting = value}}.",
        )
    ((name, settings),) = content.items()
    for key in settings:
        if key in _OURS:
            raise SettingsError("--variant", f"--variant cannot set {name}.{key}: {_OURS[key]}.")
        if key not in Settings.model_fields:
            raise SettingsError(
                "--variant",
                f"--variant names {name}.{key}, which is not a setting. Correct its name.",
            )
    return Variant(name, settings)


def method_of(settings: Settings) -> str:
    """Return the method that the settings name, `l2mac` by default."""
    return str(getattr(settings, "method", L2MAC))


def check_variants(variants: Sequence[Variant], default: str = L2MAC) -> tuple[Variant, ...]:
    """Return the variants, or the default method if there are none.

    Raises:
        SettingsError: A name is not valid as a folder's name, or occurs twice.
    """
    chosen = tuple(variants) or (method_variant(default),)
    for variant in chosen:
        if not _NAME.fullmatch(variant.name):
            raise SettingsError(
                "--variant",
                f"--variant names {variant.name!r}, which is not a valid name. Use at most 40"
                " small letters, digits, - and _, and begin with a letter or digit.",
            )
    names = [variant.name for variant in chosen]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError("--variant", f"--variant names {name!r} twice. Rename one of them.")
    return chosen
