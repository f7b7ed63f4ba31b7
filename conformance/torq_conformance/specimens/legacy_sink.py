"""LS, the legacy signal and execution relay: reads everything, forwards nothing to anyone.

Facts:
- each connection gets an id and an entry in a registry; what it sends is read, counted and thrown away;
- the first 5 messages and every 1000th are logged, and the count when the connection ends (a message is
  whatever one read of up to 65 536 bytes returned);
- the entry is removed on disconnect; a half-closed client is closed.
"""

import select
import socket

from torq_conformance.specimens.broadcast import READ_BYTES, Log

LOGGED_FIRST = 5
LOGGED_EVERY = 1000


class Consumer:
    """A registry entry: the connection, its id and how many messages it sent."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.messages = 0


def serve(listener: socket.socket, domain: int, log: Log) -> None:
    """Run the relay until the process is killed; `domain` makes no difference to it."""
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    registry: dict[int, Consumer] = {}
    accepted = 0
    while True:
        for descriptor, _ in poll.poll():
            if descriptor != listener.fileno():
                if not _read(registry[descriptor], log):
                    registry.pop(descriptor).sock.close()
                continue
            try:
                sock, _ = listener.accept()
            except OSError as error:
                log(f"accept failed: {error}")
                continue
            sock.setblocking(False)
            accepted += 1
            registry[sock.fileno()] = Consumer(sock, accepted)
            poll.register(sock, select.EPOLLIN)


def _read(consumer: Consumer, log: Log) -> bool:
    """Read once and throw it away; False when the connection has ended."""
    try:
        message = consumer.sock.recv(READ_BYTES)
    except BlockingIOError:
        return True
    except OSError:
        message = b""
    if not message:
        log(f"consumer {consumer.number} ended after {consumer.messages} messages")
        return False
    consumer.messages += 1
    if consumer.messages <= LOGGED_FIRST or consumer.messages % LOGGED_EVERY == 0:
        log(f"consumer {consumer.number} message {consumer.messages}: {len(message)} bytes")
    return True
