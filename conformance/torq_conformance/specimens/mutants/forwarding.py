"""FWD-1, FWD-2, FWD-6 to 8: frames lost and doubled."""

from collections.abc import Iterator

from torq_conformance.specimens.correct.framing import HEADER_BYTES, Framer
from torq_conformance.specimens.correct.judging import Judge, MalformedError, Tlv
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.counting import Counting
from torq_conformance.specimens.mutants.table import mutant


@mutant("drop-every-100th", "FWD-1", "loses every 100th frame")
class DropEvery100th(Counting):
    def forward_counted(self, sender: Connection, frame: bytes) -> None:
        if self.forwarded % 100:
            super().forward_counted(sender, frame)


@mutant("drop-every-10th", "FWD-1", "loses every 10th frame")
class DropEvery10th(Counting):
    def forward_counted(self, sender: Connection, frame: bytes) -> None:
        if self.forwarded % 10:
            super().forward_counted(sender, frame)


@mutant("drop-random", "FWD-1", "loses each frame with --probability (default 0.2), for everyone")
class DropRandom(Counting):
    def forward_counted(self, sender: Connection, frame: bytes) -> None:
        if not self.happens():
            super().forward_counted(sender, frame)


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


@mutant("duplicate-every-50th", "FWD-2", "forwards every 50th frame twice")
class DuplicateEvery50th(Counting):
    def forward_counted(self, sender: Connection, frame: bytes) -> None:
        for _ in range(2 if self.forwarded % 50 == 0 else 1):
            super().forward_counted(sender, frame)


@mutant("duplicate-random", "FWD-2", "forwards each frame twice with --probability (default 0.2)")
class DuplicateRandom(Counting):
    def forward_counted(self, sender: Connection, frame: bytes) -> None:
        for _ in range(2 if self.happens() else 1):
            super().forward_counted(sender, frame)


@mutant("duplicate-split", "FWD-2 FRAME-1", "forwards a frame that came in several reads twice")
class DuplicateSplit(Framer):
    def feed(self, data: bytes) -> Iterator[bytes]:
        split = bool(self.buffer)
        for frame in super().feed(data):
            if split:
                yield frame
            split = False
            yield frame


@mutant("drop-header-only", "FWD-6", "loses frames without a payload")
class DropHeaderOnly(Relay):
    def forward(self, sender: Connection, frame: bytes) -> None:
        if len(frame) > HEADER_BYTES:
            super().forward(sender, frame)


@mutant("drop-above-64k", "FWD-7", "loses frames above 65 536 bytes")
class DropAbove64k(Relay):
    def forward(self, sender: Connection, frame: bytes) -> None:
        if len(frame) <= 65_536:
            super().forward(sender, frame)


@mutant("limit-off-by-one", "FWD-7", "takes a frame of exactly the maximum size for too large")
class LimitOffByOne(Framer):
    def too_large(self, size: int) -> bool:
        return size >= self.settings.max_message_size


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
