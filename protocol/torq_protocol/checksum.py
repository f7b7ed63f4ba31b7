"""CRC-32 of messages and of spans of bytes (D9). Compiled with the framing kernel, which calls it for every frame.

Facts:
- the polynomial is zlib's, reflected 0xEDB88320; initial value and final XOR are 0xFFFFFFFF;
- a message's checksum covers bytes 0 to 27 and 32 to the end: the field itself is left out, not taken as zeros;
- a call of zlib costs more than the sum over a short frame, so compiled code adds up short spans itself, sixteen
  bytes a step with one table for each ("slicing by 16"), and leaves long ones to zlib. Interpreted, zlib
  does all of it. A function for the repeated lines would cost as much as they do.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from librt.strings import read_i32_le, read_i64_le
from librt.vecs import vec
from mypy_extensions import i64

from .arguments import Buffer, octets
from .constants import CHECKSUM_OFFSET, HEADER_SIZE, U32_MAX

_POLYNOMIAL: Final = 0xEDB88320
_LONG_SPAN: Final = 2048 if not __file__.endswith(".py") else 0


def _tables() -> list[int]:
    """The sixteen tables of 256 entries, one behind the other."""
    table: list[int] = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    for entry in range(256, 4096):
        before = table[entry - 256]
        table.append((before >> 8) ^ table[before & 255])
    return table


_TABLES: Final = vec[i64]([i64(value) for value in _tables()])


def span_crc(data: bytes, start: i64, stop: i64, crc: i64) -> i64:
    """The CRC-32 of ``data[start:stop]`` that goes on from ``crc`` (0 to begin). The span must lie in ``data``."""
    if stop - start > _LONG_SPAN:
        return crc32(memoryview(data)[start:stop], crc)
    return _sliced_crc(data, start, stop, crc)


def _sliced_crc(data: bytes, start: i64, stop: i64, crc: i64) -> i64:
    table = _TABLES
    rest: i64 = crc ^ U32_MAX
    position: i64 = start
    while position + 16 <= stop:
        word: i64 = read_i64_le(data, position) ^ rest
        next_word: i64 = read_i64_le(data, position + 8)
        rest = (
            table[3840 + (word & 255)]
            ^ table[3584 + ((word >> 8) & 255)]
            ^ table[3328 + ((word >> 16) & 255)]
            ^ table[3072 + ((word >> 24) & 255)]
            ^ table[2816 + ((word >> 32) & 255)]
            ^ table[2560 + ((word >> 40) & 255)]
            ^ table[2304 + ((word >> 48) & 255)]
            ^ table[2048 + ((word >> 56) & 255)]
            ^ table[1792 + (next_word & 255)]
            ^ table[1536 + ((next_word >> 8) & 255)]
            ^ table[1280 + ((next_word >> 16) & 255)]
            ^ table[1024 + ((next_word >> 24) & 255)]
            ^ table[768 + ((next_word >> 32) & 255)]
            ^ table[512 + ((next_word >> 40) & 255)]
            ^ table[256 + ((next_word >> 48) & 255)]
            ^ table[(next_word >> 56) & 255]
        )
        position += 16
    if position + 8 <= stop:
        word = read_i64_le(data, position) ^ rest
        rest = (
            table[1792 + (word & 255)]
            ^ table[1536 + ((word >> 8) & 255)]
            ^ table[1280 + ((word >> 16) & 255)]
            ^ table[1024 + ((word >> 24) & 255)]
            ^ table[768 + ((word >> 32) & 255)]
            ^ table[512 + ((word >> 40) & 255)]
            ^ table[256 + ((word >> 48) & 255)]
            ^ table[(word >> 56) & 255]
        )
        position += 8
    if position + 4 <= stop:
        word = i64(read_i32_le(data, position)) ^ rest
        rest = (
            table[768 + (word & 255)]
            ^ table[512 + ((word >> 8) & 255)]
            ^ table[256 + ((word >> 16) & 255)]
            ^ table[(word >> 24) & 255]
        )
        position += 4
    while position < stop:
        rest = (rest >> 8) ^ table[(rest ^ i64(data[position])) & 255]
        position += 1
    return rest ^ U32_MAX


def frame_crc(data: bytes, start: i64, size: i64) -> i64:
    """The checksum of the frame of ``size`` bytes, 32 or more, at ``start``; it must lie in ``data``."""
    return span_crc(data, start + HEADER_SIZE, start + size, span_crc(data, start, start + CHECKSUM_OFFSET, 0))


def message_checksum(message: Buffer) -> int:
    """What the checksum field of a message must hold (D9): bytes 28 to 31 do not count.

    Raises :class:`ValueError` below 32 bytes.
    """
    data = message if isinstance(message, bytes) else octets(message)
    if len(data) < HEADER_SIZE:
        raise ValueError(f"a message has at least {HEADER_SIZE} bytes, got {len(data)}")
    return frame_crc(data, 0, len(data))
