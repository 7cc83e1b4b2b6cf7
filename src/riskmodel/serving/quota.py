"""A quota for each key: so many requests a minute, refilled evenly, a minute's worth at once at most."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

KEYS_AT_MOST = 10_000


class Quota:
    """Token buckets, one for each key of the casebook. now: a clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._left: dict[str, tuple[float, float]] = {}

    def wait(self, key_id: str, a_minute: int) -> int:
        """Count a request of a key. 0: it may pass; otherwise seconds until the next one may."""
        now = self._now()
        left, at = self._left.get(key_id, (float(a_minute), now))
        left = min(float(a_minute), left + (now - at) * a_minute / 60)
        if left < 1:
            self._left[key_id] = (left, now)
            return max(1, math.ceil((1 - left) * 60 / a_minute))
        if len(self._left) >= KEYS_AT_MOST:
            self._left.clear()
        self._left[key_id] = (left - 1, now)
        return 0
