"""Many connections: what each costs in memory, and what they cost in throughput (RES-1, PERF-3)."""

from __future__ import annotations

from dataclasses import dataclass

from .relays import allow_descriptors, connect, resident_bytes
from .traffic import receive_within

_ROUNDS = 20
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Crowd:
    """Resident bytes of the relay's process per connection: idle, and after all have received traffic."""

    connections: int
    idle_bytes: float
    active_bytes: float


def measure_crowd(path: str, process: int, frame: bytes, connections: int) -> Crowd:
    """Connect a crowd, idle, then let every connection receive batches; the relay's memory before is taken off.

    Memory of sockets inside the kernel is not in the figures: an idle Unix socket holds none of its buffer.
    """
    allow_descriptors()
    first = connect(path)
    first.send(frame)
    receive_within(first, len(frame))
    before = resident_bytes(process)
    crowd = [connect(path) for _ in range(connections)]
    try:
        crowd[-1].send(frame)
        receive_within(crowd[-1], len(frame))
        idle = resident_bytes(process)
        for sock in (first, *crowd[:-1]):
            receive_within(sock, len(frame))
        for _ in range(_ROUNDS):
            first.send(frame * _BATCH)
            for sock in (first, *crowd):
                left = len(frame) * _BATCH
                while left:
                    left -= len(receive_within(sock, left))
        active = resident_bytes(process)
    finally:
        for sock in (first, *crowd):
            sock.close()
    return Crowd(connections, (idle - before) / connections, (active - before) / connections)
