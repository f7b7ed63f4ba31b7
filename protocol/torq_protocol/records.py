"""What is recorded of frames, in few bytes: written by the kernel for a whole read, read one by one (SEC-3).

Facts:
- a record says how a frame differs from the one before it in the same scan; before the first stands a frame of zeros.
  Frames that follow each other in their sequence take 6 bytes;
- a record is: flags u8; source u8, if flag 1; the step of the sequence number, a varint; payload size, a varint, if
  flag 2; checksum u32; kind of the refusal u8, if flag 4. Source and size are those of the frame before without a flag,
  and a frame is accepted without flag 4. Other flags mean nothing yet;
- numbers are little-endian. A varint has seven bits a byte, the lowest first, and a set top bit where another byte
  follows. The step is signed, modulo 2**64: 0, -1, 1, -2 ... are written as 0, 1, 2, 3 ...
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from operator import itemgetter
from struct import Struct
from typing import Final, NamedTuple

from .constants import HEADER_SIZE

_SOURCE: Final = 1
_SIZE: Final = 2
_REFUSED: Final = 4
_HEADER: Final = Struct("<6xBxQ8xII")
"""Of a header: source, sequence, payload size, checksum."""
_SHORT: Final = Struct("<BBI")
"""The record of a frame that differs by a small step of its sequence number alone."""
_SEQUENCES: Final = 1 << 64


class RecordedFrame(NamedTuple):
    """What is recorded of a frame; ``refused`` is the number of its :class:`~torq_protocol.ErrorKind`, or 0."""

    source: int
    sequence: int
    payload_size: int
    checksum: int
    refused: int


def frame_records(
    data: bytes | bytearray, runs: list[tuple[int, int, int]], refused: list[tuple[int, int, int]]
) -> bytes:
    """The records of all frames of a scan, in wire order.

    Raises ValueError for lists that are not those of a scan of these bytes.
    """
    wrong = ValueError("the runs and refused frames are not those of these bytes")
    accepted = [(start, stop, frames, 0) for start, stop, frames in runs]
    foreign = [(start, stop, 1, kind) for start, stop, kind in refused]
    if any(frames < 0 for _, _, frames in runs) or any(not 0 < kind < 256 for _, _, kind in refused):
        raise wrong
    records: list[bytes] = []
    end = source = sequence = size = 0
    for at, stop, frames, kind in merge(accepted, foreign, key=itemgetter(0)):
        if at < end or stop > len(data):
            raise wrong
        for _ in range(frames):
            if stop - at < HEADER_SIZE:
                raise wrong
            last_source, last_sequence, last_size = source, sequence, size
            source, sequence, size, checksum = _HEADER.unpack_from(data, at)
            step = sequence - last_sequence
            if 0 <= step < 64 and size == last_size and source == last_source and not kind:
                records.append(_SHORT.pack(0, 2 * step, checksum))
            else:
                new_source = source if source != last_source else None
                records.append(_record(new_source, step, size if size != last_size else None, checksum, kind))
            at += HEADER_SIZE + size
        if at != stop:
            raise wrong
        end = stop
    return b"".join(records)


def recorded_frames(records: bytes) -> Iterator[RecordedFrame]:
    """The frames of the records of one scan; raises ValueError for bytes that are no records."""
    source = sequence = size = at = 0
    try:
        while at < len(records):
            flags = records[at]
            at += 1
            if flags & ~(_SOURCE | _SIZE | _REFUSED):
                raise ValueError(f"no frame record: flags {flags:#x}")
            if flags & _SOURCE:
                source = records[at]
                at += 1
            step, at = _varint(records, at, _SEQUENCES)
            sequence = (sequence + (step >> 1 ^ -(step & 1))) % _SEQUENCES
            if flags & _SIZE:
                size, at = _varint(records, at, 1 << 32)
            checksum = int.from_bytes(records[at : at + 4], "little")
            at += 4 + bool(flags & _REFUSED)
            kind = records[at - 1]
            yield RecordedFrame(source, sequence, size, checksum, kind if flags & _REFUSED else 0)
    except IndexError:
        raise ValueError("a frame record is cut off") from None


def _record(source: int | None, step: int, size: int | None, checksum: int, kind: int) -> bytes:
    """A record of any length; None where nothing has changed, 0 where nothing was refused."""
    step %= _SEQUENCES
    return b"".join(
        [
            bytes([(source is not None) * _SOURCE | (size is not None) * _SIZE | (kind != 0) * _REFUSED]),
            b"" if source is None else bytes([source]),
            _as_varint(2 * step if step < _SEQUENCES >> 1 else 2 * (_SEQUENCES - step) - 1),
            b"" if size is None else _as_varint(size),
            checksum.to_bytes(4, "little"),
            bytes([kind]) if kind else b"",
        ]
    )


def _as_varint(number: int) -> bytes:
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _varint(records: bytes, at: int, bound: int) -> tuple[int, int]:
    """A number below a bound, and the offset behind it."""
    number = shift = 0
    while True:
        byte = records[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if number >= bound or shift > 70:
            raise ValueError("no frame record: a number is too large")
        if byte < 128:
            return number, at
