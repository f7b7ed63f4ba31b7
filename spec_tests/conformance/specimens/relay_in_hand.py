"""A specimen without a process: a test turns it by hand, and its time passes only where it would wait.

Nothing runs beside the test, so that each step has happened when it returns, and a fault shows in milliseconds.
"""

import os
import select
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from types import TracebackType

import pytest

from spec_tests.conformance.specimens.specimen_process import DOMAIN_NAMES, SIGNAL, plain
from torq_conformance.specimens.correct.doorway import Doorway
from torq_conformance.specimens.correct.relay import Relay
from torq_conformance.specimens.correct.settings import Settings

MOST_TURNS = 100_000


class Clock:
    """The time that modules see: it stands still but for what is slept or waited."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        patch.setattr(time, "monotonic", lambda: self.now)
        patch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds


class Poll:
    """The epoll of the relay: instead of waiting it lets time pass, and on the way what a test has planned happen."""

    def __init__(self, poll: select.epoll, clock: Clock, let_peers_read: Callable[[], None]) -> None:
        self.real = poll
        self.clock = clock
        self.let_peers_read = let_peers_read
        self.planned: list[tuple[float, Callable[[], None]]] = []
        self.register, self.modify, self.unregister = poll.register, poll.modify, poll.unregister

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        self.let_peers_read()
        events = self.real.poll(0)
        if events or timeout == 0:
            return events
        until = float("inf") if timeout is None else self.clock.now + timeout
        if self.planned and self.planned[0][0] <= until:
            self.clock.now, act = self.planned.pop(0)
            act()
            return []
        assert timeout is not None, "the relay waits, and nothing will happen"
        self.clock.now = until
        return []


class Peer:
    """A client of the relay in hand. `got` is what it has read; it reads whenever it can unless `reads` is False."""

    def __init__(self, hand: "RelayInHand", reads: bool) -> None:
        self.hand = hand
        self.reads = reads
        self.got = bytearray()
        self.closed = False
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(hand.path)
        self.sock.setblocking(False)

    def send(self, *frames: bytes) -> None:
        """One write of all frames; when it returns, the relay has read and done what it could."""
        left = memoryview(b"".join(frames))
        for _ in range(MOST_TURNS):
            try:
                left = left[self.sock.send(left) :] if left else left
            except BlockingIOError:
                pass
            except OSError:  # closed by the relay
                left = left[:0]
            self.hand.settle()
            if not left:
                return
        raise AssertionError("the relay does not read")

    def read(self) -> None:
        """Read what is there."""
        try:
            while data := self.sock.recv(1 << 20):
                self.got += data
            self.closed = True
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True

    def take(self) -> bytes:
        """What it has read since it was last asked."""
        taken, self.got = bytes(self.got), bytearray()
        return taken

    def resume(self) -> None:
        """Read again, and get all that waits."""
        self.reads = True
        self.hand.settle()

    def half_close(self) -> None:
        """Shut down the sending side."""
        self.sock.shutdown(socket.SHUT_WR)
        self.hand.settle()

    def leave(self, way: str) -> None:
        """Leave politely by `close`, by `reset` with something unread, or by `half-close` and then for good."""
        if way == "half-close":
            self.half_close()
        if way == "reset":
            self.reads = False
            self.hand.witness.send(self.hand.plain(0))
        self.hand.peers.remove(self)
        self.sock.close()
        self.hand.settle()


class RelayInHand:
    """A relay, and a `witness` who sends and reads all that comes. The witness is the first client that joined."""

    def __init__(
        self, relay: type[Relay], patch: pytest.MonkeyPatch, domain: int = SIGNAL, **settings: int | float | str
    ) -> None:
        self.folder = tempfile.mkdtemp(prefix="sp", dir="/tmp")
        self.path = os.path.join(self.folder, "s.sock")
        self.domain = domain
        self.peers: list[Peer] = []
        self.clock = Clock(patch)
        patch.setattr(relay, "handle", lambda *_: None)
        before = signal.set_wakeup_fd(-1)
        values = Settings(domain=DOMAIN_NAMES[domain])._asdict() | settings
        self.relay = relay(Settings(**values), Doorway(self.path, None))
        self.wakeup = signal.set_wakeup_fd(before)
        self.epoll = self.relay.poll
        self.poll = Poll(self.epoll, self.clock, self.let_peers_read)
        patch.setattr(self.relay, "poll", self.poll)
        self.witness = self.join()

    def __enter__(self) -> "RelayInHand":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for peer in self.peers:
            peer.sock.close()
        for connection in self.relay.connections.values():
            connection.sock.close()
        self.relay.listener.close()
        self.relay.takeover.close()
        self.epoll.close()
        for descriptor in (self.wakeup, self.relay.wakeup, self.relay.spare, *getattr(self.relay, "lost", ())):
            os.close(descriptor)
        shutil.rmtree(self.folder)

    def plain(self, sequence: int, size: int = 12) -> bytes:
        """A valid frame of the domain; `size` is that of its TLV's value."""
        return plain(sequence, self.domain, size)

    def join(self, *, reads: bool = True) -> Peer:
        """One more client, served."""
        peer = Peer(self, reads)
        self.peers.append(peer)
        self.settle()
        return peer

    def joined(self, count: int, *, reads: bool = True) -> list[Peer]:
        """Several more clients."""
        return [self.join(reads=reads) for _ in range(count)]

    def settle(self) -> None:
        """Turn the relay until nothing is left to do but wait."""
        for _ in range(MOST_TURNS):
            self.let_peers_read()
            if not self.epoll.poll(0):
                return
            self.relay.turn()
        raise AssertionError("the relay never comes to rest")

    def let_peers_read(self) -> None:
        """Everybody who reads takes what is there."""
        for peer in self.peers:
            if peer.reads:
                peer.read()

    def let_pass(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due by then."""
        end = self.clock.now + seconds
        while (wait := self.relay.seconds_to_wait()) is not None and self.clock.now + wait <= end:
            self.relay.turn()
            self.settle()
        self.clock.now = max(self.clock.now, end)

    def drain(self, *planned: tuple[float, Callable[[], None]]) -> None:
        """End the relay as SIGTERM does; what is planned happens so many seconds later."""
        self.poll.planned = [(self.clock.now + after, act) for after, act in planned]
        self.relay.drain()
        self.let_peers_read()
