"""Frames and other bytes that a client sends, as plain data: what they are in words, and how they are encoded.

Facts: a program never says which bytes are sent. Those follow from the place of a frame in the program and from the
counter of the run that plays it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal
from zlib import crc32

import msgspec

from torq_protocol.constants import CHECKSUM_OFFSET, HEADER_SIZE, MAGIC_BYTES, MAX_STANDARD_VALUE, VERSION

from ..counting import counted, inflected
from . import wire

SOURCES = (1, 2, 3, 4, 5, 20, 21, 22, 23, 40, 41, 42, 60, 61, 62, 80, 81, 82)
"""Every source byte that is known (D11); each connection writes with one of its own."""
EPOCH_NS = 1_700_000_000_000_000_000
MAX_VALUE = 65_535
EDGE_BYTES = b"\r\n\xff\x00\xff" + bytes(range(1, 10)) + bytes((11, 12, *range(14, 255)))
"""What fills a value behind its label: every byte, those first that a relay is likeliest to change."""
DOMAIN_WORDS = {1: "market data", 2: "signal", 3: "execution", 4: "system"}
MOST_LISTED = 3
"""Things that a sentence lists; more are counted."""


class Tlv(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One TLV of a frame. ``size`` is in bytes; the extended form is taken above 255 bytes anyway (D7)."""

    type: int
    size: int = 0
    extended: bool = False

    @property
    def encoded_size(self) -> int:
        """Bytes on the wire, TLV header included."""
        return self.size + (5 if self.extended or self.size > 255 else 2)

    @property
    def words(self) -> str:
        """Its type, form and size, such as ``30 extended of 8``."""
        return f"{self.type}{' extended' if self.extended or self.size > MAX_STANDARD_VALUE else ''} of {self.size}"


Checksum = Literal["good", "zero", "inverted", "off-by-one", "one-bit", "with-field", "made-zero", "payload-flipped"]
"""What the checksum of a frame is: right, right and zero, or wrong in one of these ways."""


class Frame(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag="frame", dict=True):
    """One message. The fields after ``tlvs`` are the ways in which it can be wrong, or merely unusual.

    ``tail`` is put behind the TLVs as it stands (hexadecimal): a malformed payload. ``claim`` replaces the
    payload_size of the header, ``source`` None is the connection's own, ``sequence`` and ``timestamp`` None are unlike
    all others of the run. Frames with both given, and without a value that has room for a label, are equal byte for
    byte: which of them has come is told by their order.
    ``checksum`` says what bytes 28 to 31 hold; "made-zero" is a right one: the last 4 bytes are chosen so that it is 0,
    "one-bit" is wrong in one ``bit`` only, of which 0 is the lowest.
    """

    domain: int
    tlvs: tuple[Tlv, ...] = ()
    tail: str = ""
    version: int = VERSION
    source: int | None = None
    flags: int = 0
    sequence: int | None = None
    timestamp: int | None = None
    checksum: Checksum = "good"
    bit: Annotated[int, msgspec.Meta(ge=0, le=31)] = 0
    claim: int | None = None

    @property
    def wrong_checksum(self) -> str:
        """In which way the checksum is wrong, in words; "" for a right one."""
        if self.checksum in ("good", "made-zero"):
            return ""
        if self.checksum == "payload-flipped":
            return "right for another payload, of which one bit is flipped"
        return f"bit {self.bit} flipped" if self.checksum == "one-bit" else self.checksum

    @cached_property
    def size(self) -> int:
        """Bytes on the wire, header included."""
        return HEADER_SIZE + sum(tlv.encoded_size for tlv in self.tlvs) + len(self.tail) // 2

    def words(self, label: str) -> str:
        """What it is, and what is unusual about it; ``label`` names it among the frames of a program."""
        facts = [f"{DOMAIN_WORDS.get(self.domain, 'invalid')} domain {self.domain}", f"{self.size} bytes"]
        if self.tlvs:
            facts.append(f"TLV {listed([tlv.words for tlv in self.tlvs], most=4)}")
        unusual = (
            (f"then the bytes {self.tail}", self.tail),
            (f"checksum {self.wrong_checksum or self.checksum}", self.checksum != "good"),
            (f"version {self.version}", self.version != VERSION),
            (f"source {self.source}", self.source is not None),
            (f"flags {self.flags:#04x}", self.flags),
            (f"sequence {self.sequence}", self.sequence is not None),
            (f"timestamp {self.timestamp}", self.timestamp is not None),
            (f"payload_size says {self.claim}", self.claim is not None),
        )
        facts += [fact for fact, holds in unusual if holds]
        return f"frame {label} ({', '.join(facts)})"


class Raw(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="raw"):
    """Bytes that are no frame (hexadecimal)."""

    bytes: str

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self.bytes) // 2

    def words(self, _: str) -> str:
        """How many bytes it has."""
        return f"{self.size} {inflected(self.size, 'byte that is', 'bytes that are')} no frame"


Item = Frame | Raw


def listed(parts: Sequence[str], *, most: int = MOST_LISTED) -> str:
    """Parts with commas between them; of many the first, and how many there are."""
    if len(parts) > most:
        return f"{', '.join(parts[:most])} ... ({len(parts)} in all)"
    return ", ".join(parts)


def in_ranges(labels: Sequence[tuple[str, int | None]]) -> str:
    """Labels in their order, each with its number, or None for what is no frame.

    A range, such as ``A0 ... A4``, stands for frames of consecutive numbers, each once. Of many ranges the first are
    named, and how many numbers lie between without being among them, or are there more than once.
    """
    ranges: list[list[tuple[str, int | None]]] = []
    for label, number in labels:
        before = ranges[-1][-1][1] if ranges else None
        if number is not None and before is not None and number == before + 1:
            ranges[-1].append((label, number))
        else:
            ranges.append([(label, number)])
    texts = [_range_text([label for label, _ in each]) for each in ranges]
    if len(labels) <= MOST_LISTED:
        return ", ".join(label for label, _ in labels)
    numbers = [number for _, number in labels if number is not None]
    distinct = set(numbers)
    between = max(distinct) + 1 - min(distinct) - len(distinct) if distinct else 0
    facts = (
        (counted(len(labels), "frame") if len(numbers) == len(labels) else f"{len(labels)} in all", True),
        (f"{counted(between, 'number')} between not among them", between),
        (f"{len(numbers) - len(distinct)} of them again", len(numbers) > len(distinct)),
    )
    more = len(texts) - MOST_LISTED
    shown = ", ".join(texts[:MOST_LISTED]) + (f" and {counted(more, 'more range')}" if more > 0 else "")
    return f"{shown} ({', '.join(text for text, holds in facts if holds)})"


def _range_text(labels: list[str]) -> str:
    return ", ".join(labels) if len(labels) < MOST_LISTED else f"{labels[0]} ... {labels[-1]}"


def connection_name(conn: int) -> str:
    """A, B, C ... for the connections of a program; W for the witness that the executor adds."""
    return "W" if conn < 0 else chr(ord("A") + conn) if conn < 22 else f"C{conn}"


def encode_frame(frame: Frame, *, conn: int, number: int, sequence: int) -> bytes:
    """The bytes of a frame: ``number`` is its place in the program, ``sequence`` the header field."""
    label = f"{connection_name(conn)}{number}.".encode()
    payload = b"".join(
        wire.tlv(tlv.type, (label + EDGE_BYTES * (tlv.size // 256 + 1))[: tlv.size], extended=tlv.extended)
        for tlv in frame.tlvs
    ) + bytes.fromhex(frame.tail)
    header = wire.HEADER.pack(
        MAGIC_BYTES,
        frame.domain,
        frame.version,
        SOURCES[conn % len(SOURCES)] if frame.source is None else frame.source,
        frame.flags,
        sequence if frame.sequence is None else frame.sequence,
        EPOCH_NS + number if frame.timestamp is None else frame.timestamp,
        len(payload) if frame.claim is None else frame.claim,
        0,
    )
    return with_checksum(header + payload, frame.checksum, frame.bit)


def with_checksum(message: bytes, checksum: str, bit: int = 0) -> bytes:
    """The message with the checksum field filled in, rightly or in one of the wrong ways; ``bit`` is for "one-bit"."""
    value = wire.checksum(message)
    if checksum == "zero":
        value = 0 if value else 1
    elif checksum == "inverted":
        value ^= 0xFFFFFFFF
    elif checksum == "off-by-one":
        value = (value + 1) & 0xFFFFFFFF
    elif checksum == "one-bit":
        value ^= 1 << bit
    elif checksum == "made-zero":
        return wire.with_zero_checksum(message)
    elif checksum == "with-field":
        value = crc32(message)
    elif checksum == "payload-flipped":
        message = message[:-1] + bytes((message[-1] ^ 1,))
    return message[:CHECKSUM_OFFSET] + value.to_bytes(4, "little") + message[HEADER_SIZE:]


FENCE_VALUE_BYTES = 40
FENCE_BYTES = HEADER_SIZE + 2 + FENCE_VALUE_BYTES
"""Bytes of a fence on the wire."""


_PLAY = re.compile(re.escape(wire.FENCE_MARK) + rb":\w+:\d+:(\d+):")


def play_of_fence(frame: bytes) -> int | None:
    """The number of the play that wrote a fence; None where it cannot be read."""
    found = _PLAY.search(frame)
    return int(found[1]) if found else None


def fence_frame(*, domain: int, tlv_type: int, conn: int, sequence: int, play: int) -> bytes:
    """A valid frame that marks a moment: the executor's own, never part of a program.

    ``play`` is the number of the play on its relay: sequences begin anew with each play, and a slow relay may forward a
    fence of the one before.
    """
    value = wire.FENCE_MARK + f":{connection_name(conn)}:{sequence}:{play}:".encode()
    payload = wire.tlv(tlv_type, value.ljust(FENCE_VALUE_BYTES, b"."))
    source = SOURCES[conn % len(SOURCES)]
    header = wire.HEADER.pack(MAGIC_BYTES, domain, VERSION, source, 0, sequence, EPOCH_NS + sequence, len(payload), 0)
    return with_checksum(header + payload, "good")
