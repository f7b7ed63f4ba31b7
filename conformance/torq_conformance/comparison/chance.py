"""When B shows something so much more often than the copy of A that chance does not explain it."""

from __future__ import annotations

import math

CHANCE = 0.005
"""A difference counts when chance alone would show it less often than this (one-sided exact tests)."""


def chance(in_b: int, in_copy: int, runs: int) -> float:
    """How likely B shows a difference so much more often than A' by chance alone (Fisher's exact test, one-sided)."""
    total = in_b + in_copy
    ways = math.comb(2 * runs, total)
    return sum(math.comb(runs, k) * math.comb(runs, total - k) for k in range(in_b, min(runs, total) + 1)) / ways


def shows_above(most: float, shown: int, runs: int) -> bool:
    """Whether chance alone would hardly show so much of what shows in at most such a share of the runs."""
    tail = (math.comb(runs, k) * most**k * (1 - most) ** (runs - k) for k in range(shown, runs + 1))
    return sum(tail) < CHANCE
