"""The floor: the smallest single-threaded loop in Python that receives and sends; what Python costs beside plain C.

No framing, no checks, no queues, no accounting: what one connection sends is sent to all, and a receiver whose socket
is full is waited for.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Callable

_READ_BYTES = 65_536
"""A larger one maps and unmaps memory at each call."""


class Floor:
    """Receives from any connection, sends to every connection."""

    def __init__(self, path: str, add_reader: Callable[..., None], remove_reader: Callable[[int], object]) -> None:
        self._senders: dict[int, Callable[[bytes], int]] = {}
        self._remove = remove_reader
        self._add = add_reader
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(4096)
        add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        self._senders[sock.fileno()] = sock.send
        self._add(sock.fileno(), self._readable, sock, sock.recv)

    def _readable(self, sock: socket.socket, recv: Callable[[int], bytes]) -> None:
        data = recv(_READ_BYTES)
        if data:
            for descriptor, send in self._senders.items():
                try:
                    sent = send(data)
                except BlockingIOError:
                    sent = 0
                if sent < len(data):
                    _finish(descriptor, send, data[sent:])
        else:
            self._remove(sock.fileno())
            del self._senders[sock.fileno()]
            sock.close()


def _finish(descriptor: int, send: Callable[[bytes], int], rest: bytes) -> None:
    while rest:
        select.select([], [descriptor], [])
        rest = rest[send(rest) :]


def main() -> None:
    """Run the floor on a path until killed."""
    import uvloop

    loop = uvloop.new_event_loop()
    floor = Floor(sys.argv[1], loop.add_reader, loop.remove_reader)
    assert floor is not None
    loop.run_forever()


if __name__ == "__main__":
    main()
