"""The hub: who gets which bytes, in which order, and what is dropped when they do not take them. No sockets, no loop.

It is handed bytes that a connection sent and, for each connection, an outlet that takes bytes. Compiled by mypyc
where a C compiler is there.

Facts:
- one hub, one thread: every read is scanned and handed to all receivers before the next, so all of them see one order
  (ORD-1, ORD-2, ORD-3), and a connection gets only what was read after it joined (FWD-5);
- bytes are sent straight from the read; only what a receiver does not take is kept, in one copy for all of them;
- the rest of a frame already partly sent stands apart from the queue of whole frames: it cannot be dropped (ISO-4);
- past its bounds a queue obeys the overflow policy, but a connection never seen to read only ever loses its oldest
  frames: publishers that never read are neither disconnected nor waited for (ISO-7). It was seen to read once its full
  outlet took bytes again, or when it took more than twice what the outlet can hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from librt.strings import read_i32_le
from mypy_extensions import i64, mypyc_attr

from torq_protocol.framing import FrameScanner, Scan
from torq_protocol.header import MessageHeader

from .accounting import DROP_REASONS, REFUSED_BY_LOGIC, CloseReason, DropReason, Totals
from .settings import HubSettings, OnFramingError, Overflow

_HEADER: Final = 32
_MAGIC: Final = b"\xef\xbe\xad\xde"
_ALL_ONES: Final = 0xFFFFFFFF
_MOST_PARTS: Final = 256
_MOST_BYTES: Final = 262_144

_QUEUE_FULL: Final = int(DropReason.QUEUE_FULL)
_NEVER_READ: Final = int(DropReason.NEVER_READ)
_OWN_ECHO: Final = int(DropReason.OWN_ECHO)
_TOTAL_FULL: Final = int(DropReason.TOTAL_FULL)
_CLOSED: Final = int(DropReason.CLOSED)


class Outlet(Protocol):
    """Where the bytes for a connection go: a non-blocking socket, or its stand-in in tests.

    Both return the number of bytes taken, raise BlockingIOError when there is no room and OSError when nobody will
    ever take them.
    """

    def send(self, data: bytes | memoryview, /) -> int: ...
    def sendmsg(self, buffers: Sequence[bytes | memoryview], /) -> int: ...


@mypyc_attr(native_class=True)
class Chunk:
    """Accepted frames kept for receivers: one copy of the bytes however many ``holders`` there are."""

    def __init__(self, data: bytes, frames: int, number: int) -> None:
        self.data = data
        self.frames: i64 = frames
        self.number: i64 = number
        self.holders: i64 = 0


@mypyc_attr(native_class=True)
class Connection:
    """All that the hub knows of one connection: plain data, but for its outlet.

    Receiving: ``partial`` holds the incomplete frame at the end of what was read, ``needed`` the bytes it will have.
    Sending: ``remainder`` is the rest of the frame partly sent, ``queue`` whole frames, of whose first chunk
    ``head_frames`` frames up to offset ``head_at`` are gone. ``queued_frames`` and ``queued_bytes`` count both.
    """

    def __init__(self, number: int, outlet: Outlet, outlet_bytes: int) -> None:
        self.id: int = number
        self.outlet = outlet
        self.send: Callable[[bytes | memoryview], int] = outlet.send
        self.outlet_bytes: i64 = outlet_bytes
        self.partial: bytearray | None = None
        self.needed: i64 = 0
        self.partial_since: float = 0.0
        self.remainder: memoryview | None = None
        self.queue: deque[Chunk] = deque()
        self.head_at: i64 = 0
        self.head_frames: i64 = 0
        self.queued_frames: i64 = 0
        self.queued_bytes: i64 = 0
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
    """Connections in join order, and what passes between them.

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
        self._echo: bool = settings.echo
        self._overflow: Overflow = settings.overflow
        self._queue_frames: i64 = settings.queue_frames
        self._queue_bytes: i64 = settings.queue_bytes
        self._total_bytes: i64 = settings.total_queue_bytes
        self._resync: bool = settings.on_framing_error is OnFramingError.RESYNC
        self._receivers: dict[int, Connection] = {}
        self._failed: list[tuple[Connection, CloseReason]] = []
        self._chunks: i64 = 0
        self._held: i64 = 0
        self._past = Totals()
        self.next_id: int = 1
        self.connections: dict[int, Connection] = {}
        self.backlogged: list[Connection] = []
        self.closing: list[Connection] = []
        self.stalled: dict[int, Connection] = {}
        self.tap: Callable[[Connection, bytes, Scan], None] | None = None
        """Called with every scan before its frames are forwarded, when set (SEC-3)."""

    def join(self, outlet: Outlet, outlet_bytes: int) -> Connection:
        """Serve a connection from now on (FWD-5); ``outlet_bytes`` is how much its outlet can hold unread."""
        connection = Connection(self.next_id, outlet, outlet_bytes)
        self.next_id += 1
        self.connections[connection.id] = connection
        self._receivers[connection.id] = connection
        self._past.joined += 1
        return connection

    def receive(self, sender: Connection, data: bytes) -> None:
        """Take bytes that a connection sent: its whole frames go to all receivers, the rest waits (FRAME-1)."""
        sender.received_bytes += len(data)
        if sender.partial is not None:
            sender.partial += data
            if sender.needed > _HEADER and len(sender.partial) < sender.needed:
                return
            data = bytes(sender.partial)
        start: i64 = 0
        while True:
            scan = self._scanner.scan(data, start)
            if self.tap is not None:
                self.tap(sender, data, scan)
            self._deliver(sender, data, scan)
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
        if self._held > self._total_bytes:
            self._shed()

    def drain(self, connection: Connection) -> bool:
        """Send what waits for a connection, as much as its outlet takes; True when nothing is left."""
        budget: i64 = _MOST_BYTES
        while connection.queued_frames > 0 and budget > 0:
            parts, size = _gather(connection)
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
        return connection.queued_frames == 0

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
        """Count a connection that was not let in (CONN-5, SEC-2)."""
        self._past.closed[reason] += 1

    def partial_since_before(self, moment: float) -> list[Connection]:
        """Connections whose incomplete frame began before a moment of the clock (FRAME-5)."""
        return [c for c in self.connections.values() if c.partial is not None and c.partial_since < moment]

    def stalled_since_before(self, moment: float) -> list[Connection]:
        """Receivers that have held up the others since before a moment of the clock (ISO-3)."""
        return [c for c in self.stalled.values() if c.stalled_since <= moment]

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
            held_bytes=self._held,
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
                size = _frame_size(data, position)
                if should_forward(MessageHeader.from_bytes(data[position : position + _HEADER])):
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
            if receiver.queued_frames == 0:
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
                self._chunks += 1
                shared = Chunk(bytes(outgoing), frames, self._chunks)
            self._enqueue(receiver, shared, taken, receiver is sender)
        self._past.offered_frames += offered
        while self._failed:
            failed, reason = self._failed.pop()
            if reason is CloseReason.PEER_LEFT:
                self.end_output(failed)
            else:
                self.disconnect(failed, reason)

    def _enqueue(self, receiver: Connection, chunk: Chunk, taken: i64, own: bool) -> None:
        """Keep what a receiver's outlet did not take: the rest of a torn frame apart, whole frames in the queue."""
        size: i64 = len(chunk.data)
        if receiver.queued_frames == 0:
            self.backlogged.append(receiver)
        if not receiver.queue:
            receiver.head_at = 0
            receiver.head_frames = 0
        receiver.queue.append(chunk)
        receiver.queued_frames += chunk.frames
        receiver.queued_bytes += size
        chunk.holders += 1
        if chunk.holders == 1:
            self._held += size
        if taken > 0:
            self._advance(receiver, taken)
        if receiver.queued_frames > self._queue_frames or receiver.queued_bytes > self._queue_bytes:
            self._overflowing(receiver, chunk, own)

    def _overflowing(self, receiver: Connection, chunk: Chunk, own: bool) -> None:
        if not receiver.reads():
            self._drop_oldest(receiver, _NEVER_READ)
        elif self._overflow is Overflow.DROP_OLDEST:
            self._drop_oldest(receiver, _QUEUE_FULL)
        elif self._overflow is Overflow.DISCONNECT:
            self._failed.append((receiver, CloseReason.SLOW_CONSUMER))
        elif own:
            self._drop_newest(receiver, chunk)
        elif receiver.id not in self.stalled:
            receiver.stalled_since = self._clock()
            self.stalled[receiver.id] = receiver

    def _advance(self, connection: Connection, taken: i64) -> None:
        """The outlet took bytes from the front of what waited: count the frames that are now wholly gone."""
        connection.sent_bytes += taken
        connection.queued_bytes -= taken
        remainder = connection.remainder
        if remainder is not None:
            rest: i64 = len(remainder)
            if taken < rest:
                connection.remainder = remainder[taken:]
                return
            taken -= rest
            connection.remainder = None
            connection.queued_frames -= 1
            connection.delivered_frames += 1
        while taken > 0:
            chunk = connection.queue[0]
            left: i64 = len(chunk.data) - connection.head_at
            if taken >= left:
                frames: i64 = chunk.frames - connection.head_frames
                self._pop_head(connection)
                taken -= left
            else:
                frames = self._tear(connection, chunk, connection.head_at + taken)
                taken = 0
            connection.queued_frames -= frames
            connection.delivered_frames += frames
        if connection.id in self.stalled and self._is_half_empty(connection):
            del self.stalled[connection.id]

    def _tear(self, connection: Connection, chunk: Chunk, stop: i64) -> i64:
        """The outlet took the first chunk up to ``stop``; returns how many whole frames that was."""
        position: i64 = connection.head_at
        frames: i64 = 0
        behind: i64 = position + _frame_size(chunk.data, position)
        while behind <= stop:
            position = behind
            frames += 1
            if position == stop:
                break
            behind = position + _frame_size(chunk.data, position)
        connection.head_frames += frames
        connection.head_at = position
        if position < stop:
            connection.remainder = memoryview(chunk.data)[stop:behind]
            connection.head_frames += 1
            connection.head_at = behind
            if behind == len(chunk.data):
                self._pop_head(connection)
        return frames

    def _drop_oldest(self, receiver: Connection, reason: i64) -> None:
        """Drop whole frames from the front of the queue until it is within its bounds."""
        while receiver.queue:
            frames: i64 = receiver.queued_frames - self._queue_frames
            size: i64 = receiver.queued_bytes - self._queue_bytes
            if frames <= 0 and size <= 0:
                return
            chunk = receiver.queue[0]
            left: i64 = chunk.frames - receiver.head_frames
            left_bytes: i64 = len(chunk.data) - receiver.head_at
            if frames >= left or size >= left_bytes:
                receiver.queued_frames -= left
                receiver.queued_bytes -= left_bytes
                receiver.dropped_frames[reason] += left
                self._pop_head(receiver)
                continue
            dropped: i64 = 0
            while frames > 0 or size > 0:
                one = _frame_size(chunk.data, receiver.head_at)
                receiver.head_at += one
                size -= one
                receiver.queued_bytes -= one
                frames -= 1
                dropped += 1
            receiver.head_frames += dropped
            receiver.queued_frames -= dropped
            receiver.dropped_frames[reason] += dropped
            if receiver.head_at == len(chunk.data):
                self._pop_head(receiver)

    def _drop_newest(self, receiver: Connection, chunk: Chunk) -> None:
        """Take back the chunk just queued, but for a frame of it already partly sent."""
        if not receiver.queue or receiver.queue[-1] is not chunk:
            return
        alone: bool = len(receiver.queue) == 1
        frames: i64 = chunk.frames - (receiver.head_frames if alone else 0)
        size: i64 = len(chunk.data) - (receiver.head_at if alone else 0)
        receiver.queue.pop()
        receiver.queued_frames -= frames
        receiver.queued_bytes -= size
        receiver.dropped_frames[_OWN_ECHO] += frames
        self._release(chunk)

    def _shed(self) -> None:
        """All queues together hold too much: those that lag most lose their oldest chunk, or are disconnected."""
        while self._held > self._total_bytes:
            waiting = [c for c in self._receivers.values() if c.queue]
            if not waiting:
                return
            oldest = min([c.queue[0].number for c in waiting])
            for connection in waiting:
                if connection.queue[0].number != oldest:
                    continue
                if self._overflow is not Overflow.DROP_OLDEST and connection.reads():
                    self.disconnect(connection, CloseReason.SLOW_CONSUMER)
                    continue
                chunk = connection.queue[0]
                left: i64 = chunk.frames - connection.head_frames
                connection.queued_frames -= left
                connection.queued_bytes -= len(chunk.data) - connection.head_at
                connection.dropped_frames[_TOTAL_FULL] += left
                self._pop_head(connection)

    def _is_half_empty(self, connection: Connection) -> bool:
        if connection.queued_frames * 2 > self._queue_frames:
            return False
        return connection.queued_bytes * 2 <= self._queue_bytes

    def _discard_queue(self, connection: Connection) -> None:
        connection.dropped_frames[_CLOSED] += connection.queued_frames
        for chunk in connection.queue:
            self._release(chunk)
        connection.queue.clear()
        connection.remainder = None
        connection.queued_frames = 0
        connection.queued_bytes = 0
        self.stalled.pop(connection.id, None)

    def _pop_head(self, connection: Connection) -> None:
        chunk = connection.queue.popleft()
        connection.head_at = 0
        connection.head_frames = 0
        self._release(chunk)

    def _release(self, chunk: Chunk) -> None:
        chunk.holders -= 1
        if chunk.holders == 0:
            self._held -= len(chunk.data)


def _frame_size(data: bytes, position: i64) -> i64:
    """Bytes of the accepted frame that starts at an offset."""
    return _HEADER + (i64(read_i32_le(data, position + 24)) & _ALL_ONES)


def _next_magic(data: bytes, position: i64) -> i64:
    """Where the next frame may start, at or behind an offset; as much of a magic as ends the data may begin one."""
    found: i64 = data.find(_MAGIC, position)
    if found >= 0:
        return found
    length: i64 = 3
    while length > 0:
        if len(data) - length >= position and data.endswith(_MAGIC[:length]):
            return len(data) - length
        length -= 1
    return len(data)


def _gather(connection: Connection) -> tuple[list[bytes | memoryview], int]:
    """The front of what waits for a connection, as buffers for one send, and their size."""
    parts: list[bytes | memoryview] = []
    size: i64 = 0
    remainder = connection.remainder
    if remainder is not None:
        parts.append(remainder)
        size = len(remainder)
    at: i64 = connection.head_at
    for chunk in connection.queue:
        if len(parts) >= _MOST_PARTS or size >= _MOST_BYTES:
            break
        parts.append(memoryview(chunk.data)[at:] if at > 0 else chunk.data)
        size += len(chunk.data) - at
        at = 0
    return parts, size


def _add(totals: Totals, connection: Connection) -> None:
    totals.received_bytes += connection.received_bytes
    totals.received_frames += connection.received_frames
    totals.delivered_frames += connection.delivered_frames
    totals.delivered_bytes += connection.sent_bytes
    totals.queued_frames += connection.queued_frames
    totals.queued_bytes += connection.queued_bytes
    for reason, count in enumerate(connection.dropped_frames):
        totals.dropped_frames[reason] += count
