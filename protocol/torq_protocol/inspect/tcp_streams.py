"""Byte streams out of captured packets: each direction of each TCP connection, in order.

Facts:
- segments may come twice, overlap, or in another order than sent; what comes early waits, up to a bound, in a heap:
  a capture of many small segments behind a lost one takes time for each segment and not for each pair of them;
- most connections of a capture are not ours: a stream is one of ours if it begins with the magic or, where the capture
  began in its middle, from the first magic on;
- captures of Unix sockets (link types USER0 to USER15) hold the bytes of one stream for each interface.
"""

from __future__ import annotations

import heapq
import socket
import struct
from collections.abc import Iterator
from typing import Final

from ..constants import MAGIC_BYTES
from .capture_file import Packet
from .pieces import End, Hole, Input, Note, Piece

USER_LINK_TYPES: Final = range(147, 163)
_ETHERTYPES: Final = {0x0800: 4, 0x86DD: 6}
_TCP: Final = 6
_FIN, _SYN, _RST = 1, 2, 4
_MOST_WAITING: Final = 4 << 20
"""Bytes that wait for an earlier segment before it is taken for lost."""
_IPV6_EXTENSIONS: Final = (0, 43, 60)


class Streams:
    """Takes packets one by one and gives what follows for the streams in them."""

    def __init__(self) -> None:
        self._flows: dict[tuple[str, int, str, int], _Flow] = {}
        self._interfaces: set[str] = set()
        self._others = 0

    def feed(self, packet: Packet) -> Iterator[Input]:
        """What a packet adds to the streams."""
        if packet.link_type in USER_LINK_TYPES:
            name = f"interface {packet.interface}" if packet.interface else ""
            self._interfaces.add(name)
            yield Piece(name, packet.data)
            if packet.missing:
                yield Hole(name, packet.missing)
            return
        found = _segment(packet)
        if found is None:
            self._others += 1
            return
        key, segment = found
        flow = self._flows.get(key)
        if flow is None or (segment.flags & _SYN and flow.done):
            flow = self._flows[key] = _Flow(f"{_place(*key[:2])} > {_place(*key[2:])}")
        yield from flow.feed(segment)

    def finish(self) -> Iterator[Input]:
        """The ends of the streams, with the capture's."""
        for name in sorted(self._interfaces):
            yield End(name)
        for flow in self._flows.values():
            yield from flow.finish()
        foreign = sum(not flow.ours for flow in self._flows.values())
        if foreign:
            yield Note(f"{foreign} TCP streams in which no message begins were left out")
        if self._others:
            yield Note(f"{self._others} packets that are not TCP were left out")


class _Segment:
    __slots__ = ("data", "flags", "sequence")

    def __init__(self, sequence: int, flags: int, data: bytes) -> None:
        self.sequence, self.flags, self.data = sequence, flags, data


class _Flow:
    """One direction of one connection."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ours = False
        self.done = False
        self._foreign = False
        self._from_start = False
        self._next: int | None = None  # where the stream goes on: a sequence number that does not wrap
        self._early: dict[int, bytes] = {}
        self._order: list[int] = []  # a heap of where the early ones begin
        self._waiting = 0
        self._head = b""

    def feed(self, segment: _Segment) -> Iterator[Input]:
        if self._next is None or segment.flags & _SYN:
            self._from_start = bool(segment.flags & _SYN)
            self._next = self._unwrapped(segment.sequence) + self._from_start
        if segment.data and not self._foreign:
            self._keep(self._unwrapped(segment.sequence) + bool(segment.flags & _SYN), segment.data)
            yield from self._in_order()
            if self._waiting > _MOST_WAITING:
                yield from self._over_hole()
        if segment.flags & (_FIN | _RST) and not self.done:
            yield from self._over_hole()
            self.done = True
            if self.ours:
                yield End(self.name)

    def finish(self) -> Iterator[Input]:
        yield from self._over_hole()
        if self.ours and not self.done:
            yield End(self.name, cut=True)

    def _keep(self, begins: int, data: bytes) -> None:
        before = self._early.get(begins, b"")
        if len(before) < len(data):
            if not before:
                heapq.heappush(self._order, begins)
            self._early[begins] = data
            self._waiting += len(data) - len(before)

    def _in_order(self) -> Iterator[Input]:
        assert self._next is not None
        while self._order and self._order[0] <= self._next:
            begins = heapq.heappop(self._order)
            data = self._early.pop(begins)
            self._waiting -= len(data)
            data = data[self._next - begins :]
            self._next += len(data)
            if data:
                yield from self._ours(data)

    def _over_hole(self) -> Iterator[Input]:
        """Go on behind bytes that never came."""
        assert self._next is not None
        while self._order:
            if self._order[0] > self._next and self.ours:
                yield Hole(self.name, self._order[0] - self._next)
            self._next = max(self._next, self._order[0])
            yield from self._in_order()

    def _unwrapped(self, sequence: int) -> int:
        """Where a sequence number stands, which wraps at 2^32: at most 2^31 before or behind the next one."""
        if self._next is None:
            return sequence
        return self._next + ((sequence - self._next + 0x80000000 & 0xFFFFFFFF) - 0x80000000)

    def _ours(self, data: bytes) -> Iterator[Input]:
        """The data, once it is known that messages are in it."""
        if self.ours:
            yield Piece(self.name, data)
            return
        self._head += data
        if self._from_start:
            if len(self._head) < len(MAGIC_BYTES):
                return
            self._foreign = not self._head.startswith(MAGIC_BYTES)
            place = -1 if self._foreign else 0
        else:
            place = self._head.find(MAGIC_BYTES)
        if place < 0:
            self._head = b"" if self._foreign else self._head[-len(MAGIC_BYTES) + 1 :]
            return
        self.ours = True
        if place or not self._from_start:
            yield Note(f"{self.name}: the capture begins inside the connection; offsets count from the first message")
        data, self._head = self._head[place:], b""
        yield Piece(self.name, data)


def _segment(packet: Packet) -> tuple[tuple[str, int, str, int], _Segment] | None:
    """The TCP segment in a packet with its addresses; None for what is not TCP, or cut off in its headers."""
    try:
        version, start = _network_layer(packet.link_type, packet.data)
        if version == 4:
            return _over_ipv4(packet.data, start)
        if version == 6:
            return _over_ipv6(packet.data, start)
    except (struct.error, IndexError, ValueError):
        pass
    return None


def _network_layer(link_type: int, data: bytes) -> tuple[int, int]:
    """The IP version (0 for what is not IP) and where its header begins."""
    if link_type == 1:
        start = 14
        [kind] = struct.unpack_from(">H", data, 12)
        while kind in (0x8100, 0x88A8):
            [kind] = struct.unpack_from(">H", data, start + 2)
            start += 4
        return _ETHERTYPES.get(kind, 0), start
    if link_type in (113, 276):
        place, start = (14, 16) if link_type == 113 else (0, 20)
        return _ETHERTYPES.get(struct.unpack_from(">H", data, place)[0], 0), start
    if link_type in (101, 228, 229, 12, 14):
        return data[0] >> 4, 0
    if link_type in (0, 108):
        return data[4] >> 4, 4
    return 0, 0


def _over_ipv4(data: bytes, start: int) -> tuple[tuple[str, int, str, int], _Segment] | None:
    size, fragment, protocol = struct.unpack_from(">2xHxxHxB", data, start)
    if protocol != _TCP or fragment & 0x3FFF:
        return None
    addresses = [socket.inet_ntop(socket.AF_INET, data[start + at : start + at + 4]) for at in (12, 16)]
    end = start + size if size else len(data)
    return _tcp(addresses, data, start + (data[start] & 15) * 4, end)


def _over_ipv6(data: bytes, start: int) -> tuple[tuple[str, int, str, int], _Segment] | None:
    size, protocol = struct.unpack_from(">4xHB", data, start)
    addresses = [socket.inet_ntop(socket.AF_INET6, data[start + at : start + at + 16]) for at in (8, 24)]
    place = start + 40
    while protocol in _IPV6_EXTENSIONS:
        protocol, length = data[place], data[place + 1]
        place += 8 + 8 * length
    if protocol != _TCP:
        return None
    return _tcp(addresses, data, place, start + 40 + size if size else len(data))


def _tcp(addresses: list[str], data: bytes, start: int, end: int) -> tuple[tuple[str, int, str, int], _Segment]:
    source, target, sequence, header, flags = struct.unpack_from(">HHI4xBB", data, start)
    payload = data[start + (header >> 4) * 4 : end]
    return (addresses[0], source, addresses[1], target), _Segment(sequence, flags, payload)


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
