"""Bytes of Protocol V2 as the suite writes and reads them.

Facts: layout and sizes come from the protocol package; what a relay must do with the bytes is stated by the oracles.
Frames that no correct client would send are written here too, so nothing in this file validates.
"""

from __future__ import annotations

import struct
from zlib import crc32

from torq_protocol.constants import (
    EXTENDED_MARKER,
    HEADER_SIZE,
    MAGIC_BYTES,
    MAX_STANDARD_VALUE,
    PAYLOAD_SIZE_OFFSET,
)

HEADER = struct.Struct("<4sBBBBQQII")
PAYLOAD_SIZE = struct.Struct("<I")
FENCE_MARK = b"TORQ-FENCE"
"""Stands in the payload of every fence; no generated frame contains it."""


def checksum(frame: bytes) -> int:
    """The CRC-32 that belongs into bytes 28 to 31 of a frame (D9)."""
    return crc32(memoryview(frame)[HEADER_SIZE:], crc32(memoryview(frame)[:28]))


def with_zero_checksum(frame: bytes) -> bytes:
    """The frame with its last 4 bytes chosen so that its right checksum is 0. Its payload has at least 4 bytes.

    CRC-32 is linear in them: the images of their 32 bits are eliminated until the checksum of the rest is made up for.
    """
    head = frame[:28] + bytes(4) + frame[HEADER_SIZE:-4]

    def value(last: int) -> int:
        return checksum(head + last.to_bytes(4, "little"))

    start = value(0)
    basis: dict[int, tuple[int, int]] = {}
    for bit in range(32):
        image, bits = value(1 << bit) ^ start, 1 << bit
        while image and (top := image.bit_length()) in basis:
            image, bits = image ^ basis[top][0], bits ^ basis[top][1]
        if image:
            basis[image.bit_length()] = (image, bits)
    rest, last = start, 0
    while rest:
        image, bits = basis[rest.bit_length()]
        rest, last = rest ^ image, last ^ bits
    return head + last.to_bytes(4, "little")


def tlv(tlv_type: int, value: bytes, *, extended: bool = False) -> bytes:
    """One TLV: the standard form up to 255 bytes unless the extended one is asked for (D7)."""
    if extended or len(value) > MAX_STANDARD_VALUE:
        return struct.pack("<BBBH", EXTENDED_MARKER, 0, tlv_type, len(value)) + value
    return bytes((tlv_type, len(value))) + value


def decode(buffer: bytes | bytearray, limit: int) -> tuple[list[bytes], int, bool]:
    """Cut a received stream: (whole frames, bytes used, whether what follows cannot be a frame).

    ``limit`` is the largest size in bytes that a frame may announce.
    """
    frames: list[bytes] = []
    position, size = 0, len(buffer)
    while size - position >= HEADER_SIZE:
        if not buffer.startswith(MAGIC_BYTES, position):
            return frames, position, True
        (payload,) = PAYLOAD_SIZE.unpack_from(buffer, position + PAYLOAD_SIZE_OFFSET)
        end = position + HEADER_SIZE + payload
        if end - position > limit:
            return frames, position, True
        if end > size:
            break
        frames.append(bytes(buffer[position:end]))
        position = end
    return frames, position, not MAGIC_BYTES.startswith(bytes(buffer[position : position + len(MAGIC_BYTES)]))
