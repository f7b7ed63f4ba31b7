"""What the server tells the outside about itself: the one place where logs, metrics and audit hook in."""

from __future__ import annotations

from dataclasses import dataclass
from logging import Logger, getLogger
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


class LogObserver(Observer):
    """Writes one line per event to a standard logger."""

    def __init__(self, name: str, kernel: str) -> None:
        self._log: Logger = getLogger(f"torq.{name}")
        self._kernel = kernel

    def listening(self, paths: list[Path]) -> None:
        self._log.info("listening on %s (%s)", ", ".join(map(str, paths)), self._kernel)

    def admitted(self, connection: Connection, peer: Peer) -> None:
        self._log.debug("connection %d joined: pid %d uid %d gid %d", connection.id, peer.pid, peer.uid, peer.gid)

    def refused(self, reason: CloseReason, peer: Peer | None) -> None:
        self._log.warning("connection refused: %s (%s)", reason.label, peer)

    def accept_paused(self, error: OSError) -> None:
        self._log.warning("cannot accept: %s; trying again", error.strerror)

    def path_lost(self, path: Path) -> None:
        self._log.error("%s: our socket is no longer there; new clients cannot connect until a restart", path)

    def closed(self, connection: Connection, peer: Peer) -> None:
        reason = connection.close_reason
        assert reason is not None
        self._log.info(
            "connection %d closed: %s; pid %d sent %d frames (%d refused), got %d, missed %d",
            connection.id,
            reason.label,
            peer.pid,
            connection.received_frames,
            connection.refused_frames,
            connection.delivered_frames,
            sum(connection.dropped_frames),
        )

    def failed(self, connection: Connection) -> None:
        self._log.exception("connection %d: internal error", connection.id)

    def draining(self) -> None:
        self._log.info("draining: no new connections, delivering what was received")

    def stopped(self, undelivered_frames: int) -> None:
        self._log.info("stopped; %d frames undelivered", undelivered_frames)
