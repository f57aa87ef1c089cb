"""Failures between the host and a sandbox.

```
SandboxError
├── PolicyError            the limits contradict each other, or the engine cannot hold them
├── EngineUnavailable      no engine answers, access is denied, or the engine is too old
├── EngineUnfit            the engine or its runtime cannot confine a sandbox
├── ImageUnavailable       the base image is missing or lacks a required program
├── ImageBuildFailed       the sandbox's image could not be built
├── IsolationMismatch      the confinement does not match the policy; nothing has run in the sandbox
└── SandboxLost            the sandbox is gone; its store can be rebuilt elsewhere
    ├── SandboxDied        the sandbox ended by itself, or the engine ended it
    ├── SandboxTimeout     the sandbox did not answer in time and was killed
    └── SandboxCompromised the sandbox sent data that no intact guest sends, and was killed
Refused                    the store refuses a request; the message is for the party that made it
```

`Refused` is not a SandboxError, because the sandbox is in order. A command's failure, timeout or
running out of memory is a result (`sandbox.results`), not an error.
"""


class SandboxError(Exception):
    """Base of all failures of sandboxes; the message names the next step."""


class PolicyError(SandboxError):
    """The limits contradict each other, or the engine cannot hold them."""


class EngineUnavailable(SandboxError):
    """No engine answers, the caller may not use it, or it is too old."""


class EngineUnfit(SandboxError):
    """The engine or its runtime cannot confine a sandbox.

    Nothing has run.
    """


class ImageUnavailable(SandboxError):
    """The base image is missing, or lacks a program that the recipe needs."""


class ImageBuildFailed(SandboxError):
    """The sandbox's image could not be built."""


class IsolationMismatch(SandboxError):
    """The sandbox's confinement does not match its policy; nothing has run in it.

    Attributes:
        rows: Names of the receipt's rows that do not match.
    """

    def __init__(self, rows: tuple[str, ...], details: str) -> None:
        super().__init__(
            "The sandbox's confinement does not match its policy"
            f" (receipt rows {', '.join(rows)}): {details}"
        )
        self.rows = rows


class SandboxLost(SandboxError):
    """The sandbox is gone; its store can be rebuilt in another sandbox."""


class SandboxDied(SandboxLost):
    """The sandbox ended by itself, or the engine ended it."""


class SandboxTimeout(SandboxLost):
    """The sandbox did not answer in time and was killed."""


class SandboxCompromised(SandboxLost):
    """The sandbox sent data that no intact guest sends, and was killed."""


class Refused(Exception):
    """The file store refuses a request; the message is for the requester."""
