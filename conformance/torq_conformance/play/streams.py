"""The sockets of one run: what every client still does, reading whatever comes, writing while everybody is read.

Facts:
- everything happens in one thread around one poll, so the order of what is seen is the order of the history;
- a relay that echoes fills the receive buffer of whoever writes, so everybody is read while anybody writes;
- a relay that has used up a patience once is given less the next time, for its silence has been proven; each kind of
  waiting learns for itself.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import math
import os
import select
import signal
import socket
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import TargetError
from ..model import wire
from ..model.history import History, Peer, Received, Sent, Stalled
from ..model.profile import Rules
from ..model.program import Program
from .target import Target

WITNESS = -1
"""The connection that belongs to no client of the program: it fences when nobody else can."""
SETTLE_PATIENCE = 0.25
"""Seconds to wait for the relay to have read a write; a relay that is slower only sees the write joined to the next."""
STUCK_PATIENCE = 3.0
"""Seconds after which a write that makes no progress counts as refused by the relay."""
LAST_BREATH = 1.0
"""Seconds that a relay which has dropped its clients gets to be seen to end."""
ONCE_USED_UP = 0.12
"""Share of a patience that is left each time that it was used up."""
LEAST = 0.02
"""Share of a patience that is always kept."""
LEAST_OF_READING = 0.04
"""Share of the patience with reading that is always kept: a slow relay is no silent one."""
READ_SIZE = 262_144


@dataclass(slots=True)
class Patience:
    """The share, from 1 down to 0.02, that is left of each kind of waiting for what a relay owes.

    ``holding`` is waiting for what nothing follows (``holds_back`` when that was found to come only when something
    does), ``joining`` for a new connection to be served, ``forwarding`` for fences, ``closing`` for the end of a broken
    connection, ``orphans`` for what is missing at the end, ``reading`` for the relay to read what was written,
    ``hanging`` for any sign of life of a relay that has fallen silent.
    """

    holding: float = 1.0
    holds_back: bool = False
    joining: float = 1.0
    forwarding: float = 1.0
    closing: float = 1.0
    orphans: float = 1.0
    reading: float = 1.0
    hanging: float = 1.0

    @staticmethod
    def after(share: float, met: bool) -> float:
        """The share for the next time, after a wait that was met or used up."""
        return 1.0 if met else max(share * ONCE_USED_UP, LEAST)


class Link:
    """A socket of a run with its receive buffer; ``reading`` and ``sending`` say what its client still does.

    ``got`` are the numbers of the frames of the program that have come; ``awaited_frames`` and ``awaited_bytes`` are at
    most what is under way to it, since the moment ``awaited_since``; ``behind`` is the time, beginning with that, in
    which it is more than its queue holds.
    """

    def __init__(self, sock: socket.socket, peer: Peer) -> None:
        self.sock = sock
        self.peer = peer
        self.buffer = bytearray()
        self.sending = True
        self.reading = True
        self.latest_fence = 0
        self.got: set[int] = set()
        self.awaited_frames = 0
        self.awaited_bytes = 0
        self.awaited_since = 0
        self.behind: Stalled | None = None
        self.unfinished: tuple[bytes, list[Sent]] | None = None


class Streams:
    """The connections of one run of one program, and the bytes that go through them."""

    frozen = False
    deadline = math.inf
    """When a flood is given up."""
    silent = False
    """Whether the relay has used up a patience in this run."""
    served = False
    """Whether it has served anybody, in this run or before."""

    def __init__(self, target: Target, rules: Rules, program: Program, patience: Patience) -> None:
        self.patience = patience
        self._target = target
        self._rules = rules
        self._program = program
        self._history = History()
        self._links: dict[int, Link] = {}
        self._poller = select.poll()
        self._by_fd: dict[int, Link] = {}
        self._known: dict[bytes, list[Sent]] = {}
        self._fence_seen: dict[int, int] = {}
        self._void: dict[int, int] = {}
        """The last sequence of each sender whose fences prove nothing any more."""
        self._sequence = 0
        self._tick = 0

    def close(self) -> None:
        """Close every socket."""
        for link in self._links.values():
            link.sock.close()

    @property
    def connections(self) -> int:
        """How many have been opened, that of the witness among them."""
        return len(self._links)

    def _open(self, conn: int) -> Link | None:
        """Connect a client, or the witness; None when the relay takes it not, which the history says then."""
        try:
            sock = self._target.address.connect()
        except OSError as error:
            crash = self._target.crash(LAST_BREATH)
            if conn == WITNESS and not crash:
                raise TargetError(f"cannot connect to {self._target.address}: {error.strerror or error}") from error
            self._history.crash = crash or f"the relay accepts no connection: {error.strerror or error}"
            return None
        self._tick += 1
        link = Link(sock, Peer(conn, connected=self._tick))
        self._links[conn] = link
        self._watch(link)
        return link

    def _watch(self, link: Link) -> None:
        self._by_fd[link.sock.fileno()] = link
        self._poller.register(link.sock, select.POLLIN)

    def _unwatch(self, link: Link) -> None:
        fd = link.sock.fileno()
        if self._by_fd.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def _lost(self, link: Link, how: str) -> None:
        self._unwatch(link)
        link.peer.closed = how
        link.peer.closed_at = self._tick
        link.sending = False

    def _half_close(self, conn: int) -> None:
        link = self._links.get(conn)
        if link is not None and link.peer.open:
            link.sending = False
            link.peer.half_closed = True
            with contextlib.suppress(OSError):
                link.sock.shutdown(socket.SHUT_WR)

    def _pump(self, seconds: float) -> bool:
        """Read whatever arrives within some seconds, returning after the first of it. False when nothing did."""
        events = self._poller.poll(seconds * 1000)
        for fd, _ in events:
            self._read(self._by_fd[fd])
        return bool(events)

    def _pump_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._pump(left)

    def _pump_until(self, reached: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not reached():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._pump(left)
        return True

    def _read(self, link: Link, size: int = READ_SIZE) -> bool:
        """Read once; False when nothing came."""
        try:
            data = link.sock.recv(size)
        except BlockingIOError:
            return False
        except OSError as error:
            self._lost(link, "reset" if isinstance(error, ConnectionResetError) else str(error))
            return False
        if not data:
            self._lost(link, "end of stream")
            return False
        if link.sock.family != socket.AF_UNIX:  # or a hub without TCP_NODELAY waits 40 ms for each acknowledgement
            link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if not link.buffer:
            link.peer.rest_at = self._tick
        link.buffer += data
        self._decode(link)
        return True

    def _decode(self, link: Link) -> None:
        peer = link.peer
        if not peer.torn:
            frames, used, peer.torn = wire.decode(link.buffer, self._rules.max_message_size)
            for frame in frames:
                link.awaited_frames -= 1
                if wire.FENCE_MARK in frame[:64]:
                    self._fenced(link, frame)
                else:
                    self._tick += 1
                    sent = self._sent_as(frame, link)
                    if sent is None:
                        peer.received.append(Received(None, frame, self._tick))
                    else:
                        peer.received.append(Received(sent.number, sent.data, self._tick))
                        link.got.add(sent.number)
            del link.buffer[:used]
            if used:
                peer.rest_at = self._tick
                link.awaited_bytes -= used

    def _sent_as(self, frame: bytes, link: Link) -> Sent | None:
        """Which frame of the program has come: of those that are equal byte for byte the next one in their order."""
        equal = self._known.get(frame, ())
        return next((sent for sent in equal if sent.number not in link.got), equal[-1] if equal else None)

    def _fenced(self, link: Link, frame: bytes) -> None:
        peer = link.peer
        sequence = int.from_bytes(frame[8:16], "little")
        if self._fence_seen.setdefault(sequence, self._tick) < peer.connected:
            peer.old_fences.append(sequence)
            return
        link.latest_fence = max(link.latest_fence, sequence)
        conn = self._history.fences.get(sequence)
        if conn is not None and sequence > self._void.get(conn, 0):
            peer.fenced_by.add(conn)
        if peer.joined is None:
            self._tick += 1
            peer.joined = self._tick

    def _send_all(self, link: Link, data: memoryview) -> int:
        """Write bytes, reading everybody meanwhile; how many went out."""
        written = 0
        progress = time.monotonic()
        while written < len(data) and link.sending:
            try:
                written += link.sock.send(data[written:])
                progress = time.monotonic()
            except BlockingIOError:
                if self.frozen:
                    self._thaw()
                patience = STUCK_PATIENCE * max(self.patience.forwarding, 0.1)
                if time.monotonic() - progress > patience:
                    self._history.stuck = f"the relay took no byte of {link.peer.name} for {patience:.1f} s"
                    link.sending = False
                    self._fell_silent()
                    break
                self._pump(0.001)
            except OSError:
                link.sending = False
        return written

    def _settle(self, link: Link) -> None:
        """Wait until the relay has read what was written, so that the next write is the next read."""
        share = self.patience.reading
        deadline = time.monotonic() + (0.0 if self.frozen else SETTLE_PATIENCE * share)
        unread = array.array("i", [0])
        turns = 0
        while link.peer.open:
            try:
                fcntl.ioctl(link.sock, termios.TIOCOUTQ, unread)
            except OSError:
                return
            if unread[0] == 0:
                self.patience.reading = 1.0
                return
            if time.monotonic() > deadline:
                break
            turns += 1
            self._pump(0 if turns < 50 else 0.001)
        if not self.frozen:
            self.patience.reading = max(share / 2, LEAST_OF_READING)

    def _fell_silent(self) -> None:
        """The relay has used up a whole patience: later waits in front of it are shorter."""
        self.silent = True
        self.patience.forwarding = Patience.after(self.patience.forwarding, met=False)

    def _thaw(self) -> None:
        """Let the process of the relay go on, if it was stopped."""
        if self.frozen and self._target.pid is not None:
            os.kill(self._target.pid, signal.SIGCONT)
        self.frozen = False
