"""The hub as lists: what it must do, written a second time without any of its means.

Every frame is its own entry, every queue a list, every stream of bytes is parsed from its start. Slow and plain.
"""

from dataclasses import dataclass, field

from .frames import MAGIC


@dataclass
class ModelSettings:
    echo: bool
    overflow: str
    queue_frames: int
    queue_bytes: int
    total_queue_bytes: int
    resync: bool
    odd_only: bool
    grace: float
    domain: int = 1
    limit: int = 256


@dataclass
class ModelConnection:
    number: int
    room: int
    buffer: bytes = b""
    began: int = 0
    unread: int = 0
    stream: bytes = b""
    torn: bytes = b""
    queue: list[tuple[int, bytes]] = field(default_factory=list)
    torn_segment: int = 0
    torn_apart: int = 0
    torn_anew: bool = False
    joined_at: float = 0.0
    blocked: bool = False
    reading: bool = False
    only_sends: bool = False
    given_up: int = 0
    mark: int = 0
    passed_over: int = 0
    input_open: bool = True
    output_open: bool = True
    broken: bool = False
    reason: str = ""
    received: int = 0
    refused: int = 0
    offered: int = 0
    delivered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, frames: int) -> None:
        if frames:
            self.dropped[reason] = self.dropped.get(reason, 0) + frames

    def look(self) -> bool:
        """What the socket shows: the client has read when it holds less than before, or nothing."""
        if self.unread < self.mark or (self.unread == 0 and self.stream):
            self.reading = True
            self.only_sends = False
        self.mark = self.unread
        return self.reading

    def queued_frames(self) -> int:
        return len(self.queue) + bool(self.torn)

    def queued_bytes(self) -> int:
        return len(self.torn) + sum(len(frame) for _, frame in self.queue)

    def take(self, data: bytes) -> bytes:
        """The outlet takes what it has room for; the rest is returned."""
        count = min(self.room - self.unread, len(data))
        self.stream += data[:count]
        self.unread += count
        return data[count:]

    def flush(self) -> bool:
        """Send what waits, as far as the room goes; True when any byte went."""
        before = len(self.stream)
        if self.torn:
            self.torn = self.take(self.torn)
            self.delivered += not self.torn
        while self.queue and not self.torn and self.unread < self.room:
            self.torn_segment, frame = self.queue.pop(0)
            self.torn_apart, self.torn_anew = 0, True
            self.torn = self.take(frame)
            self.delivered += not self.torn
        return len(self.stream) > before


SEGMENT_BYTES = 65_536


class ModelHub:
    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.now = 0.0
        self.connections: dict[int, ModelConnection] = {}
        self.gone: list[ModelConnection] = []
        self.segments: list[list[int]] = [[0, 0]]
        self.stalled: set[int] = set()
        self.skipped = 0
        self.beginnings = 0

    def join(self, number: int, room: int) -> None:
        self.connections[number] = ModelConnection(number, room, joined_at=self.now)

    def receive(self, number: int, data: bytes) -> None:
        self._receive(number, data)
        self._shed()

    def _receive(self, number: int, data: bytes) -> None:
        sender = self.connections[number]
        stream = sender.buffer + data
        while True:
            batch, stream, fault = self._cut(sender, stream)
            if batch:
                self._offer(sender, batch)
                if sender.reason:
                    return
            if not fault:
                break
            if not self.settings.resync:
                self.disconnect(number, "FRAMING_ERROR")
                return
            skip = next(i for i in range(1, len(stream) + 1) if MAGIC.startswith(stream[i : i + 4]))
            self.skipped += skip
            stream = stream[skip:]
        if not sender.buffer or len(stream) < len(sender.buffer + data):
            self.beginnings += 1
            sender.began = self.beginnings
        sender.buffer = stream

    def _cut(self, sender: ModelConnection, stream: bytes) -> tuple[list[bytes], bytes, bool]:
        """Accepted frames, what is left of the stream, and whether that cannot be framed."""
        batch: list[bytes] = []
        while stream:
            if not MAGIC.startswith(stream[:4]):
                return batch, stream, True
            if len(stream) < 32:
                break
            size = 32 + int.from_bytes(stream[24:28], "little")
            if size > self.settings.limit:
                return batch, stream, True
            if len(stream) < size:
                break
            frame, stream = stream[:size], stream[size:]
            sender.received += 1
            if frame[4] == self.settings.domain and (frame[8] % 2 or not self.settings.odd_only):
                batch.append(frame)
            else:
                sender.refused += 1
        return batch, stream, False

    def _offer(self, sender: ModelConnection, batch: list[bytes]) -> None:
        receivers = [c for c in self.connections.values() if c.output_open and (self.settings.echo or c is not sender)]
        ready = [c for c in self.connections.values() if c.output_open and not c.blocked]
        blocked = [c for c in receivers if c.blocked]
        for receiver in ready:
            if not receiver.reading and receiver.stream:
                receiver.look()
        self.kept = 0
        failed: list[tuple[ModelConnection, str]] = []
        short = []
        for receiver in receivers:
            receiver.offered += len(batch)
            if receiver.blocked:
                continue
            if receiver.broken:
                receiver.drop("CLOSED", len(batch))
                failed.append((receiver, "PEER_LEFT"))
                continue
            receiver.queue += [(-1, frame) for frame in batch]
            receiver.flush()
            if receiver.queued_frames():
                short.append(receiver)
        for receiver in short:
            segment = self._keep(batch)
            receiver.queue = [(segment, frame) for _, frame in receiver.queue]
            receiver.torn_segment = segment
            self._part(receiver)
            receiver.blocked = True
            if not receiver.reading:
                receiver.look()
            self._bound(receiver, batch, receiver is sender, failed)
        for receiver in blocked:
            if not receiver.reading and self._given_up(receiver):
                receiver.drop("NEVER_READ", len(batch))
                continue
            segment = self._keep(batch)
            receiver.queue += [(segment, frame) for frame in batch]
            self._bound(receiver, batch, receiver is sender, failed)
        for receiver, reason in reversed(failed):
            if reason == "PEER_LEFT":
                self.end_output(receiver.number)
            else:
                self.disconnect(receiver.number, reason)

    def _keep(self, batch: list[bytes]) -> int:
        """The segment of the log that the batch is copied to, once."""
        if not self.kept:
            size = len(b"".join(batch))
            room, filled = self.segments[-1]
            if not self._holders(len(self.segments) - 1):
                filled = 0
            if room - filled < size:
                self.segments.append([max(size, SEGMENT_BYTES), size])
            else:
                self.segments[-1][1] = filled + size
            self.kept = len(self.segments) - 1
        return self.kept

    def _part(self, receiver: ModelConnection) -> None:
        """A rest that is small beside its segment stands by itself from the moment at which its frame is torn."""
        if receiver.torn and receiver.torn_anew and len(receiver.torn) * 16 < self.segments[receiver.torn_segment][1]:
            receiver.torn_apart = len(receiver.torn)
        receiver.torn_anew = False

    def _holders(self, segment: int) -> bool:
        return any(
            (c.torn and not c.torn_apart and c.torn_segment == segment)
            or any(number == segment for number, _ in c.queue)
            for c in self.connections.values()
        )

    def _given_up(self, receiver: ModelConnection) -> bool:
        if receiver.only_sends:
            receiver.passed_over += 1
            return bool(receiver.passed_over % 64) or not receiver.look()
        if self.now < receiver.joined_at + self.settings.grace or receiver.look():
            return False
        receiver.only_sends = True
        receiver.given_up += 1
        receiver.drop("NEVER_READ", len(receiver.queue))
        receiver.queue = []
        return True

    def _bound(
        self, receiver: ModelConnection, batch: list[bytes], own: bool, failed: list[tuple[ModelConnection, str]]
    ) -> None:
        """Apply the overflow policy to a receiver whose queue is past its bound."""
        if not self._over(receiver):
            return
        policy = self.settings.overflow
        reads = receiver.reading or receiver.look()
        if not reads or policy == "drop_oldest":
            while receiver.queue and self._over(receiver):
                receiver.queue.pop(0)
                receiver.drop("QUEUE_FULL" if reads else "NEVER_READ", 1)
        elif policy == "disconnect":
            failed.append((receiver, "SLOW_CONSUMER"))
        elif own:
            taken_back = min(len(batch), len(receiver.queue))
            receiver.drop("OWN_ECHO", taken_back)
            del receiver.queue[len(receiver.queue) - taken_back :]
        else:
            self.stalled.add(receiver.number)

    def _over(self, receiver: ModelConnection) -> bool:
        settings = self.settings
        if settings.queue_frames and receiver.queued_frames() > settings.queue_frames:
            return True
        return receiver.queued_bytes() > settings.queue_bytes

    def held(self) -> int:
        shared = sum(filled for number, (_, filled) in enumerate(self.segments) if self._holders(number))
        return shared + sum(c.torn_apart for c in self.connections.values() if c.torn)

    def incomplete(self) -> int:
        return sum(len(c.buffer) for c in self.connections.values())

    def _shed(self) -> None:
        while True:
            standing = [c for c in self.connections.values() if c.buffer]
            incomplete = self.incomplete() if len(standing) > 1 else 0
            if self.held() + incomplete <= self.settings.total_queue_bytes:
                return
            if incomplete > self.held():
                large = [c for c in standing if len(c.buffer) * len(standing) > self.incomplete() - len(standing)]
                self.disconnect(min(large, key=lambda c: c.began).number, "TOTAL_FULL")
                continue
            waiting = [c for c in self.connections.values() if c.queue]
            if not waiting:
                return
            oldest = min(c.queue[0][0] for c in waiting)
            for connection in waiting:
                if connection.queue[0][0] != oldest:
                    continue
                if self.settings.overflow != "drop_oldest" and connection.reading:
                    self.disconnect(connection.number, "SLOW_CONSUMER")
                    continue
                kept = [entry for entry in connection.queue if entry[0] != oldest]
                connection.drop("TOTAL_FULL", len(connection.queue) - len(kept))
                connection.queue = kept

    def drain(self, number: int) -> bool:
        connection = self.connections[number]
        if not connection.blocked:
            return True
        if connection.queued_frames():
            if connection.broken:
                self.end_output(number)
                return True
            if connection.flush():
                connection.reading = True
                self._part(connection)
                half_frames = connection.queued_frames() * 2 <= (self.settings.queue_frames or 1 << 60)
                if half_frames and connection.queued_bytes() * 2 <= self.settings.queue_bytes:
                    self.stalled.discard(number)
            if connection.queued_frames():
                return False
        connection.reading = True
        connection.only_sends = connection.blocked = False
        return True

    def end_input(self, number: int) -> None:
        connection = self.connections[number]
        connection.input_open = False
        connection.buffer = b""
        if not connection.output_open:
            self.disconnect(number, "PEER_LEFT")

    def end_output(self, number: int) -> None:
        connection = self.connections[number]
        connection.output_open = False
        self._discard(connection)
        if not connection.input_open:
            self.disconnect(number, "PEER_LEFT")

    def disconnect(self, number: int, reason: str) -> None:
        connection = self.connections.pop(number, None)
        if connection is not None:
            self._discard(connection)
            connection.reason = reason
            self.gone.append(connection)

    def _discard(self, connection: ModelConnection) -> None:
        connection.drop("CLOSED", connection.queued_frames())
        connection.queue = []
        connection.torn = b""
        self.stalled.discard(connection.number)
