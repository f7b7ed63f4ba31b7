"""TC, the design before the legacy market data relay: guesses each client's role from its first 100 ms.

Facts:
- a client that sent something within 100 ms of being accepted is a *publisher*: only read from, for ever;
- a silent client is a *consumer*: only written to, for ever. So a publisher that takes longer to start is never heard,
  and a consumer that greets first gets nothing;
- chunks and ring are those of `broadcast`; nothing is filtered, and a publisher gets no echo.
"""

import select
import socket
import time

from torq_conformance.specimens.broadcast import READ_BYTES, Log, Ring, Subscriber

CLASSIFY_AFTER_S = 0.1


class TimingClassifier:
    """The three populations of the relay, each keyed by descriptor."""

    def __init__(self, listener: socket.socket, log: Log) -> None:
        self._listener = listener
        self._log = log
        self._poll = select.epoll()
        self._undecided: dict[int, tuple[socket.socket, float]] = {}  # with the deadline, earliest first
        self._publishers: dict[int, socket.socket] = {}
        self._consumers: dict[int, Subscriber] = {}
        self._ring = Ring()

    def serve(self) -> None:
        """Run until the process is killed."""
        self._poll.register(self._listener, select.EPOLLIN)
        while True:
            for descriptor, _ in self._poll.poll(self._seconds_to_next_deadline()):
                if descriptor == self._listener.fileno():
                    self._accept()
                elif descriptor in self._consumers:
                    self._write(descriptor)
                else:
                    self._hear(descriptor)
            self._classify_silent_clients()

    def _seconds_to_next_deadline(self) -> float | None:
        for _, deadline in self._undecided.values():
            return max(0.0, deadline - time.monotonic())
        return None

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            self._log(f"accept failed: {error}")
            return
        sock.setblocking(False)
        self._undecided[sock.fileno()] = (sock, time.monotonic() + CLASSIFY_AFTER_S)
        self._poll.register(sock, select.EPOLLIN)

    def _hear(self, descriptor: int) -> None:
        """A client that sends in time becomes a publisher: pass on each chunk until the client ends."""
        if descriptor in self._undecided:
            self._publishers[descriptor] = self._undecided.pop(descriptor)[0]
            self._log(f"client {descriptor} is a publisher")
        sock = self._publishers.get(descriptor)
        if sock is None:  # a consumer that went away earlier in this round
            return
        try:
            chunk = sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            del self._publishers[descriptor]
            sock.close()
            return
        self._ring.append(chunk)
        for consumer in list(self._consumers):
            if not self._consumers[consumer].blocked:
                self._write(consumer)
        self._ring.keep_for(self._consumers.values())

    def _classify_silent_clients(self) -> None:
        now = time.monotonic()
        for descriptor, (sock, deadline) in list(self._undecided.items()):
            if deadline > now:
                return
            del self._undecided[descriptor]
            self._poll.unregister(descriptor)
            self._consumers[descriptor] = Subscriber(sock, self._ring, self._log)
            self._log(f"client {descriptor} is a consumer")

    def _write(self, descriptor: int) -> None:
        consumer = self._consumers[descriptor]
        was_blocked = consumer.blocked
        try:
            consumer.write()
        except OSError:
            del self._consumers[descriptor]
            consumer.sock.close()
            return
        if consumer.blocked and not was_blocked:
            self._poll.register(descriptor, select.EPOLLOUT)
        elif was_blocked and not consumer.blocked:
            self._poll.unregister(descriptor)


def serve(listener: socket.socket, domain: int, log: Log) -> None:
    """Run the relay until the process is killed; `domain` makes no difference to it."""
    TimingClassifier(listener, log).serve()
