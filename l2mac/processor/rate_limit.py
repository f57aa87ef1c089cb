"""Waiting so that declared requests and tokens per minute are kept."""

from collections.abc import Callable


class RateLimit:
    """A token bucket that starts full and may go into debt.

    Args:
        per_minute: How much may be taken per minute; None for no limit.
        clock: Seconds that only grow.
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
        """Take an amount, waiting until it is there; more than a minute's worth counts as a minute's worth."""
        if self._per_minute is None:
            return
        self._fill(self._per_minute)
        self._level -= min(amount, self._per_minute)
        if self._level < 0:
            self._sleep(-self._level * 60 / self._per_minute)

    def settle(self, *, taken: float, used: float) -> None:
        """Correct what was taken on an estimate by what was really used."""
        if self._per_minute is not None:
            self._level = min(self._level + min(taken, self._per_minute) - used, self._per_minute)

    def _fill(self, per_minute: float) -> None:
        now = self._clock()
        self._level = min(self._level + (now - self._filled_at) * per_minute / 60, per_minute)
        self._filled_at = now
