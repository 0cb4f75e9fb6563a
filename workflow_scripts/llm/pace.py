"""How fast requests follow one another, and how long a failed one waits."""

import random
import time

LONGEST_BACKOFF = 60.0  # seconds


class Pace:
    """Spreads work evenly over time: at most so much a minute, with no burst.

    >>> pace = Pace(60)
    >>> [round(pace.reserve(1)) for _ in range(3)]
    [0, 1, 2]
    >>> Pace(None).reserve(10**9)
    0.0
    """

    def __init__(self, per_minute: float | None) -> None:
        self.seconds_each = 60 / per_minute if per_minute else 0.0
        self._free = 0.0  # when the next work may start, by the monotonic clock

    def reserve(self, amount: float) -> float:
        """Seconds to wait before this amount may start."""
        now = time.monotonic()
        start = max(now, self._free)
        self._free = start + amount * self.seconds_each
        return start - now

    def correct(self, amount: float) -> None:
        """Add to (or take from) what was reserved, once it is known."""
        self._free += amount * self.seconds_each


def backoff(first: float, attempts: int) -> float:
    """Seconds before the next attempt: doubled by each, and never the same for two requests that failed together."""
    return min(LONGEST_BACKOFF, float(first) * 2.0 ** (attempts - 1)) * random.uniform(0.75, 1.25)
