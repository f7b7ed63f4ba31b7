"""What the server tells the outside about itself: the one place where logs, metrics and audit hook in."""

from __future__ import annotations

from pathlib import Path

from .accounting import CloseReason
from .connection import Connection
from .port import Peer


class Observer:
    """Receives every event of a server's life, and does nothing with it. The server calls it never per frame."""

    def listening(self, paths: list[Path]) -> None:
        """Clients can connect from now on."""

    def admitted(self, connection: Connection, peer: Peer) -> None:
        """The server admitted a client."""

    def refused(self, reason: CloseReason, peer: Peer) -> None:
        """The server refused a client and closed its socket."""

    def accept_paused(self, error: OSError) -> None:
        """No descriptor or memory is left for the next client; the server resumes accepting by itself."""

    def path_lost(self, path: Path) -> None:
        """Our socket no longer stands at its path: the server serves its clients, new ones cannot connect."""

    def losing(self, connection: Connection, peer: Peer) -> None:
        """A client is too slow and began to lose frames, or never read and only sends from now on (ISO-3, ISO-7)."""

    def closed(self, connection: Connection, peer: Peer) -> None:
        """A connection ended, its counters final and its ``close_reason`` set."""

    def failed(self, connection: Connection) -> None:
        """An error of the relay itself ended a connection; called while the exception is handled."""

    def draining(self) -> None:
        """The server has stopped accepting and delivers what it has."""

    def stopped(self, undelivered_frames: int) -> None:
        """The server has closed all connections, with so many frames left in their queues."""


class ObserverGroup(Observer):
    """Passes every event on to its members, in order."""

    def __init__(self, members: list[Observer]) -> None:
        self._members = members

    def listening(self, paths: list[Path]) -> None:
        for member in self._members:
            member.listening(paths)

    def admitted(self, connection: Connection, peer: Peer) -> None:
        for member in self._members:
            member.admitted(connection, peer)

    def refused(self, reason: CloseReason, peer: Peer) -> None:
        for member in self._members:
            member.refused(reason, peer)

    def accept_paused(self, error: OSError) -> None:
        for member in self._members:
            member.accept_paused(error)

    def path_lost(self, path: Path) -> None:
        for member in self._members:
            member.path_lost(path)

    def losing(self, connection: Connection, peer: Peer) -> None:
        for member in self._members:
            member.losing(connection, peer)

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
