"""ISO-1 to 5 and ISO-7: consumers that do not read."""

import select
import socket
import time

from torq_conformance.specimens.correct.doorway import Doorway
from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.correct.settings import Settings
from torq_conformance.specimens.mutants.table import mutant, replacing

LONG_STALL_S = 2.0
LOOK_S = 0.1
GRACE_S = 10.0


@mutant("head-of-line", "ISO-1 ISO-7", "waits for a consumer that does not read, for as long as it takes")
class HeadOfLine(Outbox):
    patience_s: float | None = None

    def write(self) -> None:
        super().write()
        if self.blocked:
            select.select([], [self.sock], [], self.patience_s)
            super().write()
            self.blocked = False


@mutant("head-of-line-50ms", "ISO-1", "waits 50 ms for a consumer that does not read, at every write to it")
class HeadOfLine50ms(HeadOfLine):
    patience_s = 0.05


@mutant("overflow-torn", "ISO-4", "drops the rest of a frame that is already partly sent")
class OverflowTorn(Outbox):
    def drop_oldest(self, frame: bytes) -> None:
        if self.written:
            self.bytes -= len(self.frames.popleft()) - self.written
            self.written = 0
        super().drop_oldest(frame)


@mutant("overflow-cuts-newest", "ISO-4", "queues the first half of a frame that does not fit")
class OverflowCutsNewest(Relay):
    def deliver(self, receiver: Connection, frame: bytes) -> None:
        full = receiver.outbox.blocked and not receiver.outbox.has_room(frame)
        super().deliver(receiver, frame[: len(frame) // 2] if full else frame)


mutant("queue-unbounded", "ISO-2", "holds everything for a consumer that does not read")(
    replacing(Outbox.has_room, lambda outbox, frame: True)
)


@mutant("queue-bytes-ignored", "ISO-2", "bounds the frames it holds for a consumer but not their bytes")
class QueueBytesIgnored(Outbox):
    def __init__(self, sock: socket.socket, settings: Settings) -> None:
        super().__init__(sock, settings._replace(queue_bytes=1 << 62))


mutant("total-unbounded", "ISO-2", "bounds what it holds for each consumer, and not what it holds for all")(
    replacing(Relay.shed, lambda relay, receivers: None)
)


@mutant("total-starves-all", "ISO-2", "forwards nothing to anybody while all queues together are nearly full")
class TotalStarvesAll(Relay):
    def forward(self, sender: Connection, frame: bytes) -> None:
        if self.held_together() + len(frame) <= self.settings.total_queue_bytes:
            super().forward(sender, frame)


@mutant("overflow-drops-newest", "ISO-3 ISO-5", "drops the new frames instead of the oldest")
class OverflowDropsNewest(Relay):
    def deliver(self, receiver: Connection, frame: bytes) -> None:
        if receiver.outbox.has_room(frame) or not receiver.outbox.blocked:
            super().deliver(receiver, frame)


@mutant("overflow-disconnects", "ISO-3 ISO-7", "disconnects where it should drop the oldest")
class OverflowDisconnects(Relay):
    def deliver(self, receiver: Connection, frame: bytes) -> None:
        if receiver.outbox.blocked and not receiver.outbox.has_room(frame):
            self.close(receiver)
        else:
            super().deliver(receiver, frame)


@mutant("stalled-for-long-closed", "ISO-3 ISO-7", "closes a consumer that is behind and has read nothing for 2 s")
class StalledForLongClosed(Relay):
    def prepare(self) -> None:
        self.unread: dict[Connection, tuple[int, float]] = {}  # bytes, and since when as many

    def seconds_to_wait(self) -> float | None:
        deadline = super().seconds_to_wait()
        return LOOK_S if deadline is None else min(LOOK_S, deadline)

    def tick(self) -> None:
        super().tick()
        now = time.monotonic()
        for connection in list(self.connections.values()):
            unread = connection.outbox.unread_by_peer() if connection.outbox.frames else 0
            before, since = self.unread.get(connection, (0, now))
            if unread == 0 or unread != before:
                self.unread[connection] = unread, now
            elif now - since > LONG_STALL_S:
                self.close(connection)

    def closed(self, connection: Connection) -> None:
        self.unread.pop(connection, None)


@mutant("overflow-drops-for-all", "ISO-1", "drops a frame for everyone when one consumer has no room for it")
class OverflowDropsForAll(Relay):
    def forward(self, sender: Connection, frame: bytes) -> None:
        outboxes = [receiver.outbox for receiver in self.receivers(sender)]
        if not any(outbox.blocked and not outbox.has_room(frame) for outbox in outboxes):
            super().forward(sender, frame)


@mutant("overflow-goes-silent", "ISO-5", "sends a consumer nothing new once it has dropped something")
class OverflowGoesSilent(Outbox):
    dropped = False

    def drop_oldest(self, frame: bytes) -> None:
        self.dropped = True

    def put(self, frame: bytes) -> None:
        if not self.dropped:
            super().put(frame)


@mutant("overflow-newest-first", "ISO-5 ORD-1", "turns the queue round when it overflows")
class OverflowNewestFirst(Outbox):
    def drop_oldest(self, frame: bytes) -> None:
        super().drop_oldest(frame)
        rest = [self.frames.popleft()] if self.written else []
        self.frames.reverse()
        self.frames.extendleft(rest)


@mutant(
    "send-only-disconnected", "ISO-7", "disconnects a client that never read as well", arguments="--overflow disconnect"
)
class SendOnlyDisconnected(Outbox):
    def look_for_reader(self) -> None:
        self.reader_seen = True


@mutant(
    "send-only-stalls", "ISO-7", "stalls everyone for a client that never read", arguments="--overflow backpressure"
)
class SendOnlyStalls(SendOnlyDisconnected):
    pass


@mutant("never-read-closed", "ISO-7", "closes a client that is behind and has read nothing for 10 s since it joined")
class NeverReadClosed(Relay):
    def prepare(self) -> None:
        self.joined_at: dict[Connection, float] = {}

    def opened(self, connection: Connection) -> None:
        self.joined_at[connection] = time.monotonic()

    def closed(self, connection: Connection) -> None:
        del self.joined_at[connection]

    def deliver(self, receiver: Connection, frame: bytes) -> None:
        outbox = receiver.outbox
        never_read = outbox.blocked and not outbox.reader_seen
        if never_read and time.monotonic() - self.joined_at[receiver] > GRACE_S:
            self.give_up(receiver)
        else:
            super().deliver(receiver, frame)

    def give_up(self, receiver: Connection) -> None:
        """What becomes of such a client."""
        self.close(receiver)


@mutant("never-read-forgotten", "ISO-7", "sends nothing more to a client that is behind and has read nothing for 10 s")
class NeverReadForgotten(NeverReadClosed):
    def give_up(self, receiver: Connection) -> None:
        receiver.receiving = False


@mutant("disconnect-ignored", "ISO-3", "drops where it should disconnect", arguments="--overflow disconnect")
class DisconnectIgnored(Outbox):
    def look_for_reader(self) -> None:
        self.reader_seen = False


@mutant("stall-without-end", "ISO-3 ISO-1", "never ends the stall of backpressure", arguments="--overflow backpressure")
class StallWithoutEnd(Relay):
    def seconds_to_wait(self) -> float | None:
        return None

    def tick(self) -> None:
        pass


@mutant("other-policies-unknown", "ISO-3", "drops the oldest frames whatever policy it is told")
class OtherPoliciesUnknown(Relay):
    def __init__(self, settings: Settings, doorway: Doorway) -> None:
        super().__init__(settings._replace(overflow="drop_oldest"), doorway)


@mutant(
    "own-echo-unbounded",
    "ISO-2",
    "under backpressure, keeps all of its echo for a client that sends and reads no more",
    arguments="--overflow backpressure",
)
class OwnEchoUnbounded(Relay):
    def forward(self, sender: Connection, frame: bytes) -> None:
        own = sender.outbox.reader_seen and self.settings.overflow == "backpressure"
        for receiver in self.receivers(sender):
            if own and receiver is sender:
                receiver.outbox.put(frame)
            else:
                self.deliver(receiver, frame)
