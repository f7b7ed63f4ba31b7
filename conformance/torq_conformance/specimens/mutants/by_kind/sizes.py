"""Faults that depend on sizes: what a header claims, and frames above a size or between two."""

from typing import NamedTuple

from torq_conformance.specimens.correct.framing import HEADER_BYTES, Framer
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.counting import Losing
from torq_conformance.specimens.mutants.ordering import Delaying
from torq_conformance.specimens.mutants.table import mutants


@mutants(
    "claim-cut",
    "VAL-5",
    "keeps {bits} bits of payload_size (whole 1: of the size with header; signed 1: below 0 is header-only)",
    variants=(
        {"bits": 30},
        {"bits": 27},
        {"bits": 24},
        {"bits": 21},
        {"bits": 32, "whole": 1},
        {"bits": 31, "whole": 1},
        {"bits": 32, "signed": 1},
        {"bits": 25, "signed": 1},
    ),
)
class ClaimCut(Framer):
    bits = 31
    whole = 0
    signed = 0

    def frame_size(self, start: int) -> int | None:
        size = super().frame_size(start)
        if size is None:
            return None
        beside = 0 if self.whole else HEADER_BYTES
        kept = (size - beside) % (1 << self.bits)
        if self.signed and kept >> (self.bits - 1):
            kept -= 1 << self.bits
        return max(HEADER_BYTES, kept + beside)


class Ahead(NamedTuple):
    """A large frame that one behind it may overtake."""

    sender: Connection
    frame: bytes


@mutants(
    "large-overtaken",
    "ORD-1",
    "a frame above {above} bytes is overtaken by one of at most {small} bytes behind it in the same read",
    variants=({"above": 100_000}, {"above": 150_001}, {"above": 700_000}, {"above": 311_113, "small": 60}),
)
class LargeOvertaken(Relay):
    above = 262_144
    small = 1_024
    ahead: Ahead | None = None

    def received(self, connection: Connection, data: bytes) -> None:
        super().received(connection, data)
        self.let_go()

    def forward(self, sender: Connection, frame: bytes) -> None:
        if len(frame) > self.small:
            self.let_go()
        if len(frame) > self.above:
            self.ahead = Ahead(sender, frame)
        else:
            super().forward(sender, frame)

    def let_go(self) -> None:
        """Forward the large frame that is held."""
        if self.ahead is not None:
            held, self.ahead = self.ahead, None
            super().forward(*held)


@mutants(
    "large-overtaken-by-next-write",
    "ORD-1",
    "a frame above {above} bytes is overtaken by what its sender writes within 5 ms",
    variants=({"above": 100_000}, {"above": 150_001}, {"above": 700_000}),
)
class LargeOvertakenByNextWrite(Delaying):
    above = 262_144

    def is_late(self, sender: Connection, receiver: Connection, frame: bytes) -> bool:
        return len(frame) > self.above


@mutants(
    "sizes-lost",
    "FWD-7",
    "loses frames of {least} to {most} bytes",
    variants=(
        {"least": 2_049, "most": 2_303},
        {"least": 71_003, "most": 72_999},
        {"least": 300_007, "most": 310_000},
        {"least": 900_001, "most": 999_999},
    ),
)
class SizesLost(Losing):
    least = 33_001
    most = 33_700

    def is_lost(self, sender: Connection, frame: bytes) -> bool:
        return self.least <= len(frame) <= self.most


@mutants(
    "byte-changed-at",
    "FWD-7 FWD-3",
    "changes the byte at offset {at} of the frames that are as long",
    variants=({"at": 3_083}, {"at": 70_001}, {"at": 333_333}, {"at": 1_000_003}),
)
class ByteChangedAt(Relay):
    at = 131_071

    def forward(self, sender: Connection, frame: bytes) -> None:
        if len(frame) > self.at:
            frame = frame[: self.at] + bytes((frame[self.at] ^ 1,)) + frame[self.at + 1 :]
        super().forward(sender, frame)


@mutants(
    "misses-large-from",
    "FWD-7 FWD-1",
    "the connections from the {place}th on get no frame above {above} bytes",
    variants=({"place": 7, "above": 30_011}, {"place": 19, "above": 2_111}, {"place": 37, "above": 90_001}),
)
class MissesLargeFrom(Relay):
    place = 14
    above = 9_000

    def forward(self, sender: Connection, frame: bytes) -> None:
        receivers = self.receivers(sender)
        served = list(self.connections.values())[: self.place - 1] if len(frame) > self.above else receivers
        for receiver in receivers:
            if receiver in served:
                self.deliver(receiver, frame)
