"""FWD-3: bytes that change on the way."""

import time

from torq_conformance.specimens.correct.framing import HEADER_BYTES
from torq_conformance.specimens.correct.relay import Connection
from torq_conformance.specimens.mutants.counting import Counting
from torq_conformance.specimens.mutants.table import mutant, replacing


class Altering(Counting):
    """Forwards `altered` frames."""

    def forward_counted(self, sender: Connection, frame: bytes) -> None:
        super().forward_counted(sender, bytes(self.altered(bytearray(frame))))

    def altered(self, frame: bytearray) -> bytearray:
        """The frame as it goes out."""
        return frame

    def with_checksum(self, frame: bytearray) -> bytearray:
        """The frame with the right checksum in place."""
        frame[28:32] = self.judge.checksum(bytes(frame)).to_bytes(4, "little")
        return frame


@mutant("corrupt-above-255", "FWD-3", "flips a bit in the middle of payloads above 255 bytes")
class CorruptAbove255(Altering):
    def altered(self, frame: bytearray) -> bytearray:
        if len(frame) - HEADER_BYTES > 255:
            frame[(len(frame) + HEADER_BYTES) // 2] ^= 1
        return frame


@mutant("corrupt-exactly-64k", "FWD-3 FWD-7", "flips the last bit of frames of exactly 65 536 bytes")
class CorruptExactly64k(Altering):
    def altered(self, frame: bytearray) -> bytearray:
        if len(frame) == 65_536:
            frame[-1] ^= 1
        return frame


mutant("corrupt-carriage-return", "FWD-3", "turns the byte 13 of a payload into 10, as text would")(
    replacing(Altering.altered, lambda relay, frame: frame[:HEADER_BYTES] + frame[HEADER_BYTES:].replace(b"\r", b"\n"))
)


@mutant("corrupt-every-40th", "FWD-3", "flips a bit of the last byte of every 40th frame")
class CorruptEvery40th(Altering):
    def altered(self, frame: bytearray) -> bytearray:
        if self.forwarded % 40 == 0:
            frame[-1] ^= 0x80
        return frame


@mutant("zero-trailing-ff", "FWD-3", "turns the last byte of a payload into 0 when it is 255")
class ZeroTrailingFf(Altering):
    def altered(self, frame: bytearray) -> bytearray:
        if len(frame) > HEADER_BYTES and frame[-1] == 255:
            frame[-1] = 0
        return frame


@mutant("rewrite-sequence", "FWD-3", "numbers the frames itself, with a new checksum")
class RewriteSequence(Altering):
    def altered(self, frame: bytearray) -> bytearray:
        frame[8:16] = self.forwarded.to_bytes(8, "little")
        return self.with_checksum(frame)


@mutant("rewrite-timestamp", "FWD-3", "stamps the frames with its own time, with a new checksum")
class RewriteTimestamp(Altering):
    def altered(self, frame: bytearray) -> bytearray:
        frame[16:24] = time.time_ns().to_bytes(8, "little")
        return self.with_checksum(frame)


@mutant("rewrite-source", "FWD-3", "puts its own source number into the header, with a new checksum")
class RewriteSource(Altering):
    def altered(self, frame: bytearray) -> bytearray:
        frame[6] = 79 + frame[4]
        return self.with_checksum(frame)


@mutant("clear-flags", "FWD-3", "clears the flags, with a new checksum")
class ClearFlags(Altering):
    def altered(self, frame: bytearray) -> bytearray:
        frame[7] = 0
        return self.with_checksum(frame)


mutant("repair-checksum", "FWD-3 VAL-2", "puts the right checksum where a wrong one stood", domains="market_data")(
    replacing(Altering.altered, lambda relay, frame: relay.with_checksum(frame))
)
