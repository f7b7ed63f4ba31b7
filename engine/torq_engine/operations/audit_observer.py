"""What a server tells its audit log: connections by the events of an observer, frames by the hub's tap."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torq_protocol.constants import HEADER_SIZE
from torq_protocol.header import MessageHeader
from torq_protocol.scanner import Scan, frame_records

from ..accounting import REFUSED_BY_LOGIC, CloseReason
from ..connection import Connection
from ..hub import Hub
from ..observer import Observer
from ..port import Peer
from .audit import AuditLog


class AuditObserver(Observer):
    """Feeds an audit log from a server: connections by events, frames by the hub's tap."""

    def __init__(self, log: AuditLog, should_forward: Callable[[MessageHeader], bool] | None) -> None:
        self.log = log
        self._should_forward = should_forward
        self._hub: Hub | None = None
        self._users: dict[int, int] = {}

    def attach(self, hub: Hub) -> None:
        """Hear of every frame from now on."""
        self._hub = hub
        hub.tap = self._tap

    def know(self, connections: Iterable[tuple[Connection, Peer]]) -> None:
        """Know the users of connections that another process admitted."""
        self._users.update((connection.id, peer.uid) for connection, peer in connections)

    def admitted(self, connection: Connection, peer: Peer) -> None:
        self._users[connection.id] = peer.uid
        self.log.event("joined", {"connection": connection.id, "pid": peer.pid, "uid": peer.uid, "gid": peer.gid})

    def refused(self, reason: CloseReason, peer: Peer) -> None:
        self.log.event("refused", {"reason": reason.label, "pid": peer.pid, "uid": peer.uid, "gid": peer.gid})

    def closed(self, connection: Connection, peer: Peer) -> None:
        assert connection.close_reason is not None
        self._users.pop(connection.id)
        counters = {
            "received_frames": connection.received_frames,
            "refused_frames": connection.refused_frames,
            "delivered_frames": connection.delivered_frames,
            "dropped_frames": sum(connection.dropped_frames),
        }
        self.log.event("closed", {"connection": connection.id, "reason": connection.close_reason.label, **counters})

    def _tap(self, sender: Connection, data: bytes | bytearray, scan: Scan) -> None:
        if not scan.runs and not scan.refused:
            return
        assert self._hub is not None
        runs, refused = scan.runs, scan.refused
        if self._should_forward is not None:
            runs, refused = judged_by_logic(data, scan, self._should_forward)
        records = frame_records(data, runs, refused)
        receivers = self._hub.receiver_count(sender) if runs else 0
        self.log.frames(sender.id, self._users[sender.id], receivers, records)


def judged_by_logic(
    data: bytes | bytearray, scan: Scan, should_forward: Callable[[MessageHeader], bool]
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """The frames of a scan that a logic forwards, as runs of one, and those that the scan or the logic refused."""
    kept, refused = [], list(scan.refused)
    for start, stop, _ in scan.runs:
        while start < stop:
            header = MessageHeader.from_bytes(bytes(data[start : start + HEADER_SIZE]))
            end = start + HEADER_SIZE + header.payload_size
            if should_forward(header):
                kept.append((start, end, 1))
            else:
                refused.append((start, end, REFUSED_BY_LOGIC))
            start = end
    return kept, sorted(refused)
