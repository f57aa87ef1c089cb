"""Expectations of the checks, and the commands that they run."""

from collections.abc import Callable

from sandbox.errors import Refused
from sandbox.interface import Sandbox
from sandbox.results import Job, JobResult

_SHOWN_CHARACTERS = 400


class Nonconforming(AssertionError):
    """A sandbox does not behave as every sandbox must."""


def same(seen: object, wanted: object, what: str) -> None:
    """Require two values to be equal.

    Raises:
        Nonconforming: The values differ.
    """
    if seen != wanted:
        shown, asked = (repr(value)[:_SHOWN_CHARACTERS] for value in (seen, wanted))
        raise Nonconforming(f"{what} should be {asked} but is {shown}")


def holds(condition: object, what: str) -> None:
    """Require a condition.

    Raises:
        Nonconforming: The condition is false.
    """
    if not condition:
        raise Nonconforming(f"the sandbox should ensure that {what}")


def refused(request: Callable[[], object], what: str) -> None:
    """Require a request to be refused.

    Raises:
        Nonconforming: The request is accepted.
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
    """Run a Python program in the sandbox and return its result."""
    job = Job("program", ("python3", "-c", source, *arguments))
    return sandbox.run([job], stdin=stdin, timeout_s=timeout_s).jobs[0]


def shell(sandbox: Sandbox, script: str) -> JobResult:
    """Run a shell script in the sandbox and return its result."""
    return sandbox.run([Job("script", ("sh", "-c", script))]).jobs[0]
