"""VAL-1 to VAL-5: checksums, payloads, the security level, and bytes that are no frames."""

from collections.abc import Iterator

from torq_conformance.specimens.correct.framing import HEADER_BYTES, MAGIC, Framer
from torq_conformance.specimens.correct.judging import Judge, MalformedError, Tlv
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.correct.settings import Settings
from torq_conformance.specimens.mutants.table import mutant, replacing

VERIFYING = "signal execution"
RESYNC = "--on-framing-error resync"


mutant("checksum-unverified", "VAL-1", "does not verify checksums", domains=VERIFYING)(
    replacing(Judge.checksum_accepted, lambda judge, frame: True)
)
mutant("checksum-0-accepted", "VAL-1", "takes a checksum of 0 for 'unset'", domains="execution")(
    replacing(Judge.not_computed, lambda judge, frame: frame[28:32] == bytes(4))
)
mutant("checksum-0-refused", "VAL-1", "verifies a checksum field of 0 too", domains="signal")(
    replacing(Judge.not_computed, lambda judge, frame: False)
)
mutant("checksum-skips-large", "VAL-1", "does not verify the checksum of frames above 1024 bytes", domains=VERIFYING)(
    replacing(Judge.checksum_accepted, lambda judge, frame: len(frame) > 1024 or Judge.checksum_accepted(judge, frame))
)
mutant("checksum-skips-header-only", "VAL-1", "does not verify frames without a payload", domains=VERIFYING)(
    replacing(
        Judge.checksum_accepted,
        lambda judge, frame: len(frame) == HEADER_BYTES or Judge.checksum_accepted(judge, frame),
    )
)
mutant("checksum-low-half", "VAL-1", "compares the low 16 bits of checksums only", domains=VERIFYING)(
    replacing(
        Judge.checksum_accepted,
        lambda judge, frame: int.from_bytes(frame[28:30], "little") == judge.checksum(frame) & 0xFFFF,
    )
)
mutant("checksum-signed", "FWD-1", "refuses right checksums of 2^31 and above", domains=VERIFYING)(
    replacing(
        Judge.checksum_accepted,
        lambda judge, frame: int.from_bytes(frame[28:32], "little", signed=True) == judge.checksum(frame),
    )
)
mutant("checksum-right-0-refused", "FWD-1", "refuses a frame whose right checksum is 0", domains="execution")(
    replacing(
        Judge.checksum_accepted, lambda judge, frame: frame[28:32] != bytes(4) and Judge.checksum_accepted(judge, frame)
    )
)


@mutant("bad-checksum-closes", "VAL-1", "closes the connection that sent a wrong checksum", domains=VERIFYING)
class BadChecksumCloses(Relay):
    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        if reason == "wrong checksum":
            self.close(connection)


@mutant(
    "bad-checksum-swallows-read", "VAL-1", "loses what came behind a wrong checksum in the same read", domains=VERIFYING
)
class BadChecksumSwallowsRead(Relay):
    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        if reason == "wrong checksum":
            connection.framer.buffer.clear()


@mutant("market-data-verifies", "VAL-2", "refuses wrong checksums", domains="market_data")
class MarketDataVerifies(Judge):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.rules = self.rules._replace(checksum=True)


mutant("market-data-refuses-0", "VAL-2", "refuses a checksum field of 0", domains="market_data")(
    replacing(
        Judge.refusal, lambda judge, frame: "no checksum" if frame[28:32] == bytes(4) else Judge.refusal(judge, frame)
    )
)


@mutant("malformed-forwarded", "VAL-3", "forwards payloads with a truncated TLV", domains=VERIFYING)
class MalformedForwarded(Judge):
    def tlvs(self, frame: bytes) -> Iterator[Tlv]:
        try:
            yield from super().tlvs(frame)
        except MalformedError:
            return


mutant("trailing-byte-forwarded", "VAL-3", "forwards payloads with one byte too many", domains=VERIFYING)(
    replacing(
        Judge.payload_refusal,
        lambda judge, frame: Judge.payload_refusal(judge, frame) and Judge.payload_refusal(judge, frame[:-1]),
    )
)
mutant("reserved-byte-ignored", "VAL-3", "accepts any reserved byte in an extended TLV", domains=VERIFYING)(
    replacing(Judge.extended_tlv, lambda judge, head: Judge.extended_tlv(judge, head[:1] + b"\0" + head[2:]))
)


@mutant("malformed-closes", "VAL-3", "closes the connection that sent a malformed payload", domains=VERIFYING)
class MalformedCloses(Relay):
    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        if reason == "malformed payload":
            self.close(connection)


mutant("version-2-forwarded", "VAL-4", "accepts version 2", domains="execution")(
    replacing(Judge.version_accepted, lambda judge, version: version in (1, 2))
)
mutant("version-0-forwarded", "VAL-4", "accepts version 0", domains="execution")(
    replacing(Judge.version_accepted, lambda judge, version: version in (0, 1))
)
mutant("unknown-source-forwarded", "VAL-4", "accepts any source", domains="execution")(
    replacing(Judge.source_accepted, lambda judge, source: True)
)
mutant("wrong-size-forwarded", "VAL-4", "accepts fixed-size types of any size", domains="execution")(
    replacing(Judge.size_accepted, lambda judge, tlv: True)
)
mutant("extended-size-unchecked", "VAL-4", "does not check fixed sizes in extended form", domains="execution")(
    replacing(Judge.size_accepted, lambda judge, tlv: tlv.extended or Judge.size_accepted(judge, tlv))
)
mutant("limit-without-header", "VAL-5", "compares the maximum size with the payload alone")(
    replacing(Framer.too_large, lambda framer, size: Framer.too_large(framer, size - HEADER_BYTES))
)
mutant("oversize-awaited", "VAL-5", "waits for the bytes of a frame above the maximum size, whatever it is")(
    replacing(Framer.too_large, lambda framer, size: False)
)


@mutant("garbage-forwarded", "VAL-5", "forwards what is no frame before it closes the connection")
class GarbageForwarded(Relay):
    def framing_error(self, connection: Connection) -> None:
        self.forward(connection, bytes(connection.framer.buffer))
        super().framing_error(connection)


@mutant("garbage-loses-frames-before", "VAL-5", "loses the frames that stand before garbage in the same read")
class GarbageLosesFramesBefore(Framer):
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield from list(super().feed(data))


@mutant("garbage-frames-behind-forwarded", "VAL-5", "forwards the frames behind garbage, then closes the connection")
class GarbageFramesBehindForwarded(Relay):
    def framing_error(self, connection: Connection) -> None:
        rest = Framer(self.settings._replace(on_framing_error="resync"))
        for frame in rest.feed(bytes(connection.framer.buffer)):
            self.forward(connection, frame)
        super().framing_error(connection)


mutant("garbage-ignored", "VAL-5", "throws a read with a bad magic away and keeps the connection")(
    replacing(Relay.framing_error, lambda relay, connection: connection.framer.buffer.clear())
)


@mutant("resync-unasked", "VAL-5", "finds the next frame behind garbage where it should close")
class ResyncUnasked(Framer):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings._replace(on_framing_error="resync"))


@mutant("close-unasked", "VAL-5", "closes where it should find the next frame", arguments=RESYNC)
class CloseUnasked(Framer):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings._replace(on_framing_error="close"))


@mutant("resync-by-32", "VAL-5", "looks for the next frame behind garbage every 32 bytes only", arguments=RESYNC)
class ResyncBy32(Framer):
    def next_magic(self, start: int) -> int:
        at = start - 1 + HEADER_BYTES
        while at < len(self.buffer) and not MAGIC.startswith(self.buffer[at : at + 4]):
            at += HEADER_BYTES
        return min(at, len(self.buffer))


@mutant("resync-loses-split-magic", "VAL-5", "misses a magic behind garbage that came in two reads", arguments=RESYNC)
class ResyncLosesSplitMagic(Framer):
    def next_magic(self, start: int) -> int:
        found = self.buffer.find(MAGIC, start)
        return found if found >= 0 else len(self.buffer)


mutant("resync-drops-read", "VAL-5", "throws the rest of a read away instead of searching it", arguments=RESYNC)(
    replacing(Framer.next_magic, lambda framer, start: len(framer.buffer))
)
