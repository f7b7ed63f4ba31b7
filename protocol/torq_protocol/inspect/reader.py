"""Messages and faults of one stream, in order, each with its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from ..checksum import message_checksum
from ..constants import CHECKSUM_OFFSET, HEADER_SIZE, MAGIC_BYTES, PAYLOAD_SIZE_OFFSET, RelayDomain
from ..decoder import FrameDecoder, OnFault, Refusal
from ..errors import BadChecksumError, ErrorKind, ProtocolError
from ..header import bad_magic
from ..message import Message, size_fault
from ..payloads import decode_tlv
from ..sequence import Gap, SequenceTracker

_FRAMING_FAULTS = (ErrorKind.BAD_MAGIC, ErrorKind.OVERSIZE)
_BEFORE = 64
"""Bytes in front of the next message that are kept to be shown around a break."""


class Checksums(Enum):
    """Whose checksums are verified."""

    DOMAIN = "domain"
    """All but those of market data (VAL-2). A field of 0, not computed, is no fault: nor is it for ``ALWAYS`` (D9)."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Found:
    """A message at a stream offset. ``faults`` are wrong values in it, ``gap`` what is missing before it."""

    stream: str
    offset: int
    message: Message
    faults: tuple[ProtocolError, ...]
    gap: Gap | None


@dataclass(frozen=True, slots=True)
class Faulty:
    """A frame that is no message, between others; ``data`` is all of it."""

    stream: str
    offset: int
    error: ProtocolError
    data: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """Where the stream breaks: nothing behind has a known place.

    ``begins`` is where the message begins that is wrong at ``offset``; ``around`` holds bytes from ``around_offset``.
    """

    stream: str
    begins: int
    offset: int
    reason: str
    error: ProtocolError | None
    around: bytes
    around_offset: int


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The stream was cut off by its observer inside a message, of which ``size`` bytes are there."""

    stream: str
    offset: int
    size: int


Item: TypeAlias = Found | Faulty | Broken | Incomplete


class StreamReader:
    """Reads one stream. With ``resync`` it goes on at the next magic behind a break, otherwise it stops there."""

    def __init__(self, stream: str, *, resync: bool, checksums: Checksums, max_message_size: int) -> None:
        self.stream = stream
        self.stopped = False
        self._checksums = checksums
        self._resync = resync
        self._tracker = SequenceTracker()
        self._refused: list[Refusal] = []
        self._limit = max_message_size
        self._decoder = self._new_decoder()
        self._window = bytearray()  # grows and is forgotten in place: a large message may come in many small pieces
        self._window_offset = 0
        self._base = 0  # stream offset of the decoder's first byte
        self._seeking = False

    def feed(self, data: bytes) -> Iterator[Item]:
        """What the bytes complete."""
        if self.stopped:
            return
        self._window += data
        if self._seeking and not (data := self._from_magic()):
            return
        messages = self._decoder.feed(data)
        while not self.stopped:
            try:
                message = next(messages, None)
            except ProtocolError as error:
                yield from self._refusals()
                yield self._broken(error, self._place)
                break
            yield from self._refusals()
            if message is None:
                break
            yield self._found(message)
        self._trim()

    def hole(self, size: int) -> Iterator[Item]:
        """So many bytes are missing: a break. With ``resync`` reading goes on at the next magic behind them."""
        if self.stopped:
            return
        end = self._window_offset + len(self._window)
        reason = f"{size} bytes are missing in the capture"
        yield self._break(self._place, end, reason, None)
        self._window_offset = end + size
        self._window.clear()
        self._decoder = self._new_decoder()
        self._seeking = True

    def end(self, *, cut: bool) -> Iterator[Item]:
        """What the end of the stream says. With ``resync`` a message that is not whole hides none that stands in it."""
        left = 0 if self.stopped else self._decoder.buffered
        if left and cut:
            yield Incomplete(self.stream, self._place, left)
            return
        if left:
            begins = self._place
            self._decoder.finish()
            for refusal in self._taken():
                yield self._broken(refusal.error, begins)
            if self._resync:
                yield from self._tail(begins + 1)
        self.stopped = True

    def _tail(self, begins: int) -> Iterator[Item]:
        """What stands in a message that is not whole, behind its first byte.

        A message that announces more than is left is known by its header alone: no decoder takes all that is left for
        each of many.
        """
        tail, first = bytes(self._window), self._window_offset
        at = tail.find(MAGIC_BYTES, begins - first)
        while 0 <= at < len(tail):
            head, left = tail[at : at + HEADER_SIZE], len(tail) - at
            foreign = left >= len(MAGIC_BYTES) and not head.startswith(MAGIC_BYTES)
            fault = bad_magic(head) if foreign else size_fault(head, left, self._limit)
            size = HEADER_SIZE + int.from_bytes(head[PAYLOAD_SIZE_OFFSET:CHECKSUM_OFFSET], "little")
            if fault is None or (fault.kind not in _FRAMING_FAULTS and size <= left):
                self._decoder, self._base = self._new_decoder(), first + at
                for message in self._decoder.feed(tail[at : at + size]):
                    yield self._found(message)
                yield from self._refusals()
                at += size
                continue
            fault.stream_offset = first + at + fault.offset
            yield self._break(first + at, fault.stream_offset, str(fault), fault)
            at = tail.find(MAGIC_BYTES, at + 1)

    @property
    def _place(self) -> int:
        return self._base + self._decoder.offset

    def _new_decoder(self) -> FrameDecoder:
        return FrameDecoder(
            verify_checksum=False,
            max_message_size=self._limit,
            on_fault=OnFault.RESYNC if self._resync else OnFault.SKIP,
            on_refused=self._refused.append,
        )

    def _found(self, message: Message) -> Found:
        header = message.header
        faults = list(self._checksum_fault(message))
        for tlv in message.tlvs:
            try:
                decode_tlv(tlv)
            except ProtocolError as error:
                faults.append(error)
        offset = self._place - len(message)
        for fault in faults:
            fault.stream_offset = offset + fault.offset
        gap = self._tracker.observe(header.source, header.sequence).gap
        return Found(self.stream, offset, message, tuple(faults), gap)

    def _checksum_fault(self, message: Message) -> Iterator[ProtocolError]:
        header = message.header
        verified = self._checksums is Checksums.ALWAYS or (
            self._checksums is Checksums.DOMAIN and header.domain != RelayDomain.MARKET_DATA
        )
        if verified and header.has_checksum and (right := message_checksum(message.to_bytes())) != header.checksum:
            text = f"checksum 0x{header.checksum:08x} in the header, the bytes have 0x{right:08x}"
            yield BadChecksumError(text, offset=28, expected=right, got=header.checksum)

    def _refusals(self) -> Iterator[Item]:
        for refusal in self._taken():
            error = refusal.error
            if error.kind in _FRAMING_FAULTS:
                yield self._broken(error, self._base + refusal.start)
            else:
                error.stream_offset = self._base + refusal.start + error.offset
                yield Faulty(self.stream, self._base + refusal.start, error, refusal.data)

    def _taken(self) -> list[Refusal]:
        taken = self._refused.copy()
        self._refused.clear()
        return taken

    def _from_magic(self) -> bytes:
        """The bytes from the next magic on, where reading begins anew; none if there is none yet."""
        place = self._window.find(MAGIC_BYTES)
        if place < 0:
            place = max(0, len(self._window) - len(MAGIC_BYTES) + 1)
        else:
            self._seeking = False
        self._forget_before(self._window_offset + place)
        self._base = self._window_offset
        return b"" if self._seeking else bytes(self._window)

    def _broken(self, error: ProtocolError, begins: int) -> Broken:
        assert error.stream_offset is not None, "the decoder says where"
        return self._break(begins, self._base + error.stream_offset, str(error), error)

    def _break(self, begins: int, offset: int, reason: str, error: ProtocolError | None) -> Broken:
        self.stopped = not self._resync
        first = max(offset - _BEFORE // 2, self._window_offset)
        around = bytes(self._window[first - self._window_offset : first - self._window_offset + 96])
        return Broken(self.stream, begins, offset, reason, error, around, first)

    def _trim(self) -> None:
        """Forget bytes that no break can be near to any more."""
        self._forget_before(max(self._place - _BEFORE, self._window_offset))

    def _forget_before(self, offset: int) -> None:
        del self._window[: offset - self._window_offset]
        self._window_offset = offset
