"""A connection as the hub knows it: what it has begun to send, what waits for it, and what passed. Plain data.

Compiled with the hub.
"""

from __future__ import annotations

from mypy_extensions import i64, mypyc_attr

from .accounting import DROP_REASONS, CloseReason, FramingError
from .backlog import Backlog, Segment, Storage
from .handover.state import ConnectionState, FramingErrorState, filled_up


@mypyc_attr(native_class=True)
class Connection:
    """All that the hub knows of one connection: plain data.

    ``joined_at`` is a moment of the port's clock. ``partial`` holds the incomplete frame that ends the bytes read so
    far, ``needed`` is the size it will have, ``backlog`` holds what waits for the socket. ``reading`` says that the
    client was seen to read, ``only_sends`` that it was given up as a reader; ``blocked`` that its socket is full;
    ``losing`` that it reads and loses frames: whoever watches sets it back, to hear of the next loss.
    ``framing_error`` is its first framing error.
    """

    def __init__(self, number: int, descriptor: int, storage: Storage, joined_at: float) -> None:
        self.id: int = number
        self.descriptor: int = descriptor
        self.joined_at: float = joined_at
        self.partial: bytearray | None = None
        self.needed: i64 = 0
        self.partial_since: float = 0.0
        self.backlog = Backlog(storage)
        self.place: i64 = -1
        self.blocked: bool = False
        self.reading: bool = False
        self.only_sends: bool = False
        self.keeps_up: bool = True
        self.unread_mark: i64 = 0
        self.sent_mark: i64 = 0
        self.waits: i64 = 0
        self.passed_over: i64 = 0
        self.losing: bool = False
        self.stalled_since: float = 0.0
        self.input_open: bool = True
        self.output_open: bool = True
        self.close_reason: CloseReason | None = None
        self.received_bytes: i64 = 0
        self.received_frames: i64 = 0
        self.refused_frames: i64 = 0
        self.delivered_frames: i64 = 0
        self.sent_bytes: i64 = 0
        self.dropped_frames: list[int] = [0] * DROP_REASONS
        self.refused_by_kind: dict[int, int] = {}
        self.framing_error: FramingError | None = None

    def export(self, table: dict[Segment, int]) -> ConnectionState:
        """All of it but its descriptor; the segments that it lacks bytes of are added to the table."""
        error = self.framing_error
        return ConnectionState(
            id=self.id,
            joined_at=self.joined_at,
            partial=bytes(self.partial) if self.partial is not None else None,
            needed=self.needed,
            partial_since=self.partial_since,
            remainder=self.backlog.export_remainder(table),
            queue=self.backlog.export_queue(table),
            blocked=self.blocked,
            reading=self.reading,
            only_sends=self.only_sends,
            keeps_up=self.keeps_up,
            unread_mark=self.unread_mark,
            sent_mark=self.sent_mark,
            waits=self.waits,
            passed_over=self.passed_over,
            losing=self.losing,
            stalled_since=self.stalled_since,
            input_open=self.input_open,
            output_open=self.output_open,
            received_bytes=self.received_bytes,
            received_frames=self.received_frames,
            refused_frames=self.refused_frames,
            delivered_frames=self.delivered_frames,
            sent_bytes=self.sent_bytes,
            dropped_frames=self.dropped_frames.copy(),
            refused_by_kind=self.refused_by_kind.copy(),
            framing_error=FramingErrorState(error.offset, error.kind, error.found) if error is not None else None,
        )

    @classmethod
    def restore(cls, state: ConnectionState, descriptor: int, storage: Storage, table: list[Segment]) -> Connection:
        """The connection of a state, with a descriptor of this process.

        Raises :class:`~torq_engine.handover.state.StateError` when its parts do not fit.
        """
        connection = Connection(state.id, descriptor, storage, state.joined_at)
        error = state.framing_error
        if state.partial is not None:
            connection.partial = bytearray(state.partial)
        connection.needed = state.needed
        connection.partial_since = state.partial_since
        connection.backlog.restore(state.remainder, state.queue, table)
        connection.blocked = state.blocked
        connection.reading = state.reading
        connection.only_sends = state.only_sends
        connection.keeps_up = state.keeps_up
        connection.unread_mark = state.unread_mark
        connection.sent_mark = state.sent_mark
        connection.waits = state.waits
        connection.passed_over = state.passed_over
        connection.losing = state.losing
        connection.stalled_since = state.stalled_since
        connection.input_open = state.input_open
        connection.output_open = state.output_open
        connection.received_bytes = state.received_bytes
        connection.received_frames = state.received_frames
        connection.refused_frames = state.refused_frames
        connection.delivered_frames = state.delivered_frames
        connection.sent_bytes = state.sent_bytes
        connection.dropped_frames = filled_up(state.dropped_frames, DROP_REASONS, "dropped_frames")
        connection.refused_by_kind = dict(state.refused_by_kind)
        if error is not None:
            connection.framing_error = FramingError(error.offset, error.kind, error.found)
        return connection
