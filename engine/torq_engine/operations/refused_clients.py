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
from ..handover.state import LogState, RefusedState, StateError
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

    def export(self) -> tuple[list[RefusedState], dict[int, int]]:
        """The clients in the order in which they came last, and the numbers of the others by reason (LIFE-3)."""
        clients = [
            RefusedState(peer.pid, peer.uid, peer.gid, one.peer.program, int(reason), one.times, one.last)
            for (peer, reason), one in self._clients.items()
        ]
        return clients, {int(reason): times for reason, times in self._others.items()}

    def restore(self, state: LogState) -> None:
        """Go on counting. Raises :class:`~torq_engine.handover.state.StateError` for a reason that is not known."""
        for row in state.refused:
            peer = Peer(row.pid, row.uid, row.gid, row.program)
            self._clients[peer, _reason(row.reason)] = _Refused(peer, row.times, row.last)
        self._others.update({_reason(number): times for number, times in state.refused_others.items()})

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


def _reason(number: int) -> CloseReason:
    try:
        return CloseReason(number)
    except ValueError:
        raise StateError(f"clients were refused for a reason {number} that this build does not know") from None
