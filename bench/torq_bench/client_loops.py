"""The loops of the measuring client: compiled from client_loops.c, or the same in Python where no C compiler is."""

from __future__ import annotations

import ctypes
import os
import select
import time
from collections.abc import Sequence
from typing import Protocol

from torq_protocol.constants import HEADER_SIZE

from .compiler import LIBRARY, CompilerError, compiled

_READ_BYTES = 262_144


class Plan(ctypes.Structure):
    """What is sent and how it is received; ``struct plan`` of client_loops.c says what each field means."""

    frame_bytes: int
    ring_frames: int
    total_bytes: int
    write_bytes: int
    bytes_per_second: float
    hold_at: int
    hold_ns: int
    hold_from_sent: int
    silence_ns: int
    _fields_ = (
        ("frame_bytes", ctypes.c_int64),
        ("ring_frames", ctypes.c_int64),
        ("total_bytes", ctypes.c_int64),
        ("write_bytes", ctypes.c_int64),
        ("bytes_per_second", ctypes.c_double),
        ("hold_at", ctypes.c_int64),
        ("hold_ns", ctypes.c_int64),
        ("hold_from_sent", ctypes.c_int64),
        ("silence_ns", ctypes.c_int64),
    )


class Receiver(ctypes.Structure):
    """One receiving socket: the bytes that it got, and the reads whose frames were not the ones that were due."""

    descriptor: int
    received: int
    faults: int
    _fields_ = (("descriptor", ctypes.c_int64), ("received", ctypes.c_int64), ("faults", ctypes.c_int64))


class Loops(Protocol):
    """The three loops; descriptors are of blocking sockets that have their time limits."""

    language: str

    def send_load(self, plan: Plan, ring: bytes, descriptors: Sequence[int], sent: ctypes.c_int64) -> None:
        """Send the whole load to each descriptor; ``sent`` is how far it is. Stops at an error: the rest is missing."""

    def receive_load(self, plan: Plan, ring: bytes, receivers: ctypes.Array[Receiver], sent: ctypes.c_int64) -> int:
        """Read until all have the load or nothing comes any more; returns when the last byte came, monotonic ns."""

    def round_trips(self, frame: bytes, descriptors: Sequence[int], sender: int, samples: int) -> list[int]:
        """Nanoseconds until the last descriptor has a frame, all having it before the next; ends at a lost one."""


def client_loops() -> Loops:
    """The fastest loops that this machine has."""
    try:
        return CLoops()
    except CompilerError:
        return PythonLoops()


class CLoops:
    """The loops in C; Python's other threads run meanwhile. Raises CompilerError where they cannot be compiled."""

    language = "C"

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(compiled("client_loops.c", *LIBRARY)))
        self._library.receive_load.restype = ctypes.c_int64
        self._library.round_trips.restype = ctypes.c_int64

    def send_load(self, plan: Plan, ring: bytes, descriptors: Sequence[int], sent: ctypes.c_int64) -> None:
        count = len(descriptors)
        numbers = (ctypes.c_int * count)(*descriptors)
        self._library.send_load(ctypes.byref(plan), ring, numbers, count, ctypes.byref(sent))

    def receive_load(self, plan: Plan, ring: bytes, receivers: ctypes.Array[Receiver], sent: ctypes.c_int64) -> int:
        return int(self._library.receive_load(ctypes.byref(plan), ring, receivers, len(receivers), ctypes.byref(sent)))

    def round_trips(self, frame: bytes, descriptors: Sequence[int], sender: int, samples: int) -> list[int]:
        count = len(descriptors)
        numbers, times = (ctypes.c_int * count)(*descriptors), (ctypes.c_int64 * samples)()
        size, wanted = ctypes.c_int64(len(frame)), ctypes.c_int64(samples)
        return times[: self._library.round_trips(frame, size, numbers, count, sender, wanted, times)]


class PythonLoops:
    """The loops in Python: right, but slow enough to be what is measured."""

    language = "Python"

    def send_load(self, plan: Plan, ring: bytes, descriptors: Sequence[int], sent: ctypes.c_int64) -> None:
        view, started, at = memoryview(ring), time.monotonic(), 0
        while at < plan.total_bytes:
            size = min(plan.write_bytes, plan.total_bytes - at)
            if plan.bytes_per_second:
                time.sleep(max(0.0, started + at / plan.bytes_per_second - time.monotonic()))
            start = at % len(ring)
            for descriptor in descriptors:
                rest = view[start : start + size]
                while rest:
                    try:
                        rest = rest[os.write(descriptor, rest) :]
                    except OSError:
                        return
            at += size
            sent.value = at

    def receive_load(self, plan: Plan, ring: bytes, receivers: ctypes.Array[Receiver], sent: ctypes.c_int64) -> int:
        by_descriptor = {receiver.descriptor: receiver for receiver in receivers}
        first = receivers[0]
        buffer = bytearray(_READ_BYTES)
        may_hold, held_at = plan.hold_at >= 0, 0
        last_event = progress = time.monotonic_ns()
        seen = 0
        with select.epoll() as poller:
            for descriptor in by_descriptor:
                poller.register(descriptor, select.EPOLLIN)
            while by_descriptor:
                now = time.monotonic_ns()
                if sent.value != seen:
                    seen, progress = sent.value, now
                if may_hold and not held_at and first.received >= plan.hold_at:
                    poller.unregister(first.descriptor)
                    held_at = now
                if held_at and now - (progress if plan.hold_from_sent else held_at) >= plan.hold_ns:
                    poller.register(first.descriptor, select.EPOLLIN)
                    may_hold, held_at = False, 0
                if not held_at and min(now - last_event, now - progress) > plan.silence_ns:
                    break
                for descriptor, _ in poller.poll(0.001 if held_at else 0.05):
                    last_event = now
                    receiver = by_descriptor[descriptor]
                    try:
                        got = os.readv(descriptor, [buffer])
                    except OSError:
                        got = 0
                    receiver.faults += _out_of_place(plan, ring, receiver.received, buffer, got)
                    receiver.received += got
                    if not got or receiver.received >= plan.total_bytes:
                        poller.unregister(descriptor)
                        del by_descriptor[descriptor]
        return last_event if by_descriptor else time.monotonic_ns()

    def round_trips(self, frame: bytes, descriptors: Sequence[int], sender: int, samples: int) -> list[int]:
        times: list[int] = []
        size, last = len(frame), descriptors[-1]
        clock = time.monotonic_ns
        try:
            for _ in range(samples):
                started = clock()
                os.write(sender, frame)
                whole = os.read(last, size) == frame
                elapsed = clock() - started
                for descriptor in descriptors[:-1]:
                    whole = os.read(descriptor, size) == frame and whole
                if not whole:
                    break
                times.append(elapsed)
        except OSError:
            pass
        return times


def _out_of_place(plan: Plan, ring: bytes, position: int, data: bytearray, size: int) -> bool:
    """Whether the first or the last whole header of a read differs from the header due at its place in the stream."""
    frame_bytes = plan.frame_bytes
    first = -position % frame_bytes
    if first + HEADER_SIZE > size:
        return False
    last = first + (size - HEADER_SIZE - first) // frame_bytes * frame_bytes

    def is_due(offset: int) -> bool:
        due = (position + offset) % len(ring)
        return data[offset : offset + HEADER_SIZE] == ring[due : due + HEADER_SIZE]

    return not (is_due(first) and is_due(last))
