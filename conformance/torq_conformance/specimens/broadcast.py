"""The broadcast of the historical relays: chunks of bytes, one ring of 16 384 of them, echo to the sender.

Facts (the same for the legacy market data relay and the first generic engine):
- a chunk is whatever one read of up to 65 536 bytes returned; frames are not looked at;
- every connection subscribes on accept; a chunk goes to every subscriber, its sender included;
- the ring is one for everybody: 16 384 chunks, up to 1 GiB; what all subscribers have taken leaves it;
- a subscriber that lags by more than the ring loses its oldest whole chunks and goes on with newer ones,
  so it can land in the middle of a frame; a chunk of which a part is already written is finished;
- the end of what a client sends ends the reading of it only: its writing half lives on until a write fails,
  so a half-closed client goes on receiving;
- a write that fails ends the writing only: what the client had sent before it left still reaches all others.
"""

import select
import socket
from collections import deque
from collections.abc import Callable, Iterable

READ_BYTES = 65_536
RING_CHUNKS = 16_384

Log = Callable[[str], None]


class Ring:
    """The newest chunks, numbered in their order; `first` is the number of the oldest one that is left."""

    def __init__(self) -> None:
        self.chunks: deque[bytes] = deque()
        self.first = 0

    @property
    def end(self) -> int:
        """The number of the next chunk."""
        return self.first + len(self.chunks)

    def append(self, chunk: bytes) -> None:
        """Add a chunk, at the cost of the oldest one where the ring is full."""
        if len(self.chunks) == RING_CHUNKS:
            self.trim(self.first + 1)
        self.chunks.append(chunk)

    def trim(self, first: int) -> None:
        """Let go of all chunks before one."""
        while self.first < first:
            self.chunks.popleft()
            self.first += 1

    def keep_for(self, subscribers: Iterable["Subscriber"]) -> None:
        """Let go of what all of these have taken."""
        self.trim(min((each.next for each in subscribers), default=self.end))


class Subscriber:
    """One connection: the number of the chunk that it takes next, and the unwritten rest of the one in hand."""

    def __init__(self, sock: socket.socket, ring: Ring, log: Log) -> None:
        self.sock = sock
        self.ring = ring
        self.log = log
        self.next = ring.end
        self.unwritten = memoryview(b"")
        self.reading = True
        self.writing = True
        self.blocked = False
        self.watched = 0

    def write(self) -> None:
        """Write until nothing is left or the socket is full (`blocked`). Raises OSError when the peer is gone."""
        self.blocked = False
        try:
            while self.unwritten or self.next < self.ring.end:
                if not self.unwritten:
                    self.unwritten = memoryview(self.take())
                self.unwritten = self.unwritten[self.sock.send(self.unwritten) :]
        except BlockingIOError:
            self.blocked = True

    def take(self) -> bytes:
        """The next chunk that is left."""
        if self.next < self.ring.first:
            self.log(f"a receiver lagged: {self.ring.first - self.next} chunks are lost to it")
            self.next = self.ring.first
        self.next += 1
        return self.ring.chunks[self.next - 1 - self.ring.first]


class Broadcast:
    """Accept for ever; send every chunk that `admit` lets through to every subscriber."""

    def __init__(self, listener: socket.socket, admit: Callable[[bytes], bool], log: Log) -> None:
        self._listener = listener
        self._admit = admit
        self._log = log
        self._poll = select.epoll()
        self._ring = Ring()
        self._subscribers: dict[int, Subscriber] = {}

    def serve(self) -> None:
        """Run until the process is killed: there is no graceful stop."""
        self._poll.register(self._listener, select.EPOLLIN)
        while True:
            for descriptor, event in self._poll.poll():
                if descriptor == self._listener.fileno():
                    self._accept()
                    continue
                subscriber = self._subscribers.get(descriptor)
                if subscriber is None:
                    continue
                if subscriber.reading and event & ~select.EPOLLOUT:
                    self._read(subscriber)
                elif subscriber.blocked:
                    self._write(subscriber)
                    self._trim()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            self._log(f"accept failed: {error}")
            return
        sock.setblocking(False)
        subscriber = self._subscribers[sock.fileno()] = Subscriber(sock, self._ring, self._log)
        self._watch(subscriber)

    def _read(self, subscriber: Subscriber) -> None:
        try:
            chunk = subscriber.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            subscriber.reading = False
            self._settle(subscriber)
        elif self._admit(chunk):
            self._ring.append(chunk)
            for receiver in list(self._subscribers.values()):
                if receiver.writing and not receiver.blocked:
                    self._write(receiver)
            self._trim()

    def _write(self, subscriber: Subscriber) -> None:
        try:
            subscriber.write()
        except OSError:
            subscriber.writing = subscriber.blocked = False
        self._settle(subscriber)

    def _settle(self, subscriber: Subscriber) -> None:
        """Watch for what a connection still does, and close one that does nothing any more."""
        self._watch(subscriber)
        if not subscriber.reading and not subscriber.writing:
            del self._subscribers[subscriber.sock.fileno()]
            subscriber.sock.close()

    def _trim(self) -> None:
        self._ring.keep_for(each for each in self._subscribers.values() if each.writing)

    def _watch(self, subscriber: Subscriber) -> None:
        wanted = subscriber.reading * select.EPOLLIN | subscriber.blocked * select.EPOLLOUT
        if wanted == subscriber.watched:
            return
        if not subscriber.watched:
            self._poll.register(subscriber.sock, wanted)
        elif not wanted:
            self._poll.unregister(subscriber.sock)
        else:
            self._poll.modify(subscriber.sock, wanted)
        subscriber.watched = wanted
