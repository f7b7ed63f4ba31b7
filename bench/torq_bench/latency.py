"""Forwarding latency: one frame at a time, from before its send to after the last receiver has it (PERF-1)."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torq_protocol.constants import RelayDomain

from .client_loops import Loops, client_loops
from .traffic import joined_clients, make_frame

_WARM_UP = 500
_LIMIT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in microseconds over ``samples`` frames; ``lost``: frames that did not come back to everyone."""

    samples: int
    lost: int
    p50: float
    p95: float
    p99: float


@contextmanager
def on_cores_of_their_own(process: int) -> Iterator[None]:
    """Keep a relay and this thread on two cores, where there are two.

    Else the scheduler's choice is measured: without this plain C took 3 us in one round and 60 us in the next.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        yield
        return
    os.sched_setaffinity(process, cores[:1])
    os.sched_setaffinity(0, cores[1:2])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def measure_latency(
    path: str, domain: RelayDomain, receivers: int, samples: int, loops: Loops | None = None, *, size: int = 74
) -> Latency:
    """Send frames one by one; each is timed until the receiver that joined last has it, and got by all before the next.

    The receivers block in recv, so waking them up is in the figure, as it is for any client.
    """
    frame = make_frame(domain, size, 1)
    with joined_clients(path, domain, size, receivers) as (sender, joined, echo):
        for sock in (sender, *joined):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _LIMIT_SECONDS, 0))
        hearing = [sock.fileno() for sock in ((sender, *joined) if echo else joined)]
        wanted = samples + _WARM_UP
        times = (loops or client_loops()).round_trips(frame, hearing, sender.fileno(), wanted)
    lost = wanted - len(times)
    measured = sorted(times[_WARM_UP:]) or [0]
    at = [measured[int(len(measured) * share)] / 1000 for share in (0.5, 0.95, 0.99)]
    return Latency(len(times[_WARM_UP:]), lost, *at)
