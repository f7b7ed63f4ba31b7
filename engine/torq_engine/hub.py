"""The hub forwards frames: it decides which receiver gets which bytes, in which order, and what it drops. No I/O.

The server hands it the bytes that a connection sent and, for each connection, an outlet that takes bytes. mypyc
compiles it where there is a C compiler.

Facts:
- one hub, one thread: the hub offers each read to all receivers before the next read, so that all receivers see one
  order (ORD-1, ORD-2, ORD-3), and a connection gets only bytes read after it joined (FWD-5);
- the hub sends bytes straight from the read. It keeps only the bytes that a receiver does not take, in one copy for all
  receivers;
- past its bounds a queue obeys the overflow policy. A connection never seen to read only ever loses its oldest frames:
  the hub neither disconnects nor awaits publishers that never read (ISO-7). A connection is seen to read when its full
  outlet takes bytes again, or when it has taken more than twice what the outlet can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from mypy_extensions import i64, mypyc_attr

from torq_protocol.constants import HEADER_SIZE, MAGIC_BYTES
from torq_protocol.framing import FrameScanner, Scan
from torq_protocol.header import MessageHeader

from .accounting import DROP_REASONS, REFUSED_BY_LOGIC, CloseReason, DropReason, Totals
from .backlog import MOST_BYTES, Backlog, Chunk, Storage, frame_size
from .settings import HubSettings, OnFramingError, Overflow

_QUEUE_FULL: Final = int(DropReason.QUEUE_FULL)
_NEVER_READ: Final = int(DropReason.NEVER_READ)
_OWN_ECHO: Final = int(DropReason.OWN_ECHO)
_TOTAL_FULL: Final = int(DropReason.TOTAL_FULL)
_CLOSED: Final = int(DropReason.CLOSED)


class Outlet(Protocol):
    """Takes the bytes for a connection: a non-blocking socket, or its stand-in in tests.

    Both methods return the number of bytes taken. They raise BlockingIOError when there is no room, and OSError when
    the peer will never take them.
    """

    def send(self, data: bytes | memoryview, /) -> int: ...
    def sendmsg(self, buffers: Sequence[bytes | memoryview], /) -> int: ...


@mypyc_attr(native_class=True)
class Connection:
    """The hub's state of one connection: plain data, but for its outlet.

    ``joined_at`` is a moment of the hub's clock. ``partial`` holds the incomplete frame that ends the bytes read so
    far, ``needed`` is the size it will have, ``backlog`` holds what waits for the outlet.
    """

    def __init__(self, number: int, outlet: Outlet, outlet_bytes: int, storage: Storage, joined_at: float) -> None:
        self.id: int = number
        self.outlet = outlet
        self.send: Callable[[bytes | memoryview], int] = outlet.send
        self.outlet_bytes: i64 = outlet_bytes
        self.joined_at: float = joined_at
        self.partial: bytearray | None = None
        self.needed: i64 = 0
        self.partial_since: float = 0.0
        self.backlog = Backlog(storage)
        self.seen_reading: bool = False
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

    def reads(self) -> bool:
        """Whether the client was seen to read what it was sent (ISO-7)."""
        return self.seen_reading or self.sent_bytes > 2 * self.outlet_bytes


@mypyc_attr(native_class=True)
class Hub:
    """Forwards frames between connections, which it keeps in join order.

    After any call, the server takes its work from three lists: ``backlogged`` (connections that began to have a
    queue: call :meth:`drain` when their outlet has room), ``closing`` (connections that have ended, their
    ``close_reason`` set) and ``stalled`` (receivers that hold up everyone under backpressure, by id).
    """

    def __init__(
        self,
        scanner: FrameScanner,
        settings: HubSettings,
        clock: Callable[[], float],
        should_forward: Callable[[MessageHeader], bool] | None = None,
    ) -> None:
        self._scanner = scanner
        self._clock = clock
        self._should_forward = should_forward
        self._receivers: dict[int, Connection] = {}
        self._failed: list[tuple[Connection, CloseReason]] = []
        self._storage = Storage()
        self._past = Totals()
        self.next_id: int = 1
        self.connections: dict[int, Connection] = {}
        self.backlogged: list[Connection] = []
        self.closing: list[Connection] = []
        self.stalled: dict[int, Connection] = {}
        self.tap: Callable[[Connection, bytes, Scan], None] | None = None
        """Called with every scan before its frames are forwarded, when set (SEC-3)."""
        self.configure(settings)

    def configure(self, settings: HubSettings) -> None:
        """Take new settings from the next read on; a queue past a new bound is brought back when it next grows."""
        self._echo: bool = settings.echo
        self._overflow: Overflow = settings.overflow
        self._queue_frames: i64 = settings.queue_frames
        self._queue_bytes: i64 = settings.queue_bytes
        self._total_bytes: i64 = settings.total_queue_bytes
        self._resync: bool = settings.on_framing_error is OnFramingError.RESYNC
        if self._overflow is not Overflow.BACKPRESSURE:
            self.stalled.clear()

    def join(self, outlet: Outlet, outlet_bytes: int) -> Connection:
        """Serve a connection from now on (FWD-5); ``outlet_bytes`` is how much its outlet can hold unread."""
        connection = Connection(self.next_id, outlet, outlet_bytes, self._storage, self._clock())
        self.next_id += 1
        self.connections[connection.id] = connection
        self._receivers[connection.id] = connection
        self._past.joined += 1
        return connection

    def receive(self, sender: Connection, data: bytes) -> None:
        """Forward the whole frames in bytes that a connection sent, and keep the rest for its next bytes (FRAME-1)."""
        sender.received_bytes += len(data)
        if sender.partial is not None:
            sender.partial += data
            if sender.needed > HEADER_SIZE and len(sender.partial) < sender.needed:
                return
            data = bytes(sender.partial)
        start: i64 = 0
        while True:
            scan = self._scanner.scan(data, start)
            if self.tap is not None:
                self.tap(sender, data, scan)
            self._deliver(sender, data, scan)
            if sender.close_reason is not None:  # its own echo was too much for it: the rest stays unread
                return
            if scan.fault == 0:
                break
            if not self._resync:
                self.disconnect(sender, CloseReason.FRAMING_ERROR)
                return
            start = _next_magic(data, scan.consumed + 1)
            self._past.skipped_bytes += start - scan.consumed
        left: i64 = len(data) - scan.consumed
        if left == 0:
            sender.partial = None
        else:
            if sender.partial is None or scan.consumed > 0:
                sender.partial_since = self._clock()
            sender.partial = bytearray(memoryview(data)[scan.consumed :])
            sender.needed = scan.needed
        if self._storage.bytes > self._total_bytes:
            self._shed()

    def drain(self, connection: Connection) -> bool:
        """Send a connection as much of its queue as its outlet takes; True when nothing is left."""
        budget: i64 = MOST_BYTES
        while connection.backlog.frames > 0 and budget > 0:
            parts, size = connection.backlog.gather()
            try:
                taken: i64 = connection.send(parts[0]) if len(parts) == 1 else connection.outlet.sendmsg(parts)
            except BlockingIOError:
                return False
            except OSError:
                self.end_output(connection)
                return True
            connection.seen_reading = True  # its outlet was full, and took bytes again
            self._advance(connection, taken)
            if taken < size:
                return False
            budget -= taken
        return connection.backlog.frames == 0

    def end_input(self, connection: Connection) -> None:
        """The client sends no more; it goes on receiving (CONN-7). Its incomplete frame is forgotten (FRAME-4)."""
        connection.input_open = False
        connection.partial = None
        if not connection.output_open:
            self.disconnect(connection, CloseReason.PEER_LEFT)

    def end_output(self, connection: Connection) -> None:
        """The client receives no more; what it has sent is still read to its end (CONN-6)."""
        connection.output_open = False
        self._discard_queue(connection)
        self._receivers.pop(connection.id, None)
        if not connection.input_open:
            self.disconnect(connection, CloseReason.PEER_LEFT)

    def disconnect(self, connection: Connection, reason: CloseReason) -> None:
        """End a connection at once; its queue is dropped and counted. Doing it twice does nothing."""
        if self.connections.pop(connection.id, None) is None:
            return
        self._receivers.pop(connection.id, None)
        self._discard_queue(connection)
        connection.partial = None
        connection.input_open = False
        connection.output_open = False
        connection.close_reason = reason
        past = self._past
        past.closed[reason] += 1
        _add(past, connection)
        self.closing.append(connection)

    def refuse(self, reason: CloseReason) -> None:
        """Count a connection that the server did not admit (CONN-5, SEC-2)."""
        self._past.closed[reason] += 1

    def partial_since_before(self, moment: float) -> list[Connection]:
        """Connections whose incomplete frame began before a moment of the clock (FRAME-5)."""
        return [c for c in self.connections.values() if c.partial is not None and c.partial_since < moment]

    def stalled_since_before(self, moment: float) -> list[Connection]:
        """Receivers that have held up the others since before a moment of the clock (ISO-3)."""
        return [c for c in self.stalled.values() if c.stalled_since <= moment]

    def receiver_count(self, sender: Connection) -> int:
        """The number of connections to which the hub would offer a sender's frame now."""
        own = 0 if self._echo or sender.id not in self._receivers else 1
        return len(self._receivers) - own

    def totals(self) -> Totals:
        """All counters, in one consistent view: past connections and present ones (ISO-6)."""
        past = self._past
        totals = Totals(
            skipped_bytes=past.skipped_bytes,
            received_bytes=past.received_bytes,
            received_frames=past.received_frames,
            refused_frames=past.refused_frames.copy(),
            offered_frames=past.offered_frames,
            delivered_frames=past.delivered_frames,
            delivered_bytes=past.delivered_bytes,
            dropped_frames=past.dropped_frames.copy(),
            held_bytes=self._storage.bytes,
            connections=len(self.connections),
            joined=past.joined,
            closed=past.closed.copy(),
        )
        for connection in self.connections.values():
            _add(totals, connection)
        return totals

    def _deliver(self, sender: Connection, data: bytes, scan: Scan) -> None:
        refused: i64 = len(scan.refused)
        for _, _, kind in scan.refused:
            self._past.refused_frames[kind] += 1
        runs = scan.runs
        frames: i64 = 0
        for _, _, count in runs:
            frames += count
        sender.received_frames += frames + refused
        if self._should_forward is not None:
            runs = self._filtered(data, runs)
            kept: i64 = 0
            for _, _, count in runs:
                kept += count
            self._past.refused_frames[REFUSED_BY_LOGIC] += frames - kept
            refused += frames - kept
            frames = kept
        sender.refused_frames += refused
        if frames == 0:
            return
        if len(runs) > 1:  # foreign frames between ours: one send all the same, and no bytes kept but ours
            view = memoryview(data)
            self._fan_out(sender, b"".join([view[start:stop] for start, stop, _ in runs]), frames)
            return
        start, stop, _ = runs[0]
        if stop - start == len(data):
            self._fan_out(sender, data, frames)
        else:
            self._fan_out(sender, memoryview(data)[start:stop], frames)

    def _filtered(self, data: bytes, runs: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """The runs without the frames that the logic does not forward."""
        should_forward = self._should_forward
        assert should_forward is not None
        kept: list[tuple[int, int, int]] = []
        for start, stop, _ in runs:
            position: i64 = start
            run_start: i64 = start
            frames: i64 = 0
            while position < stop:
                size = frame_size(data, position)
                if should_forward(MessageHeader.from_bytes(data[position : position + HEADER_SIZE])):
                    frames += 1
                else:
                    if frames:
                        kept.append((run_start, position, frames))
                    frames = 0
                    run_start = position + size
                position += size
            if frames:
                kept.append((run_start, position, frames))
        return kept

    def _fan_out(self, sender: Connection, outgoing: bytes | memoryview, frames: i64) -> None:
        """Offer accepted frames to every receiver: straight to its outlet when nothing waits before them."""
        size: i64 = len(outgoing)
        shared: Chunk | None = None
        offered: i64 = 0
        for receiver in self._receivers.values():
            if receiver is sender and not self._echo:
                continue
            offered += frames
            taken: i64 = 0
            if receiver.backlog.frames == 0:
                try:
                    taken = receiver.send(outgoing)
                except BlockingIOError:
                    taken = 0
                except OSError:
                    receiver.dropped_frames[_CLOSED] += frames
                    self._failed.append((receiver, CloseReason.PEER_LEFT))
                    continue
                if taken == size:
                    receiver.delivered_frames += frames
                    receiver.sent_bytes += size
                    continue
            if shared is None:
                shared = self._storage.keep(bytes(outgoing), frames)
            self._enqueue(receiver, shared, taken, receiver is sender)
        self._past.offered_frames += offered
        while self._failed:
            failed, reason = self._failed.pop()
            if reason is CloseReason.PEER_LEFT:
                self.end_output(failed)
            else:
                self.disconnect(failed, reason)

    def _enqueue(self, receiver: Connection, chunk: Chunk, taken: i64, own: bool) -> None:
        """Queue the bytes that a receiver's outlet did not take, within the bounds of its queue."""
        backlog = receiver.backlog
        if backlog.frames == 0:
            self.backlogged.append(receiver)
        backlog.push(chunk)
        if taken > 0:
            self._advance(receiver, taken)
        if backlog.frames > self._queue_frames or backlog.bytes > self._queue_bytes:
            self._overflowing(receiver, chunk, own)

    def _overflowing(self, receiver: Connection, chunk: Chunk, own: bool) -> None:
        reads = receiver.reads()
        if self._overflow is Overflow.DROP_OLDEST or not reads:
            reason = _QUEUE_FULL if reads else _NEVER_READ
            receiver.dropped_frames[reason] += receiver.backlog.drop_oldest(self._queue_frames, self._queue_bytes)
        elif self._overflow is Overflow.DISCONNECT:
            self._failed.append((receiver, CloseReason.SLOW_CONSUMER))
        elif own:
            receiver.dropped_frames[_OWN_ECHO] += receiver.backlog.drop_newest(chunk)
        elif receiver.id not in self.stalled:
            receiver.stalled_since = self._clock()
            self.stalled[receiver.id] = receiver

    def _advance(self, connection: Connection, taken: i64) -> None:
        """Count bytes that the outlet took from the front of the queue."""
        connection.sent_bytes += taken
        connection.delivered_frames += connection.backlog.advance(taken)
        if connection.id in self.stalled and self._is_half_empty(connection):
            del self.stalled[connection.id]

    def _shed(self) -> None:
        """Bring all queues together below their bound: at the cost of the receivers that lag most."""
        while self._storage.bytes > self._total_bytes:
            waiting = [c for c in self._receivers.values() if c.backlog.queue]
            if not waiting:
                return
            oldest = min([c.backlog.queue[0].number for c in waiting])
            for connection in waiting:
                if connection.backlog.queue[0].number != oldest:
                    continue
                if self._overflow is not Overflow.DROP_OLDEST and connection.reads():
                    self.disconnect(connection, CloseReason.SLOW_CONSUMER)
                else:
                    connection.dropped_frames[_TOTAL_FULL] += connection.backlog.drop_head()

    def _is_half_empty(self, connection: Connection) -> bool:
        if connection.backlog.frames * 2 > self._queue_frames:
            return False
        return connection.backlog.bytes * 2 <= self._queue_bytes

    def _discard_queue(self, connection: Connection) -> None:
        connection.dropped_frames[_CLOSED] += connection.backlog.discard()
        self.stalled.pop(connection.id, None)


def _next_magic(data: bytes, position: i64) -> i64:
    """The first offset from ``position`` on where a frame may start; a part of a magic at the end may start one."""
    found: i64 = data.find(MAGIC_BYTES, position)
    if found >= 0:
        return found
    length: i64 = 3
    while length > 0:
        if len(data) - length >= position and data.endswith(MAGIC_BYTES[:length]):
            return len(data) - length
        length -= 1
    return len(data)


def _add(totals: Totals, connection: Connection) -> None:
    totals.received_bytes += connection.received_bytes
    totals.received_frames += connection.received_frames
    totals.delivered_frames += connection.delivered_frames
    totals.delivered_bytes += connection.sent_bytes
    totals.queued_frames += connection.backlog.frames
    totals.queued_bytes += connection.backlog.bytes
    for reason, count in enumerate(connection.dropped_frames):
        totals.dropped_frames[reason] += count
