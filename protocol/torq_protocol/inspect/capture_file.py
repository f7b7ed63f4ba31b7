"""Packets of a pcapng or pcap file, in either byte order.

Facts:
- pcapng is a run of blocks: type, length, body, length again, filled to 4 bytes; a section header says which byte
  order holds from there on, interface blocks say which link type their packets have. Unknown blocks are passed over;
- pcap is one header, then records; four magic numbers say the byte order and the unit of time, which is not used here;
- a packet may have been captured in part only: how much is missing is told with it;
- no library is used: dpkt (1.9.8, of 2022) reads the first interface of the first section, does not tell what is
  missing of a packet and joins no TCP streams; scapy is a toolkit of its own, which loads its layers to read one file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

PCAPNG_MAGIC: Final = b"\x0a\x0d\x0d\x0a"
PCAP_MAGICS: Final = {
    b"\xd4\xc3\xb2\xa1": "<",
    b"\x4d\x3c\xb2\xa1": "<",
    b"\xa1\xb2\xc3\xd4": ">",
    b"\xa1\xb2\x3c\x4d": ">",
}
_INTERFACE, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 3, 6
_LARGEST_BLOCK: Final = 1 << 26

Read = Callable[[int], bytes]
"""Up to so many bytes; none at the end."""


class CaptureError(Exception):
    """A capture file that is not one: what is wrong, and at which byte."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What was captured of one packet; ``missing`` bytes of it were not."""

    link_type: int
    interface: int
    data: bytes
    missing: int


def packets(read: Read) -> Iterator[Packet]:
    """The packets of a capture file from its first byte on. Raises :class:`CaptureError`."""
    file = _File(read)
    magic = file.take(4, "the file's magic number")
    return _pcapng_packets(file) if magic == PCAPNG_MAGIC else _pcap_packets(file, PCAP_MAGICS[magic])


class _File:
    """Exactly so many bytes, with the offset that errors name."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.offset = 0

    def take(self, size: int, what: str, *, or_end: bool = False) -> bytes:
        """``size`` bytes; none where ``or_end`` allows the file to end."""
        data = bytearray()  # grows in place: a large block may come in many small pieces
        while len(data) < size:
            part = self._read(size - len(data))
            if not part:
                if or_end and not data:
                    return b""
                end = self.offset + len(data)
                raise CaptureError(f"the capture ends at byte {end}, inside {what} that begins at {self.offset}")
            data += part
        self.offset += size
        return bytes(data)


def _pcapng_packets(file: _File) -> Iterator[Packet]:
    order, interfaces = _section_order(file), list[tuple[int, int]]()
    kind: int
    while True:
        begins = file.offset
        head = file.take(4, "a block", or_end=True)
        if not head:
            return
        if head == PCAPNG_MAGIC:
            order, interfaces = _section_order(file), []
            continue
        [kind] = struct.unpack(order + "I", head)
        body = _block_body(file, order, begins)
        if kind == _INTERFACE and len(body) >= 8:
            interfaces.append(struct.unpack_from(order + "HxxI", body))
        elif kind == _ENHANCED_PACKET and len(body) >= 20:
            interface, _, _, captured, size = struct.unpack_from(order + "5I", body)
            yield _packet(interfaces, interface, body[20 : 20 + captured], size, begins)
        elif kind == _SIMPLE_PACKET and len(body) >= 4:
            [size] = struct.unpack_from(order + "I", body)
            limit = interfaces[0][1] if interfaces else 0
            yield _packet(interfaces, 0, body[4 : 4 + min(size, limit or size)], size, begins)


def _packet(interfaces: list[tuple[int, int]], interface: int, data: bytes, size: int, begins: int) -> Packet:
    if interface >= len(interfaces):
        raise CaptureError(f"the packet block at byte {begins} names interface {interface}, which no block describes")
    return Packet(interfaces[interface][0], interface, data, max(0, size - len(data)))


def _section_order(file: _File) -> str:
    """The byte order of a section, behind the first 4 bytes of its header block."""
    begins = file.offset - 4
    length, magic = file.take(4, "a section header"), file.take(4, "a section header")
    order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(magic)
    if order is None:
        raise CaptureError(f"the section header at byte {begins} has the byte-order magic {magic.hex(' ')}")
    [size] = struct.unpack(order + "I", length)
    if not 28 <= size <= _LARGEST_BLOCK or size % 4:
        raise CaptureError(f"the section header at byte {begins} announces {size} bytes")
    file.take(size - 12, "a section header")
    return order


def _block_body(file: _File, order: str, begins: int) -> bytes:
    [size] = struct.unpack(order + "I", file.take(4, "a block"))
    if not 12 <= size <= _LARGEST_BLOCK or size % 4:
        raise CaptureError(f"the block at byte {begins} announces {size} bytes")
    body = file.take(size - 12, "a block")
    again = struct.unpack(order + "I", file.take(4, "a block"))[0]
    if again != size:
        raise CaptureError(f"the block at byte {begins} announces {size} bytes in front and {again} behind")
    return body


def _pcap_packets(file: _File, order: str) -> Iterator[Packet]:
    *_, link_type = struct.unpack(order + "HHiIII", file.take(20, "the file's header"))
    while head := file.take(16, "a record", or_end=True):
        _, _, captured, size = struct.unpack(order + "4I", head)
        if captured > _LARGEST_BLOCK:
            raise CaptureError(f"the record at byte {file.offset - 16} announces {captured} bytes")
        data = file.take(captured, "a record")
        yield Packet(link_type & 0xFFFF, 0, data, max(0, size - captured))
