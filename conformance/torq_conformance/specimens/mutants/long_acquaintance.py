"""Faults of any section that show only after a while, or in how a client leaves: trust, full queues, last words."""

import select

from torq_conformance.specimens.correct.framing import HEADER_BYTES
from torq_conformance.specimens.correct.judging import Judge
from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.correct.relay import GONE, READ_BYTES, Connection, Relay
from torq_conformance.specimens.mutants.counting import discard_waiting
from torq_conformance.specimens.mutants.table import mutant, replacing

TRUSTED = 256
LOOKED_AT = 16
CHECKSUM = slice(28, 32)  # its bytes in a header


@mutant("regulars-trusted", "VAL-1", "after 256 good frames looks at each 16th only", domains="signal execution")
class RegularsTrusted(Judge):
    good = 0

    def refusal(self, frame: bytes) -> str | None:
        if self.good >= TRUSTED and self.good % LOOKED_AT:
            self.good += 1
            return None
        reason = super().refusal(frame)
        self.good = 0 if reason else self.good + 1
        return reason


@mutant(
    "verdict-by-checksum", "VAL-1", "takes a frame with the checksum of the last good one", domains="signal execution"
)
class VerdictByChecksum(Judge):
    known = b""

    def refusal(self, frame: bytes) -> str | None:
        if frame[CHECKSUM] == self.known:
            return None
        reason = super().refusal(frame)
        if reason is None:
            self.known = frame[CHECKSUM]
        return reason


mutant("overflow-clears-all", "ISO-3", "drops all that waits when a queue overflows")(
    replacing(Outbox.drop_oldest, lambda outbox, frame: discard_waiting(outbox))
)


@mutant("part-sent-stays-counted", "ISO-5 FWD-1", "counts the first part of a frame sent in parts for ever")
class PartSentStaysCounted(Outbox):
    def advance(self, taken: int) -> None:
        part, frames = self.written, len(self.frames)
        super().advance(taken)
        if len(self.frames) < frames:
            self.bytes += part


@mutant("parts-fill-the-books", "FWD-7 FWD-1", "counts parts for ever too, and drops what is beyond its bound even so")
class PartsFillTheBooks(Relay):
    outbox_part = PartSentStaysCounted

    def deliver(self, receiver: Connection, frame: bytes) -> None:
        if receiver.outbox.bytes + len(frame) <= self.settings.queue_bytes:
            super().deliver(receiver, frame)


mutant("queue-of-half", "ISO-5 FWD-1", "drops frames when a queue is half full")(
    replacing(
        Outbox.has_room,
        lambda outbox, frame: Outbox.has_room(outbox, frame) and 2 * len(outbox.frames) < outbox.settings.queue_frames,
    )
)
mutant("within-a-frame-half-close-closes", "CONN-7", "closes a client that shuts down its sending side within a frame")(
    replacing(
        Relay.sending_ended,
        lambda relay, connection, gone: Relay.sending_ended(relay, connection, gone or bool(connection.framer.buffer)),
    )
)


@mutant("leaver-read-once", "CONN-6 FWD-1", "reads once from a client that has left, whatever else it had sent")
class LeaverReadOnce(Relay):
    def read(self, connection: Connection, event: int) -> None:
        super().read(connection, event)
        if event & select.EPOLLHUP and event & select.EPOLLIN:
            self.close(connection)


@mutant("left-unread-at-accept", "CONN-6 FWD-1", "does not read who has left before it is accepted")
class LeftUnreadAtAccept(Relay):
    def opened(self, connection: Connection) -> None:
        if any(event & GONE for event in self.events_of(connection)):
            self.close(connection)

    def events_of(self, connection: Connection) -> list[int]:
        """What has happened on the socket of a connection."""
        poll = select.poll()
        poll.register(connection.sock, 0)
        return [event for _, event in poll.poll(0)]


@mutant("large-assembled-in-one-place", "FRAME-3", "has one place for the frames that no read holds")
class LargeAssembledInOnePlace(Relay):
    owner: Connection | None = None

    def received(self, connection: Connection, data: bytes) -> None:
        super().received(connection, data)
        held = connection.framer.buffer
        if len(held) >= HEADER_BYTES and int.from_bytes(held[24:28], "little") > READ_BYTES:
            if self.owner is not None and self.owner is not connection:
                self.owner.framer.buffer[HEADER_BYTES:] = bytes(len(self.owner.framer.buffer) - HEADER_BYTES)
            self.owner = connection
        elif self.owner is connection:
            self.owner = None
