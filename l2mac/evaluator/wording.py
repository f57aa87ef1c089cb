"""Sentences on causes and counts, the same everywhere."""

from collections.abc import Sized

from sandbox import Cause, JobResult


def cause_sentence(job: JobResult) -> str:
    """Return how a process ended, in words that show what to change."""
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
    """Return a text of the sandbox as valid Unicode; lone surrogates become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
