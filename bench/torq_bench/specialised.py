"""A market data relay written by hand, without the engine: what generality costs is measured against it.

It keeps the promises of market data and no other: framing, domain, echo, drop_oldest of whole reads for receivers that
lag. One domain, one policy, no settings, no counters, no allow list, no drain.
"""

from __future__ import annotations

import socket
import sys
from collections import deque
from collections.abc import Callable

from torq_protocol.constants import RelayDomain
from torq_protocol.policy import FramePolicy
from torq_protocol.scanner import FrameScanner

_MOST_CHUNKS = 10_000


class Peer:
    """One connection: its socket, an incomplete frame, and what it has not taken yet."""

    __slots__ = ("partial", "queue", "send", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.send = sock.send
        self.partial = b""
        self.queue: deque[memoryview | bytes] = deque()


class MarketDataRelay:
    """Receives frames of market data from any connection, sends them to every connection."""

    def __init__(self, path: str, loop_calls: tuple[Callable[..., object], ...]) -> None:
        self._add_reader, self._remove_reader, self._add_writer, self._remove_writer = loop_calls
        self._scan = FrameScanner(FramePolicy(RelayDomain.MARKET_DATA)).scan
        self._peers: dict[int, Peer] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(4096)
        self._add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        peer = Peer(sock)
        self._peers[sock.fileno()] = peer
        self._add_reader(sock.fileno(), self._readable, peer, sock.recv)

    def _readable(self, peer: Peer, recv: Callable[[int], bytes]) -> None:
        try:
            data = recv(65_536)
        except OSError:
            data = b""
        if not data:
            self._close(peer)
            return
        if peer.partial:
            data = peer.partial + data
        scan = self._scan(data)
        for start, stop, _ in scan.runs:
            self._send_all(data if stop - start == len(data) else memoryview(data)[start:stop])
        if scan.fault:
            self._close(peer)
            return
        peer.partial = data[scan.consumed :] if scan.consumed < len(data) else b""

    def _send_all(self, run: bytes | memoryview) -> None:
        size = len(run)
        for peer in list(self._peers.values()):
            sent = 0
            if not peer.queue:
                try:
                    sent = peer.send(run)
                except BlockingIOError:
                    pass
                except OSError:
                    self._close(peer)
                    continue
                if sent == size:
                    continue
                self._add_writer(peer.sock.fileno(), self._writable, peer)
            peer.queue.append(memoryview(run)[sent:])
            if len(peer.queue) > _MOST_CHUNKS:
                del peer.queue[1]

    def _writable(self, peer: Peer) -> None:
        while peer.queue:
            head = peer.queue[0]
            try:
                sent = peer.send(head)
            except BlockingIOError:
                return
            except OSError:
                self._close(peer)
                return
            if sent < len(head):
                peer.queue[0] = head[sent:]
                return
            peer.queue.popleft()
        self._remove_writer(peer.sock.fileno())

    def _close(self, peer: Peer) -> None:
        if self._peers.pop(peer.sock.fileno(), None) is not None:
            self._remove_reader(peer.sock.fileno())
            self._remove_writer(peer.sock.fileno())
            peer.sock.close()


def main() -> None:
    """Run the specialised relay on a path until killed."""
    import uvloop

    loop = uvloop.new_event_loop()
    calls = (loop.add_reader, loop.remove_reader, loop.add_writer, loop.remove_writer)
    relay = MarketDataRelay(sys.argv[1], calls)
    assert relay is not None
    loop.run_forever()


if __name__ == "__main__":
    main()
