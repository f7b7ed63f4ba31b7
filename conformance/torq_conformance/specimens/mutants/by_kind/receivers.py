"""Faults that depend on the state of a receiver when something happens: full, half-closed, new, or within a frame."""

import time

from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.counting import discard_waiting
from torq_conformance.specimens.mutants.table import mutants

LARGEST = 1 << 20  # a frame


@mutants(
    "overflow-tears",
    "ISO-4",
    "drops a frame of which {least} to {most} bytes are sent (longest: while so many wait at most, 0: any)",
    variants=(
        {"most": 7},
        {"least": 32, "most": 32},
        {"least": 33, "most": LARGEST},
        {"least": 4_099, "most": LARGEST},
        {"most": LARGEST, "longest": 1},
        {"most": LARGEST, "longest": 3},
    ),
)
class OverflowTears(Outbox):
    least = 1
    most = 31
    longest = 0

    def drop_oldest(self, frame: bytes) -> None:
        if self.least <= self.written <= self.most and (not self.longest or len(self.frames) <= self.longest):
            self.bytes -= len(self.frames.popleft()) - self.written
            self.written = 0
        super().drop_oldest(frame)


class AgainstHalfClosed(Relay):
    """Is unjust to a half-closed consumer that is full, when its queue overflows or at once.

    `which`: every one, those within a frame, those that never sent a frame, or those that were full already.
    """

    which = "every"

    def prepare(self) -> None:
        self.heard: set[int] = set()
        self.full_before: set[int] = set()

    def sending_ended(self, connection: Connection, gone: bool) -> None:
        if connection.outbox.blocked:
            self.full_before.add(connection.number)
        super().sending_ended(connection, gone)

    def forward(self, sender: Connection, frame: bytes) -> None:
        self.heard.add(sender.number)
        super().forward(sender, frame)

    def is_meant(self, receiver: Connection) -> bool:
        """Whether a receiver is one of those to whom it is unjust."""
        if receiver.sending or not receiver.outbox.blocked:
            return False
        if self.which == "within-a-frame":
            return bool(receiver.framer.buffer)
        if self.which == "full-before":
            return receiver.number in self.full_before
        return self.which == "every" or receiver.number not in self.heard


WHICH = ({"which": "within-a-frame"}, {"which": "unheard"}, {"which": "full-before"})


@mutants(
    "half-closed-disconnected-at-overflow",
    "CONN-7 ISO-3",
    "disconnects a half-closed consumer when its queue overflows (which: {which})",
    variants=WHICH,
)
class HalfClosedDisconnectedAtOverflow(AgainstHalfClosed):
    def deliver(self, receiver: Connection, frame: bytes) -> None:
        if self.is_meant(receiver) and not receiver.outbox.has_room(frame):
            self.close(receiver)
        else:
            super().deliver(receiver, frame)


@mutants(
    "half-closed-loses-backlog",
    "CONN-7 ISO-5 ISO-8",
    "throws away what waits for a half-closed consumer that is full (which: {which})",
    variants=WHICH,
)
class HalfClosedLosesBacklog(AgainstHalfClosed):
    def deliver(self, receiver: Connection, frame: bytes) -> None:
        if self.is_meant(receiver):
            discard_waiting(receiver.outbox)
        super().deliver(receiver, frame)


@mutants(
    "slowed-by-the-full",
    "ISO-1",
    "spends {ms} ms on a frame above {above} bytes while consumers are full (each 1: for each of these)",
    variants=(
        {"ms": 1.0, "above": 10_000},
        {"ms": 0.2, "each": 1},
        {"ms": 0.1, "each": 1},
        {"ms": 0.7, "above": 3_001, "each": 1},
    ),
)
class SlowedByTheFull(Relay):
    ms = 0.33
    above = 0
    each = 0

    def forward(self, sender: Connection, frame: bytes) -> None:
        full = sum(each.outbox.blocked for each in self.connections.values())
        if full and len(frame) > self.above:
            time.sleep(self.ms / 1_000 * (full if self.each else 1))
        super().forward(sender, frame)


@mutants(
    "resumed-loses",
    "ISO-5 ISO-8",
    "loses the first frame for a consumer that has been full {times} times and caught up",
    variants=({"times": 2}, {"times": 5}, {"times": 9}),
)
class ResumedLoses(Outbox):
    times = 3
    resumed = 0
    losing = False

    def write(self) -> None:
        was_full = self.blocked
        super().write()
        if was_full and not self.blocked:
            self.resumed += 1
            self.losing = self.resumed == self.times

    def put(self, frame: bytes) -> None:
        if not self.losing:
            super().put(frame)
        self.losing = False


@mutants(
    "joined-beside-a-partial",
    "FWD-1",
    "who joins while another has sent {least} to {most} bytes of a frame misses the next but one of that sender",
    variants=({"least": 33, "most": LARGEST}, {"least": 25, "most": 27}, {"least": 70_001, "most": LARGEST}),
)
class JoinedBesideAPartial(Relay):
    least = 1
    most = 31

    def prepare(self) -> None:
        self.due: dict[tuple[Connection, Connection], int] = {}  # sender and receiver, and the frames until it is lost

    def opened(self, connection: Connection) -> None:
        for sender in self.connections.values():
            if self.least <= len(sender.framer.buffer) <= self.most:
                self.due[sender, connection] = 2

    def forward(self, sender: Connection, frame: bytes) -> None:
        for receiver in self.receivers(sender):
            if not self.is_missed(sender, receiver):
                self.deliver(receiver, frame)

    def is_missed(self, sender: Connection, receiver: Connection) -> bool:
        """Whether this is the frame that this receiver misses."""
        left = self.due.pop((sender, receiver), 0)
        if left > 1:
            self.due[sender, receiver] = left - 1
        return left == 1
