"""Where the time of one read goes: each stage of a relay's turn on its own, in one process, sockets real."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

from torq_engine.hub import Hub
from torq_engine.port import Buffer, Descriptors, PythonPort
from torq_engine.settings import HubSettings
from torq_protocol.constants import RelayDomain
from torq_protocol.policy import FramePolicy
from torq_protocol.scanner import FrameScanner

from .traffic import make_frame

_REPEATS = 7
_CALLS = 5000


class Sink(PythonPort):
    """A port whose receivers take everything and do nothing."""

    def send_all(
        self, descriptors: Descriptors, data: Buffer, start: int, stop: int, skipped: int, /
    ) -> list[tuple[int, int]] | None:
        return None

    def unread(self, descriptor: int, /) -> int:
        return 0


def measure_stages(batch: int) -> dict[str, float]:
    """Microseconds of each stage for a read of ``batch`` frames of 74 bytes, the best of several repeats."""
    data = make_frame(RelayDomain.MARKET_DATA, 74, 1) * batch
    scanner = FrameScanner(FramePolicy(RelayDomain.MARKET_DATA))
    one, eleven = _hub(scanner, 1, data), _hub(scanner, 11, data)
    per_receiver = (eleven - one) / 10
    scan = _best(scanner.scan, data)
    receive, send = _sockets(data)
    return {
        "a turn of the loop: epoll and one callback": _loop_turn(),
        "recv": receive,
        "scan: framing and validation": scan,
        "hub: everything else, once a read": max(0.0, one - scan - per_receiver),
        "hub: for each receiver": max(0.0, per_receiver),
        "send: for each receiver": send,
    }


def _best(call: Callable[[bytes], object], data: bytes) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        started = time.perf_counter()
        for _ in range(_CALLS):
            call(data)
        best = min(best, time.perf_counter() - started)
    return best / _CALLS * 1e6


def _hub(scanner: FrameScanner, receivers: int, data: bytes) -> float:
    hub = Hub(Sink(), scanner, HubSettings())
    connections = [hub.join(number) for number in range(receivers)]
    sender = connections[0]
    receive = hub.receive
    return _best(lambda chunk: receive(sender, chunk), data)


def _sockets(data: bytes) -> tuple[float, float]:
    """Microseconds of a recv and of a send of some bytes."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    best_receive = best_send = float("inf")
    with left, right:
        for _ in range(_CALLS):
            started = time.perf_counter()
            left.send(data)
            sent = time.perf_counter()
            right.recv(65_536)
            best_receive = min(best_receive, time.perf_counter() - sent)
            best_send = min(best_send, sent - started)
    return best_receive * 1e6, best_send * 1e6


def _loop_turn() -> float:
    """Microseconds from one callback of a readable descriptor to the next."""
    import uvloop

    async def run() -> float:
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        done = asyncio.Event()
        turns = 0

        def readable() -> None:
            nonlocal turns
            turns += 1
            if turns == _CALLS:
                done.set()

        with left, right:
            left.send(b"x")
            loop = asyncio.get_running_loop()
            started = time.perf_counter()
            loop.add_reader(right.fileno(), readable)
            await done.wait()
            loop.remove_reader(right.fileno())
            return (time.perf_counter() - started) / _CALLS * 1e6

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return min(runner.run(run()) for _ in range(_REPEATS))
