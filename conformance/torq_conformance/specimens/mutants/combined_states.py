"""Faults of any section that show only where two states meet: blocked and within a frame, late and large."""

import time
from collections.abc import Iterator
from itertools import islice

from torq_conformance.specimens.correct.doorway import Doorway
from torq_conformance.specimens.correct.judging import Judge, Tlv
from torq_conformance.specimens.correct.outbox import FRAMES_A_WRITE, Outbox
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.correct.settings import Settings
from torq_conformance.specimens.mutants.table import mutant

LARGE = 65_536
SOURCE = 6  # its byte in a header
LATE_S = 2.0
MEGABYTE = 1 << 20
CHECKED_TLVS = 64


@mutant("mute-until-it-speaks", "CONN-3 FWD-1", "a client gets nothing before it has sent something")
class MuteUntilItSpeaks(Relay):
    def __init__(self, settings: Settings, doorway: Doorway) -> None:
        super().__init__(settings, doorway)
        self.spoken: set[int] = set()

    def received(self, connection: Connection, data: bytes) -> None:
        self.spoken.add(connection.number)
        super().received(connection, data)

    def receivers(self, sender: Connection) -> list[Connection]:
        return [receiver for receiver in super().receivers(sender) if receiver.number in self.spoken]


@mutant("late-speaker-ignored", "CONN-3", "ignores for ever who says nothing in its first 2 s")
class LateSpeakerIgnored(Relay):
    def __init__(self, settings: Settings, doorway: Doorway) -> None:
        super().__init__(settings, doorway)
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
