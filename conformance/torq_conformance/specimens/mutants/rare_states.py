"""Faults of any section that show in a rare state only: one size, one number, two things at once."""

import select
from collections.abc import Iterator
from itertools import islice

from torq_conformance.specimens.correct.framing import HEADER_BYTES, MAGIC, Framer
from torq_conformance.specimens.correct.judging import Judge, Tlv
from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.counting import Losing
from torq_conformance.specimens.mutants.ordering import Delaying
from torq_conformance.specimens.mutants.table import mutant, replacing

VERIFYING = "signal execution"
CHUNK = 65_536
HUGE = 1 << 18


mutant("sequence-signed", "FWD-1", "loses frames with a sequence of 2^63 and above")(
    replacing(Losing.is_lost, lambda relay, sender, frame: frame[15] >= 128)
)
mutant("sequence-0-lost", "FWD-1", "loses frames with a sequence of 0")(
    replacing(Losing.is_lost, lambda relay, sender, frame: frame[8:16] == bytes(8))
)


@mutant("sequence-repeated-lost", "FWD-1", "takes a frame with the sequence that its source had last for a repetition")
class SequenceRepeatedLost(Losing):
    def prepare(self) -> None:
        self.last: dict[int, bytes] = {}

    def is_lost(self, sender: Connection, frame: bytes) -> bool:
        repeated = self.last.get(frame[6]) == frame[8:16]
        self.last[frame[6]] = frame[8:16]
        return repeated


@mutant("source-of-another-lost", "FWD-1", "loses frames of a source that another open connection sent for first")
class SourceOfAnotherLost(Losing):
    def prepare(self) -> None:
        self.owners: dict[int, Connection] = {}

    def is_lost(self, sender: Connection, frame: bytes) -> bool:
        owner = self.owners.setdefault(frame[6], sender)
        return owner is not sender and owner.sock.fileno() in self.connections

    def closed(self, connection: Connection) -> None:
        self.owners = {source: owner for source, owner in self.owners.items() if owner is not connection}


mutant("flag-64-lost", "FWD-3 FWD-1", "loses frames whose flags are 64 and no other")(
    replacing(Losing.is_lost, lambda relay, sender, frame: frame[7] == 64)
)
mutant("size-4096-lost", "FWD-7", "loses frames of exactly 4096 bytes")(
    replacing(Losing.is_lost, lambda relay, sender, frame: len(frame) == 4096)
)
mutant("size-301-lost", "FWD-7", "loses frames of exactly 301 bytes")(
    replacing(Losing.is_lost, lambda relay, sender, frame: len(frame) == 301)
)
mutant("deaf-257-to-512", "CONN-4", "ignores what the connections 257 to 512 of those at once send")(
    replacing(
        Losing.is_lost,
        lambda relay, sender, frame: (
            len(relay.connections) > 256 and 256 <= list(relay.connections.values()).index(sender) < 512
        ),
    )
)


@mutant("largest-behind-another-lost", "FWD-7", "loses a frame of the maximum size that does not begin a read")
class LargestBehindAnotherLost(Framer):
    begins_inside = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for frame in super().feed(data):
            if not (self.begins_inside and len(frame) == self.settings.max_message_size):
                yield frame
            self.begins_inside = True
        self.begins_inside = self.begins_inside and bool(self.buffer)


@mutant("full-read-held", "FRAME-2", "holds back what came in a read that fills its buffer, until the next read")
class FullReadHeld(Relay):
    def prepare(self) -> None:
        self.kept: dict[Connection, bytes] = {}

    def received(self, connection: Connection, data: bytes) -> None:
        data = self.kept.pop(connection, b"") + data
        if len(data) % CHUNK == 0:
            self.kept[connection] = data
        else:
            super().received(connection, data)

    def closed(self, connection: Connection) -> None:
        self.kept.pop(connection, None)


@mutant("one-behind", "FWD-1", "forwards a frame only when the next one of its sender has come")
class OneBehind(Relay):
    def prepare(self) -> None:
        self.kept: dict[Connection, bytes] = {}

    def is_kept(self, frame: bytes) -> bool:
        """Whether this frame waits for the next one."""
        return True

    def forward(self, sender: Connection, frame: bytes) -> None:
        if sender in self.kept:
            super().forward(sender, self.kept.pop(sender))
        if self.is_kept(frame):
            self.kept[sender] = frame
        else:
            super().forward(sender, frame)

    def closed(self, connection: Connection) -> None:
        self.kept.pop(connection, None)


mutant("header-only-held", "FWD-6", "forwards a frame without a payload only when the next one of its sender has come")(
    replacing(OneBehind.is_kept, lambda relay, frame: len(frame) == HEADER_BYTES)
)


@mutant("magic-begins-anew", "FRAME-1", "takes a read that begins with the magic for the beginning of a frame")
class MagicBeginsAnew(Framer):
    def feed(self, data: bytes) -> Iterator[bytes]:
        if data.startswith(MAGIC):
            self.buffer.clear()
        return super().feed(data)


@mutant("magic-of-three-bytes", "VAL-5", "looks at the first three bytes of the magic only")
class MagicOfThreeBytes(Framer):
    def fault(self, start: int) -> bool:
        size = self.frame_size(start)
        begins = MAGIC[:3].startswith(self.buffer[start : start + 3])
        return not begins or (size is not None and self.too_large(size))


@mutant("claim-wraps-around", "VAL-5", "adds header and payload in 32 bits, and waits for ever for a frame of no bytes")
class ClaimWrapsAround(Framer):
    def frame_size(self, start: int) -> int | None:
        size = super().frame_size(start)
        return None if size is None else size % 2**32 or None


@mutant("two-partials-mixed", "FRAME-3", "keeps the incomplete frames of two connections apart, not those of three")
class TwoPartialsMixed(Relay):
    def received(self, connection: Connection, data: bytes) -> None:
        others = [each for each in self.connections.values() if each is not connection and each.framer.buffer]
        if others and connection.framer.buffer:
            connection.framer.buffer, others[0].framer.buffer = others[0].framer.buffer, connection.framer.buffer
        super().received(connection, data)


@mutant("join-ends-partials", "FRAME-3 FRAME-1", "forgets all incomplete frames when a client joins")
class JoinEndsPartials(Relay):
    def opened(self, connection: Connection) -> None:
        for each in self.connections.values():
            each.framer.buffer.clear()


@mutant("leaver-ends-partials", "CONN-6", "forgets all incomplete frames when a client leaves")
class LeaverEndsPartials(Relay):
    def closed(self, connection: Connection) -> None:
        for each in self.connections.values():
            each.framer.buffer.clear()


@mutant("repeat-ignored", "FWD-1 FWD-2", "takes a frame that equals the one before it for the same frame")
class RepeatIgnored(Framer):
    last = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        for frame in super().feed(data):
            if frame != self.last:
                yield frame
            self.last = frame


@mutant("deaf-after-65536", "CONN-3 FWD-1", "hears a connection no more when a counter of two bytes is full")
class DeafAfter65536(Framer):
    heard = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        for frame in super().feed(data):
            self.heard += 1
            if self.heard <= 0xFFFF:
                yield frame


mutant("one-size-lost", "FWD-7", "loses frames of exactly 1500 bytes")(
    replacing(Judge.refusal, lambda judge, frame: "unlucky" if len(frame) == 1_500 else Judge.refusal(judge, frame))
)


@mutant("outbox-inherited", "FWD-5 CONN-6", "the next to join gets what the last who left had not read yet")
class OutboxInherited(Relay):
    left: tuple[bytes, ...] = ()

    def opened(self, connection: Connection) -> None:
        for frame in self.left:
            self.deliver(connection, frame)
        self.left = ()
        self.write(connection)

    def write(self, connection: Connection) -> None:
        waiting = tuple(connection.outbox.frames)[1:]
        super().write(connection)
        if waiting and not connection.receiving:
            self.left = waiting

    def closed(self, connection: Connection) -> None:
        """A client that left may be seen gone before its socket can be written: its end is seen by reading then."""
        self.left = tuple(connection.outbox.frames)[1:] or self.left


@mutant(
    "half-close-loses-its-last", "CONN-7", "throws away what a client sent just before it shut down its sending side"
)
class HalfCloseLosesItsLast(Relay):
    def received(self, connection: Connection, data: bytes) -> None:
        if not self.is_at_its_end(connection):
            super().received(connection, data)

    def is_at_its_end(self, connection: Connection) -> bool:
        """Whether nothing but the end of input follows."""
        watcher = select.poll()
        watcher.register(connection.sock, select.POLLRDHUP)
        return any(event & (select.POLLRDHUP | select.POLLHUP) == select.POLLRDHUP for _, event in watcher.poll(0))


@mutant("split-unjudged", "VAL-1 DOM-2 VAL-3", "judges only frames that came whole in one read", domains=VERIFYING)
class SplitUnjudged(Relay):
    def received(self, connection: Connection, data: bytes) -> None:
        self.split = bool(connection.framer.buffer)
        super().received(connection, data)

    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        if self.split and reason != "foreign domain":
            self.forward(connection, frame)
        self.split = False


@mutant("large-unjudged", "VAL-1 DOM-2 VAL-3", "does not look into frames above 65 536 bytes", domains=VERIFYING)
class LargeUnjudged(Judge):
    def refusal(self, frame: bytes) -> str | None:
        reason = super().refusal(frame)
        return reason if len(frame) <= CHUNK or reason == "foreign domain" else None


@mutant("large-foreign-forwarded", "DOM-1", "does not look at the domain of frames above 65 536 bytes")
class LargeForeignForwarded(Judge):
    def refusal(self, frame: bytes) -> str | None:
        reason = super().refusal(frame)
        return None if len(frame) > CHUNK and reason == "foreign domain" else reason


@mutant("checksum-ends-only", "VAL-1", "compares the first and the last byte of checksums only", domains=VERIFYING)
class ChecksumEndsOnly(Judge):
    def checksum_accepted(self, frame: bytes) -> bool:
        right = self.checksum(frame).to_bytes(4, "little")
        return (frame[28], frame[31]) == (right[0], right[3])


mutant("domain-by-low-bits", "DOM-1", "compares the low 4 bits of the domain only")(
    replacing(Judge.domain_accepted, lambda judge, domain: Judge.domain_accepted(judge, domain & 15))
)
mutant("type-by-low-bits", "DOM-4 DOM-2", "compares the low 7 bits of TLV types only", domains=VERIFYING)(
    replacing(Judge.type_accepted, lambda judge, number: Judge.type_accepted(judge, number & 127))
)
mutant("reserved-byte-high-ignored", "VAL-3", "accepts reserved bytes above 1 in an extended TLV", domains=VERIFYING)(
    replacing(
        Judge.extended_tlv,
        lambda judge, head: Judge.extended_tlv(judge, head if head[1] == 1 else head[:1] + b"\0" + head[2:]),
    )
)
mutant("huge-frames-late", "ORD-1", "frames above 65 536 bytes are overtaken by later ones of their sender")(
    replacing(Delaying.is_late, lambda relay, sender, receiver, frame: len(frame) > CHUNK)
)


@mutant("second-overflow-torn", "ISO-4", "drops the rest of a partly sent frame when a queue has overflowed before")
class SecondOverflowTorn(Outbox):
    emptied = False
    overflowed = False

    def drop_oldest(self, frame: bytes) -> None:
        if self.emptied and self.written:
            self.bytes -= len(self.frames.popleft()) - self.written
            self.written = 0
        self.overflowed = True
        super().drop_oldest(frame)

    def write(self) -> None:
        super().write()
        self.emptied = self.emptied or (self.overflowed and not self.frames)


mutant("checksum-skips-huge", "VAL-1", "does not verify the checksum of frames above 256 KiB", domains=VERIFYING)(
    replacing(Judge.checksum_accepted, lambda judge, frame: len(frame) > HUGE or Judge.checksum_accepted(judge, frame))
)


@mutant("tlvs-behind-256-kib", "VAL-3 DOM-2", "looks at the TLVs in the first 256 KiB only", domains=VERIFYING)
class TlvsBehind256Kib(Judge):
    def tlvs(self, frame: bytes) -> Iterator[Tlv]:
        at = HEADER_BYTES
        for tlv in super().tlvs(frame):
            yield tlv
            at += (5 if tlv.extended else 2) + tlv.size
            if at > HUGE:
                return


@mutant("1024-frames-a-read", "FRAME-2 FWD-1", "handles 1024 frames of a read, the others with the next read")
class FramesARead(Framer):
    most = 1_024

    def feed(self, data: bytes) -> Iterator[bytes]:
        return islice(super().feed(data), self.most)


class RefusedSearched(Relay):
    """Searches a refused frame for the next magic, as if its size could not be trusted, and serves what it finds."""

    reasons: tuple[str, ...] = ()

    def found_in(self, frame: bytes) -> int:
        """Offset of the magic that is taken for a beginning, or -1."""
        return frame.find(MAGIC, 1)

    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        at = self.found_in(frame) if reason in self.reasons else -1
        if at >= 0:
            inner = frame[at:]
            inner = inner[: HEADER_BYTES + int.from_bytes(inner[24:28], "little")]
            if self.judge.refusal(inner) is None:
                self.forward(connection, inner)


@mutant("foreign-domain-searched", "DOM-1", "searches a frame of another domain for the next magic")
class ForeignDomainSearched(RefusedSearched):
    reasons = ("foreign domain",)


@mutant("wrong-checksum-searched", "VAL-1", "searches a frame with a wrong checksum for a magic", domains=VERIFYING)
class WrongChecksumSearched(RefusedSearched):
    reasons = ("wrong checksum",)


@mutant("foreign-type-searched", "DOM-2", "searches a frame with a foreign type for the next magic", domains=VERIFYING)
class ForeignTypeSearched(RefusedSearched):
    reasons = ("type out of range",)


@mutant("malformed-searched", "VAL-3", "searches a malformed payload for the next magic", domains=VERIFYING)
class MalformedSearched(RefusedSearched):
    reasons = ("malformed payload",)


@mutant("version-searched", "VAL-4", "searches a frame of an unknown version for a magic", domains="execution")
class VersionSearched(RefusedSearched):
    reasons = ("unknown version",)
