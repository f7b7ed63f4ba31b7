"""The broadcast of the historical relays: chunks of bytes, a ring of 10 000, echo to the sender.

Facts (the same for the legacy market data relay and the first generic engine):
- a chunk is whatever one read of up to 65 536 bytes returned; frames are not looked at;
- every connection subscribes on accept; a chunk goes to every subscriber, its sender included;
- a subscriber that lags by more than the ring loses its oldest whole chunks and goes on with newer ones,
  so it can land in the middle of a frame; a chunk of which a part is already written is finished;
- the end of what a client sends ends the reading of it only: its writing half lives on until a write fails,
  so a half-closed client goes on receiving.
"""

import select
import socket
from collections import deque
from collections.abc import Callable

READ_BYTES = 65_536
RING_CHUNKS = 10_000

Log = Callable[[str], None]


class Subscriber:
    """One connection: its unread part of the ring, and the unwritten rest of the chunk in hand."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.ring: deque[bytes] = deque(maxlen=RING_CHUNKS)  # appending to a full one drops the oldest
        self.unwritten = memoryview(b"")
        self.reading = True
        self.blocked = False
        self.watched = 0

    def write(self) -> None:
        """Write until nothing is left or the socket is full (`blocked`). Raises OSError when the peer is gone."""
        self.blocked = False
        try:
            while self.unwritten or self.ring:
                if not self.unwritten:
                    self.unwritten = memoryview(self.ring.popleft())
                self.unwritten = self.unwritten[self.sock.send(self.unwritten) :]
        except BlockingIOError:
            self.blocked = True


class Broadcast:
    """Accept for ever; send every chunk that `admit` lets through to every subscriber."""

    def __init__(self, listener: socket.socket, admit: Callable[[bytes], bool], log: Log) -> None:
        self._listener = listener
        self._admit = admit
        self._log = log
        self._poll = select.epoll()
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

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            self._log(f"accept failed: {error}")
            return
        sock.setblocking(False)
        subscriber = self._subscribers[sock.fileno()] = Subscriber(sock)
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
            self._watch(subscriber)
        elif self._admit(chunk):
            for receiver in self._subscribers.values():
                if len(receiver.ring) == RING_CHUNKS:
                    self._log("a receiver lagged: its oldest chunk is lost")
                receiver.ring.append(chunk)
            for receiver in list(self._subscribers.values()):
                if not receiver.blocked:
                    self._write(receiver)

    def _write(self, subscriber: Subscriber) -> None:
        try:
            subscriber.write()
        except OSError:
            subscriber.reading = subscriber.blocked = False
            self._watch(subscriber)
            del self._subscribers[subscriber.sock.fileno()]
            subscriber.sock.close()
        else:
            self._watch(subscriber)

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
