"""Frames for tests of the engine, made by struct alone."""

import struct
from zlib import crc32

MAGIC = b"\xef\xbe\xad\xde"
MARKET_DATA, SIGNAL, EXECUTION, SYSTEM = 1, 2, 3, 4


def frame(payload: bytes = b"", *, domain: int = MARKET_DATA, sequence: int = 0, source: int = 1) -> bytes:
    """A valid frame of a domain around any payload, its checksum right."""
    head = MAGIC + struct.pack("<BBBBQQI", domain, 1, source, 0, sequence, 0, len(payload))
    return head + struct.pack("<I", crc32(payload, crc32(head))) + payload


def tlv(number: int, value: bytes = b"") -> bytes:
    """One TLV in standard form."""
    return bytes((number, len(value))) + value


def split(stream: bytes) -> list[bytes]:
    """Whole frames back to back; fails on anything else."""
    frames = []
    while stream:
        assert stream[:4] == MAGIC
        size = 32 + int.from_bytes(stream[24:28], "little")
        assert len(stream) >= size
        frames.append(stream[:size])
        stream = stream[size:]
    return frames
