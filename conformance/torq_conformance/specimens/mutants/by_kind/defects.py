"""Faults that depend on the place of a defect: in a frame, in a payload, in a read, among other defects."""

import zlib
from collections.abc import Iterator

from torq_conformance.specimens.correct.framing import MAGIC
from torq_conformance.specimens.correct.judging import Judge, Tlv
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.rare_states import RefusedSearched
from torq_conformance.specimens.mutants.table import mutants

OF_A_BYTE = [zlib.crc32(bytes((byte,))) ^ zlib.crc32(bytes(1)) for byte in range(256)]
VERIFYING = "signal execution"


@mutants(
    "short-tlv-accepted",
    "VAL-3",
    "accepts a TLV of length {length} (0: any) with {missing} byte(s) too few (extended 1: so coded; place: the n-th)",
    domains=VERIFYING,
    variants=(
        {"length": 1},
        {"length": 254},
        {"length": 37},
        {"length": 0, "missing": 2},
        {"length": 0, "place": 3},
        {"length": 0, "place": 7},
        {"length": 0, "extended": 1},
        {"length": 300, "extended": 1},
        {"length": 65_535, "extended": 1},
    ),
)
class ShortTlvAccepted(Judge):
    length = 255
    missing = 1
    extended = 0
    place = 0

    def is_cut_short(self, tlv: Tlv, place: int, missing: int) -> bool:
        is_meant = (
            missing == self.missing
            and tlv.extended == bool(self.extended)
            and self.length in (0, tlv.size)
            and self.place in (0, place)
        )
        return missing > 0 and not is_meant


@mutants(
    "type-unlooked-at",
    "DOM-2",
    "does not look at the type of the {place}th TLV (0: of any, -1: of the last) beyond offset {beyond}",
    domains=VERIFYING,
    variants=(
        {"place": 23},
        {"place": 131},
        {"place": -1},
        {"place": 0, "beyond": 4_099},
        {"place": 0, "beyond": 30_011},
    ),
)
class TypeUnlookedAt(Judge):
    place = 7
    beyond = 0

    def tlvs(self, frame: bytes) -> Iterator[Tlv]:
        every = list(super().tlvs(frame))
        at = 32
        for place, tlv in enumerate(every, 1):
            is_meant = self.place in (0, place) or (self.place < 0 and place == len(every))
            if not is_meant or at <= self.beyond:
                yield tlv
            at += (5 if tlv.extended else 2) + tlv.size


class HiddenServed(RefusedSearched):
    """Serves what hides in a refused frame, from the `nth` magic on; of those that begin at a multiple of `step`,
    beyond an offset, in a frame above a size."""

    nth = 2
    step = 1
    beyond = 0
    above = 0

    def found_in(self, frame: bytes) -> int:
        at, left = 0, self.nth if len(frame) > self.above else 0
        while left and (at := frame.find(MAGIC, at + 1)) >= 0:
            left -= at % self.step == 0 and at > self.beyond
        return at or -1


HIDDEN = (
    {"nth": 1, "step": 2},
    {"nth": 1, "beyond": 100},
    {"nth": 1, "beyond": 1_217},
    {"nth": 1, "above": 1_000},
    {"nth": 3, "above": 301},
)
SERVED = "serves frame {nth} of those that hide in one of more than {above} bytes"
WHERE = "(at a multiple of {step}, beyond {beyond})"


@mutants("hidden-in-foreign-domain", "DOM-1", f"{SERVED} of another domain {WHERE}", variants=HIDDEN)
class HiddenInForeignDomain(HiddenServed):
    reasons = ("foreign domain",)


@mutants("hidden-in-wrong-checksum", "VAL-1", f"{SERVED} with a wrong checksum {WHERE}", VERIFYING, variants=HIDDEN)
class HiddenInWrongChecksum(HiddenServed):
    reasons = ("wrong checksum",)


@mutants("hidden-in-foreign-type", "DOM-2", f"{SERVED} with a foreign type {WHERE}", VERIFYING, variants=HIDDEN)
class HiddenInForeignType(HiddenServed):
    reasons = ("type out of range",)


@mutants("hidden-in-malformed", "VAL-3", f"{SERVED} with a malformed payload {WHERE}", VERIFYING, variants=HIDDEN)
class HiddenInMalformed(HiddenServed):
    reasons = ("malformed payload",)


@mutants("hidden-in-version", "VAL-4", f"{SERVED} of an unknown version {WHERE}", "execution", variants=HIDDEN)
class HiddenInVersion(HiddenServed):
    reasons = ("unknown version",)


@mutants(
    "unverified-at-place",
    "VAL-1",
    "does not verify the checksum of the {place}th frame of a read",
    domains=VERIFYING,
    variants=({"place": 3}, {"place": 17}, {"place": 41}),
)
class UnverifiedAtPlace(Relay):
    place = 5

    def received(self, connection: Connection, data: bytes) -> None:
        self.at = 0
        super().received(connection, data)

    def forward(self, sender: Connection, frame: bytes) -> None:
        self.at += 1
        super().forward(sender, frame)

    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        if self.at + 1 == self.place and reason == "wrong checksum":
            self.forward(connection, frame)
        else:
            self.at += 1


@mutants(
    "flip-unseen-beyond",
    "VAL-1",
    "takes a checksum for right if one bit beyond offset {beyond} is wrong",
    domains=VERIFYING,
    variants=({"beyond": 101}, {"beyond": 2_003}, {"beyond": 9_001}),
)
class FlipUnseenBeyond(Judge):
    """A CRC is linear: what a wrong bit changes in it depends on nothing but how many bytes come behind."""

    beyond = 517

    def checksum_accepted(self, frame: bytes) -> bool:
        change = int.from_bytes(frame[28:32], "little") ^ self.checksum(frame)
        return change == 0 or change in self.of_one_bit(len(frame) - self.beyond - 1)

    def of_one_bit(self, size: int) -> Iterator[int]:
        """What a wrong bit in one of the last bytes changes."""
        changes = [OF_A_BYTE[1 << bit] for bit in range(8)]
        for _ in range(size):
            yield from changes
            changes = [OF_A_BYTE[change & 255] ^ (change >> 8) for change in changes]


@mutants(
    "refused-too-often-closed",
    "DOM-1 VAL-1",
    "closes a client of which it refused more than {more_than} frames (in_a_row 1: with no good one between)",
    variants=({"more_than": 101}, {"more_than": 307}, {"more_than": 13, "in_a_row": 1}),
)
class RefusedTooOftenClosed(Relay):
    more_than = 23
    in_a_row = 0

    def prepare(self) -> None:
        self.against: dict[Connection, int] = {}

    def closed(self, connection: Connection) -> None:
        self.against.pop(connection, None)

    def forward(self, sender: Connection, frame: bytes) -> None:
        if self.in_a_row:
            self.against.pop(sender, None)
        super().forward(sender, frame)

    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        self.against[connection] = self.against.get(connection, 0) + 1
        if self.against[connection] > self.more_than:
            self.close(connection)
