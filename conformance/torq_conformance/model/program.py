"""Programs: what the clients of a run do, as plain data that can be stored, replayed, shrunk and read.

A program is a list of steps over numbered connections. It says *what* is sent (frames and their faults), never which
bytes: those follow from the position of a frame in the program and from the counter of the run that plays it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal
from zlib import crc32

import msgspec

from torq_protocol.constants import CHECKSUM_OFFSET, HEADER_SIZE, MAGIC_BYTES, VERSION

from . import wire

FORMAT_VERSION = 1
SOURCES = (1, 2, 3, 4, 5, 20, 21, 22, 23, 40, 41, 42, 60, 61, 62, 80, 81, 82)
"""Source bytes of the registry; each connection writes with one of its own."""
EPOCH_NS = 1_700_000_000_000_000_000
MAX_VALUE = 65_535
EDGE_BYTES = b"\r\n\xff\x00\xff" + bytes(range(1, 10)) + bytes((11, 12, *range(14, 255)))
"""What fills a value behind its label: every byte, those first that a relay is likeliest to change."""


class Tlv(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One TLV of a frame. ``size`` is in bytes; the extended form is taken above 255 bytes anyway (D7)."""

    type: int
    size: int = 0
    extended: bool = False

    @property
    def encoded_size(self) -> int:
        """Bytes on the wire, TLV header included."""
        return self.size + (5 if self.extended or self.size > 255 else 2)


Checksum = Literal["good", "zero", "inverted", "off-by-one", "one-bit", "with-field", "made-zero", "payload-flipped"]
"""What the checksum of a frame is: right, right and zero, or wrong in one of these ways."""


class Frame(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag="frame"):
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

    @property
    def size(self) -> int:
        """Bytes on the wire, header included."""
        return HEADER_SIZE + sum(tlv.encoded_size for tlv in self.tlvs) + len(self.tail) // 2


class Raw(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="raw"):
    """Bytes that are no frame (hexadecimal)."""

    bytes: str

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self.bytes) // 2


Item = Frame | Raw


class Connect(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag="connect"):
    """Open a connection and wait until the relay serves it; one that never ``reads`` cannot know when it is."""

    conn: int
    reads: bool = True


class Write(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag="write"):
    """Send items in one write; or in several, cut before the byte offsets of ``cuts`` or every ``every`` bytes.

    ``stop`` sends the first bytes only; a later :class:`Finish` sends the rest. ``settle`` waits after each write
    until the relay has read it.
    """

    conn: int
    items: tuple[Item, ...]
    cuts: tuple[int, ...] = ()
    every: int = 0
    stop: int | None = None
    settle: bool = True

    @property
    def size(self) -> int:
        """Bytes that are sent."""
        whole = sum(item.size for item in self.items)
        return whole if self.stop is None else min(self.stop, whole)

    def pieces(self) -> list[tuple[int, int]]:
        """(start, stop) of each write."""
        size = self.size
        cuts = range(self.every, size, self.every) if self.every else sorted(set(self.cuts))
        edges = [0, *(cut for cut in cuts if 0 < cut < size), size]
        return list(pairwise(edges))


class Finish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="finish"):
    """Send the rest of a write that stopped short."""

    conn: int


class Sync(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="sync"):
    """Wait until everything sent so far has arrived wherever it will."""


class HalfClose(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="half-close"):
    """Shut down the sending side of a connection; it goes on receiving."""

    conn: int


class Close(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag="close"):
    """Close a connection, politely or by reset."""

    conn: int
    reset: bool = False


class Idle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="idle"):
    """All clients are silent for some milliseconds."""

    milliseconds: int


class Buffer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="buffer"):
    """The send buffer of a connection becomes ``size`` bytes, or the kernel's least: large writes arrive in pieces."""

    conn: int
    size: int


class Stall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="stall"):
    """A connection stops reading."""

    conn: int


class Sip(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="sip"):
    """A stalled connection reads at most ``size`` bytes."""

    conn: int
    size: int


class Resume(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="resume"):
    """A stalled connection reads again."""

    conn: int


class Flood(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="flood"):
    """Send a frame ``count`` times, no faster than those who read get it."""

    conn: int
    frame: Frame
    count: int


class Freeze(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="freeze"):
    """Stop the relay's process (SIGSTOP), where the suite has started it."""


class Thaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="thaw"):
    """Let the relay's process go on (SIGCONT)."""


class Kill(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="kill"):
    """Kill the relay (SIGKILL) and start it again on the same path; all connections are gone."""


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="act"):
    """What a check without a program of its own does, in words."""

    text: str


Step = (
    Connect
    | Write
    | Finish
    | Sync
    | HalfClose
    | Close
    | Idle
    | Buffer
    | Stall
    | Sip
    | Resume
    | Flood
    | Freeze
    | Thaw
    | Kill
    | Act
)


class Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps against a relay of one domain."""

    domain: Literal["market_data", "signal", "execution"]
    steps: tuple[Step, ...]
    version: int = FORMAT_VERSION

    def frames(self) -> Iterator[tuple[int, int, int, Frame]]:
        """(number, step, connection, frame) of every frame in the order of the program."""
        number = 0
        for position, step in enumerate(self.steps):
            if isinstance(step, Write):
                for item in step.items:
                    if isinstance(item, Frame):
                        yield number, position, step.conn, item
                        number += 1
            elif isinstance(step, Flood):
                for _ in range(step.count):
                    yield number, position, step.conn, step.frame
                    number += 1

    @property
    def in_words(self) -> bool:
        """Whether it is the account of a fixed check, which can be read and done again but not played."""
        return bool(self.steps) and all(isinstance(step, Act) for step in self.steps)

    @property
    def weight(self) -> tuple[int, int, int, int]:
        """How much there is to read: steps, items, cuts, bytes. Smaller is simpler."""
        writes = [step for step in self.steps if isinstance(step, Write)]
        floods = [step for step in self.steps if isinstance(step, Flood)]
        return (
            len(self.steps),
            sum(len(write.items) for write in writes) + len(floods),
            sum(len(write.pieces()) for write in writes) + len(floods),
            sum(write.size for write in writes) + sum(flood.count * flood.frame.size for flood in floods),
        )


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


def fence_frame(*, domain: int, tlv_type: int, conn: int, sequence: int) -> bytes:
    """A valid frame that marks a moment: the executor's own, never part of a program."""
    value = wire.FENCE_MARK + f":{connection_name(conn)}:{sequence}:".encode()
    payload = wire.tlv(tlv_type, value.ljust(FENCE_VALUE_BYTES, b"."))
    source = SOURCES[conn % len(SOURCES)]
    header = wire.HEADER.pack(MAGIC_BYTES, domain, VERSION, source, 0, sequence, EPOCH_NS + sequence, len(payload), 0)
    return with_checksum(header + payload, "good")
