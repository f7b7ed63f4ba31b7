"""Relays that do just what a test says, on real sockets; and messages to send."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from spec_tests.engine.relays import short_directory
from torq_protocol import MessageBuilder, RelayDomain
from torq_protocol.client import BlockingRelay, ClientSettings, OnEvent, connect_blocking

LIMIT = 10.0
"""Seconds after which a test gives up waiting for an event."""


def signal(sequence: int, *, source: int = 20, size: int = 16) -> bytes:
    """A message that a signal relay accepts; ``size`` bytes of value."""
    value = sequence.to_bytes(8, "little").ljust(size, b"\x00")
    tlv_type = 20 if size == 16 else 39
    return MessageBuilder(RelayDomain.SIGNAL, source).add_raw(tlv_type, value).build(sequence=sequence, timestamp=1)


def large_signal(sequence: int, values: int = 15) -> bytes:
    """A message of almost a megabyte: more than a socket takes at once."""
    builder = MessageBuilder(RelayDomain.SIGNAL, 20)
    for _ in range(values):
        builder.add_raw(39, bytes(65_535))
    return builder.build(sequence=sequence, timestamp=1)


class FakeRelay:
    """A listening socket; connections are accepted when the test asks for one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.settimeout(LIMIT)
        self.listener.bind(str(path))
        self.listener.listen()
        self.accepted: list[socket.socket] = []

    def accept(self) -> socket.socket:
        connection, _ = self.listener.accept()
        connection.settimeout(LIMIT)
        self.accepted.append(connection)
        return connection

    def close(self) -> None:
        for each in (*self.accepted, self.listener):
            each.close()


@contextmanager
def fake_relay() -> Iterator[FakeRelay]:
    with short_directory() as directory:
        relay = FakeRelay(directory / "s")
        try:
            yield relay
        finally:
            relay.close()


@contextmanager
def pair(
    relay: FakeRelay,
    *,
    settings: ClientSettings | None = None,
    domain: RelayDomain | None = None,
    on_event: OnEvent | None = None,
) -> Iterator[tuple[BlockingRelay, socket.socket]]:
    """A blocking client and the relay's end of its connection."""
    with connect_blocking(relay.path, settings=settings, domain=domain, on_event=on_event) as client:
        connection = relay.accept()
        try:
            yield client, connection
        finally:
            connection.close()


@contextmanager
def in_thread(work: Callable[[], None]) -> Iterator[None]:
    """Something that another thread does meanwhile; what it raises is raised at the end."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(LIMIT)
    assert not thread.is_alive(), "the other thread did not end"
    if failures:
        raise failures[0]


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side ends."""
    parts = []
    while data := connection.recv(1 << 20):
        parts.append(data)
    return b"".join(parts)


def cut(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """A stream in pieces."""
    places = sorted({0, *(place for place in cuts if place < len(stream)), len(stream)})
    return [stream[start:stop] for start, stop in pairwise(places)]
