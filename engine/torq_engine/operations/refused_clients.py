"""Which clients were not let in, why and how often (CONN-5, SEC-2): what ``torq-relay ctl refused`` shows.

Facts:
- a client is a process with the reason: another connection of the same process for the same reason is the same client;
- ``_MOST_CLIENTS`` are remembered, those that came last; the numbers of the others are kept by reason. So the sums are
  those of the metrics, and no storm of clients costs memory.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from ..accounting import CloseReason
from ..observer import Observer
from ..port import Peer
from .status import RefusedClient, RefusedClients

_MOST_CLIENTS = 256


@dataclass(slots=True)
class _Refused:
    peer: Peer
    times: int = 0
    last: float = 0.0


class RefusalsByClient(Observer):
    """Counts refusals since the start by client and reason."""

    def __init__(self) -> None:
        self._clock = time.monotonic
        self._clients: dict[tuple[Peer, CloseReason], _Refused] = {}
        self._others: Counter[CloseReason] = Counter()

    def refused(self, reason: CloseReason, peer: Peer) -> None:
        key = (peer, reason)
        client = self._clients.pop(key, None) or _Refused(peer)
        client.times += 1
        client.last = self._clock()
        self._clients[key] = client  # last in the order in which they came
        if len(self._clients) > _MOST_CLIENTS:
            oldest = next(iter(self._clients))
            self._others[oldest[1]] += self._clients.pop(oldest).times

    def page(self) -> RefusedClients:
        """The clients, those refused most often first."""
        now = self._clock()
        found = [
            RefusedClient(
                pid=one.peer.pid,
                uid=one.peer.uid,
                gid=one.peer.gid,
                program=one.peer.program,
                reason=reason.label,
                times=one.times,
                seconds_ago=round(now - one.last, 3),
            )
            for (_, reason), one in self._clients.items()
        ]
        found.sort(key=lambda one: one.times, reverse=True)
        return RefusedClients(found, {reason.label: times for reason, times in sorted(self._others.items())})
