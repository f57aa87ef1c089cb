"""L2MAC: a stored-program computer built on a language model.

The file store is in a hardened container. From Python, `l2mac.Run` follows a run event by event.
`generate_codebase` and its siblings are the functions of release 0.0.3. Names are loaded on first
use: `import l2mac` loads neither the engine's client nor a model's.
"""

from typing import TYPE_CHECKING

from l2mac.version import VERSION

if TYPE_CHECKING:
    from l2mac.api import FinishedRun, Run, RunEvent, Said, TextArrived
    from l2mac.compat import (
        DebuggingLevel,
        Domain,
        generate_book,
        generate_codebase,
        generate_custom,
        run_l2mac,
    )

__version__ = VERSION
_GENERATE = (
    "DebuggingLevel",
    "Domain",
    "generate_book",
    "generate_codebase",
    "generate_custom",
    "run_l2mac",
)
_LIVE = ("FinishedRun", "Run", "RunEvent", "Said", "TextArrived")
__all__ = [
    "DebuggingLevel",
    "Domain",
    "FinishedRun",
    "Run",
    "RunEvent",
    "Said",
    "TextArrived",
    "__version__",
    "generate_book",
    "generate_codebase",
    "generate_custom",
    "run_l2mac",
]


def __getattr__(name: str) -> object:
    """Return a public name, and load its module on first use."""
    # Readers of the version alone do not wait for the clients of engine and model.
    if name in _GENERATE:
        from l2mac import compat  # noqa: PLC0415

        return getattr(compat, name)
    if name in _LIVE:
        from l2mac import api  # noqa: PLC0415

        return getattr(api, name)
    raise AttributeError(f"module 'l2mac' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
