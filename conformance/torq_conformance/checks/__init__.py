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
from .counting import balances, counts_refused_frames
from .exhaustion import survives_exhausted_descriptors
from .idleness import queues_cheaply, rests
from .inherited import starts_whatever_it_inherits
from .life import drains
from .only_sending import serves_who_only_sends
from .pauses import loses_nothing_in_a_pause
from .permissions import refuses_other_users
from .policies import follows_each_policy
from .recording import records_every_frame
from .resources import allocates_nothing_for_claims, bounds_its_memory, bounds_memory_per_connection, returns_resources
from .separation import separates_domains
from .starting import exactly_one_serves
from .strangers import refuses_strangers
from .succession import hands_everything_over, spares_the_relay
from .unfinished import ends_unfinished_frames

__all__ = ["CHECKS", "EXTRA_CHECKS", "Bench", "Check", "UnsupportedCheckError"]

CHECKS: dict[str, Check] = {
    "CONN-1": starts_on_stale_or_missing_path,
    "CONN-2": spares_a_live_relay,
    "CONN-4": serves_1000_clients,
    "CONN-5": refuses_above_its_limit,
    "CONN-8": returns_resources,
    "CONN-10": survives_exhausted_descriptors,
    "CONN-9": exactly_one_serves,
    "FRAME-5": ends_unfinished_frames,
    "DOM-5": separates_domains,
    "VAL-7": counts_refused_frames,
    "ISO-6": balances,
    "ISO-8": loses_nothing_in_a_pause,
    "LIFE-1": drains,
    "LIFE-5": starts_whatever_it_inherits,
    "RES-1": bounds_memory_per_connection,
    "RES-2": returns_resources,
    "RES-3": rests,
    "RES-4": queues_cheaply,
    "SEC-1": refuses_other_users,
    "SEC-2": refuses_strangers,
    "SEC-3": records_every_frame,
}
"""The check of each requirement that programs cannot judge, by its id."""
EXTRA_CHECKS: dict[str, Check] = {
    "FWD-4": echoes_to_only_client,
    "ISO-2": bounds_its_memory,
    "ISO-3": follows_each_policy,
    "ISO-7": serves_who_only_sends,
    "LIFE-3": hands_everything_over,
    "LIFE-4": spares_the_relay,
    "VAL-6": allocates_nothing_for_claims,
}
"""Checks of requirements that programs judge too, by id."""
