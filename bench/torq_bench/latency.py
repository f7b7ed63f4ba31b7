"""Forwarding latency: one frame at a time, from before its send to after the last receiver has it (PERF-1)."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from .relays import connect
from .traffic import receive_within

_WARM_UP = 500
_LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in microseconds over ``samples`` frames."""

    samples: int
    p50: float
    p95: float
    p99: float


def measure_latency(path: str, frame: bytes, receivers: int, samples: int) -> Latency:
    """Send frames one by one; each is timed until the receiver that joined last has it, and got by all before the next.

    The receivers block in recv, so waking them up is in the figure, as it is for any client.
    """
    joined = [connect(path) for _ in range(receivers)]
    sender = connect(path)
    try:
        for sock in (sender, *joined):
            sock.settimeout(_LIMIT)
        _join(sender, joined, frame)
        for sock in (sender, *joined):
            sock.settimeout(None)
        times = _times(sender, joined, frame, samples + _WARM_UP)[_WARM_UP:]
    finally:
        for sock in (sender, *joined):
            sock.close()
    times.sort()
    at = [times[min(len(times) - 1, int(len(times) * share))] / 1000 for share in (0.5, 0.95, 0.99)]
    return Latency(samples, *at)


def _times(sender: socket.socket, joined: list[socket.socket], frame: bytes, count: int) -> list[int]:
    size = len(frame)
    clock = time.perf_counter_ns
    send = sender.send
    others = [sock.recv for sock in (*joined[:-1], sender)]
    last = joined[-1].recv
    times = []
    for _ in range(count):
        start = clock()
        send(frame)
        last(size)
        times.append(clock() - start)
        for receive in others:
            receive(size)
    return times


def _join(sender: socket.socket, joined: list[socket.socket], frame: bytes) -> None:
    """Two frames that everyone has got, echo included: nothing is left under way."""
    sender.sendall(frame)
    for sock in (*joined, sender):
        _receive(sock, len(frame))


def _receive(sock: socket.socket, size: int) -> None:
    while size:
        size -= len(receive_within(sock, size, _LIMIT))
