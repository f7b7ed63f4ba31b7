"""Faults that depend on age: how many frames or bytes a connection, or the relay, has served."""

from collections import Counter
from collections.abc import Iterator

from torq_conformance.specimens.correct.framing import Framer
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.counting import Counting, Losing
from torq_conformance.specimens.mutants.ordering import Swapping
from torq_conformance.specimens.mutants.table import Values, mutants

VERIFYING = "signal execution"
AGES: tuple[Values, ...] = (
    {"after": 777},
    {"after": 5_003},
    {"after": 1_013, "of": "relay"},
    {"after": 6_007, "of": "relay"},
)


class Aging(Relay):
    """Counts the frames that it forwarded: those `of` each connection, or of the relay."""

    after = 1_500
    of = "connection"

    def prepare(self) -> None:
        self.served: Counter[Connection | None] = Counter()

    def forward(self, sender: Connection, frame: bytes) -> None:
        self.served[self.counted(sender)] += 1
        super().forward(sender, frame)

    def closed(self, connection: Connection) -> None:
        self.served.pop(connection, None)

    def counted(self, sender: Connection) -> Connection | None:
        """Whose frames count for this sender."""
        return sender if self.of == "connection" else None

    def is_old(self, sender: Connection) -> bool:
        """Whether more than `after` frames were forwarded."""
        return self.served[self.counted(sender)] > self.after


class Trusting(Aging):
    """Forwards what it would refuse for some `reasons` once it is old."""

    reasons: tuple[str, ...] = ()

    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        if reason in self.reasons and self.is_old(connection):
            self.forward(connection, frame)


@mutants(
    "checksum-trusted-after",
    "VAL-1",
    "looks at no checksum after {after} frames of a {of}",
    domains=VERIFYING,
    variants=(*AGES, {"after": 41_000}),
)
class ChecksumTrustedAfter(Trusting):
    reasons = ("wrong checksum",)


@mutants(
    "payload-trusted-after",
    "VAL-3 DOM-2",
    "looks at no TLV after {after} frames of a {of}",
    domains=VERIFYING,
    variants=AGES,
)
class PayloadTrustedAfter(Trusting):
    reasons = ("malformed payload", "type out of range", "wrong size of a fixed-size type")


@mutants("domain-trusted-after", "DOM-1", "looks at no domain after {after} frames of a {of}", variants=AGES)
class DomainTrustedAfter(Trusting):
    reasons = ("foreign domain",)


@mutants("order-lost-after", "ORD-1", "swaps frames of one read after {after} frames of a {of}", variants=AGES)
class OrderLostAfter(Aging, Swapping):
    def is_swapped(self, sender: Connection, receiver: Connection) -> bool:
        return self.is_old(sender)


@mutants("deaf-after", "FWD-1 CONN-3", "loses what comes after {after} frames of a {of}", variants=AGES)
class DeafAfter(Aging):
    def receivers(self, sender: Connection) -> list[Connection]:
        return [] if self.is_old(sender) else super().receivers(sender)


@mutants("echo-ends-after", "FWD-4", "sends a client nothing of its own after {after} frames of a {of}", variants=AGES)
class EchoEndsAfter(Aging):
    def receivers(self, sender: Connection) -> list[Connection]:
        receivers = super().receivers(sender)
        return [each for each in receivers if each is not sender] if self.is_old(sender) else receivers


@mutants(
    "garbage-forgiven-after",
    "VAL-5",
    "throws garbage away and closes nobody for it after {after} frames of a {of}",
    variants=AGES,
)
class GarbageForgivenAfter(Aging):
    def framing_error(self, connection: Connection) -> None:
        if self.is_old(connection):
            connection.framer.buffer.clear()
        else:
            super().framing_error(connection)


class Periodic(Counting):
    """Does something to each `period`-th frame."""

    period = 1_009

    def is_due(self) -> bool:
        """Whether the frame in hand is such a frame."""
        return self.forwarded % self.period == 0


PERIODS = ({"period": 2_503}, {"period": 7_919}, {"period": 20_011})


@mutants("lost-each", "FWD-1", "loses each {period}th frame", variants=PERIODS)
class LostEach(Periodic):
    def copies(self) -> int:
        return 0 if self.is_due() else 1


@mutants("repeated-each", "FWD-2", "forwards each {period}th frame twice", variants=PERIODS)
class RepeatedEach(Periodic):
    def copies(self) -> int:
        return 2 if self.is_due() else 1


@mutants(
    "lost-across",
    "FWD-1",
    "loses a frame across a multiple of {edge} bytes of what its sender has sent",
    variants=({"edge": 77_777}, {"edge": 1_000_003}, {"edge": 3_000_017}),
)
class LostAcross(Framer):
    edge = 150_001
    passed = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        for frame in super().feed(data):
            first = self.passed
            self.passed += len(frame)
            if first // self.edge == (self.passed - 1) // self.edge:
                yield frame


@mutants(
    "newcomer-unheard",
    "FWD-1 CONN-6",
    "loses what each {period}th of all connections that ever joined sends",
    variants=({"period": 29}, {"period": 131}, {"period": 613}),
)
class NewcomerUnheard(Losing):
    period = 61

    def is_lost(self, sender: Connection, frame: bytes) -> bool:
        return sender.number % self.period == 0
