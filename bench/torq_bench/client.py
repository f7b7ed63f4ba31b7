"""``torq_bench client``: the naive loops of clients beside the same loops on raw sockets, in interleaved rounds."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from torq_protocol import FrameDecoder, MessageBuilder, RelayDomain, Side, SourceType, Trade
from torq_protocol.client import connect, connect_blocking

FRAME = (
    MessageBuilder(RelayDomain.MARKET_DATA, SourceType.KRAKEN_COLLECTOR)
    .add(Trade(1, 2, 3, 4, 5, 6, Side.SELL))
    .build(sequence=1, timestamp=1)
)
_AT_ONCE = 100
_READ_BYTES = 65_536


@contextmanager
def peer(*, sends: bool) -> Iterator[Path]:
    """A process at the other end: it sends messages without end, or reads all that comes."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "s"
        listener.bind(str(path))
        listener.listen()
        child = os.fork()
        if child == 0:
            connection, _ = listener.accept()
            block = FRAME * 800
            try:
                while connection.send(block) if sends else connection.recv(1 << 18):
                    pass
            finally:
                os._exit(0)
        try:
            yield path
        finally:
            listener.close()
            os.waitpid(child, 0)


def raw_send(count: int) -> float:
    """One ``send`` of a socket for each message."""
    with peer(sends=False) as path, socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        started = time.perf_counter()
        for _ in range(count):
            sock.sendall(FRAME)
        return count / (time.perf_counter() - started)


def blocking_send(count: int) -> float:
    """``relay.send(message)`` in a loop."""
    with peer(sends=False) as path, connect_blocking(path, domain=RelayDomain.MARKET_DATA) as relay:
        started = time.perf_counter()
        for _ in range(count):
            relay.send(FRAME)
        return count / (time.perf_counter() - started)


def send_many(count: int) -> float:
    """``relay.send(*messages)``, a hundred at once."""
    messages = [FRAME] * _AT_ONCE
    with peer(sends=False) as path, connect_blocking(path, domain=RelayDomain.MARKET_DATA) as relay:
        started = time.perf_counter()
        for _ in range(count * 5 // _AT_ONCE):
            relay.send(*messages)
        return count * 5 / (time.perf_counter() - started)


def asynchronous_send(count: int) -> float:
    """``await relay.send(message)`` in a loop."""

    async def run(path: Path) -> float:
        async with connect(path, domain=RelayDomain.MARKET_DATA) as relay:
            started = time.perf_counter()
            for _ in range(count):
                await relay.send(FRAME)
            return count / (time.perf_counter() - started)

    with peer(sends=False) as path:
        return asyncio.run(run(path))


def raw_receive(count: int) -> float:
    """A socket's reads, given to a decoder."""
    with peer(sends=True) as path, socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        decoder, received = FrameDecoder(), 0
        started = time.perf_counter()
        while received < count:
            for _ in decoder.feed(sock.recv(_READ_BYTES)):
                received += 1
        return received / (time.perf_counter() - started)


def blocking_receive(count: int) -> float:
    """``for message in relay``."""
    with peer(sends=True) as path, connect_blocking(path, domain=RelayDomain.MARKET_DATA) as relay:
        started = time.perf_counter()
        for received, _ in enumerate(relay, 1):
            if received >= count:
                break
        return count / (time.perf_counter() - started)


def asynchronous_receive(count: int) -> float:
    """``async for message in relay``."""

    async def run(path: Path) -> float:
        async with connect(path, domain=RelayDomain.MARKET_DATA) as relay:
            received, started = 0, time.perf_counter()
            async for _ in relay:
                received += 1
                if received >= count:
                    break
            return count / (time.perf_counter() - started)

    with peer(sends=True) as path:
        return asyncio.run(run(path))


LOOPS: dict[str, tuple[Callable[[int], float], str, float | None]] = {
    "send, raw": (raw_send, "send, raw", None),
    "send, blocking": (blocking_send, "send, raw", 100_000),
    "send, asynchronous": (asynchronous_send, "send, raw", 60_000),
    "send, a hundred at once": (send_many, "send, raw", 1_000_000),
    "receive, raw and decoded": (raw_receive, "receive, raw and decoded", None),
    "receive, blocking": (blocking_receive, "receive, raw and decoded", 250_000),
    "receive, asynchronous": (asynchronous_receive, "receive, raw and decoded", None),
}
"""Loop, what it is held against, and the messages a second that it should reach on a machine of today that is idle."""


@click.command()
@click.option("--count", type=click.IntRange(1), default=40_000, show_default=True, help="Messages of a sample.")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Samples of each loop.")
@click.option("--check", is_flag=True, help="Exit with 1 if a loop is slower than its goal.")
def client(count: int, rounds: int, check: bool) -> None:
    """Measure clients in a plain loop, messages of 74 bytes, beside raw sockets; medians of interleaved rounds.

    Exit code 0; 1 with --check if a loop is slower than its goal, which an idle machine reaches; 2 usage error.
    """
    samples: dict[str, list[float]] = {name: [] for name in LOOPS}
    for _ in range(rounds):
        for name, (loop, _, _) in LOOPS.items():
            samples[name].append(loop(count))
    missed = []
    click.echo(f"{'loop':<28}{'k/s':>9}{'of raw':>9}  goal")
    for name, (_, beside, wanted) in LOOPS.items():
        ratio = statistics.median(one / raw for one, raw in zip(samples[name], samples[beside], strict=True))
        rate = statistics.median(samples[name])
        goal = "" if wanted is None else f"{wanted / 1000:.0f}"
        missed += [name] if wanted is not None and rate < wanted else []
        click.echo(f"{name:<28}{rate / 1000:>9.0f}{ratio:>9.2f}  {goal}".rstrip())
    for name in missed:
        click.echo(f"MISSED  {name}")
    if check and missed:
        raise SystemExit(1)
