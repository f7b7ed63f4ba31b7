"""The judgement of a simulated history: the oracles of the suite, as they judge a relay in the real world."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import msgspec

from torq_conformance.model.history import History, Stalled
from torq_conformance.model.profile import load_profile, rules_for
from torq_conformance.model.rules import NO_BOUND, Rules
from torq_conformance.oracles import traffic

from .programs import Program

ALWAYS: tuple[traffic.Oracle, ...] = (
    traffic.duplicated,
    traffic.altered,
    traffic.mixed,
    traffic.leaked,
    traffic.echoed_wrongly,
    traffic.replayed,
    traffic.reordered_within_sender,
    traffic.reordered_between_receivers,
    traffic.causality_broken,
)
"""What may not be seen of any relay, were it killed in the end."""
OF_THE_LIVING: tuple[traffic.Oracle, ...] = (
    traffic.lost,
    traffic.torn,
    traffic.unserved,
    traffic.echo_lost,
    traffic.closed_unexpectedly,
)
"""What may not be seen of one that lives."""


@cache
def _rules() -> Rules:
    return rules_for(load_profile("torq"), "market_data")


def contradictions(history: History, program: Program, *, alive: bool, lossy: set[int]) -> Iterator[str]:
    """What contradicts the requirements, in the suite's words.

    ``alive`` says that somebody serves at the end, ``lossy`` which connections lost frames by the relay's own account:
    they did not read while more waited than their queue may hold.
    """
    rules = msgspec.structs.replace(
        _rules(),
        echo=program.echo,
        overflow=program.overflow,
        queue_bytes=program.queue_bytes,
        total_queue_bytes=program.total_bytes,
    )
    if program.may_drop:
        for conn in lossy:
            history.peers[conn].stalls = [Stalled(0, frames=len(history.sent), bytes=NO_BOUND)]
    for oracle in (*ALWAYS, *(OF_THE_LIVING if alive else ())):
        for finding in oracle(history, rules):
            yield str(finding)
