"""The sockets of a play: opening them, reading whatever arrives, writing while everybody reads.

Facts:
- everything happens in one thread around one poll, so the order of what is seen is the order of the history;
- a relay that echoes fills the receive buffer of a client that writes, so everybody reads while anybody writes;
- the kernel hands a large write on in pieces, of half a send buffer at most. A relay that forwards whatever a read
  returned may put what others write between them: where it does, they write when the last piece has arrived.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import select
import socket
import termios
import time
from collections.abc import Callable

from ..errors import TargetError
from ..impediments import tell
from ..model.history import Peer
from ..model.legality import Fate
from .recorder import Recorder
from .state import WITNESS, Link, State
from .target import Target

READ_SIZE = 262_144
PIECE_BYTES = 32_768
"""What the kernel hands on at once of a write, where the send buffer is no smaller."""


class Streams:
    """The connections of a play, and the bytes that go through them."""

    def __init__(self, state: State, target: Target, recorder: Recorder) -> None:
        self._state = state
        self._target = target
        self._recorder = recorder
        self._poller = select.poll()
        self._by_fd: dict[int, Link] = {}
        self._divided: Link | None = None
        """Who has written something in pieces that may still be under way."""

    def open(self, conn: int) -> Link | None:
        """Connect a client or the witness; None where the relay does not take it, which the history then says.

        Raises TargetError where the witness finds no relay.
        """
        state = self._state
        try:
            sock = self._target.connect()
        except OSError as error:
            tell(error, "to connect a client")
            crash = self._target.crash(state.timing.last_breath_seconds)
            if conn == WITNESS and not crash:
                raise TargetError(f"cannot connect to {self._target.address}: {error.strerror or error}") from error
            state.history.crash = crash or f"the relay accepts no connection: {error.strerror or error}"
            return None
        state.tick += 1
        link = Link(sock, Peer(conn, connected=state.tick))
        state.links[conn] = link
        self.watch(link)
        return link

    def watch(self, link: Link) -> None:
        """Read whatever arrives at a connection."""
        self._by_fd[link.sock.fileno()] = link
        self._poller.register(link.sock, select.POLLIN)

    def unwatch(self, link: Link) -> None:
        """Leave unread what arrives at a connection."""
        fd = link.sock.fileno()
        if self._by_fd.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def half_close(self, link: Link) -> None:
        """Shut down the sending side of a connection."""
        link.sending = False
        link.peer.half_closed = True
        with contextlib.suppress(OSError):
            link.sock.shutdown(socket.SHUT_WR)

    def pump(self, seconds: float) -> None:
        """Read whatever arrives within some seconds; return after the first of it.

        Raises CutShortError when the play must end.
        """
        self._state.limit.check()
        for fd, _ in self._poller.poll(seconds * 1000):
            self.read(self._by_fd[fd])

    def pump_for(self, seconds: float) -> None:
        """Read whatever arrives within some seconds."""
        self.pump_until(lambda: False, seconds)

    def pump_until(self, reached: Callable[[], bool], seconds: float) -> bool:
        """Read until something is reached; False when it is not within some seconds."""
        deadline = time.monotonic() + seconds
        while not reached():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.pump(left)
        return True

    def repeat_until(self, reached: Callable[[], bool], act: Callable[[], bool], *, first: float, most: float) -> bool:
        """Act and read in turns until something is reached; False when an act says that it is in vain.

        The wait after an act grows from the ``first`` to the ``most`` seconds.
        """
        wait = first
        while not reached():
            if not act():
                return False
            self.pump_until(reached, wait)
            wait = min(wait * 2, most)
        return True

    def read(self, link: Link, size: int = READ_SIZE) -> bool:
        """Read once from a connection, ``size`` bytes at most; False when nothing came."""
        try:
            data = link.sock.recv(size)
        except BlockingIOError:
            return False
        except OSError as error:
            tell(error, "to receive")
            self._end(link, "reset" if isinstance(error, ConnectionResetError) else str(error))
            return False
        if not data:
            self._end(link, "end of stream")
            return False
        if link.tcp:  # or a hub without TCP_NODELAY waits 40 ms for each acknowledgement
            link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self._recorder.take(link, data)
        return True

    def _end(self, link: Link, how: str) -> None:
        """Note that the relay has closed a connection."""
        self.unwatch(link)
        link.peer.closed = how
        link.peer.closed_at = self._state.tick
        link.sending = False

    def write(self, link: Link, data: bytes | memoryview) -> int:
        """Write bytes, and read from everybody while the relay takes none; how many went out."""
        state, timing = self._state, self._state.timing
        self._keep_apart(link, len(data))
        view, written, progress = memoryview(data), 0, time.monotonic()
        while written < len(view) and link.sending:
            try:
                written += link.sock.send(view[written:])
                progress = time.monotonic()
            except BlockingIOError:
                self._target.thaw()
                seconds = timing.stuck_seconds * max(state.patience.forwarding, timing.stuck_least_share)
                if time.monotonic() - progress > seconds:
                    state.history.stuck = f"the relay took no byte of {link.peer.name} for {seconds:.1f} s"
                    link.sending = False
                    state.fall_silent()
                    break
                self.pump(0.001)
            except OSError as error:
                tell(error, "to send")
                link.sending = False
        return written

    def _keep_apart(self, link: Link, size: int) -> None:
        """Wait until the pieces of another's write have arrived, where a relay may legally mix them with this one."""
        if self._state.rules.granularity != "reads" or self._target.frozen:
            return
        if self._divided is not link:
            self.let_pieces_arrive()
        if size > min(PIECE_BYTES, link.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2 - 64):
            self._divided = link

    def let_pieces_arrive(self) -> None:
        """Wait for those of a write that a relay of reads may forward in pieces: who joins between them gets a rest."""
        writer = self._divided
        if writer is None or self._target.frozen:
            return
        self._divided = None
        self.settle(writer)
        seconds = self._state.timing.apart_seconds * self._state.patience.forwarding
        self.pump_until(lambda: self._has_arrived(writer), seconds)

    def _has_arrived(self, writer: Link) -> bool:
        """Whether the last that a client wrote has reached everybody who reads, as far as it must."""
        state, conn = self._state, writer.peer.conn
        sent = next((sent for sent in reversed(state.history.sent) if sent.conn == conn), None)
        due = sent.number if sent is not None and sent.certain and sent.fate is Fate.FORWARD else None
        return all(
            (due is None or due in link.got) and link.latest_fence >= writer.own_fence
            for link in state.links.values()
            if link.reading
            and link.peer.open
            and not link.peer.torn
            and link.peer.joined is not None
            and link.peer.joined <= (sent.begun if sent is not None else 0)
            and (state.rules.echo or link is not writer)
        )

    def settle(self, link: Link) -> None:
        """Wait until the relay has read what was written, so that the next write is the next read."""
        patience, timing, frozen = self._state.patience, self._state.timing, self._target.frozen
        deadline = time.monotonic() + (0.0 if frozen else timing.settle_seconds * patience.reading)
        unread, turns = array.array("i", [0]), 0
        while link.peer.open:
            try:
                fcntl.ioctl(link.sock, termios.TIOCOUTQ, unread)
            except OSError:
                return
            if unread[0] == 0:
                patience.reading = 1.0
                return
            if time.monotonic() > deadline:
                break
            turns += 1
            self.pump(0 if turns < 50 else 0.001)
        if not frozen:
            patience.reading = max(patience.reading / 2, timing.settle_least_share)
