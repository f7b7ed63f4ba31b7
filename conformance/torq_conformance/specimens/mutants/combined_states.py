"""Faults of any section that show only where two states meet: blocked and within a frame, late and large."""

import socket
import time
from collections.abc import Iterator
from itertools import islice

from torq_conformance.specimens.correct.framing import HEADER_BYTES, MAGIC, Framer
from torq_conformance.specimens.correct.judging import RULES, Judge, Tlv
from torq_conformance.specimens.correct.outbox import FRAMES_A_WRITE, Outbox
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.table import mutant

LARGE = 65_536
SOURCE = 6  # its byte in a header
LATE_S = 2.0
MEGABYTE = 1 << 20
CHECKED_TLVS = 64
SILENT_AGAIN_S = 0.4
LONG_SILENCE_S = 1.2
SMALL_QUEUE = 100
DOMAIN = 4  # its byte in a header


@mutant("mute-until-it-speaks", "CONN-3 FWD-1", "a client gets nothing before it has sent something")
class MuteUntilItSpeaks(Relay):
    def prepare(self) -> None:
        self.spoken: set[int] = set()

    def received(self, connection: Connection, data: bytes) -> None:
        self.spoken.add(connection.number)
        super().received(connection, data)

    def receivers(self, sender: Connection) -> list[Connection]:
        return [receiver for receiver in super().receivers(sender) if receiver.number in self.spoken]


@mutant("late-speaker-ignored", "CONN-3", "ignores for ever who says nothing in its first 2 s")
class LateSpeakerIgnored(Relay):
    def prepare(self) -> None:
        self.silent_since: dict[int, float] = {}

    def opened(self, connection: Connection) -> None:
        self.silent_since[connection.number] = time.monotonic()

    def received(self, connection: Connection, data: bytes) -> None:
        since = self.silent_since.get(connection.number)
        if since is None or time.monotonic() - since < LATE_S:
            self.silent_since.pop(connection.number, None)
            super().received(connection, data)


@mutant("half-closed-misses-large", "CONN-7", "a half-closed client gets no frame above 4096 bytes")
class HalfClosedMissesLarge(Relay):
    def deliver(self, receiver: Connection, frame: bytes) -> None:
        if receiver.sending or len(frame) <= 4_096:
            super().deliver(receiver, frame)


@mutant("tenth-misses-large", "FWD-7", "the tenth and later connections get no frame above 65 536 bytes")
class TenthMissesLarge(Relay):
    def receivers(self, sender: Connection) -> list[Connection]:
        self.first_ten = list(self.connections.values())[:10]
        return super().receivers(sender)

    def deliver(self, receiver: Connection, frame: bytes) -> None:
        if len(frame) <= LARGE or receiver in self.first_ten:
            super().deliver(receiver, frame)


@mutant("many-reads-lose-large", "FWD-7", "loses a frame of 64 to 128 KiB that comes in more than 8 reads")
class ManyReadsLoseLarge(Relay):
    def prepare(self) -> None:
        self.reads: dict[Connection, int] = {}

    def received(self, connection: Connection, data: bytes) -> None:
        within = len(connection.framer.buffer) > 0
        self.reads[connection] = self.reads.get(connection, 0) + 1 if within else 1
        super().received(connection, data)

    def forward(self, sender: Connection, frame: bytes) -> None:
        if not LARGE < len(frame) < 2 * LARGE or self.reads[sender] <= 8:
            super().forward(sender, frame)


@mutant("types-unchecked-from-the-65th", "DOM-2 VAL-4", "looks at the first 64 TLVs only", domains="signal execution")
class TypesUncheckedFromThe65th(Judge):
    def tlvs(self, frame: bytes) -> Iterator[Tlv]:
        for place, tlv in enumerate(super().tlvs(frame)):
            if place < CHECKED_TLVS:
                yield tlv


@mutant("queue-swapped-behind-a-stall", "ISO-5 ORD-2", "swaps the last two frames that wait for a blocked client")
class QueueSwappedBehindAStall(Relay):
    def deliver(self, receiver: Connection, frame: bytes) -> None:
        super().deliver(receiver, frame)
        frames = receiver.outbox.frames
        if receiver.outbox.blocked and len(frames) > 2 and frames[-1][SOURCE] != frames[-2][SOURCE]:
            frames[-1], frames[-2] = frames[-2], frames[-1]


@mutant("blocked-within-a-frame-loses", "ISO-5 FWD-1", "a blocked client that is itself within a frame gets nothing")
class BlockedWithinAFrameLoses(Relay):
    def deliver(self, receiver: Connection, frame: bytes) -> None:
        if not (receiver.outbox.blocked and receiver.framer.buffer):
            super().deliver(receiver, frame)


@mutant("two-blocked-starve-the-others", "ISO-1", "nobody gets a frame above 1024 bytes while two clients are blocked")
class TwoBlockedStarveTheOthers(Relay):
    def forward(self, sender: Connection, frame: bytes) -> None:
        blocked = sum(connection.outbox.blocked for connection in self.connections.values())
        if blocked < 2 or len(frame) <= 1_024:
            super().forward(sender, frame)


@mutant("outbox-of-a-closed-inherited", "FWD-5 VAL-5", "the next to join gets what one closed for garbage had not read")
class OutboxOfAClosedInherited(Relay):
    left: tuple[bytes, ...] = ()

    def framing_error(self, connection: Connection) -> None:
        self.left = tuple(connection.outbox.frames)[-1:]
        super().framing_error(connection)

    def opened(self, connection: Connection) -> None:
        for frame in self.left:
            self.deliver(connection, frame)
        self.left = ()
        self.write(connection)


class ShortWrite(Outbox):
    """Does something wrong where the kernel cuts a write short between two frames."""

    def advance(self, taken: int) -> None:
        batch, waiting = list(islice(self.frames, FRAMES_A_WRITE)), len(self.frames)
        short = taken < sum(map(len, batch)) - self.written
        super().advance(taken)
        if short and not self.written:
            self.cut_short(batch[waiting - len(self.frames) - 1])

    def cut_short(self, last: bytes) -> None:
        """`last` is the last frame that was written."""
        raise NotImplementedError


@mutant("short-write-repeats", "FWD-2", "repeats a frame behind which a write to a slow client was cut short")
class ShortWriteRepeats(ShortWrite):
    def cut_short(self, last: bytes) -> None:
        self.frames.appendleft(last)
        self.bytes += len(last)


@mutant("short-write-loses", "ISO-5 FWD-1", "loses the frame before which a write to a slow client was cut short")
class ShortWriteLoses(ShortWrite):
    def cut_short(self, last: bytes) -> None:
        self.bytes -= len(self.frames.popleft())


@mutant("large-backlog-discarded", "LIFE-1", "throws away on SIGTERM what waits for a client if it is above 1 MiB")
class LargeBacklogDiscarded(Relay):
    def deliver_rest(self, deadline: float) -> None:
        for connection in self.connections.values():
            if connection.outbox.bytes > MEGABYTE:
                connection.outbox.frames.clear()
        super().deliver_rest(deadline)


@mutant("foreign-oversized-awaited", "VAL-5 DOM-1", "waits for a too large frame of another domain")
class ForeignOversizedAwaited(Framer):
    def fault(self, start: int) -> bool:
        if not super().fault(start):
            return False
        if self.frame_size(start) is None or not self.buffer.startswith(MAGIC, start):
            return True
        return self.buffer[start + DOMAIN] == RULES[self.settings.domain].domain


@mutant("silent-again-loses-one", "CONN-3 FWD-1", "loses the next frame of who was silent for 0.4 s after speaking")
class SilentAgainLosesOne(Relay):
    def prepare(self) -> None:
        self.spoke: dict[Connection, float] = {}

    def forward(self, sender: Connection, frame: bytes) -> None:
        now = time.monotonic()
        before = self.spoke.get(sender, now)
        self.spoke[sender] = now
        if now - before < SILENT_AGAIN_S:
            super().forward(sender, frame)


@mutant("younger-miss-after-silence", "CONN-3 FWD-1", "after 1.2 s of silence the next frame misses younger clients")
class YoungerMissAfterSilence(SilentAgainLosesOne):
    elders: int | None = None

    def forward(self, sender: Connection, frame: bytes) -> None:
        now = time.monotonic()
        silent = now - self.spoke.get(sender, now) > LONG_SILENCE_S
        self.spoke[sender] = now
        self.elders = sender.number if silent else None
        Relay.forward(self, sender, frame)

    def deliver(self, receiver: Connection, frame: bytes) -> None:
        if self.elders is None or receiver.number <= self.elders:
            super().deliver(receiver, frame)


@mutant("held-until-anybody-sends", "FWD-6", "holds a header-only frame behind one of another until anybody sends")
class HeldUntilAnybodySends(Relay):
    last: Connection | None = None
    kept: tuple[Connection, bytes] | None = None

    def received(self, connection: Connection, data: bytes) -> None:
        if self.kept is not None:
            kept, self.kept = self.kept, None
            super().forward(*kept)
        super().received(connection, data)

    def forward(self, sender: Connection, frame: bytes) -> None:
        if len(frame) == HEADER_BYTES and self.last not in (None, sender):
            self.kept = (sender, frame)
        else:
            super().forward(sender, frame)
        self.last = sender


@mutant("newest-dropped-by-bytes", "ISO-3", "drops the newest frame where the bound in bytes is hit, not the oldest")
class NewestDroppedByBytes(Outbox):
    full = False

    def drop_oldest(self, frame: bytes) -> None:
        if self.bytes + len(frame) <= self.settings.queue_bytes:
            super().drop_oldest(frame)
        else:
            self.full = True

    def put(self, frame: bytes) -> None:
        if not self.full:
            super().put(frame)
        self.full = False


@mutant("repeat-of-another-lost", "FWD-1", "loses a frame that is equal to the last one of another sender")
class RepeatOfAnotherLost(Relay):
    def prepare(self) -> None:
        self.last: dict[Connection, bytes] = {}

    def forward(self, sender: Connection, frame: bytes) -> None:
        repeats = any(last == frame and other is not sender for other, last in self.last.items())
        self.last[sender] = frame
        if not repeats:
            super().forward(sender, frame)


@mutant("partly-sent-begins-again", "CONN-6 ISO-4", "begins a partly sent frame again when another client leaves")
class PartlySentBeginsAgain(Relay):
    def closed(self, connection: Connection) -> None:
        for other in self.connections.values():
            other.outbox.bytes += other.outbox.written
            other.outbox.written = 0


@mutant(
    "last-large-misses-youngest",
    "CONN-7 FWD-1",
    "the youngest of three misses the last large frames of who half-closes",
)
class LastLargeMissesYoungest(Relay):
    least_clients = 3

    def receivers(self, sender: Connection) -> list[Connection]:
        receivers = super().receivers(sender)
        try:
            ended = not sender.sock.recv(1, socket.MSG_PEEK)
        except OSError:
            ended = False
        self.missing = receivers[-1] if ended and len(self.connections) >= self.least_clients else None
        return receivers

    def deliver(self, receiver: Connection, frame: bytes) -> None:
        if receiver is not self.missing or len(frame) <= 4_096:
            super().deliver(receiver, frame)


@mutant(
    "sixth-misses-last-large", "CONN-7 FWD-1", "the youngest of six misses the last large frames of who half-closes"
)
class SixthMissesLastLarge(LastLargeMissesYoungest):
    least_clients = 6


@mutant("header-only-overtakes", "ISO-5 ORD-2", "a header-only frame overtakes one that waits for a blocked client")
class HeaderOnlyOvertakes(Relay):
    def deliver(self, receiver: Connection, frame: bytes) -> None:
        super().deliver(receiver, frame)
        frames = receiver.outbox.frames
        if (
            receiver.outbox.blocked
            and len(frame) == HEADER_BYTES
            and len(frames) > 2
            and frames[-2][SOURCE] != frame[SOURCE]
        ):
            frames[-1], frames[-2] = frames[-2], frames[-1]


@mutant("half-closed-has-a-small-queue", "CONN-7 ISO-5", "keeps 100 frames at most for a half-closed client")
class HalfClosedHasASmallQueue(Relay):
    def deliver(self, receiver: Connection, frame: bytes) -> None:
        super().deliver(receiver, frame)
        outbox = receiver.outbox
        if not receiver.sending and outbox.blocked and len(outbox.frames) > SMALL_QUEUE:
            outbox.bytes -= len(outbox.frames[1])
            del outbox.frames[1]


@mutant("half-closed-backlog-discarded", "LIFE-1", "throws away on SIGTERM what waits for half-closed clients")
class HalfClosedBacklogDiscarded(Relay):
    def drain(self) -> None:
        for connection in self.connections.values():
            if not connection.sending:
                connection.outbox.frames.clear()
        super().drain()


@mutant(
    "framing-error-wakes-nobody", "VAL-5 FWD-1", "writes the frames before a framing error when the next read comes"
)
class FramingErrorWakesNobody(Relay):
    asleep = False

    def framing_error(self, connection: Connection) -> None:
        super().framing_error(connection)
        self.asleep = True

    def write_all(self) -> None:
        if not self.asleep:
            super().write_all()
        self.asleep = False


@mutant("blocked-inherited", "CONN-6 FWD-5", "takes the next to join for blocked when one that was blocked has left")
class BlockedInherited(Relay):
    stale = False

    def write(self, connection: Connection) -> None:
        blocked = connection.outbox.blocked
        super().write(connection)
        self.stale = self.stale or (blocked and not connection.receiving)

    def closed(self, connection: Connection) -> None:
        self.stale = self.stale or connection.outbox.blocked

    def opened(self, connection: Connection) -> None:
        connection.outbox.blocked, self.stale = self.stale, False
