"""Fixed checks of what programs cannot show: starting, stopping, limits, resources, permissions.

Facts: checks compare levels at equal moments, after a first round that fills caches, so that no cache counts as a
leak.
"""

from .bench import Bench, Check, UnsupportedCheckError
from .connections import (
    echoes_to_only_client,
    refuses_above_its_limit,
    serves_1000_clients,
    spares_a_live_relay,
    starts_on_stale_or_missing_path,
)
from .life import drains
from .permissions import refuses_other_users
from .resources import allocates_nothing_for_claims, bounds_its_memory, bounds_memory_per_connection, returns_resources
from .separation import separates_domains
from .unfinished import ends_unfinished_frames

__all__ = ["CHECKS", "EXTRA_CHECKS", "Bench", "Check", "UnsupportedCheckError"]

CHECKS: dict[str, Check] = {
    "CONN-1": starts_on_stale_or_missing_path,
    "CONN-2": spares_a_live_relay,
    "CONN-4": serves_1000_clients,
    "CONN-5": refuses_above_its_limit,
    "CONN-8": returns_resources,
    "FRAME-5": ends_unfinished_frames,
    "DOM-5": separates_domains,
    "LIFE-1": drains,
    "RES-1": bounds_memory_per_connection,
    "RES-2": returns_resources,
    "SEC-1": refuses_other_users,
}
"""The check of each requirement that programs cannot judge, by its id."""
EXTRA_CHECKS: dict[str, Check] = {
    "FWD-4": echoes_to_only_client,
    "ISO-2": bounds_its_memory,
    "VAL-6": allocates_nothing_for_claims,
}
"""Checks of requirements that programs judge too, by id."""
