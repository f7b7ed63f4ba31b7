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
    domain: int = 1
    limit: int = 256


@dataclass
class ModelConnection:
    number: int
    room: int
    buffer: bytes = b""
    unread: int = 0
    stream: bytes = b""
    torn: bytes = b""
    queue: list[tuple[int, bytes]] = field(default_factory=list)
    seen: bool = False
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

    def reads(self) -> bool:
        return self.seen or len(self.stream) > 2 * self.room

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
            _, frame = self.queue.pop(0)
            self.torn = self.take(frame)
            self.delivered += not self.torn
        return len(self.stream) > before


class ModelHub:
    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.connections: dict[int, ModelConnection] = {}
        self.gone: list[ModelConnection] = []
        self.chunk_sizes: dict[int, int] = {}
        self.chunks = 0
        self.stalled: set[int] = set()
        self.skipped = 0

    def join(self, number: int, room: int) -> None:
        self.connections[number] = ModelConnection(number, room)

    def receive(self, number: int, data: bytes) -> None:
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
        sender.buffer = stream
        self._shed()

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
        self.chunks += 1
        self.chunk_sizes[self.chunks] = len(b"".join(batch))
        failed = []
        for receiver in list(self.connections.values()):
            if not receiver.output_open or (receiver is sender and not self.settings.echo):
                continue
            receiver.offered += len(batch)
            waiting = receiver.queued_frames()
            if not waiting and receiver.broken:
                receiver.drop("CLOSED", len(batch))
                failed.append((receiver, "PEER_LEFT"))
                continue
            receiver.queue += [(self.chunks, frame) for frame in batch]
            if not waiting:
                receiver.flush()
            if self._over(receiver) and not self._settled(receiver, own=receiver is sender):
                failed.append((receiver, "SLOW_CONSUMER"))
        for receiver, reason in failed:
            if reason == "PEER_LEFT":
                self.end_output(receiver.number)
            else:
                self.disconnect(receiver.number, reason)

    def _over(self, receiver: ModelConnection) -> bool:
        settings = self.settings
        return receiver.queued_frames() > settings.queue_frames or receiver.queued_bytes() > settings.queue_bytes

    def _settled(self, receiver: ModelConnection, own: bool) -> bool:
        """Apply the overflow policy; False when the receiver must go."""
        policy = self.settings.overflow
        if not receiver.reads() or policy == "drop_oldest":
            reason = "QUEUE_FULL" if receiver.reads() else "NEVER_READ"
            while receiver.queue and self._over(receiver):
                receiver.queue.pop(0)
                receiver.drop(reason, 1)
            return True
        if policy == "disconnect":
            return False
        if own:
            kept = [entry for entry in receiver.queue if entry[0] != self.chunks]
            receiver.drop("OWN_ECHO", len(receiver.queue) - len(kept))
            receiver.queue = kept
        else:
            self.stalled.add(receiver.number)
        return True

    def held(self) -> int:
        waiting = {number for c in self.connections.values() for number, _ in c.queue}
        return sum(self.chunk_sizes[number] for number in waiting)

    def _shed(self) -> None:
        while self.held() > self.settings.total_queue_bytes:
            oldest = min(c.queue[0][0] for c in self.connections.values() if c.queue)
            for connection in list(self.connections.values()):
                if not connection.queue or connection.queue[0][0] != oldest:
                    continue
                if self.settings.overflow != "drop_oldest" and connection.reads():
                    self.disconnect(connection.number, "SLOW_CONSUMER")
                    continue
                kept = [entry for entry in connection.queue if entry[0] != oldest]
                connection.drop("TOTAL_FULL", len(connection.queue) - len(kept))
                connection.queue = kept

    def drain(self, number: int) -> None:
        connection = self.connections[number]
        if not connection.queued_frames():
            return
        if connection.broken:
            self.end_output(number)
            return
        if connection.flush():
            connection.seen = True
            half_frames = connection.queued_frames() * 2 <= self.settings.queue_frames
            if half_frames and connection.queued_bytes() * 2 <= self.settings.queue_bytes:
                self.stalled.discard(number)

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
