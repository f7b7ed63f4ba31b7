"""Stand-ins for sockets: each takes as many bytes as its buffer has room for, until the client reads."""

from __future__ import annotations

import array
import errno
import socket
from collections.abc import Callable, Sequence

from torq_engine.port import Buffer, Peer, PythonPort


class BufferedOutlet:
    """A socket with a buffer of ``room`` bytes; ``stream`` is all it ever took, ``sends`` what each send took."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.stream = bytearray()
        self.sends: list[int] = []
        self.unread = 0
        self.broken = False

    def send(self, data: Buffer) -> int:
        """How many bytes it took. Raises BlockingIOError without room, BrokenPipeError when it is broken."""
        if self.broken:
            raise BrokenPipeError(errno.EPIPE, "broken")
        count = min(self.room - self.unread, len(data))
        if count == 0:
            raise BlockingIOError
        self.stream += data[:count]
        self.sends.append(count)
        self.unread += count
        return count

    def read(self, count: int) -> None:
        """The client reads up to ``count`` bytes."""
        self.unread -= min(count, self.unread)


class OutletPort(PythonPort):
    """A port whose descriptors are outlets: what the hub sends, and a clock that the test turns."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.clock = clock  # type: ignore[method-assign]  # the test's
        self.outlets: list[BufferedOutlet] = []

    def open(self, outlet: BufferedOutlet) -> int:
        """The descriptor of an outlet."""
        self.outlets.append(outlet)
        return len(self.outlets) - 1

    def accept(self, listener: socket.socket, send_buffer_bytes: int, /) -> tuple[int, Peer]:
        raise BlockingIOError  # tests join outlets by themselves

    def close(self, descriptor: int, /) -> None:
        pass

    def receive(self, descriptor: int, buffer: bytearray, start: int, /) -> int:
        raise BlockingIOError  # tests hand what clients send to the hub

    def send_all(
        self, descriptors: array.array[int], data: Buffer, start: int, stop: int, skipped: int, /
    ) -> list[tuple[int, int]] | None:
        short = []
        for index, descriptor in enumerate(descriptors):
            if index != skipped:
                try:
                    taken = self.outlets[descriptor].send(memoryview(data)[start:stop])
                except BlockingIOError:
                    taken = 0
                except OSError as error:
                    taken = -(error.errno or 0)
                if taken != stop - start:
                    short.append((index, taken))
        return short or None

    def send(self, descriptor: int, parts: Sequence[Buffer], /) -> int:
        return self.outlets[descriptor].send(b"".join(parts))

    def unread(self, descriptor: int, /) -> int:
        return self.outlets[descriptor].unread
