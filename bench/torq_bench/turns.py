"""``torq_bench turns``: how long one turn of a live relay's loop takes, whatever waits: the longest of each kind.

Facts:
- a turn is one callback of the relay's loop: a client's reads with their fan-out, a writer, a part of what is left
  over, 64 hang-ups, 64 accepted clients. Between two of them others are served;
- the relay is a process of its own, with its own loop and sockets. Its callbacks are timed by this measurement, so the
  relay that operators run pays nothing;
- a turn has two lengths: by the clock, and by the processor, which leaves out when the system ran something else;
- seen from outside is the time of one frame between a pair of clients that does nothing else, in a third process. They
  receive the flood too, as everybody does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from torq_protocol.constants import RelayDomain

from .chaos import Witness
from .relays import allow_descriptors, connect, spawned_relay
from .traffic import make_frame, readable_within

TURNS = (
    "_readable",
    "_writable",
    "_acceptable",
    "_settle_on",
    "_hung_up",
    "_end_catching_up",
    "_every_partial_sweep",
    "_end_stalls",
)
"""The callbacks that the server gives its loop."""
_FRAME = 64_000
_BOUND = 5.0
_QUEUES = ("--queue-bytes", "4000000", "--total-queue-bytes", "64000000", "--send-buffer-bytes", "4608", "--no-echo")
_CONNECTED_AT_ONCE = 200


def timed_relay(place: str, arguments: list[str]) -> None:
    """Run a market data relay whose turns are timed; at SIGRTMIN it writes the longest of each kind, and forgets."""
    from torq_domains.market_data import MarketDataLogic
    from torq_engine.daemon import run_relay
    from torq_engine.server import Server

    longest: dict[str, list[float]] = {name: [0, 0.0, 0.0] for name in TURNS}

    def timed(name: str, callback: Callable[..., object]) -> Callable[..., None]:
        kept = longest[name]

        def turn(*given: object, **named: object) -> None:
            clock, processor = time.perf_counter(), time.thread_time()
            callback(*given, **named)
            kept[0] += 1
            kept[1] = max(kept[1], time.perf_counter() - clock)
            kept[2] = max(kept[2], time.thread_time() - processor)

        return turn

    def write(*_: object) -> None:
        Path(f"{place}.new").write_text(json.dumps(longest), "utf-8")
        for kept in longest.values():
            kept[:] = [0, 0.0, 0.0]
        os.replace(f"{place}.new", place)

    for name in TURNS:
        setattr(Server, name, timed(name, getattr(Server, name)))
    allow_descriptors()
    signal.signal(signal.SIGRTMIN, write)
    sys.exit(run_relay(MarketDataLogic(), arguments))


def _observe(path: str, results: Any, stop: Any) -> None:
    """A pair of clients that sends a frame at a time, and how long each took, by phase."""
    witness = Witness(path, RelayDomain.MARKET_DATA, patience=60.0)
    while not stop.is_set():
        began = time.perf_counter()
        witness.exchange()
        results.put(time.perf_counter() - began)
        time.sleep(0.001)
    witness.close()
    results.put(None)


class Phases:
    """What is done to a relay, one after the other, each with the turns and latencies that it led to."""

    def __init__(self, path: str, process: int, place: str, results: Any) -> None:
        self.path, self.process, self.place, self.results = path, process, place, results
        self.crowd: list[socket.socket] = []
        self.over = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what happens in the block, and print it."""
        self._turns()
        yield
        found: list[float] = []
        self._drain_latencies_into(found)
        turns = self._turns()
        kind = max(turns, key=lambda name: turns[name][2])
        most = turns[kind][2]
        clock = max(each[1] for each in turns.values())
        self.over = max(self.over, 1000 * most)
        found.sort()
        outside = f"{1000 * found[len(found) // 2]:7.2f} {1000 * found[-1]:8.2f}" if found else "      -        -"
        total = sum(int(each[0]) for each in turns.values())
        longest = f"{1000 * clock:7.2f} {1000 * most:7.2f}  {kind[1:].replace('_', ' ')}"
        click.echo(f"{name:<34} {total:>9,} {longest:<38} {len(found):>7,} {outside}")

    def join(self, count: int, *, read: bool) -> None:
        """Connect so many clients; those that read take one frame, and then no more."""
        while count > 0:
            batch = [connect(self.path) for _ in range(min(count, _CONNECTED_AT_ONCE))]
            if read:
                for client in batch:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.crowd += batch
            count -= len(batch)

    def flood(self, seconds: float) -> int:
        """Send large frames as fast as the relay takes them, for so long; how many it took."""
        sender = connect(self.path)
        frames = 0
        until = time.monotonic() + seconds
        data = make_frame(RelayDomain.MARKET_DATA, _FRAME, 1)
        while time.monotonic() < until:
            sender.sendall(data)
            frames += 1
        sender.close()
        return frames

    def read_once(self) -> None:
        """Let every client of the crowd take what it has, so that the relay knows readers in them."""
        for client in self.crowd:
            if readable_within(client, 0):
                client.setblocking(False)
                with suppress(BlockingIOError):
                    client.recv(1 << 16)

    def leave(self, count: int) -> None:
        """End so many clients at once."""
        leaving, self.crowd = self.crowd[:count], self.crowd[count:]
        for client in leaving:
            client.close()

    def _turns(self) -> dict[str, tuple[float, float, float]]:
        with suppress(FileNotFoundError):
            os.unlink(self.place)
        os.kill(self.process, signal.SIGRTMIN)
        limit = time.monotonic() + 30
        while not os.path.exists(self.place) and time.monotonic() < limit:
            time.sleep(0.01)
        turns: dict[str, tuple[float, float, float]] = json.loads(Path(self.place).read_text("utf-8"))
        return turns

    def _drain_latencies_into(self, found: list[float]) -> None:
        while not self.results.empty():
            latency = self.results.get()
            if latency is not None:
                found.append(latency)


@click.command()
@click.option("--receivers", default=4000, show_default=True, help="Clients that stall.")
@click.option("--crowd", default=1000, show_default=True, help="Clients that leave, and join, at once.")
@click.option("--seconds", default=5.0, show_default=True, help="How long each flood lasts.")
def turns(receivers: int, crowd: int, seconds: float) -> None:
    """The longest turns of a relay with stalled receivers, floods, and crowds that leave and join at once."""
    allow_descriptors()
    context = get_context("spawn")
    with TemporaryDirectory() as folder:
        place = f"{folder}/turns.json"
        code = "import sys; from torq_bench.turns import timed_relay; timed_relay(sys.argv[1], sys.argv[2:])"
        command = [sys.executable, "-c", code, place, "--socket", "{socket}", "--log-level", "error", *_QUEUES]
        with spawned_relay(command) as (path, process):
            results, stop = context.Queue(), context.Event()
            observer = context.Process(target=_observe, args=(path, results, stop), daemon=True)
            observer.start()
            while results.empty():
                time.sleep(0.01)
            click.echo(f"{'':<34} {'turns':>9} {'longest, ms':<38} {'frames of a pair, ms':>25}")
            click.echo(f"{'':<34} {'':>9} {'  clock   proc.  of':<38} {'count':>7} {'median':>7} {'longest':>8}")
            run = Phases(path, process, place, results)
            with run.phase("a pair alone"):
                time.sleep(seconds)
            with run.phase(f"{receivers:,} clients join"):
                run.join(receivers, read=True)
            with run.phase("each takes something, and stalls"):
                for _ in range(5):
                    run.flood(0.2)
                    run.read_once()
            with run.phase("a flood, queues shed"):
                frames = run.flood(seconds)
            with run.phase(f"{crowd:,} stalled clients leave"):
                run.leave(crowd)
                time.sleep(1)
            with run.phase(f"{crowd:,} clients join"):
                run.join(crowd, read=True)
                time.sleep(1)
            with run.phase("a flood, and all others leave"):
                run.flood(1.0)
                run.leave(len(run.crowd))
                time.sleep(1)
            stop.set()
            observer.join(30)
    held = "holds" if run.over <= _BOUND else "does not hold"
    click.echo(f"{frames:,} frames of {_FRAME:,} bytes in the long flood; {_BOUND:g} ms of the processor a turn {held}")
