"""A stand-in for a socket: takes as many bytes as its buffer has room for, until the client reads."""

from collections.abc import Sequence


class BufferedOutlet:
    """An outlet with a buffer of ``room`` bytes; ``stream`` is all it ever took."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.stream = bytearray()
        self.unread = 0
        self.broken = False

    def send(self, data: bytes | memoryview, /) -> int:
        if self.broken:
            raise BrokenPipeError
        count = min(self.room - self.unread, len(data))
        if count == 0:
            raise BlockingIOError
        self.stream += data[:count]
        self.unread += count
        return count

    def sendmsg(self, buffers: Sequence[bytes | memoryview], /) -> int:
        return self.send(b"".join(buffers))

    def read(self, count: int) -> None:
        """The client reads up to ``count`` bytes."""
        self.unread -= min(count, self.unread)
