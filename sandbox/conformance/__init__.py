"""Requirements on every `Sandbox`, as a battery of checks.

```
for check in BATTERY:
    perform(check, sandbox)
```

The checks need an image with Python and the preloaded checkers, an empty store, and the default
limits on files and output. Each leaves the sandbox usable. `KNOWN_DIFFERENCES` lists accepted
differences of runtimes.
"""

from collections.abc import Callable, Mapping

from sandbox.conformance import abuse, commands, store
from sandbox.conformance.expect import Nonconforming, same
from sandbox.interface import Sandbox
from sandbox.results import Job

__all__ = ["BATTERY", "KNOWN_DIFFERENCES", "ConformanceCheck", "Nonconforming", "perform"]

ConformanceCheck = Callable[[Sandbox], None]

STORE: tuple[ConformanceCheck, ...] = store.CHECKS
BATTERY: tuple[ConformanceCheck, ...] = (
    *store.CHECKS,
    *store.CHECKS_WITH_COMMANDS,
    *commands.CHECKS,
    *abuse.CHECKS,
)

KNOWN_DIFFERENCES: Mapping[str, Mapping[str, str]] = {"runsc": {}}


def perform(check: ConformanceCheck, sandbox: Sandbox) -> None:
    """Run a check and verify that the sandbox still works afterwards.

    Raises:
        Nonconforming: The sandbox does not behave as required.
    """
    check(sandbox)
    sandbox.write({"afterwards.txt": b"still here"})
    result = sandbox.run([Job("afterwards", ("cat", "afterwards.txt"))])
    same(result.jobs[0].output.head, b"still here", "the output of a command after the check")
    same((result.leftovers, result.survivors), (0, 0), "what that command left")
