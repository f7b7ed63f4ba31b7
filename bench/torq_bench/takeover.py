"""``torq_bench takeover``: how long clients wait while a successor takes over, and that they lose nothing (LIFE-3)."""

from __future__ import annotations

import select
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click
import msgspec

from torq_engine.errors import RelayError
from torq_engine.operations.control_client import ControlClient
from torq_engine.operations.takeovers import TakeoverReport
from torq_protocol.constants import RelayDomain

from .relays import allow_descriptors, connect, relay_command, spawned_relay
from .traffic import make_frame, receive_within

_FRAME_BYTES = 200
_LIMIT = 30.0


@dataclass
class Witness:
    """Sends numbered frames, one after the other is back, and has the whole crowd read; ``waits`` are in seconds."""

    sender: socket.socket
    receiver: socket.socket
    crowd: list[socket.socket]
    waits: list[tuple[float, float]] = field(default_factory=list)
    fault: str = ""
    ended: bool = False

    def run(self) -> None:
        """Go on until :attr:`ended`; each wait comes with the moment at which it began."""
        poll = select.epoll()
        sockets = {sock.fileno(): sock for sock in self.crowd}
        for number in sockets:
            poll.register(number, select.EPOLLIN)
        sequence = 0
        while not self.ended and not self.fault:
            sequence += 1
            frame = make_frame(RelayDomain.MARKET_DATA, _FRAME_BYTES, sequence)
            began = time.monotonic()
            self.sender.sendall(frame)
            found = receive_within(self.receiver, len(frame), _LIMIT)
            while found and len(found) < len(frame):
                found += receive_within(self.receiver, len(frame) - len(found), _LIMIT)
            self.waits.append((began, time.monotonic() - began))
            if found != frame:
                self.fault = f"frame {sequence} is lost, doubled or torn"
            for number, _ in poll.poll(0):
                if not sockets[number].recv(65_536):
                    self.fault = "a client was disconnected"
            time.sleep(0.0005)
        poll.close()


@click.command(name="takeover")
@click.option("--connections", default=100, show_default=True, type=click.IntRange(3), help="clients, all reading")
@click.option("--queued", default=0, show_default=True, type=click.IntRange(0), help="MiB that wait for one of them")
@click.option("--times", default=50, show_default=True, type=click.IntRange(1), help="takeovers")
def takeover(connections: int, queued: int, times: int) -> None:
    """Measure takeovers of a market data relay under a witness; exit code 1 if one fails or a frame is lost."""
    allow_descriptors()
    with tempfile.TemporaryDirectory(prefix="torq-bench-") as directory:
        control = str(Path(directory) / "ctl")
        flags = ["--no-echo", "--control-socket", control]
        with spawned_relay(relay_command("market_data", *flags)) as (path, _):
            reports, witness = _measured(path, control, connections, queued, times)
            ControlClient(control).ask("drain")
    _print(reports, witness, connections, queued)
    if witness.fault or len(reports) < times:
        sys.exit(1)


def _measured(
    path: str, control: str, connections: int, queued: int, times: int
) -> tuple[list[TakeoverReport], Witness]:
    receiver, *crowd, stalled = [connect(path) for _ in range(connections - 1)]
    sender = connect(path)  # admitted last, so that what it sends reaches all
    frame = make_frame(RelayDomain.MARKET_DATA, _FRAME_BYTES)
    sender.sendall(frame)
    receive_within(stalled, len(frame), _LIMIT)  # it was seen to read: what waits for it is kept
    receive_within(receiver, len(frame), _LIMIT)
    witness = Witness(sender, receiver, crowd)
    _fill(sender, [receiver, *crowd], frame, queued << 20)
    running = threading.Thread(target=witness.run)
    running.start()
    reports = []
    try:
        for _ in range(times):
            client = ControlClient(control)
            report = msgspec.json.decode(client.ask("takeover"), type=TakeoverReport)
            client.close()
            if not report.taken:
                witness.fault = report.reason
                break
            reports.append(report)
    except RelayError as error:
        witness.fault = str(error)
    finally:
        witness.ended = True
        running.join()
        for sock in (sender, receiver, stalled, *crowd):
            sock.close()
    return reports, witness


def _fill(sender: socket.socket, readers: list[socket.socket], frame: bytes, size: int) -> None:
    """Send so many bytes that only one client does not read."""
    batch = frame * 200
    for _ in range(0, size, len(batch)):
        sender.sendall(batch)
        for sock in readers:
            left = len(batch)
            while left:
                left -= len(receive_within(sock, left, _LIMIT))


def _print(reports: list[TakeoverReport], witness: Witness, connections: int, queued: int) -> None:
    frozen = sorted(report.frozen * 1000 for report in reports)
    waits = sorted(wait * 1000 for _, wait in witness.waits)
    print(f"{len(reports)} takeovers, {connections} connections, {queued} MiB queued")
    if reports:
        print(f"frozen, ms: median {median(frozen):.1f}, p99 {_part(frozen, 0.99):.1f}, most {frozen[-1]:.1f}")
        held = reports[-1].held_bytes / (1 << 20)
        print(f"last handover: {reports[-1].descriptors} descriptors, {held:.1f} MiB held")
    if waits:
        print(
            f"round trips of the witness, ms: {len(waits)} in all, median {median(waits):.2f},"
            f" p99 {_part(waits, 0.99):.2f}, most {waits[-1]:.1f}"
        )
    print(witness.fault or "no frame lost, doubled or torn, nobody disconnected")


def _part(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
