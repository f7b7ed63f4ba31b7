"""Writes pcapng files, from the format's description: enough to show bytes to tshark."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

ETHERNET = 1
USER0 = 147


def write_pcapng(path: Path, link_type: int, packets: Iterable[bytes]) -> None:
    """A file of one section and one interface, a packet a microsecond."""
    blocks = [
        _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
        _block(1, struct.pack("<HHI", link_type, 0, 0)),
    ]
    for index, packet in enumerate(packets):
        head = struct.pack("<IIIII", 0, 0, index, len(packet), len(packet))
        blocks.append(_block(6, head + packet.ljust(-(-len(packet) // 4) * 4, b"\x00")))
    path.write_bytes(b"".join(blocks))


def tcp_segments(stream: bytes, cuts: Iterable[int], *, port: int) -> list[bytes]:
    """Ethernet packets that carry a stream from port 40000 to a port, cut at these offsets."""
    places = [0, *sorted(cuts), len(stream)]
    return [
        _ethernet(_tcp(stream[start:stop], sequence=1000 + start, port=port))
        for start, stop in pairwise(places)
        if stop > start
    ]


def _block(kind: int, body: bytes) -> bytes:
    size = 12 + len(body)
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def _tcp(data: bytes, *, sequence: int, port: int) -> bytes:
    return struct.pack(">HHIIBBHHH", 40000, port, sequence, 1, 5 << 4, 0x18, 65535, 0, 0) + data


def _ethernet(segment: bytes) -> bytes:
    address = bytes([127, 0, 0, 1])
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 0, 0, 64, 6, 0, address, address)
    checksum = sum(struct.unpack(">10H", head))
    checksum = ~((checksum & 0xFFFF) + (checksum >> 16)) & 0xFFFF
    return bytes(12) + b"\x08\x00" + head[:10] + struct.pack(">H", checksum) + head[12:] + segment
