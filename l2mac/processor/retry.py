"""Retries with pauses that grow and are spread at random."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from loguru import logger

from l2mac.processor.error_mapping import ErrorKind, Failure

_MOST_RETRY_AFTER_S = 60.0
_FIRST_BACKOFF_S, _MOST_BACKOFF_S = 1.0, 30.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter.

    The server's own `retry-after` takes precedence, up to a minute.

    Attributes:
        max_retries: The number of tries after the first.
        sleep: Waits for seconds.
        jitter: Returns a random number from 0 to 1.
    """

    max_retries: int
    sleep: Callable[[float], None]
    jitter: Callable[[], float]

    def run(self, once: Callable[[], T | Failure]) -> T | Failure:
        """Call `once` until its failure is not transient; return the last outcome."""
        outcome = once()
        for tries in range(1, self.max_retries + 1):
            if not isinstance(outcome, Failure) or outcome.kind is not ErrorKind.TRANSIENT:
                break
            pause_s = self._pause_s(outcome, tries)
            logger.info(
                "No reply from the model after try {}, next in {:.1f} s: {}",
                tries,
                pause_s,
                outcome.text,
            )
            self.sleep(pause_s)
            outcome = once()
        return outcome

    def _pause_s(self, failure: Failure, tries: int) -> float:
        if failure.retry_after_s is not None:
            return min(failure.retry_after_s, _MOST_RETRY_AFTER_S)
        return min(_FIRST_BACKOFF_S * 2.0 ** (tries - 1), _MOST_BACKOFF_S) * self.jitter()
