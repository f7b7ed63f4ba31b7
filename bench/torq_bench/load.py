"""``torq_bench load``: a thousand clients for a minute; every one of them sends, receives and is checked byte by byte.

Facts:
- every relay has one order of all frames (ORD-2), so what one client reads, all read: one is parsed, the rest compared;
- the sender and its count are in a frame's sequence: what is lost, doubled, torn or out of order shows at once;
- in every round some clients leave and others take their place; they have joined when the last one's frame reaches all;
- descriptors, threads and memory of the relay are those of the first rounds, or the run fails (CONN-8, RES-2).
"""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from dataclasses import dataclass
from zlib import crc32

import click

from torq_protocol.constants import HEADER_SIZE, RelayDomain

from .fanout import DOMAINS
from .relays import RelayError, allow_descriptors, connect, relay_command, resident_bytes, spawned_relay
from .traffic import make_frame

_SENDERS = 20
_FRAMES = 16
_SIZE = 74
_CHANGES = 2
_WARM_ROUNDS = 20
_LIMIT = 10
_GROWTH = 16_000_000
_NAMES = (("fd", "descriptors"), ("task", "threads"))
_SEQUENCE = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_LEFT = 32
"""The bits of a sequence above these say who sent the frame."""


class LoadError(Exception):
    """The relay did not do what it must: which client saw what."""


@dataclass(slots=True)
class LoadResult:
    """What a run saw: frames sent, frames received by all clients together, clients that came; ``fault`` if any."""

    frames: int = 0
    deliveries: int = 0
    joined: int = 0
    seconds: float = 0.0
    grown_bytes: int = 0
    fault: str = ""


class Crowd:
    """Clients of one relay, each a sender and a receiver, in lock step."""

    def __init__(self, path: str, domain: RelayDomain, clients: int, result: LoadResult, patience: int) -> None:
        self._path = path
        self._domain = domain
        self._result = result
        self._patience = patience
        self._clients: dict[int, socket.socket] = {}
        self._sent: dict[int, int] = {}
        self._join(clients)

    def exchange(self, senders: list[int]) -> None:
        """Some clients send a batch each; every client must receive all of it, in one order."""
        for number in senders:
            self._clients[number].sendall(b"".join(self._frame(number) for _ in range(_FRAMES)))
        size = len(senders) * _FRAMES * _SIZE
        seen = {number: self._receive(number, size) for number in self._clients}
        stream = next(iter(seen.values()))
        self._check(stream, senders)
        for number, bytes_of_one in seen.items():
            if bytes_of_one != stream:
                raise LoadError(f"client {number} received other bytes than the first client, or in another order")
        self._result.frames += len(senders) * _FRAMES
        self._result.deliveries += len(senders) * _FRAMES * len(seen)

    def change(self, leaving: list[int]) -> None:
        """Some clients leave at once, and as many come."""
        for number in leaving:
            self._clients.pop(number).close()
            del self._sent[number]
        self._join(len(leaving))

    def numbers(self) -> list[int]:
        """Who is connected."""
        return list(self._clients)

    def leave(self) -> None:
        """Everyone goes."""
        for sock in self._clients.values():
            sock.close()
        self._clients.clear()

    def _join(self, count: int) -> None:
        """Clients come; the last one's first frame is heard by everyone, so all before it have joined too."""
        for _ in range(count):
            sock = connect(self._path)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", self._patience, 0))
            self._result.joined += 1
            number = self._result.joined
            self._clients[number] = sock
            self._sent[number] = 0
        hello = self._frame(number)
        sock.sendall(hello)
        for other in self._clients:
            if self._receive(other, _SIZE) != hello:
                raise LoadError(f"client {other} did not receive the first frame of client {number}")
        self._result.frames += 1
        self._result.deliveries += len(self._clients)

    def _frame(self, number: int) -> bytes:
        frame = make_frame(self._domain, _SIZE, number << _LEFT | self._sent[number])
        self._sent[number] += 1
        return frame

    def _receive(self, number: int, size: int) -> bytes:
        try:
            data = self._clients[number].recv(size, socket.MSG_WAITALL)
        except OSError as error:
            raise LoadError(f"client {number}: nothing came within {self._patience} s: {error.strerror}") from None
        if len(data) < size:
            lost = (size - len(data)) / _SIZE
            raise LoadError(
                f"client {number}: {lost:.1f} frames missing after {self._patience} s, or its connection was closed"
            )
        return data

    def _check(self, stream: bytes, senders: list[int]) -> None:
        expected = {number: self._sent[number] - _FRAMES for number in senders}
        for start in range(0, len(stream), _SIZE):
            sequence = _SEQUENCE.unpack_from(stream, start + 8)[0]
            number, count = sequence >> _LEFT, sequence & ((1 << _LEFT) - 1)
            if expected.get(number) != count:
                raise LoadError(f"frame {count} of client {number} came where {expected.get(number)} was due")
            expected[number] += 1
            payload = stream[start + HEADER_SIZE : start + _SIZE]
            if crc32(payload, crc32(stream[start : start + 28])) != _CHECKSUM.unpack_from(stream, start + 28)[0]:
                raise LoadError(f"frame {count} of client {number} came torn or changed")


def run_load(
    path: str, process: int, domain: RelayDomain, clients: int, seconds: float, *, patience: int = _LIMIT
) -> LoadResult:
    """Exchange frames among so many clients for so many seconds; a fault is in the result.

    ``patience``: the seconds that frames may take, and that the relay has to let everyone go at the end.
    """
    result = LoadResult()
    chosen = random.Random(clients)
    try:
        Crowd(path, domain, 1, LoadResult(), patience).leave()  # the relay serves now, and holds what it always holds
        before = _held(process)
        crowd = Crowd(path, domain, clients, result, patience)
    except (LoadError, RelayError) as error:
        result.fault = str(error)
        return result
    try:
        started = time.monotonic()
        rounds = memory = 0
        while rounds <= _WARM_ROUNDS or time.monotonic() - started < seconds:
            crowd.exchange(chosen.sample(crowd.numbers(), min(_SENDERS, clients)))
            crowd.change(chosen.sample(crowd.numbers(), min(_CHANGES, clients)))
            rounds += 1
            if rounds == _WARM_ROUNDS:
                memory = resident_bytes(process)
        result.seconds = time.monotonic() - started
        result.grown_bytes = resident_bytes(process) - memory
        if result.grown_bytes > _GROWTH:
            result.fault = f"memory grew by {result.grown_bytes:,} bytes"
    except (LoadError, RelayError) as error:
        result.fault = str(error)
    finally:
        crowd.leave()
    result.fault = result.fault or _leaked(process, before, patience)
    return result


def _held(process: int) -> dict[str, int]:
    return {what: len(os.listdir(f"/proc/{process}/{what}")) for what, _ in _NAMES}


def _leaked(process: int, before: dict[str, int], patience: int) -> str:
    """What the relay still holds some time after all have left; empty when nothing."""
    limit = time.monotonic() + patience
    while time.monotonic() < limit:
        held = _held(process)
        left = [f"{held[what] - before[what]} {name}" for what, name in _NAMES if held[what] > before[what]]
        if not left:
            return ""
        time.sleep(0.01)  # another process that closes its files gives no event to wait for
    return f"left after everyone had gone: {', '.join(left)}"


@click.command()
@click.option("--seconds", type=click.FloatRange(0), default=60.0, show_default=True)
@click.option("--clients", type=click.IntRange(2, 10_000), default=1000, show_default=True)
@click.option("--domain", type=click.Choice(list(DOMAINS)), default="market_data", show_default=True)
def load(seconds: float, clients: int, domain: str) -> None:
    """Let CLIENTS send to one another through a relay for SECONDS, and check every byte that each receives.

    Exit code 0: nothing was lost, doubled, torn or reordered, and nothing leaked; 1: a fault; 2: no relay could be run.
    """
    allow_descriptors()
    click.echo(f"{clients:,} clients of a {domain} relay for {seconds:.0f} s, {_SIZE}-byte frames, each to everyone")
    try:
        with spawned_relay(relay_command(domain)) as (path, process):
            result = run_load(path, process, DOMAINS[domain], clients, seconds)
    except RelayError as error:
        click.echo(f"torq_bench load: {error}", err=True)
        raise SystemExit(2) from None
    rate = result.deliveries / result.seconds / 1e6 if result.seconds else 0.0
    click.echo(
        f"sent        {result.frames:,} frames by {result.joined:,} clients, {result.joined - clients:,} of them later"
    )
    click.echo(f"delivered   {result.deliveries:,} frames, {rate:.2f} M/s, each compared")
    click.echo(f"memory      {result.grown_bytes:+,} bytes from round {_WARM_ROUNDS} to the end")
    if result.fault:
        click.echo(f"FAULT       {result.fault}")
        raise SystemExit(1)
    click.echo("lost        nothing; descriptors and threads as before")
