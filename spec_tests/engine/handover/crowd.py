"""Clients that count: publishers number their frames, consumers have to get every one of them, whole and in order."""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

from ..frames import MAGIC, MARKET_DATA, frame
from ..relays import LIMIT

_MOST_BYTES = 65_536


class Publisher:
    """Sends numbered frames in any cuts; ``source`` is its number."""

    def __init__(self, sock: socket.socket, source: int, domain: int, draw: random.Random) -> None:
        self.sock = sock
        self.source = source
        self.sent = 0
        self._domain = domain
        self._draw = draw
        self._left = b""

    def send(self) -> None:
        """Send some bytes, if there is room."""
        if not self._left:
            self._left = b"".join(self._frame() for _ in range(self._draw.randint(1, 40)))
        self._send(self._draw.randint(1, len(self._left)))

    def send_one(self) -> None:
        """Send one whole frame, to a relay that serves."""
        self._left += self._frame()
        while self._left:
            self._send(len(self._left))

    def finished(self) -> bool:
        """Send what is left of the last frames; whether nothing is left."""
        self._send(len(self._left))
        return not self._left

    def _send(self, most: int) -> None:
        try:
            self._left = self._left[self.sock.send(self._left[:most]) :]
        except BlockingIOError:
            return

    def _frame(self) -> bytes:
        """The next frame: of any size, where the domain looks at no payload."""
        payload = self._draw.randbytes(self._draw.randint(0, 300)) if self._domain == MARKET_DATA else b""
        self.sent += 1
        return frame(payload, domain=self._domain, source=self.source, sequence=self.sent - 1)


class Consumer:
    """Reads; ``stalled`` ones only at the end."""

    def __init__(self, sock: socket.socket, *, stalled: bool = False) -> None:
        self.sock = sock
        self.stalled = stalled
        self.stream = bytearray()
        self._frames: list[tuple[int, int]] = []
        self._parsed = 0

    def read(self) -> bool:
        """Read some bytes; whether there were any."""
        try:
            data = self.sock.recv(_MOST_BYTES)
        except BlockingIOError:
            return False
        assert data, "disconnected"
        self.stream += data
        return True

    def frames(self) -> list[tuple[int, int]]:
        """Source and number of every whole frame so far, in order; fails on anything that is no frame."""
        stream = self.stream
        while len(stream) >= self._parsed + 32:
            head = stream[self._parsed : self._parsed + 32]
            assert head[:4] == MAGIC
            size = 32 + int.from_bytes(head[24:28], "little")
            if len(stream) < self._parsed + size:
                break
            body = bytes(stream[self._parsed : self._parsed + size])
            assert body == frame(
                body[32:], domain=body[4], source=body[6], sequence=int.from_bytes(body[8:16], "little")
            )
            self._frames.append((body[6], int.from_bytes(body[8:16], "little")))
            self._parsed += size
        return self._frames

    def until(self, done: Callable[[list[tuple[int, int]]], bool]) -> None:
        """Read until the frames so far are enough."""
        limit = time.monotonic() + LIMIT
        while not done(self.frames()):
            assert time.monotonic() < limit, f"only {len(self.frames())} frames came"
            select.select([self.sock], [], [], 0.1)
            self.read()


class Crowd:
    """Publishers and consumers at one path, who live through whatever happens to the relay."""

    def __init__(self, path: Path, domain: int = MARKET_DATA) -> None:
        self.path = path
        self.publishers: list[Publisher] = []
        self.consumers: list[Consumer] = []
        self.late: list[Consumer] = []
        """Those that joined on the way: they get the end of what the others get."""
        self._domain = domain
        self._draw = random.Random(0)

    def connect(self) -> socket.socket:
        """A client of the relay."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(LIMIT)
        sock.connect(str(self.path))
        sock.setblocking(False)
        return sock

    def join(self, *, publishers: int, consumers: int, stalled: int = 0, half_closed: int = 0) -> None:
        """Connect clients, and wait until every consumer is served; half-closed ones have shut their sending side."""
        kinds = [False] * (consumers + half_closed) + [True] * stalled
        self.consumers += [Consumer(self.connect(), stalled=each) for each in kinds]
        for one in self.consumers[consumers : consumers + half_closed]:
            one.sock.shutdown(socket.SHUT_WR)
        self.publishers += [
            Publisher(self.connect(), source + 1, self._domain, self._draw) for source in range(publishers)
        ]
        self.publishers[0].send_one()
        for consumer in self.consumers:
            consumer.until(lambda frames: len(frames) == 1)

    def join_late(self) -> None:
        """Connect one more consumer, served or not."""
        self.late.append(Consumer(self.connect()))

    def pump(self) -> None:
        """Let everybody send or read a little."""
        for publisher in self.publishers:
            publisher.send()
        for consumer in (*self.consumers, *self.late):
            if not consumer.stalled:
                consumer.read()

    def finish(self) -> None:
        """Everybody sends and reads to the end; every consumer has got everything exactly once, in one order."""
        while not all(publisher.finished() for publisher in self.publishers):
            for consumer in (*self.consumers, *self.late):
                consumer.read()
        wanted = sum(publisher.sent for publisher in self.publishers)
        for consumer in self.consumers:
            consumer.until(lambda frames: len(frames) >= wanted)
        order = self.consumers[0].frames()
        for publisher in self.publishers:
            numbers = [number for source, number in order if source == publisher.source]
            assert numbers == list(range(publisher.sent))
        for consumer in self.consumers:
            assert consumer.frames() == order
        for consumer in self.late:
            consumer.until(lambda frames: frames[-1:] == order[-1:])
            assert consumer.frames() == order[-len(consumer.frames()) :]

    def close(self) -> None:
        for sock in [each.sock for each in self.publishers] + [each.sock for each in self.consumers + self.late]:
            sock.close()
