"""What descriptors name in the simulated kernel: streams, listeners, message sockets, pipes, memory files, epolls.

Facts, all of Linux:
- what is open lives while any process, or any message under way, holds it: closing one descriptor of two shuts nothing;
- a stream socket is writable when no more than a quarter of its buffer is unread;
- a peer that closes with unread bytes resets: what it sent is read first, then comes the error, once;
- an epoll goes on telling of a socket whose descriptor was closed while another process holds it.
"""

from __future__ import annotations

import errno
import os
import select
from collections import deque
from dataclasses import dataclass, field

SEALED = "sealed"


def refusal(number: int) -> OSError:
    """The error with this number, as the kernel raises it."""
    return OSError(number, os.strerror(number))


@dataclass(eq=False)
class Description:
    """Something open: its number, and how many descriptors and messages under way hold it."""

    inode: int
    holders: int = 0
    is_socket = False

    def hold(self) -> None:
        self.holders += 1

    def release(self) -> None:
        """One holder less; the last one closes it."""
        self.holders -= 1
        if self.holders == 0:
            self.closed()

    def closed(self) -> None:
        """Nobody holds it any more."""

    def events(self) -> int:
        """What an epoll says of it now."""
        return 0


@dataclass(eq=False)
class Stream(Description):
    """One end of a connection: ``inbox`` holds at most ``capacity`` unread bytes. ``client`` numbers the client."""

    client: int = -1
    capacity: int = 0
    inbox: bytearray = field(default_factory=bytearray)
    peer: Stream | None = None
    at_end: bool = False
    shut: bool = False
    error: int = 0
    is_socket = True

    @property
    def hung_up(self) -> bool:
        """Whether nothing can pass any more, either way."""
        return self.peer is None or (self.at_end and self.shut)

    def room(self) -> int:
        """Bytes that a send would take now. Raises BrokenPipeError."""
        if self.peer is None or self.shut:
            raise refusal(errno.EPIPE)
        return self.peer.capacity - len(self.peer.inbox)

    def put(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes that there is room for."""
        assert self.peer is not None
        self.peer.inbox += data

    def available(self) -> int:
        """Bytes that a read would bring; 0 at the end. Raises ConnectionResetError once, BlockingIOError."""
        if self.inbox:
            return len(self.inbox)
        if self.error:
            number, self.error = self.error, 0
            raise refusal(number)
        if self.at_end or self.peer is None:
            return 0
        raise refusal(errno.EAGAIN)

    def take(self, size: int) -> bytes:
        """Read bytes that are there."""
        data = bytes(self.inbox[:size])
        del self.inbox[:size]
        return data

    def shut_down(self) -> None:
        """Send no more."""
        self.shut = True
        if self.peer is not None:
            self.peer.at_end = True

    def closed(self) -> None:
        if self.peer is not None:
            self.peer.at_end = True
            self.peer.error = errno.ECONNRESET if self.inbox else 0
            self.peer.peer = None

    def events(self) -> int:
        found = 0
        if self.inbox or self.at_end or self.error or self.peer is None:
            found |= select.EPOLLIN
        if self.peer is None or self.shut or len(self.peer.inbox) * 4 <= self.peer.capacity:
            found |= select.EPOLLOUT
        if self.hung_up:
            found |= select.EPOLLHUP
        if self.error:
            found |= select.EPOLLERR
        return found


@dataclass(eq=False)
class Listener(Description):
    """Where clients, or successors, connect: their ends wait in ``queue``."""

    queue: deque[Stream | Messages] = field(default_factory=deque)
    backlog: int = 16
    is_socket = True

    def closed(self) -> None:
        while self.queue:
            self.queue.popleft().release()

    def events(self) -> int:
        return select.EPOLLIN if self.queue else 0


@dataclass(eq=False)
class Messages(Description):
    """One end of a socket of messages with descriptors; ``pid`` is the process at the other end."""

    pid: int = 0
    peer: Messages | None = None
    inbox: deque[tuple[bytes, list[Description]]] = field(default_factory=deque)
    error: int = 0
    is_socket = True

    def closed(self) -> None:
        if self.peer is not None:
            self.peer.error = errno.ECONNRESET if self.inbox else 0
            self.peer.peer = None
        while self.inbox:
            for each in self.inbox.popleft()[1]:
                each.release()

    def events(self) -> int:
        if self.peer is None:
            return select.EPOLLIN | select.EPOLLHUP | select.EPOLLOUT
        return select.EPOLLOUT | (select.EPOLLIN if self.inbox else 0)


@dataclass(eq=False)
class PipeEnd(Description):
    """One end of a pipe, both of which share ``data``."""

    data: bytearray = field(default_factory=bytearray)
    other: PipeEnd | None = None
    writes: bool = False

    def closed(self) -> None:
        if self.other is not None:
            self.other.other = None

    def events(self) -> int:
        if self.writes:
            return select.EPOLLOUT
        return (select.EPOLLIN if self.data else 0) | (select.EPOLLHUP if self.other is None else 0)


@dataclass(eq=False)
class MemoryFile(Description):
    """A memfd."""

    data: bytearray = field(default_factory=bytearray)
    sealed: bool = False


@dataclass(eq=False)
class Epoll(Description):
    """What watches descriptions, by the descriptor under which each was registered."""

    watched: dict[tuple[int, int], tuple[Description, int]] = field(default_factory=dict)

    def ready(self) -> list[tuple[int, int]]:
        """Descriptors and events, of what lives."""
        found = []
        for key, (description, mask) in list(self.watched.items()):
            if description.holders == 0:
                del self.watched[key]
                continue
            events = description.events() & (mask | select.EPOLLHUP | select.EPOLLERR)
            if events:
                found.append((key[0], events))
        return found

    def events(self) -> int:
        return select.EPOLLIN if self.ready() else 0
