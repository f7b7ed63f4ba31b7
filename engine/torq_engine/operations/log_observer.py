"""What a server's life leaves in the log: a line for each event, bounded where clients cause any number of them."""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path

from ..accounting import REFUSAL_LABELS, CloseReason, DropReason
from ..connection import Connection
from ..errors import RelayError
from ..observer import Observer
from ..port import Peer
from .client_lines import ClientLines
from .logs import EventLog, Field, of_peer


class LogObserver(Observer):
    """Writes the events of a server's life."""

    def __init__(self, log: EventLog, build: str, loop: str) -> None:
        self._log = log
        self._build = build
        self._loop = loop
        self._refusals = ClientLines(log, "warning", of_one_client=1, in_all=10)
        self._ends = ClientLines(log, "info", of_one_client=20, in_all=100)

    def listening(self, paths: list[Path]) -> None:
        self._log.info("listening", paths=[str(path) for path in paths], build=self._build, loop=self._loop)

    def admitted(self, connection: Connection, peer: Peer) -> None:
        self._log.debug("connection joined", connection=connection.id, **of_peer(peer))

    def refused(self, reason: CloseReason, peer: Peer) -> None:
        self._refusals.tell(f"connection refused: {reason.label}", peer, None, of_peer(peer), {})

    def accept_paused(self, error: OSError) -> None:
        self._log.warning("cannot accept for now; trying again", error=error.strerror)

    def path_lost(self, path: Path) -> None:
        self._log.error("our socket is no longer at its path; new clients cannot come until a restart", path=str(path))

    def closed(self, connection: Connection, peer: Peer) -> None:
        reason = connection.close_reason
        assert reason is not None
        dropped = {
            f"dropped_{DropReason(number).name.lower()}": count
            for number, count in enumerate(connection.dropped_frames)
            if count
        }
        refused = {
            f"refused_{REFUSAL_LABELS.get(kind, str(kind)).replace('-', '_')}": count
            for kind, count in sorted(connection.refused_by_kind.items())
        }
        error = connection.framing_error
        details: dict[str, Field] = {
            "connection": connection.id,
            "framing_error": str(error) if error is not None else None,
            **of_peer(peer),
            "seconds": round(time.monotonic() - connection.joined_at, 3),
        }
        numbers = {
            "frames_in": connection.received_frames,
            "bytes_in": connection.received_bytes,
            "refused": connection.refused_frames,
            **refused,
            "frames_out": connection.delivered_frames,
            "bytes_out": connection.sent_bytes,
            **dropped,
        }
        self._ends.tell("connection closed", peer, reason.label, details, numbers)

    def failed(self, connection: Connection) -> None:
        error = sys.exception()
        if isinstance(error, RelayError):  # such as of a full disk: it says what is wrong, and no code is at fault
            self._log.error("frames not forwarded", connection=connection.id, error=str(error))
            return
        self._log.error("internal error", connection=connection.id, trace=traceback.format_exc())

    def draining(self) -> None:
        self._log.info("draining: no new connections, delivering what was received")

    def flush(self) -> None:
        """Write what was held back so far."""
        self._refusals.flush()
        self._ends.flush()
        self._log.flush()

    def stopped(self, undelivered_frames: int) -> None:
        self._refusals.flush()
        self._ends.flush()
        self._log.info("stopped", undelivered_frames=undelivered_frames)
        self._log.flush()
