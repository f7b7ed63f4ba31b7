"""Medians of interleaved rounds: what slows the machine for a while slows every way, not the one measured then.

Time is the processor time of the process, so that waiting for a core that others use does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Run = Callable[[int], int]
"""Does its work a number of times and returns how many operations that were."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Operations a second of processor time: one sample for each round."""

    samples: list[float]

    @property
    def per_second(self) -> float:
        """The median of the samples."""
        return median(self.samples)

    @property
    def millions(self) -> float:
        """The median in million operations a second."""
        return self.per_second / 1e6


def interleaved_medians(
    runs: Mapping[Key, Run], rounds: int, seconds: float, after_round: Callable[[], None]
) -> dict[Key, Figure]:
    """Measure each run once a round, for about ``seconds`` each."""
    times = {key: _times_for(run, seconds) for key, run in runs.items()}
    samples: dict[Key, list[float]] = {key: [] for key in runs}
    for _ in range(rounds):
        for key, run in runs.items():
            start = time.process_time()
            operations = run(times[key])
            samples[key].append(operations / (time.process_time() - start))
        after_round()
    return {key: Figure(values) for key, values in samples.items()}


def _times_for(run: Run, seconds: float) -> int:
    """How often a run must do its work to take about this long; warms it up on the way."""
    times = 1
    while True:
        start = time.process_time()
        run(times)
        elapsed = time.process_time() - start
        if elapsed > seconds / 4:
            return max(1, round(times * seconds / elapsed))
        times *= 4
