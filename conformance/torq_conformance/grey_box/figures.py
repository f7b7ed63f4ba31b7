"""All that is known of what a run has reached, from every way in which its relay told."""

from __future__ import annotations

from .feedback import GreyBox
from .gcov import reached_by_gcov
from .reached import Reached, reached_by_map


def reached_in(box: GreyBox, explored: int) -> tuple[Reached, ...]:
    """What was reached, by the ways that were asked for; ``explored`` programs were played for it."""
    found = [reached_by_map(box, explored)] if box.guides else []
    if "gcov" in box.kinds:
        found.append(reached_by_gcov(box))
    return tuple(found)
