"""Which whole frames a relay of a domain refuses, and why (DOM-1 to 4, VAL-1 to 4).

Facts: market data looks at the header's domain only; signal also at checksum and every TLV; execution also at
version, source and the sizes of fixed-size types. Signal lets a checksum field of 0 pass, which says that none was
computed (D9). A header-only frame is well formed.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from torq_conformance.specimens.correct.settings import Settings

HEADER_BYTES = 32
EXTENDED = 255


class Rules(NamedTuple):
    """What one domain's relay checks; `types` None means TLVs are not looked at."""

    domain: int
    types: range | None
    checksum: bool
    strict: bool


RULES = {
    "market_data": Rules(domain=1, types=None, checksum=False, strict=False),
    "signal": Rules(domain=2, types=range(20, 40), checksum=True, strict=False),
    "execution": Rules(domain=3, types=range(40, 80), checksum=True, strict=True),
}

ZERO_CHECKSUM = {"market_data": "accept", "signal": "accept", "execution": "refuse"}
SOURCES = frozenset((1, 2, 3, 4, 5, 20, 21, 22, 23, 40, 41, 42, 60, 61, 62, 80, 81, 82))
FIXED_SIZES = {40: 32, 41: 24, 42: 32, 43: 16, 44: 24, 45: 48, 60: 32, 63: 48, 66: 40, 69: 32, 71: 24}


class MalformedError(Exception):
    """The payload is not a sequence of whole TLVs (D7)."""


class Tlv(NamedTuple):
    """One TLV of a payload: its real type, the size of its value in bytes, and its form."""

    type: int
    size: int
    extended: bool


class Judge:
    """Decides about whole frames."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rules = RULES[settings.domain]
        self.zero_accepted = (settings.zero_checksum or ZERO_CHECKSUM[settings.domain]) == "accept"

    def refusal(self, frame: bytes) -> str | None:
        """The reason why the frame reaches nobody, or None when it is forwarded."""
        if not self.domain_accepted(frame[4]):
            return "foreign domain"
        if self.rules.checksum and not (self.not_computed(frame) or self.checksum_accepted(frame)):
            return "wrong checksum"
        if self.rules.strict and not self.version_accepted(frame[5]):
            return "unknown version"
        if self.rules.strict and not self.source_accepted(frame[6]):
            return "unknown source"
        return self.payload_refusal(frame) if self.rules.types else None

    def payload_refusal(self, frame: bytes) -> str | None:
        """Why the TLVs of the frame are refused, or None."""
        try:
            for tlv in self.tlvs(frame):
                if not self.type_accepted(tlv.type):
                    return "type out of range"
                if self.rules.strict and not self.size_accepted(tlv):
                    return "wrong size of a fixed-size type"
        except MalformedError:
            return "malformed payload"
        return None

    def tlvs(self, frame: bytes) -> Iterator[Tlv]:
        """The TLVs of a frame in order. Raises MalformedError."""
        at, end, place = HEADER_BYTES, len(frame), 0
        while at < end:
            head = 5 if frame[at] == EXTENDED else 2
            if end - at < head:
                raise MalformedError
            tlv = self.extended_tlv(frame[at : at + 5]) if head == 5 else Tlv(frame[at], frame[at + 1], False)
            at += head + tlv.size
            place += 1
            if self.is_cut_short(tlv, place, at - end):
                raise MalformedError
            yield tlv

    def extended_tlv(self, head: bytes) -> Tlv:
        """Read the 5 bytes 255, 0, type, u16 length."""
        if head[1] != 0 or head[2] in (0, EXTENDED):
            raise MalformedError
        return Tlv(head[2], int.from_bytes(head[3:5], "little"), extended=True)

    def is_cut_short(self, tlv: Tlv, place: int, missing: int) -> bool:
        """Whether the payload ends within the value of a TLV, the `place`-th: `missing` bytes too early."""
        return missing > 0

    def domain_accepted(self, domain: int) -> bool:
        """Whether the header names this relay's domain (DOM-1)."""
        return domain == self.rules.domain

    def type_accepted(self, number: int) -> bool:
        """Whether a TLV type lies in the relay's range (DOM-2, DOM-4)."""
        return self.rules.types is None or number in self.rules.types

    def checksum_accepted(self, frame: bytes) -> bool:
        """Whether the checksum at 28 is the CRC-32 of all other bytes (VAL-1, D9)."""
        return int.from_bytes(frame[28:32], "little") == self.checksum(frame)

    def not_computed(self, frame: bytes) -> bool:
        """Whether the checksum field is 0, where that is accepted as "not computed" (VAL-1, D9)."""
        return self.zero_accepted and frame[28:32] == bytes(4)

    def checksum(self, frame: bytes) -> int:
        """CRC-32 over bytes 0 to 27 and 32 to the end."""
        return zlib.crc32(frame[32:], zlib.crc32(frame[:28]))

    def version_accepted(self, version: int) -> bool:
        """Whether the version is 1 (VAL-4)."""
        return version == 1

    def source_accepted(self, source: int) -> bool:
        """Whether the source is in the registry (VAL-4)."""
        return source in SOURCES

    def size_accepted(self, tlv: Tlv) -> bool:
        """Whether a fixed-size type has its size, in either form (VAL-4, D6)."""
        return FIXED_SIZES.get(tlv.type, tlv.size) == tlv.size
