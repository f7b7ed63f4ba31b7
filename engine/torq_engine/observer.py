"""What the server tells the outside about itself: the one place where logs, metrics and audit hook in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .accounting import CloseReason
from .hub import Connection


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as of its connect(): process, user and group ids."""

    pid: int
    uid: int
    gid: int


class Observer:
    """Hears of every event of a server's life; does nothing. Never called per frame."""

    def listening(self, paths: list[Path]) -> None:
        """Clients can connect from now on."""

    def admitted(self, connection: Connection, peer: Peer) -> None:
        """A client was let in."""

    def refused(self, reason: CloseReason, peer: Peer | None) -> None:
        """A client was not let in."""

    def accept_paused(self, error: OSError) -> None:
        """No descriptor or memory for the next client; accepting resumes by itself."""

    def path_lost(self, path: Path) -> None:
        """Our socket no longer stands at its path: clients that are connected are served, new ones cannot come."""

    def closed(self, connection: Connection, peer: Peer) -> None:
        """A connection ended, its counters final and its ``close_reason`` set."""

    def failed(self, connection: Connection) -> None:
        """An error of the relay itself ended a connection; called while the exception is handled."""

    def draining(self) -> None:
        """The server has stopped accepting and delivers what it has."""

    def stopped(self, undelivered_frames: int) -> None:
        """All connections are closed; frames that a queue still held at the end are given."""


class ObserverGroup(Observer):
    """Tells every member, in order."""

    def __init__(self, members: list[Observer]) -> None:
        self._members = members

    def listening(self, paths: list[Path]) -> None:
        for member in self._members:
            member.listening(paths)

    def admitted(self, connection: Connection, peer: Peer) -> None:
        for member in self._members:
            member.admitted(connection, peer)

    def refused(self, reason: CloseReason, peer: Peer | None) -> None:
        for member in self._members:
            member.refused(reason, peer)

    def accept_paused(self, error: OSError) -> None:
        for member in self._members:
            member.accept_paused(error)

    def path_lost(self, path: Path) -> None:
        for member in self._members:
            member.path_lost(path)

    def closed(self, connection: Connection, peer: Peer) -> None:
        for member in self._members:
            member.closed(connection, peer)

    def failed(self, connection: Connection) -> None:
        for member in self._members:
            member.failed(connection)

    def draining(self) -> None:
        for member in self._members:
            member.draining()

    def stopped(self, undelivered_frames: int) -> None:
        for member in self._members:
            member.stopped(undelivered_frames)
