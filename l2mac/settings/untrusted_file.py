"""What a settings file in a project may say.

It can have been written by a model or come with a pull request. It may choose what has no bearing on security, may
lower limits, and is refused when it says anything else.
"""

from typing import Any

from l2mac.errors import SettingsError
from sandbox import PolicyError, format_size, parse_size

_FREE = frozenset(
    {"model", "domain", "steps", "context_tokens", "reply_tokens", "tool_protocol", "seed"}
)
_LOWER_ONLY = frozenset(
    "memory cpus pids disk timeout max_turns max_restarts max_tokens max_cost max_time requests_per_minute"
    " tokens_per_minute max_replans".split()
)
_SIZES = frozenset({"memory", "disk"})
_STRICTEST_FIRST = ("off", "locked", "resolve")


def check_untrusted(field: str, name: str, value: Any, below: Any) -> None:
    """Check one value of a project file against what the weaker sources say.

    Args:
        field: What to call it in an error.
        name: The setting.
        value: What the file says.
        below: What holds without it.

    Raises:
        SettingsError: A project file may not say that.
    """
    if name in _FREE:
        return
    if name == "deps" and _no_looser(value, below):
        return
    if name not in _LOWER_ONLY:
        raise SettingsError(
            field, "a project file may not set this; use a flag, a variable or the user's file"
        )
    wanted, allowed = _amount(name, value), _amount(name, below)
    if wanted is None or (allowed is None and below is not None):
        raise SettingsError(
            field,
            f"a project file may only lower this, and {value!r} cannot be compared with {below!r}",
        )
    if allowed is not None and wanted > allowed:
        most = format_size(int(allowed)) if name in _SIZES else below
        raise SettingsError(
            field,
            f"a project file may only lower this (to at most {most}), not set it to {value!r}",
        )


def _no_looser(value: Any, below: Any) -> bool:
    known = value in _STRICTEST_FIRST and below in _STRICTEST_FIRST
    return known and _STRICTEST_FIRST.index(value) <= _STRICTEST_FIRST.index(below)


def _amount(name: str, value: Any) -> float | None:
    """Give what a bound comes to; None when it is not a number, or a size where sizes may stand, as it is written."""
    if name in _SIZES and isinstance(value, str):
        try:
            return parse_size(value)
        except PolicyError:
            return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
