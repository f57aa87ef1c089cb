"""What can go wrong between the host and a box.

```
SandboxError
├── PolicyError            limits that contradict each other or that the engine cannot hold
├── EngineUnavailable      no engine answers, no permission, or it is too old
├── EngineUnfit            the engine or its runtime cannot confine a box
├── ImageUnavailable       the base image is not here and cannot be pulled, or lacks what the recipe needs
├── ImageBuildFailed       the box's image could not be built
├── IsolationMismatch      the box is not confined as the policy says; nothing ran in it
└── SandboxLost            the box is gone; its store can be rebuilt elsewhere
    ├── SandboxDied        it ended by itself, or the engine ended it
    ├── SandboxTimeout     it did not answer in time and was killed
    └── SandboxCompromised it sent what a well-behaved guest cannot send and was killed
Refused                    the store refuses a request; the message is for the one who made it
```

`Refused` is no SandboxError: nothing is wrong with the box. A command's failure, timeout or running out of memory
is a result (`sandbox.results`), not an error.
"""


class SandboxError(Exception):
    """Base of all failures of boxes; `str()` is one sentence that says what to do next."""


class PolicyError(SandboxError):
    """Limits that contradict each other or that the engine cannot hold."""


class EngineUnavailable(SandboxError):
    """No engine answers, the caller may not use it, or it is too old."""


class EngineUnfit(SandboxError):
    """The engine or its runtime cannot confine a box: limits, seccomp or more are missing; nothing has run."""


class ImageUnavailable(SandboxError):
    """The base image is not here and cannot be pulled, or lacks what the recipe needs."""


class ImageBuildFailed(SandboxError):
    """The box's image could not be built."""


class IsolationMismatch(SandboxError):
    """The box is not confined as the policy says; nothing has run in it.

    Attributes:
        rows: Names of the rows of the receipt that do not match.
    """

    def __init__(self, rows: tuple[str, ...], details: str) -> None:
        super().__init__(
            f"the box is not confined as its policy says ({', '.join(rows)}): {details}"
        )
        self.rows = rows


class SandboxLost(SandboxError):
    """The box is gone; its store can be rebuilt in another."""


class SandboxDied(SandboxLost):
    """The box ended by itself, or the engine ended it."""


class SandboxTimeout(SandboxLost):
    """The box did not answer in time and was killed."""


class SandboxCompromised(SandboxLost):
    """The box sent what a well-behaved guest cannot send and was killed."""


class Refused(Exception):
    """The file store refuses a request; the message is for the one who made it."""
