"""How long forwarding takes, as a histogram."""

from __future__ import annotations

from bisect import bisect_left

from ..handover.state import LatencyState

BUCKETS = (5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25)
"""Upper bounds of the latency histogram, in seconds."""


class Latencies:
    """A histogram of seconds: from the read that brought frames to the end of their fan-out."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def export(self) -> LatencyState:
        """The histogram, as plain data (LIFE-3)."""
        return LatencyState(bounds=list(BUCKETS), counts=self.counts.copy(), sum=self.sum)

    def restore(self, state: LatencyState) -> None:
        """Go on counting; a histogram of other bounds begins anew, as after a restart."""
        if tuple(state.bounds) == BUCKETS and len(state.counts) == len(self.counts):
            self.counts = list(state.counts)
            self.sum = state.sum

    def cumulative(self) -> list[tuple[str, float]]:
        """Bounds and counts as Prometheus has them."""
        total = 0
        found = []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found
