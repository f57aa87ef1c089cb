"""How causes and counts are said, the same everywhere."""

from collections.abc import Sized

from sandbox import Cause, JobResult


def cause_sentence(job: JobResult) -> str:
    """Say how a process ended, in words that tell what to change."""
    sentences = {
        Cause.TIMEOUT: "it did not end in time and was stopped",
        Cause.OUTPUT: "it put out too much and was stopped",
        Cause.MEMORY: "it ran out of memory",
        Cause.PIDS: "it started too many processes",
        Cause.LOST: "it was lost",
        Cause.SIGNALLED: f"it was ended by signal {job.code}",
    }
    return sentences.get(job.cause, f"it ended with exit code {job.code}")


def how_many(things: Sized, noun: str) -> str:
    """Count things: `1 error`, `2 errors`."""
    count = len(things)
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def valid_text(text: str) -> str:
    """Give a text of the box as valid Unicode: half a surrogate pair, which no encoding carries, becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
