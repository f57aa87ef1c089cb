"""The amount of tests, chosen by one variable: `L2MAC_TEST_TIER`.

| tier | command | contents |
|---|---|---|
| `check` | `make check` | unit and architecture tests, no engine |
| `test` | `make test` | every promise once: runc alone, few kills, few examples |
| `soak` | `make soak` | every promise at length: all runtimes, many kills, many examples |

`test` is the default. A test that only `soak` runs has the marker `soak`, or asks for the fixture
`gvisor`. The other tiers deselect it. They do not skip it, because a skipped container test is a
failure on a build machine.
"""

import os

TIERS = ("check", "test", "soak")
TIER = os.environ.get("L2MAC_TEST_TIER") or "test"
if TIER not in TIERS:
    raise ValueError(f"L2MAC_TEST_TIER must be one of {', '.join(TIERS)}, not {TIER!r}")
SOAK = TIER == "soak"


def runtimes() -> tuple[str, ...]:
    """Return the runtimes that every test with a real sandbox is run on."""
    return ("runc", "runsc") if SOAK else ("runc",)


def kills(soak: int = 30) -> int:
    """Return how many processes a test kills; `soak` is how many at length."""
    return soak if SOAK else 5


def examples() -> int:
    """Return how many examples Hypothesis tries for each property."""
    return 500 if SOAK else 20
