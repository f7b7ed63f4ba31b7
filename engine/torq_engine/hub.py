"""The hub: who gets which bytes, in which order, and what is dropped when they do not take them. No loop, no sockets.

It takes its bytes from a port and gives them to it, by descriptor (port.py). Compiled by mypyc where a C compiler is
there.

Facts:
- one hub, one thread: it scans each read and hands it to all receivers before the next, so all of them see one order
  (ORD-1, ORD-2, ORD-3), and a connection gets only what was read after it joined (FWD-5);
- a read is scanned and sent where it lies in the read buffer; only what a receiver does not take is copied, once for
  all of them;
- a receiver is *ready* while its socket takes everything; one that does not take everything is *blocked* until its
  socket has room again, and no call is wasted on it meanwhile;
- whether a client reads is what its socket shows (ISO-8): the bytes that it has not read became fewer. A client that
  read nothing within ``first_read_grace`` of joining counts as one that only sends: nothing is kept for it (ISO-7).
"""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Final

from mypy_extensions import i64, mypyc_attr

from torq_protocol.constants import HEADER_SIZE, MAGIC_BYTES
from torq_protocol.header import MessageHeader
from torq_protocol.scanner import FrameScanner, Scan

from .accounting import (
    FRAMING_ERROR_BYTES,
    REFUSED_BY_LOGIC,
    CloseReason,
    DropReason,
    FramingError,
    Totals,
)
from .backlog import MOST_BYTES, Segment, Storage, frame_size
from .connection import Connection
from .handover.state import HubState, StateError, WaitingData
from .port import Port
from .settings import HubSettings, OnFramingError, Overflow

_QUEUE_FULL: Final = int(DropReason.QUEUE_FULL)
_NEVER_READ: Final = int(DropReason.NEVER_READ)
_OWN_ECHO: Final = int(DropReason.OWN_ECHO)
_TOTAL_FULL: Final = int(DropReason.TOTAL_FULL)
_CLOSED: Final = int(DropReason.CLOSED)
_NO_BOUND: Final = 1 << 62
_LAGGING_BYTES: Final = 1 << 20
_LOOK_EVERY: Final = 64
_MOST_READS: Final = 4
_MANY_RECEIVERS: Final = 1000
_MOST_RELEASES: Final = 16_384
"""Stretches of the log that one turn lets go, or little more: how much waits does not decide how long a turn takes."""
_MOST_WAITS: Final = 4
"""How often the relay waits for a receiver that takes nothing: a busy machine may keep it from running so long."""


@mypyc_attr(native_class=True)
class Hub:
    """Connections in join order, and what passes between them.

    After any call, the server takes its work from these: ``backlogged`` (connections that were blocked: call
    :meth:`drain` when their socket has room), ``closing`` (connections that have ended, their ``close_reason`` set),
    ``losing`` (connections that began to lose frames, or were given up as readers), ``stalled`` (receivers that hold
    up everyone under backpressure, by id) and ``lagging`` (receivers that kept up until now and have much before them,
    by id).
    """

    def __init__(
        self,
        port: Port,
        scanner: FrameScanner,
        settings: HubSettings,
        should_forward: Callable[[MessageHeader], bool] | None = None,
    ) -> None:
        self._receive: Callable[[int, bytearray, int], int] = port.receive
        self._send_all: Callable[[array.array[int], bytes | bytearray, int, int, int], list[tuple[int, int]] | None]
        self._send_all = port.send_all
        self._turn: Callable[
            [int, bytearray, int, FrameScanner, array.array[int], int, int],
            tuple[int, int, int, int, int, list[tuple[int, int]] | None, int, int],
        ] = port.turn
        self._send = port.send
        self._unread: Callable[[int], int] = port.unread
        self._clock: Callable[[], float] = port.clock
        self._scanner = scanner
        self._should_forward = should_forward
        self._receivers: dict[int, Connection] = {}
        self._changed: bool = False
        self._ready: list[Connection] = []
        self._descriptors = array.array("i")
        self._unproven: list[Connection] = []
        self._blocked: list[Connection] = []
        self._failed: list[tuple[Connection, CloseReason]] = []
        self._storage = Storage(clock=self._clock)
        self._incomplete: dict[int, Connection] = {}
        self._incomplete_bytes: i64 = 0
        self._releases: i64 = 0
        self._past = Totals()
        self.next_id: int = 1
        self.connections: dict[int, Connection] = {}
        self.backlogged: list[Connection] = []
        self.closing: list[Connection] = []
        self.losing: list[Connection] = []
        self.stalled: dict[int, Connection] = {}
        self.lagging: dict[int, Connection] = {}
        self.unsettled: bool = False
        """Whether one of these five has grown since the server last looked."""
        self.overfull: bool = False
        """Whether more is held than may be, as a turn lets go of so much only: call :meth:`shed` before long."""
        self.tap: Callable[[Connection, bytes | bytearray, Scan], None] | None = None
        """Called with every scan before its frames are forwarded, when set; the bytes hold during the call (SEC-3)."""
        self.configure(settings)

    def configure(self, settings: HubSettings) -> None:
        """Take new settings from the next read on; a queue past a new bound is brought back when it next grows."""
        self._echo: bool = settings.echo
        self._overflow: Overflow = settings.overflow
        self._queue_frames: i64 = settings.queue_frames or _NO_BOUND
        self._queue_bytes: i64 = settings.queue_bytes
        self._total_bytes: i64 = settings.total_queue_bytes
        self._lagging_bytes: i64 = min(_LAGGING_BYTES, settings.queue_bytes // 2)
        self._grace: float = settings.first_read_grace
        self._resync: bool = settings.on_framing_error is OnFramingError.RESYNC
        self._read_bytes: i64 = settings.read_bytes
        self._buffer = bytearray(settings.read_bytes)
        if self._overflow is not Overflow.BACKPRESSURE:
            self.stalled.clear()

    def join(self, descriptor: int) -> Connection:
        """Serve a connection from now on (FWD-5)."""
        connection = Connection(self.next_id, descriptor, self._storage, self._clock())
        self.next_id += 1
        self.connections[connection.id] = connection
        self._receivers[connection.id] = connection
        self._changed = True
        self._past.joined += 1
        return connection

    def read(self, sender: Connection) -> bool:
        """One read of what a client sent, one scan, one fan-out; False at the end of its stream.

        Raises BlockingIOError when there is nothing to read, OSError when the connection is broken.
        """
        buffer = self._buffer
        partial = sender.partial
        start: i64 = 0
        if partial is not None:
            start = len(partial)
            if sender.needed > self._read_bytes // 2:  # it is collected where it is, not moved with every read
                return self._read_behind(sender, partial)
            buffer[:start] = partial
        wide = len(self._receivers) > _MANY_RECEIVERS  # a read of many receivers is a turn's work by itself
        if (wide and self._changed) or self.tap is not None or self._should_forward is not None:
            return self._read_with_care(sender, start)
        self._make_ready()
        skipped: i64 = -1 if self._echo else sender.place
        most: i64 = 1 if wide or self._blocked or self._unproven else _MOST_READS
        turn = self._turn(sender.descriptor, buffer, start, self._scanner, self._descriptors, skipped, most)
        got: i64 = turn[0]
        frames: i64 = turn[1]
        if got == 0:
            return False
        sender.received_bytes += got
        if turn[6] > 0:
            sender.received_frames += turn[6]
            self._count(sender, turn[7], turn[6], skipped)
            self._forget_partial(sender)
        if frames < 0:  # a frame is refused, or the bytes cannot be framed
            self._take(sender, buffer, turn[3])
            return True
        if frames > 0:
            sender.received_frames += frames
            self._account(sender, buffer, 0, turn[2], frames, skipped, turn[5])
            if sender.close_reason is not None:
                self._keep_bound()
                return True
        self._keep_rest(sender, buffer, turn[2], turn[3], turn[4])
        return True

    def _count(self, sender: Connection, size: i64, frames: i64, skipped: i64) -> None:
        """Count what every ready receiver was sent."""
        for receiver in self._ready:
            receiver.delivered_frames += frames
            receiver.sent_bytes += size
        offered: i64 = frames * len(self._ready)
        if skipped >= 0:
            sender.delivered_frames -= frames
            sender.sent_bytes -= size
            offered -= frames
        self._past.offered_frames += offered

    def _read_with_care(self, sender: Connection, start: i64) -> bool:
        """The same where somebody looks at every scan, or at every frame, or where many receivers have changed.

        To sort these takes long, and is spared where nothing is to be sent: many may leave at once.
        """
        got: i64 = self._receive(sender.descriptor, self._buffer, start)
        if got == 0:
            return False
        sender.received_bytes += got
        self._take(sender, self._buffer, start + got)
        return True

    def receive(self, sender: Connection, data: bytes) -> None:
        """Take bytes that a connection sent: its whole frames go to all receivers, the rest waits (FRAME-1)."""
        sender.received_bytes += len(data)
        if sender.partial is None:
            self._take(sender, data, len(data))
        else:
            self._extend(sender, sender.partial, data)

    def _read_behind(self, sender: Connection, partial: bytearray) -> bool:
        got: i64 = self._receive(sender.descriptor, self._buffer, 0)
        if got == 0:
            return False
        sender.received_bytes += got
        self._extend(sender, partial, memoryview(self._buffer)[:got])
        return True

    def _extend(self, sender: Connection, partial: bytearray, data: bytes | memoryview) -> None:
        partial += data
        self._incomplete_bytes += len(data)
        if sender.needed <= HEADER_SIZE or len(partial) >= sender.needed:
            self._take(sender, partial, len(partial))
        else:
            self._keep_bound()

    def _take(self, sender: Connection, data: bytes | bytearray, stop: i64) -> None:
        """Scan ``data[:stop]``, the incomplete frame of the last read in front, and forward what is whole."""
        start: i64 = 0
        while True:
            scan = self._scanner.scan(data, start, stop)
            if self.tap is not None:
                self.tap(sender, data, scan)
            self._deliver(sender, data, scan)
            if sender.close_reason is not None:  # its own echo was too much for it: the rest stays unread
                self._keep_bound()
                return
            if scan.fault == 0:
                break
            if sender.framing_error is None:
                found = bytes(data[scan.consumed : min(stop, scan.consumed + FRAMING_ERROR_BYTES)])
                sender.framing_error = FramingError(sender.received_bytes - (stop - scan.consumed), scan.fault, found)
            if not self._resync:
                self.disconnect(sender, CloseReason.FRAMING_ERROR)
                self._keep_bound()
                return
            start = _next_magic(data, scan.consumed + 1, stop)
            self._past.skipped_bytes += start - scan.consumed
        self._keep_rest(sender, data, scan.consumed, stop, scan.needed)

    def _keep_rest(self, sender: Connection, data: bytes | bytearray, consumed: i64, stop: i64, needed: i64) -> None:
        """Keep the incomplete frame at the end of a read for the next one, and all queues within their bound."""
        if consumed == stop:
            self._forget_partial(sender)
        else:
            if sender.partial is None or consumed > 0:
                sender.partial_since = self._clock()
                self._forget_partial(sender)  # it goes to the end of those that stand
                self._incomplete[sender.id] = sender
            else:
                self._incomplete_bytes -= len(sender.partial)
            sender.partial = bytearray(memoryview(data)[consumed:stop])
            self._incomplete_bytes += stop - consumed
            sender.needed = needed
        self._keep_bound()

    def _keep_bound(self) -> None:
        """Keep all queues together within their bound (ISO-2): at the end of each read, even of a client's last."""
        if self._is_too_much():
            self.shed()

    def _forget_partial(self, sender: Connection) -> None:
        if sender.partial is not None:
            self._incomplete_bytes -= len(sender.partial)
            sender.partial = None
            del self._incomplete[sender.id]

    def _is_too_much(self) -> bool:
        """Whether all that is held is past its bound; a single incomplete frame may always come to its end."""
        incomplete: i64 = self._incomplete_bytes if len(self._incomplete) > 1 else 0
        return self._storage.bytes + incomplete > self._total_bytes

    def drain(self, connection: Connection) -> bool:
        """Send what waits for a connection, as much as its socket takes; True when nothing is left."""
        if not connection.blocked:
            return True
        budget: i64 = MOST_BYTES
        while connection.backlog.frames > 0 and budget > 0:
            parts, size = connection.backlog.gather()
            try:
                taken: i64 = self._send(connection.descriptor, parts)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                self.end_output(connection)
                return True
            connection.reading = True  # its socket was full, and took bytes again
            self._advance(connection, taken)
            if taken < size:
                return False
            budget -= taken
        if connection.backlog.frames > 0:
            return False
        connection.reading = True
        connection.only_sends = False
        connection.blocked = False
        connection.keeps_up = True
        self._changed = True
        return True

    def end_input(self, connection: Connection) -> None:
        """The client sends no more; it goes on receiving (CONN-7). Its incomplete frame is forgotten (FRAME-4)."""
        connection.input_open = False
        self._forget_partial(connection)
        if not connection.output_open:
            self.disconnect(connection, CloseReason.PEER_LEFT)

    def end_output(self, connection: Connection) -> None:
        """The client receives no more; what it has sent is still read to its end (CONN-6)."""
        connection.output_open = False
        self._forget_receiver(connection)
        if not connection.input_open:
            self.disconnect(connection, CloseReason.PEER_LEFT)

    def disconnect(self, connection: Connection, reason: CloseReason) -> None:
        """End a connection at once; its queue is dropped and counted. Doing it twice does nothing."""
        if self.connections.pop(connection.id, None) is None:
            return
        self._forget_receiver(connection)
        self._forget_partial(connection)
        connection.input_open = False
        connection.output_open = False
        connection.close_reason = reason
        past = self._past
        past.closed[reason] += 1
        _add(past, connection)
        self.closing.append(connection)
        self.unsettled = True

    def refuse(self, reason: CloseReason) -> None:
        """Count a connection that was not let in (CONN-5, SEC-2)."""
        self._past.closed[reason] += 1

    def partial_since_before(self, moment: float) -> list[Connection]:
        """Connections whose incomplete frame began before a moment of the clock (FRAME-5)."""
        found: list[Connection] = []
        for connection in self._incomplete.values():  # in the order in which they began
            if connection.partial_since >= moment:
                break
            found.append(connection)
        return found

    def stalled_since_before(self, moment: float) -> list[Connection]:
        """Receivers that have held up the others since before a moment of the clock (ISO-3)."""
        return [c for c in self.stalled.values() if c.stalled_since <= moment]

    def begin_waiting(self) -> None:
        """The server lets those that lag catch up: remember how far each is."""
        for connection in self.lagging.values():
            connection.sent_mark = connection.sent_bytes

    def end_waiting(self) -> float:
        """Give up on those that took nothing for some times (ISO-1); how full the fullest queue is, from 0 to 1."""
        fullest: i64 = 0
        for connection in list(self.lagging.values()):
            connection.waits = 0 if connection.sent_bytes > connection.sent_mark else connection.waits + 1
            if connection.waits == _MOST_WAITS:
                connection.keeps_up = False
                del self.lagging[connection.id]
            elif connection.backlog.bytes > fullest:
                fullest = connection.backlog.bytes
        return int(fullest) / int(self._queue_bytes)

    def receiver_count(self, sender: Connection) -> int:
        """How many connections a frame of a sender is offered to now."""
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
            incomplete_bytes=self._incomplete_bytes,
            connections=len(self.connections),
            joined=past.joined,
            closed=past.closed.copy(),
        )
        for connection in self.connections.values():
            _add(totals, connection)
        return totals

    def begin_copy(self) -> list[memoryview]:
        """The bytes that wait and will not change any more, for a copy that is made while the hub goes on.

        Until :meth:`end_copy` an export leaves them out, and says where in the copy they are.
        """
        segments: list[Segment] = []
        for connection in self.connections.values():
            segments += connection.backlog.segments()
        return self._storage.begin_copy(segments)

    def end_copy(self) -> None:
        """Forget the copy: an export is whole again."""
        self._storage.end_copy()

    def export(self) -> tuple[HubState, list[memoryview]]:
        """All that it knows, and the bytes that wait (LIFE-3); the server has closed all that had ended.

        The hub is as it was: it can go on, should nobody take its connections over (LIFE-4).
        """
        assert not self.closing
        table: dict[Segment, int] = {}
        connections = [connection.export(table) for connection in self.connections.values()]
        segments, parts = self._storage.export(table)
        number, open_segment = self._storage.open_index(table)
        state = HubState(
            next_id=self.next_id,
            past=self._past.export(),
            segment_number=number,
            open_segment=open_segment,
            segments=segments,
            connections=connections,
            incomplete=list(self._incomplete),
            stalled=list(self.stalled),
            lagging=list(self.lagging),
            losing=[connection.id for connection in self.losing if connection.close_reason is None],
            overfull=self.overfull,
        )
        return state, parts

    def restore(self, state: HubState, descriptors: list[int], data: WaitingData) -> None:
        """Know what another hub knew, in a hub that has no connection yet; ``descriptors`` are of its connections.

        Neither reads nor writes: the connections are still the other's. Those that wait for room are ``backlogged``.
        Raises :class:`~torq_engine.handover.state.StateError` for a state whose parts do not fit.
        """
        if len(descriptors) != len(state.connections):
            raise StateError(f"{len(descriptors)} descriptors for {len(state.connections)} connections")
        table = self._storage.restore(state, data)
        for each, descriptor in zip(state.connections, descriptors, strict=True):
            connection = Connection.restore(each, descriptor, self._storage, table)
            self.connections[connection.id] = connection
            if connection.output_open:
                self._receivers[connection.id] = connection
                if connection.blocked:
                    self.backlogged.append(connection)
        for number in state.incomplete:
            connection = self._known(number)
            if connection.partial is None:
                raise StateError(f"connection {number} has no incomplete frame")
            self._incomplete[number] = connection
            self._incomplete_bytes += len(connection.partial)
        for number in state.stalled:
            self.stalled[number] = self._known(number)
        for number in state.lagging:
            self.lagging[number] = self._known(number)
        self.losing = [self._known(number) for number in state.losing]
        self._past = Totals.restore(state.past)
        self.next_id = state.next_id
        self.overfull = state.overfull
        self._changed = True
        self.unsettled = True

    def _known(self, number: int) -> Connection:
        connection = self.connections.get(number)
        if connection is None:
            raise StateError(f"there is no connection {number}")
        return connection

    def _deliver(self, sender: Connection, data: bytes | bytearray, scan: Scan) -> None:
        frames: i64 = scan.frames
        runs = scan.runs
        refused: i64 = len(scan.refused)
        sender.received_frames += frames + refused
        if refused:
            for _, _, kind in scan.refused:
                self._refuse(sender, kind, 1)
        if self._should_forward is not None:
            runs, kept = self._filtered(data, runs)
            if kept < frames:
                self._refuse(sender, REFUSED_BY_LOGIC, frames - kept)
            refused += frames - kept
            frames = kept
        sender.refused_frames += refused
        if frames == 0:
            return
        if len(runs) == 1:
            start, stop, _ = runs[0]
            self._fan_out(sender, data, start, stop, frames)
        else:  # foreign frames between ours: one send all the same
            view = memoryview(data)
            joined = b"".join([view[start:stop] for start, stop, _ in runs])
            self._fan_out(sender, joined, 0, len(joined), frames)

    def _refuse(self, sender: Connection, kind: int, frames: i64) -> None:
        self._past.refused_frames[kind] += frames
        sender.refused_by_kind[kind] = sender.refused_by_kind.get(kind, 0) + frames

    def _filtered(
        self, data: bytes | bytearray, runs: list[tuple[int, int, int]]
    ) -> tuple[list[tuple[int, int, int]], int]:
        """The runs without the frames that the logic does not forward, and how many frames they have."""
        should_forward = self._should_forward
        assert should_forward is not None
        kept: list[tuple[int, int, int]] = []
        total = 0
        for start, stop, _ in runs:
            position: i64 = start
            run_start: i64 = start
            frames: i64 = 0
            while position < stop:
                size = frame_size(data, position)
                if should_forward(MessageHeader.from_bytes(bytes(data[position : position + HEADER_SIZE]))):
                    frames += 1
                else:
                    if frames:
                        kept.append((run_start, position, frames))
                        total += frames
                    frames = 0
                    run_start = position + size
                position += size
            if frames:
                kept.append((run_start, position, frames))
                total += frames
        return kept, total

    def _fan_out(self, sender: Connection, data: bytes | bytearray, start: i64, stop: i64, frames: i64) -> None:
        """Send accepted frames to every receiver that is ready, and keep them for those that are blocked."""
        self._make_ready()
        skipped: i64 = -1 if self._echo else sender.place
        short = self._send_all(self._descriptors, data, start, stop, skipped)
        self._account(sender, data, start, stop, frames, skipped, short)

    def _make_ready(self) -> None:
        """Know who is ready for the next frames."""
        if self._changed:
            self._sort_receivers()
        if self._unproven:
            self._prove_readers()

    def _account(
        self,
        sender: Connection,
        data: bytes | bytearray,
        start: i64,
        stop: i64,
        frames: i64,
        skipped: i64,
        short: list[tuple[int, int]] | None,
    ) -> None:
        """Count what the ready receivers took, and keep what others did not, or could not."""
        size: i64 = stop - start
        self._count(sender, size, frames, skipped)
        if short is None and not self._blocked:
            return
        self._releases = _MOST_RELEASES
        offered: i64 = 0
        segment: Segment | None = None
        if short is not None:
            for place, taken in short:
                receiver = self._ready[place]
                receiver.delivered_frames -= frames
                receiver.sent_bytes -= size
                if taken < 0:
                    receiver.dropped_frames[_CLOSED] += frames
                    self._failed.append((receiver, CloseReason.PEER_LEFT))
                else:
                    self._block(receiver)
                    segment = segment or self._storage.keep(data, start, stop)
                    self._enqueue(receiver, segment, size, frames, taken, receiver is sender)
        for receiver in self._blocked:
            if receiver is sender and not self._echo:
                continue
            offered += frames
            if not receiver.reading and self._is_given_up(receiver):
                receiver.dropped_frames[_NEVER_READ] += frames
            else:
                segment = segment or self._storage.keep(data, start, stop)
                self._enqueue(receiver, segment, size, frames, 0, receiver is sender)
        self._past.offered_frames += offered
        while self._failed:
            failed, reason = self._failed.pop()
            if reason is CloseReason.PEER_LEFT:
                self.end_output(failed)
            else:
                self.disconnect(failed, reason)

    def _sort_receivers(self) -> None:
        """Part the receivers into those that are ready and those that are blocked, each in join order."""
        self._changed = False
        self._ready = [c for c in self._receivers.values() if not c.blocked]
        self._blocked = [c for c in self._receivers.values() if c.blocked]
        self._unproven = [c for c in self._ready if not c.reading]
        self._descriptors = array.array("i", [c.descriptor for c in self._ready])
        for place, receiver in enumerate(self._ready):
            receiver.place = place
        for receiver in self._blocked:
            receiver.place = -1

    def _prove_readers(self) -> None:
        """Look at the receivers that were not seen to read yet; those that were are not looked at again."""
        proven = False
        for receiver in self._unproven:
            if receiver.sent_bytes > 0 and self._is_reading(receiver):
                proven = True
        if proven:
            self._unproven = [c for c in self._unproven if not c.reading]

    def _is_reading(self, receiver: Connection) -> bool:
        """Whether the client was seen to read: its socket holds less than when it was last looked at, or nothing."""
        try:
            unread: i64 = self._unread(receiver.descriptor)
        except OSError:  # its next send says what is wrong
            return receiver.reading
        if unread < receiver.unread_mark or (unread == 0 and receiver.sent_bytes > 0):
            receiver.reading = True
            receiver.only_sends = False
        receiver.unread_mark = unread
        return receiver.reading

    def _is_given_up(self, receiver: Connection) -> bool:
        """Whether a blocked client that was never seen to read only sends (ISO-7): its grace is over (ISO-8)."""
        if receiver.only_sends:
            receiver.passed_over += 1
            return receiver.passed_over % _LOOK_EVERY != 0 or not self._is_reading(receiver)
        if self._clock() < receiver.joined_at + self._grace or self._is_reading(receiver) or self._releases <= 0:
            return False
        self._releases -= len(receiver.backlog.queue)
        receiver.only_sends = True
        receiver.dropped_frames[_NEVER_READ] += receiver.backlog.drop_whole()
        self.losing.append(receiver)
        self.unsettled = True
        return True

    def _block(self, receiver: Connection) -> None:
        receiver.blocked = True
        self._changed = True
        self.backlogged.append(receiver)
        self.unsettled = True
        if not receiver.reading:
            self._is_reading(receiver)

    def _enqueue(self, receiver: Connection, segment: Segment, size: i64, frames: i64, taken: i64, own: bool) -> None:
        """Keep what a receiver's socket did not take, within the bounds of its queue."""
        backlog = receiver.backlog
        backlog.push(segment, segment.filled - size, segment.filled, frames)
        if taken > 0:
            self._advance(receiver, taken)
        if backlog.frames > self._queue_frames or backlog.bytes > self._queue_bytes:
            self._overflowing(receiver, size, frames, own)
        if receiver.keeps_up and receiver.reading and backlog.bytes > self._lagging_bytes:
            self.lagging[receiver.id] = receiver
            self.unsettled = True

    def _overflowing(self, receiver: Connection, size: i64, frames: i64, own: bool) -> None:
        reads = receiver.reading or self._is_reading(receiver)
        if self._overflow is Overflow.DROP_OLDEST or not reads:
            dropped: i64 = receiver.backlog.drop_oldest(self._queue_frames, self._queue_bytes)
            if reads:
                self._lose(receiver, _QUEUE_FULL, dropped)
            else:
                receiver.dropped_frames[_NEVER_READ] += dropped
        elif self._overflow is Overflow.DISCONNECT:
            if self._releases <= 0:
                return  # it is still past its bound at the next read
            self._releases -= len(receiver.backlog.queue)
            self._failed.append((receiver, CloseReason.SLOW_CONSUMER))
        elif own:
            receiver.dropped_frames[_OWN_ECHO] += receiver.backlog.drop_newest(size, frames)
        elif receiver.id not in self.stalled:
            receiver.stalled_since = self._clock()
            self.stalled[receiver.id] = receiver
            self.unsettled = True

    def _lose(self, receiver: Connection, reason: int, frames: i64) -> None:
        """A receiver that reads is too slow: frames of its queue are dropped."""
        receiver.dropped_frames[reason] += frames
        if frames > 0 and not receiver.losing:
            receiver.losing = True
            self.losing.append(receiver)
            self.unsettled = True

    def _advance(self, connection: Connection, taken: i64) -> None:
        """The socket took bytes from the front of what waited."""
        connection.sent_bytes += taken
        connection.delivered_frames += connection.backlog.advance(taken)
        if connection.id in self.stalled and self._is_half_empty(connection):
            del self.stalled[connection.id]
        if connection.id in self.lagging and connection.backlog.bytes * 2 <= self._lagging_bytes:
            del self.lagging[connection.id]
        if not connection.keeps_up and connection.sent_bytes - connection.sent_mark > self._lagging_bytes:
            connection.keeps_up = True
            connection.waits = 0

    def shed(self) -> None:
        """Queues and incomplete frames hold too much together: the kind that holds more gives way.

        So clients that send beginnings of frames do not take the room of slow readers, nor slow readers theirs. Of
        queues, those that lag most lose their oldest frames, or are disconnected. A call does its share of the work;
        ``overfull`` says whether some is left.
        """
        share: i64 = max(_MOST_RELEASES, 4 * len(self.connections))
        self.overfull = False
        while self._is_too_much():
            if share <= 0:
                self.overfull = self.unsettled = True
                return
            share -= len(self.connections)
            if len(self._incomplete) > 1 and self._incomplete_bytes > self._storage.bytes:
                self._end_oldest_beginning()
                continue
            waiting = [c for c in self._receivers.values() if c.backlog.queue]
            if not waiting:
                return
            oldest = min([c.backlog.queue[0].segment.number for c in waiting])
            for connection in waiting:
                if connection.backlog.queue[0].segment.number != oldest:
                    continue
                share -= 1
                if self._overflow is not Overflow.DROP_OLDEST and connection.reading:
                    share -= len(connection.backlog.queue)
                    self.disconnect(connection, CloseReason.SLOW_CONSUMER)
                    if share <= 0:
                        break
                else:
                    dropped: i64 = connection.backlog.drop_head()
                    if connection.reading:
                        self._lose(connection, _TOTAL_FULL, dropped)
                    else:
                        connection.dropped_frames[_TOTAL_FULL] += dropped

    def _end_oldest_beginning(self) -> None:
        """End the connection whose incomplete frame stands longest, of those that hold their share (FRAME-5)."""
        share: i64 = self._incomplete_bytes // len(self._incomplete)
        for connection in self._incomplete.values():
            if connection.partial is not None and len(connection.partial) >= share:
                self.disconnect(connection, CloseReason.TOTAL_FULL)
                return

    def _is_half_empty(self, connection: Connection) -> bool:
        if connection.backlog.frames * 2 > self._queue_frames:
            return False
        return connection.backlog.bytes * 2 <= self._queue_bytes

    def _forget_receiver(self, connection: Connection) -> None:
        if self._receivers.pop(connection.id, None) is not None:
            self._changed = True
        connection.place = -1
        connection.dropped_frames[_CLOSED] += connection.backlog.discard()
        self.stalled.pop(connection.id, None)
        self.lagging.pop(connection.id, None)


def _next_magic(data: bytes | bytearray, position: i64, stop: i64) -> i64:
    """Where the next frame may start, at or behind an offset; as much of a magic as ends the data may begin one."""
    found: i64 = data.find(MAGIC_BYTES, position, stop)
    if found >= 0:
        return found
    length: i64 = 3
    while length > 0:
        if stop - length >= position and data[stop - length : stop] == MAGIC_BYTES[:length]:
            return stop - length
        length -= 1
    return stop


def _add(totals: Totals, connection: Connection) -> None:
    totals.received_bytes += connection.received_bytes
    totals.received_frames += connection.received_frames
    totals.delivered_frames += connection.delivered_frames
    totals.delivered_bytes += connection.sent_bytes
    totals.queued_frames += connection.backlog.frames
    totals.queued_bytes += connection.backlog.bytes
    for reason, count in enumerate(connection.dropped_frames):
        totals.dropped_frames[reason] += count
