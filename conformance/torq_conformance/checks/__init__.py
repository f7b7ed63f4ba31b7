"""Checks of what is no matter of generated programs: starting, stopping, limits, resources, permissions.

Facts: levels are compared between equal moments, after warming up, so that caches are not called leaks.
"""

from .bench import Bench, Check, UnsupportedCheckError
from .connections import (
    answers_the_only_client,
    leaves_a_live_relay_alone,
    refuses_above_its_limit,
    serves_a_thousand,
    starts_anywhere,
)
from .life import drains
from .permissions import keeps_others_out
from .resources import bounds_its_memory, costs_little, costs_nothing_to_claim, gives_back
from .separation import stays_apart
from .unfinished import ends_unfinished_frames

__all__ = ["CHECKS", "EXTRA_CHECKS", "Bench", "Check", "UnsupportedCheckError"]

CHECKS: dict[str, Check] = {
    "CONN-1": starts_anywhere,
    "CONN-2": leaves_a_live_relay_alone,
    "CONN-4": serves_a_thousand,
    "CONN-5": refuses_above_its_limit,
    "CONN-8": gives_back,
    "FRAME-5": ends_unfinished_frames,
    "DOM-5": stays_apart,
    "LIFE-1": drains,
    "RES-1": costs_little,
    "RES-2": gives_back,
    "SEC-1": keeps_others_out,
}
"""The check of each requirement that programs cannot judge."""
EXTRA_CHECKS: dict[str, Check] = {
    "FWD-4": answers_the_only_client,
    "ISO-2": bounds_its_memory,
    "VAL-6": costs_nothing_to_claim,
}
"""Checks besides the programs of a requirement."""
