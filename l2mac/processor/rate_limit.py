"""The limit of requests and tokens per minute that an account declares."""

from collections.abc import Callable


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
