"""Pauses between requests: retries, and the account's limits per minute."""

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


class RateLimit:
    """A token bucket that starts full and may go into debt.

    Args:
        per_minute: The amount per minute, None for no limit.
        clock: A monotonic clock in seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        per_minute: float | None,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._sleep = sleep
        self._level = per_minute or 0.0
        self._filled_at = clock()

    def take(self, amount: float) -> None:
        """Wait until an amount is available and take it.

        An amount above the limit of one minute counts as one minute's, or the wait would never end.
        """
        if self._per_minute is None:
            return
        self._fill(self._per_minute)
        self._level -= min(amount, self._per_minute)
        if self._level < 0:
            self._sleep(-self._level * 60 / self._per_minute)

    def settle(self, *, taken: float, used: float) -> None:
        """Replace an estimated amount that was taken by the amount that was used."""
        if self._per_minute is not None:
            self._level = min(self._level + min(taken, self._per_minute) - used, self._per_minute)

    def _fill(self, per_minute: float) -> None:
        now = self._clock()
        self._level = min(self._level + (now - self._filled_at) * per_minute / 60, per_minute)
        self._filled_at = now
