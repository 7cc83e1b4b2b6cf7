"""What one process has answered: plain numbers, which cost nothing on the way of a request."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final

# Upper bounds of the histogram of answer times, in seconds.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Tally:
    """Counts of one process."""

    def __init__(self) -> None:
        self.households = 0
        self.answers: Counter[tuple[str, int]] = Counter()
        self.seconds: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self.sums: Counter[str] = Counter()
        self.swaps = 0
        self.refused_releases = 0

    def scored(self, households: int) -> None:
        """Count households that were scored."""
        self.households += households

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer: route as `METHOD /path`, status, seconds to its end."""
        self.answers[route, status] += 1
        place = next((place for place, most in enumerate(BUCKETS) if seconds <= most), len(BUCKETS))
        self.seconds[route][place] += 1
        self.sums[route] += seconds  # type: ignore[assignment]
