"""Frames to measure with, and the flood: as fast as the relay takes them, every byte of every receiver counted.

Facts:
- nothing bounds what is under way but the relay itself: a sender that waits for its receivers would hide what it drops;
- one thread sends, one receives; their loops are C where a compiler is (client_loops.py);
- the sender reads its echo, and what is missing of it is lost too, unless the relay sends none.
"""

from __future__ import annotations

import ctypes
import functools
import math
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from zlib import crc32

from torq_protocol.constants import HEADER_SIZE, MAGIC, RelayDomain
from torq_protocol.registry import REGISTRY

from .client_loops import Loops, Plan, Receiver, client_loops
from .relays import RelayError, allow_descriptors, connect, peak_resident_bytes, processor_use

_SILENCE = 5.0
_END_SILENCE = 3.0
_SEND_LIMIT_SECONDS = 30
_READ = 1 << 20
_RING_BYTES = 4096 * 74
_LARGE_BATCH = 885
"""Frames of 74 bytes in 64 KiB."""
_HELLO, _READY = (1 << 63) - 1, (1 << 63) - 2
"""The sequences of the frames by which a sender learns that everyone has joined."""


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


@functools.cache
def frame_ring(domain: RelayDomain, size: int, batch: int) -> bytes:
    """Frames of ascending sequence that are sent round and round: whole batches, few enough to stay in cache."""
    count = batch * max(1, _RING_BYTES // (batch * size))
    return b"".join(make_frame(domain, size, sequence) for sequence in range(count))


@dataclass(frozen=True, slots=True)
class Hold:
    """The first receiver stops reading after so many frames, for so many seconds.

    With ``from_sent`` the seconds count from the sender's last progress: it reads again when all is sent, or the relay
    takes no more.
    """

    at_frame: int
    seconds: float
    from_sent: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """``frames`` frames of ``size`` bytes to so many receivers, ``batch`` a write; ``rate``: frames/s, 0: any."""

    frames: int
    size: int = 74
    batch: int = 64
    receivers: int = 1
    rate: float = 0.0
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class FanOut:
    """What a fan-out run saw.

    ``delivered``: frames that the receivers got, the echo not counted. ``lost``: frames sent times receivers (the echo
    is one more) less what they got; ``out_of_place``: reads that held
    other frames than were due, though nothing is missing; ``seconds``: from the first send to the last byte received.
    Of the relay's process, 0 where that is unknown: ``processor_seconds`` that it ran, ``wanted_seconds`` that it ran
    or waited for a core, and ``peak_bytes`` resident.
    """

    load: Load
    echo: bool
    delivered: int
    lost: int
    out_of_place: int
    seconds: float
    processor_seconds: float
    wanted_seconds: float
    peak_bytes: int

    @property
    def frames_in_per_second(self) -> float:
        """Frames sent per second."""
        return self.load.frames / self.seconds

    @property
    def frames_out_per_second(self) -> float:
        """Frames delivered per second, all receivers together, the echo not counted."""
        return self.delivered / self.seconds

    @property
    def fault(self) -> str:
        """What went wrong, empty when nothing did."""
        if self.lost:
            return f"{self.lost:,} frames lost"
        return f"{self.out_of_place:,} reads held other frames than were due" if self.out_of_place else ""


def fan_out(path: str, domain: RelayDomain, load: Load, process: int = 0, loops: Loops | None = None) -> FanOut:
    """Send a load through a relay to its receivers; raises RelayError when they cannot even join."""
    with joined_clients(path, domain, load.size, load.receivers) as (sender, receivers, echo):
        hearing = [*receivers, sender] if echo else receivers
        return _flood([sender], hearing, domain, load, process, loops or client_loops(), echo=echo)


def fan_out_alone(domain: RelayDomain, load: Load, loops: Loops | None = None) -> FanOut:
    """The client without a relay: the slower of its sender and its receivers, over socket pairs.

    The sender writes its batches to one receiver. The receivers, and one for an echo, get large pieces: a relay hands
    on together what it has read together.
    """
    loops = loops or client_loops()
    sending = _flood_pairs(1, domain, load, loops)
    receiving = _flood_pairs(load.receivers + 1, domain, replace(load, batch=_LARGE_BATCH), loops)
    slower = min(sending, receiving, key=lambda seen: seen.frames_in_per_second)
    delivered = load.frames * load.receivers
    return replace(slower, load=load, delivered=delivered, lost=sending.lost + receiving.lost)


def _flood_pairs(count: int, domain: RelayDomain, load: Load, loops: Loops) -> FanOut:
    allow_descriptors()
    with ExitStack() as stack:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(count)]
        for sock in (sock for pair in pairs for sock in pair):
            stack.enter_context(sock)
        senders, receivers = zip(*pairs, strict=True)
        return _flood(senders, receivers, domain, load, 0, loops, echo=True)


def _flood(
    senders: Sequence[socket.socket],
    receivers: Sequence[socket.socket],
    domain: RelayDomain,
    load: Load,
    process: int,
    loops: Loops,
    *,
    echo: bool,
) -> FanOut:
    ring = frame_ring(domain, load.size, load.batch)
    hold = load.hold or Hold(-1, 0)
    plan = Plan(
        frame_bytes=load.size,
        ring_frames=len(ring) // load.size,
        total_bytes=load.frames * load.size,
        write_bytes=load.batch * load.size,
        bytes_per_second=load.rate * load.size,
        hold_at=hold.at_frame * load.size if load.hold else -1,
        hold_ns=int(hold.seconds * 1e9),
        hold_from_sent=hold.from_sent,
        silence_ns=int(_END_SILENCE * 1e9),
    )
    seen = (Receiver * len(receivers))(*(Receiver(sock.fileno(), 0, 0) for sock in receivers))
    sent = ctypes.c_int64(0)
    descriptors = [sock.fileno() for sock in senders]
    sending = threading.Thread(target=loops.send_load, args=(plan, ring, descriptors, sent))
    before = processor_use(process)
    started = time.monotonic_ns()
    sending.start()
    ended = loops.receive_load(plan, ring, seen, sent)
    after = processor_use(process)
    for sock in senders:
        with suppress(OSError):  # the relay may have gone
            sock.shutdown(socket.SHUT_RDWR)  # a sender that is still kept waiting ends here
    sending.join()
    missing = sum(math.ceil(max(0, plan.total_bytes - receiver.received) / load.size) for receiver in seen)
    return FanOut(
        load=load,
        echo=echo,
        delivered=sum(receiver.received for receiver in seen[: load.receivers]) // load.size,
        lost=missing,
        out_of_place=0 if missing else sum(receiver.faults for receiver in seen),
        seconds=max(1, ended - started) / 1e9,
        processor_seconds=after.running - before.running,
        wanted_seconds=after.running + after.waiting - before.running - before.waiting,
        peak_bytes=peak_resident_bytes(process),
    )


@contextmanager
def joined_clients(
    path: str, domain: RelayDomain, size: int, count: int
) -> Iterator[tuple[socket.socket, list[socket.socket], bool]]:
    """A sender, ``count`` receivers that the relay serves, and whether it echoes; nothing is under way between them."""
    allow_descriptors()
    with ExitStack() as stack:
        receivers = [stack.enter_context(connect(path)) for _ in range(count)]
        sender = stack.enter_context(connect(path))
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_LIMIT_SECONDS, 0))
        hello, ready = make_frame(domain, size, _HELLO), make_frame(domain, size, _READY)
        poll = select.poll()
        waiting = {sock.fileno() for sock in receivers}
        for descriptor in waiting:
            poll.register(descriptor, select.POLLIN)
        limit = time.monotonic() + _SILENCE
        while waiting:
            if time.monotonic() > limit:
                raise RelayError(f"{len(waiting)} of {count} receivers got nothing within {_SILENCE:.0f} s")
            with suppress(BlockingIOError):
                sender.send(hello, socket.MSG_DONTWAIT)
            while waiting and (arrived := poll.poll(10)):  # again only when this frame has reached all it can
                for descriptor, _ in arrived:
                    poll.unregister(descriptor)
                    waiting.discard(descriptor)
        sender.sendall(ready)
        for receiver in receivers:
            _read_up_to(ready, receiver)
        echo = readable_within(sender, 1.0)
        if echo:
            _read_up_to(ready, sender)
        yield sender, receivers, echo


def _read_up_to(frame: bytes, sock: socket.socket) -> None:
    seen = b""
    while not seen.endswith(frame):
        seen = (seen + receive_within(sock, _READ))[-len(frame) :]


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
