"""Trying again, with pauses that grow and are spread by chance."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from loguru import logger

from l2mac.processor.error_mapping import ErrorKind, Failure

_MOST_RETRY_AFTER_S = 60.0
_FIRST_BACKOFF_S, _MOST_BACKOFF_S = 1.0, 30.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Exponential backoff with full jitter; what the server asks for comes first, up to a minute.

    Attributes:
        most: Tries after the first.
        sleep: Waits for seconds.
        chance: Gives a number from 0 to 1.
    """

    most: int
    sleep: Callable[[float], None]
    chance: Callable[[], float]

    def persist(self, once: Callable[[], T | Failure]) -> T | Failure:
        """Call until something else than passing trouble comes back, and give the last outcome."""
        outcome = once()
        for tries in range(1, self.most + 1):
            if not isinstance(outcome, Failure) or outcome.kind is not ErrorKind.PASSING:
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
        return min(_FIRST_BACKOFF_S * 2.0 ** (tries - 1), _MOST_BACKOFF_S) * self.chance()
