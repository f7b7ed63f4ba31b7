"""What is counted, under which names: why frames are dropped, why connections end (VAL-7, ISO-6).

Facts:
- received x receivers = delivered + dropped + queued, at all times: :meth:`Totals.balance` is 0 (ISO-6);
- a frame is *delivered* when the socket has taken its last byte, *queued* while any byte of it is in our hands;
- a connection that ends takes its queue with it: those frames are dropped, reason ``closed``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from torq_protocol.errors import ErrorKind

from .handover.state import TotalsState, filled_up


class _Reason(IntEnum):
    @property
    def label(self) -> str:
        """The reason as lower-case words joined by hyphens, as in logs and metrics."""
        return self.name.lower().replace("_", "-")


class DropReason(_Reason):
    """Why a receiver did not get a frame that was meant for it."""

    QUEUE_FULL = 0
    """The receiver's queue was past ``queue_frames`` or ``queue_bytes`` (ISO-3)."""
    NEVER_READ = 1
    """The same, of a connection that was never seen to read (ISO-7)."""
    OWN_ECHO = 2
    """Its own frame, under backpressure: a client is never stalled by its own echo."""
    TOTAL_FULL = 3
    """All queues together were past ``total_queue_bytes``, and this receiver lagged most."""
    CLOSED = 4
    """The connection ended with the frame in its queue."""


class CloseReason(_Reason):
    """Why a connection ended, or was refused."""

    PEER_LEFT = 0
    """The client closed or reset it."""
    FRAMING_ERROR = 1
    """Bytes that cannot start a frame, or announce one above the limit (VAL-5)."""
    PARTIAL_FRAME_TIMEOUT = 2
    """An incomplete frame was left standing (FRAME-5)."""
    SLOW_CONSUMER = 3
    """Its queue was full under ``disconnect``, or stayed full through a stall under ``backpressure`` (ISO-3)."""
    MAX_CONNECTIONS = 4
    """The relay was full: refused (CONN-5)."""
    NOT_ALLOWED = 5
    """The user or group is not on the allow list: refused (SEC-2)."""
    SHUTDOWN = 6
    """The relay stopped (LIFE-1)."""
    OPERATOR = 7
    """An operator closed it."""
    INTERNAL = 8
    """An error of the relay itself; the log has it."""
    TOTAL_FULL = 9
    """Incomplete frames held most of what was above ``total_queue_bytes``, and its own stood longest (FRAME-5)."""


DROP_REASONS = len(DropReason)
REFUSAL_KINDS = 32
"""Length of a table indexed by :class:`~torq_protocol.errors.ErrorKind`, with room for a logic's own refusals."""
REFUSED_BY_LOGIC = 31
"""The kind of frames that ``should_forward`` refused."""
REFUSAL_LABELS = {int(kind): kind.label for kind in ErrorKind} | {REFUSED_BY_LOGIC: "refused-by-logic"}
"""The kinds of refused frames as words, as in logs and metrics."""


FRAMING_ERROR_BYTES = 8
"""How many of the bytes that cannot be framed are shown: no more than tells what was sent instead of a header."""


@dataclass(frozen=True, slots=True)
class FramingError:
    """Bytes that cannot be framed (VAL-5): offset in all that the client sent, kind, and the first of them."""

    offset: int
    kind: int
    found: bytes

    def __str__(self) -> str:
        return f"{ErrorKind(self.kind).label} at byte {self.offset}: {self.found.hex(' ')}"


@dataclass(slots=True)
class Totals:
    """Counters of a hub since its start, connections that have left included. Frames and bytes; plain data.

    ``received_frames`` are whole frames of any fate; ``refused_frames`` is indexed by error kind;
    ``offered_frames`` is accepted frames times the receivers each was meant for. ``held_bytes`` wait for receivers,
    ``incomplete_bytes`` are of frames whose end has not come: together at most ``total_queue_bytes``.
    """

    received_bytes: int = 0
    received_frames: int = 0
    refused_frames: list[int] = field(default_factory=lambda: [0] * REFUSAL_KINDS)
    skipped_bytes: int = 0
    offered_frames: int = 0
    delivered_frames: int = 0
    delivered_bytes: int = 0
    dropped_frames: list[int] = field(default_factory=lambda: [0] * DROP_REASONS)
    queued_frames: int = 0
    queued_bytes: int = 0
    held_bytes: int = 0
    incomplete_bytes: int = 0
    connections: int = 0
    joined: int = 0
    closed: list[int] = field(default_factory=lambda: [0] * len(CloseReason))

    def export(self) -> TotalsState:
        """The counters that grow with every frame, as plain data."""
        return TotalsState(
            received_bytes=self.received_bytes,
            received_frames=self.received_frames,
            refused_frames=self.refused_frames.copy(),
            skipped_bytes=self.skipped_bytes,
            offered_frames=self.offered_frames,
            delivered_frames=self.delivered_frames,
            delivered_bytes=self.delivered_bytes,
            dropped_frames=self.dropped_frames.copy(),
            joined=self.joined,
            closed=self.closed.copy(),
        )

    @classmethod
    def restore(cls, state: TotalsState) -> Totals:
        """The counters of a state. Raises :class:`~torq_engine.handover.state.StateError` for unknown reasons."""
        return cls(
            received_bytes=state.received_bytes,
            received_frames=state.received_frames,
            refused_frames=filled_up(state.refused_frames, REFUSAL_KINDS, "refused_frames"),
            skipped_bytes=state.skipped_bytes,
            offered_frames=state.offered_frames,
            delivered_frames=state.delivered_frames,
            delivered_bytes=state.delivered_bytes,
            dropped_frames=filled_up(state.dropped_frames, DROP_REASONS, "dropped_frames"),
            joined=state.joined,
            closed=filled_up(state.closed, len(CloseReason), "closed"),
        )

    def balance(self) -> int:
        """Offered minus delivered, dropped and queued frames: 0, or the accounting is wrong (ISO-6)."""
        return self.offered_frames - self.delivered_frames - sum(self.dropped_frames) - self.queued_frames
