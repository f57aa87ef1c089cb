"""How a check says what it expects."""

from collections.abc import Callable

from sandbox.errors import Refused
from sandbox.interface import Sandbox
from sandbox.results import Job, JobResult

_SHOWN_CHARACTERS = 400


class Nonconforming(AssertionError):
    """A sandbox does something else than every sandbox must."""


def same(seen: object, wanted: object, what: str) -> None:
    """Demand equality.

    Raises:
        Nonconforming: They differ.
    """
    if seen != wanted:
        shown, asked = (repr(value)[:_SHOWN_CHARACTERS] for value in (seen, wanted))
        raise Nonconforming(f"{what} should be {asked} but is {shown}")


def holds(condition: object, what: str) -> None:
    """Demand that something is so.

    Raises:
        Nonconforming: It is not.
    """
    if not condition:
        raise Nonconforming(f"it should be so that {what}")


def refused(request: Callable[[], object], what: str) -> None:
    """Demand that a request is refused.

    Raises:
        Nonconforming: It is not.
    """
    try:
        request()
    except Refused:
        return
    raise Nonconforming(f"{what} should be refused")


def python(
    sandbox: Sandbox,
    source: str,
    *arguments: str,
    stdin: bytes = b"",
    timeout_s: float | None = None,
) -> JobResult:
    """Run a Python program in the sandbox and give how it ended."""
    job = Job("program", ("python3", "-c", source, *arguments))
    return sandbox.run([job], stdin=stdin, timeout_s=timeout_s).jobs[0]


def shell(sandbox: Sandbox, script: str) -> JobResult:
    """Run a script of the sandbox's shell and give how it ended."""
    return sandbox.run([Job("script", ("sh", "-c", script))]).jobs[0]
