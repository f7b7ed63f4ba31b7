"""Frames to measure with, and the one client loop that sends and receives them.

Facts:
- the client is one thread with raw sockets and epoll, so that on two cores the relay has one for itself;
- a window bounds what is under way: receivers that keep up never make the relay drop, so what is missing is lost.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from zlib import crc32

from torq_protocol.constants import HEADER_SIZE, MAGIC, RelayDomain
from torq_protocol.registry import REGISTRY

from .relays import RelayError, connect, processor_seconds

_SILENCE = 5.0
_READ = 1 << 20
_SEQUENCE = struct.Struct("<Q")


def make_frame(domain: RelayDomain, size: int, sequence: int = 0) -> bytes:
    """A valid frame of a domain, of ``size`` bytes in all, with one TLV where there is room for one."""
    payload_size = size - HEADER_SIZE
    if payload_size < 0 or payload_size == 1:
        raise ValueError(f"a frame of {size} bytes: use {HEADER_SIZE}, or {HEADER_SIZE + 2} and more")
    payload = b""
    tlv_type = _any_size_type(domain)
    if 0 < payload_size <= 257:
        payload = bytes((tlv_type, payload_size - 2)) + bytes(payload_size - 2)
    elif payload_size > 257:
        payload = _extended(tlv_type, payload_size)
    head = struct.pack("<IBBBBQQI", MAGIC, domain, 1, 1, 0, sequence, time.time_ns(), payload_size)
    return head + struct.pack("<I", crc32(payload, crc32(head))) + payload


def _any_size_type(domain: RelayDomain) -> int:
    fixed = dict(REGISTRY.fixed_sizes)
    return next(number for number in domain.type_range if number not in fixed)


def _extended(tlv_type: int, size: int) -> bytes:
    parts = []
    while size:
        value = min(size - 5, 65_535)
        if 0 < size - 5 - value < 5:
            value -= 5
        parts.append(struct.pack("<BBBH", 255, 0, tlv_type, value) + bytes(value))
        size -= value + 5
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class FanOut:
    """What a fan-out run saw.

    ``seconds`` from the first send to the last byte received; ``processor_seconds`` is what the relay's process used
    of them, 0 where its process is unknown.
    """

    frames: int
    size: int
    receivers: int
    lost_bytes: int
    seconds: float
    processor_seconds: float

    @property
    def frames_in_per_second(self) -> float:
        """Frames sent per second."""
        return self.frames / self.seconds

    @property
    def frames_out_per_second(self) -> float:
        """Frames delivered per second, all receivers together."""
        return self.frames * self.receivers / self.seconds

    @property
    def megabytes_out_per_second(self) -> float:
        """Million bytes delivered per second, all receivers together."""
        return self.frames_out_per_second * self.size / 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: ``frames`` frames of ``size`` bytes, ``batch`` of them per send, to ``receivers`` receivers."""

    frames: int
    size: int
    batch: int
    receivers: int
    window: int = 1280


def fan_out(path: str, frame: bytes, load: Load, process: int = 0) -> FanOut:
    """Send a load through a relay, one sender and its receivers in one loop; bytes missing at the end are lost."""
    sender = connect(path)
    receivers = [connect(path) for _ in range(load.receivers)]
    try:
        for sock in (sender, *receivers):
            sock.setblocking(False)
        _await_joined(sender, receivers, frame)
        return _Run(sender, receivers, frame, load, process).play()
    finally:
        for sock in (sender, *receivers):
            sock.close()


def _await_joined(sender: socket.socket, receivers: list[socket.socket], frame: bytes) -> None:
    """Send until every receiver has got something, then one fence that all of them read up to."""
    fence = bytearray(frame)
    _SEQUENCE.pack_into(fence, 8, (1 << 63) - 1)
    fence[28:32] = crc32(fence[HEADER_SIZE:], crc32(fence[:28])).to_bytes(4, "little")
    waiting = {sock.fileno() for sock in receivers}
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    limit = time.monotonic() + _SILENCE
    while waiting:
        with suppress(BlockingIOError):
            sender.send(fence)
        _swallow(sender)
        while waiting and (arrived := poll.poll(10)):  # another fence only when this one has reached all it can
            for descriptor, _ in arrived:
                poll.unregister(descriptor)
                waiting.discard(descriptor)
        if time.monotonic() > limit:
            raise RelayError(f"{len(waiting)} of {len(receivers)} receivers got nothing within {_SILENCE:.0f} s")
    last = bytearray(fence)
    _SEQUENCE.pack_into(last, 8, (1 << 63) - 2)
    last[28:32] = crc32(last[HEADER_SIZE:], crc32(last[:28])).to_bytes(4, "little")
    sender.setblocking(True)
    sender.sendall(last)
    sender.setblocking(False)
    for receiver in receivers:
        seen = b""
        while not seen.endswith(last):
            seen = (seen + receive_within(receiver, _READ))[-len(last) :]
    _swallow(sender)


def readable_within(sock: socket.socket, seconds: float) -> bool:
    """Whether there is something to read, now or within so many seconds."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def receive_within(sock: socket.socket, most: int, seconds: float = _SILENCE) -> bytes:
    """Some bytes of a non-blocking socket; raises RelayError when none come in time."""
    if not readable_within(sock, seconds):
        raise RelayError(f"a receiver got nothing within {seconds:.0f} s")
    data = sock.recv(most)
    if not data:
        raise RelayError("the relay closed a receiver's connection")
    return data


def _swallow(sock: socket.socket) -> None:
    try:
        while sock.recv(_READ):
            pass
    except BlockingIOError:
        return


class _Run:
    """One fan-out in progress: bytes sent, bytes received by each receiver, and the window between them."""

    def __init__(
        self, sender: socket.socket, receivers: list[socket.socket], frame: bytes, load: Load, process: int
    ) -> None:
        self._process = process
        self._sender = sender
        self._load = load
        self._size = len(frame)
        self._batch = frame * load.batch
        self._total = load.frames * len(frame)
        self._sent = 0
        self._got = {sock.fileno(): 0 for sock in receivers}
        self._sockets = {sock.fileno(): sock for sock in receivers}
        self._buffer = bytearray(_READ)

    def play(self) -> FanOut:
        window = max(self._load.window * self._size, 2 * len(self._batch))
        epoll = select.epoll()
        for descriptor in self._got:
            epoll.register(descriptor, select.EPOLLIN)
        echo = self._sender.fileno()
        epoll.register(echo, select.EPOLLIN)
        used = processor_seconds(self._process)
        started = last_event = time.perf_counter()
        slowest = 0
        while slowest < self._total:
            full = self._fill(slowest + window)
            for descriptor, _ in epoll.poll(0.1 if full else 0):
                last_event = time.perf_counter()
                if descriptor == echo:
                    _swallow_once(self._sender, self._buffer)
                else:
                    self._receive(descriptor)
            slowest = min(self._got.values())
            if time.perf_counter() - last_event > _SILENCE:
                break
        epoll.close()
        lost = sum(self._total - got for got in self._got.values())
        seconds = (last_event if lost else time.perf_counter()) - started
        used = processor_seconds(self._process) - used
        return FanOut(self._load.frames, self._size, self._load.receivers, lost, seconds, used)

    def _fill(self, limit: int) -> bool:
        """Send batches up to a position of the stream; True when it is reached, False when the socket is full."""
        limit = min(limit, self._total)
        size = len(self._batch)
        try:
            while self._sent < limit:
                offset = self._sent % size
                if offset == 0 and limit - self._sent >= size:
                    self._sent += self._sender.send(self._batch)
                else:
                    stop = min(size, offset + limit - self._sent)
                    self._sent += self._sender.send(memoryview(self._batch)[offset:stop])
        except BlockingIOError:
            return False
        return True

    def _receive(self, descriptor: int) -> None:
        count = self._sockets[descriptor].recv_into(self._buffer)
        if count == 0:
            raise RelayError("the relay closed a receiver's connection")
        self._got[descriptor] += count


def _swallow_once(sock: socket.socket, buffer: bytearray) -> None:
    if sock.recv_into(buffer) == 0:
        raise RelayError("the relay closed the sender's connection")
