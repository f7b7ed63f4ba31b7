"""FWD-1, FWD-2, FWD-6 to 8: frames lost and doubled."""

from collections.abc import Iterator

from torq_conformance.specimens.correct.framing import HEADER_BYTES, Framer
from torq_conformance.specimens.correct.judging import Judge, MalformedError, Tlv
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.counting import Counting, Losing
from torq_conformance.specimens.mutants.table import mutant, replacing

mutant("drop-every-100th", "FWD-1", "loses every 100th frame")(
    replacing(Counting.copies, lambda relay: 0 if relay.forwarded % 100 == 0 else 1)
)
mutant("drop-every-10th", "FWD-1", "loses every 10th frame")(
    replacing(Counting.copies, lambda relay: 0 if relay.forwarded % 10 == 0 else 1)
)
mutant("drop-random", "FWD-1", "loses each frame with --probability (default 0.2), for everyone")(
    replacing(Counting.copies, lambda relay: 0 if relay.happens() else 1)
)


@mutant("drop-random-receiver", "FWD-1", "each receiver misses each frame with --probability (default 0.2)")
class DropRandomReceiver(Counting):
    def deliver(self, receiver: Connection, frame: bytes) -> None:
        if not self.happens():
            super().deliver(receiver, frame)


@mutant("drop-after-large", "FWD-1", "loses the frame that follows one above 4096 bytes")
class DropAfterLarge(Relay):
    large_seen = False

    def forward(self, sender: Connection, frame: bytes) -> None:
        follows, self.large_seen = self.large_seen, len(frame) > 4096
        if not follows:
            super().forward(sender, frame)


@mutant("drop-first-after-join", "FWD-1", "loses the first frame after any connection joined, for everyone")
class DropFirstAfterJoin(Relay):
    newcomer = False

    def opened(self, connection: Connection) -> None:
        self.newcomer = True

    def forward(self, sender: Connection, frame: bytes) -> None:
        if not self.newcomer:
            super().forward(sender, frame)
        self.newcomer = False


@mutant("drop-last-of-batch", "FWD-1 FRAME-2", "loses the last of several frames that came in one read")
class DropLastOfBatch(Framer):
    def feed(self, data: bytes) -> Iterator[bytes]:
        last, several = b"", False
        for frame in super().feed(data):
            if last:
                several = True
                yield last
            last = frame
        if last and not several:
            yield last


@mutant("round-robin", "FWD-1", "shares the frames out: each reaches one receiver only, in turn")
class RoundRobin(Counting):
    def receivers(self, sender: Connection) -> list[Connection]:
        everyone = super().receivers(sender)
        return [everyone[self.forwarded % len(everyone)]] if everyone else []


mutant("duplicate-every-50th", "FWD-2", "forwards every 50th frame twice")(
    replacing(Counting.copies, lambda relay: 2 if relay.forwarded % 50 == 0 else 1)
)
mutant("duplicate-random", "FWD-2", "forwards each frame twice with --probability (default 0.2)")(
    replacing(Counting.copies, lambda relay: 2 if relay.happens() else 1)
)


@mutant("duplicate-split", "FWD-2 FRAME-1", "forwards a frame that came in several reads twice")
class DuplicateSplit(Framer):
    def feed(self, data: bytes) -> Iterator[bytes]:
        split = bool(self.buffer)
        for frame in super().feed(data):
            if split:
                yield frame
            split = False
            yield frame


mutant("drop-header-only", "FWD-6", "loses frames without a payload")(
    replacing(Losing.is_lost, lambda relay, sender, frame: len(frame) == HEADER_BYTES)
)
mutant("drop-above-64k", "FWD-7", "loses frames above 65 536 bytes")(
    replacing(Losing.is_lost, lambda relay, sender, frame: len(frame) > 65_536)
)
mutant("limit-off-by-one", "FWD-7", "takes a frame of exactly the maximum size for too large")(
    replacing(Framer.too_large, lambda framer, size: size >= framer.settings.max_message_size)
)


@mutant("refuse-reserved-types", "FWD-8", "refuses the reserved types of its own range", domains="signal execution")
class RefuseReservedTypes(Judge):
    def type_accepted(self, number: int) -> bool:
        reserved = 33 <= number <= 39 or 50 <= number <= 59 or 73 <= number <= 79
        return not reserved and super().type_accepted(number)


@mutant("refuse-extended", "FWD-8", "refuses TLVs in extended form", domains="signal execution")
class RefuseExtended(Judge):
    def extended_tlv(self, head: bytes) -> Tlv:
        raise MalformedError


@mutant(
    "refuse-short-extended",
    "FWD-8",
    "refuses extended TLVs that would fit the standard form",
    domains="signal execution",
)
class RefuseShortExtended(Judge):
    def extended_tlv(self, head: bytes) -> Tlv:
        tlv = super().extended_tlv(head)
        if tlv.size <= 255:
            raise MalformedError
        return tlv


@mutant("refuse-ninth-tlv", "FWD-8", "refuses frames of more than 8 TLVs", domains="signal execution")
class RefuseNinthTlv(Judge):
    def tlvs(self, frame: bytes) -> Iterator[Tlv]:
        for position, tlv in enumerate(super().tlvs(frame)):
            if position == 8:
                raise MalformedError
            yield tlv


@mutant("refuse-empty-tlv", "FWD-8", "refuses a TLV of zero bytes", domains="signal execution")
class RefuseEmptyTlv(Judge):
    def tlvs(self, frame: bytes) -> Iterator[Tlv]:
        for tlv in super().tlvs(frame):
            if tlv.size == 0:
                raise MalformedError
            yield tlv
