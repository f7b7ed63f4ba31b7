"""Who is too slow: clients that lose frames, told at their first loss and counted from then on (ISO-3, ISO-6, ISO-7).

Facts:
- the hub tells of a loss once, and again when :attr:`~torq_engine.connection.Connection.losing` was set back:
  forwarding pays nothing for what stands in the log;
- in one interval of the log there are ``_MOST_LINES`` lines at most, those of the greatest losses, and one of the rest;
- a client that never read and has sent something is one of the publishers that never read: that is no fault (ISO-7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..connection import Connection
from ..handover.state import LogState, SlowConsumerState
from ..observer import Observer
from ..port import Peer
from .configuration import LogLevel
from .logs import EventLog, Field, of_peer

_MOST_LINES = 10
_SHORTEST_INTERVAL = 1.0


@dataclass(slots=True)
class _Losing:
    connection: Connection
    peer: Peer
    told: int
    named: bool

    def news(self) -> int:
        """Frames lost that were not told of."""
        return sum(self.connection.dropped_frames) - self.told


class SlowConsumers(Observer):
    """Writes a warning when a client begins to lose frames, and then how many it lost, until it loses none."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._losing: dict[int, _Losing] = {}
        self._lines_left = _MOST_LINES
        self._counting = False
        self._never_read = 0

    def ids(self) -> list[int]:
        """The connections that read and lose frames."""
        return list(self._losing)

    def export(self) -> tuple[list[SlowConsumerState], int]:
        """Who is slow and what was told of it; and how many clients that never read were not told of (LIFE-3)."""
        losing = [SlowConsumerState(one.connection.id, one.told, one.named) for one in self._losing.values()]
        return losing, self._never_read

    def restore(self, state: LogState, known: Mapping[int, tuple[Connection, Peer]]) -> None:
        """Know who is slow; ``known`` are the connections with their peers, by number."""
        for row in state.slow_consumers:
            if row.connection in known:
                self._losing[row.connection] = _Losing(*known[row.connection], row.told, row.named)
        self._never_read = state.never_read
        if self._losing or self._never_read:
            self._count_later()

    def losing(self, connection: Connection, peer: Peer) -> None:
        if not connection.reading:
            self._tell_of_never_read(connection, peer)
            self._count_later()
            return
        one = _Losing(connection, peer, sum(connection.dropped_frames), named=self._lines_left > 0)
        self._losing[connection.id] = one
        if one.named:
            self._write("warning", "slow consumer: frames dropped", one)
        self._count_later()

    def closed(self, connection: Connection, peer: Peer) -> None:
        self._losing.pop(connection.id, None)

    def _count_later(self) -> None:
        if self._log.later is not None and not self._counting:
            self._counting = True
            self._log.later(max(self._log.repeat_interval, _SHORTEST_INTERVAL), self._count)

    def _count(self) -> None:
        self._counting = False
        self._lines_left = _MOST_LINES
        losing = sorted(self._losing.values(), key=_Losing.news, reverse=True)
        for one in losing[:_MOST_LINES]:
            if lost := one.news():
                self._write("warning", "slow consumer: frames dropped", one, lost)
                one.named = True
            elif one.named:
                self._write("info", "slow consumer loses no more frames", one)
        others = [one for one in losing[_MOST_LINES:] if one.news()]
        if others:
            lost = sum(one.news() for one in others)
            self._log.write("warning", "slow consumers: frames dropped", {"consumers": len(others), "dropped": lost})
        for one in losing:
            self._settle(one)
        if self._never_read:
            self._log.write("info", "clients never read: what they would get is dropped", {"clients": self._never_read})
            self._never_read = 0
        if self._losing or self._lines_left < _MOST_LINES:
            self._count_later()

    def _write(self, level: LogLevel, event: str, one: _Losing, lost: int | None = None) -> None:
        self._lines_left -= 1
        backlog = one.connection.backlog
        fields: dict[str, Field] = {
            "connection": one.connection.id,
            **of_peer(one.peer),
            "dropped": lost,
            "dropped_in_all": sum(one.connection.dropped_frames),
            "queued_frames": backlog.frames,
            "queued_bytes": backlog.bytes,
        }
        self._log.write(level, event, fields)

    def _settle(self, one: _Losing) -> None:
        """All of it is told; one that lost nothing since is slow no more."""
        lost = one.news()
        one.told += lost
        if not lost:
            del self._losing[one.connection.id]
            one.connection.losing = False

    def _tell_of_never_read(self, connection: Connection, peer: Peer) -> None:
        if not self._lines_left:
            self._never_read += 1
            return
        self._lines_left -= 1
        level: LogLevel = "info" if connection.received_frames else "warning"
        fields = {"connection": connection.id, **of_peer(peer), "frames_in": connection.received_frames}
        self._log.write(level, "client never read: what it would get is dropped", fields)
