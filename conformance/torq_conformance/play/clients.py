"""What clients do with their connections: connect, stop reading, read again, leave.

Facts:
- a stall begins when all that was sent before it has arrived, so that only what is sent during it can legally be
  dropped, and only once more waits than the relay's queue may hold (ISO-2);
- a client that has just left may count for a moment still: a relay with a limit that refuses another is asked again;
- closing a connection on which something is left unread is a reset.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence

from ..model.history import Stalled
from ..model.steps import Connect
from .address import shows
from .fences import Fences
from .state import WITNESS, Link, State
from .streams import Streams
from .target import Target

MOST_TOGETHER = 64
"""Clients that connect before any of them is waited for; a relay with a shorter listen backlog lets them wait there."""
LINGER_FOR_NOTHING = b"\x01\0\0\0\0\0\0\0"
"""SO_LINGER of a TCP socket whose close is a reset."""


class Clients:
    """The clients of a program, and the witness."""

    def __init__(self, state: State, target: Target, streams: Streams, fences: Fences) -> None:
        self._state = state
        self._target = target
        self._streams = streams
        self._fences = fences

    def connect_witness(self) -> None:
        """Connect the witness, or another one."""
        self._state.links.pop(WITNESS, None)
        self.connect([Connect(WITNESS, reads=False)])

    def connect(self, row: Sequence[Connect]) -> None:
        """Connect clients that come one after the other; wait until those that read are served."""
        new = list({step.conn: step for step in reversed(row) if step.conn not in self._state.links}.values())[::-1]
        if new:
            self._streams.let_pieces_arrive()
        together = 1 if self._state.rules.max_connections is not None else MOST_TOGETHER
        for start in range(0, len(new), together):
            self._connect_some(new[start : start + together])

    def _connect_some(self, steps: Sequence[Connect]) -> None:
        """Connect clients; while a relay with a limit refuses one, again."""
        state, timing = self._state, self._state.timing
        until = time.monotonic() + timing.room_seconds
        self._connect_once(steps)
        while (refused := [step for step in steps if self._fences.is_refused(step.conn)]) and time.monotonic() < until:
            for step in refused:
                state.links.pop(step.conn).sock.close()
            self._streams.pump_for(timing.room_retry_seconds)
            self._connect_once(refused)

    def _connect_once(self, steps: Sequence[Connect]) -> None:
        state, waiting = self._state, []
        for step in steps:
            link = self._streams.open(step.conn)
            if link is None:
                return
            if step.conn != WITNESS:
                state.history.peers[step.conn] = link.peer
                if not step.reads:
                    link.peer.reads = False
                    self._stop_reading(link)
            if step.reads and not state.rules.forwards:  # nothing shows when it is served: what may come, may at once
                link.peer.joined = state.tick
            elif step.reads:
                waiting.append(link)
        if waiting and self._fences.witness().sending:
            self._fences.join(waiting)

    def half_close(self, conn: int) -> None:
        """Shut down the sending side of a client."""
        link = self._state.links.get(conn)
        if link is not None and link.peer.open:
            self._streams.half_close(link)

    def leave(self, conn: int, *, reset: bool) -> None:
        """Close a client, politely or by a reset."""
        link = self._state.links.get(conn)
        if link is None or link.peer.left:
            return
        if reset:
            self._leave_something_unread(link)
        elif link.reading:
            self._streams.pump(0)
        link.peer.left = True
        link.sending = False
        link.reading = True
        if not link.peer.closed:
            self._streams.unwatch(link)
        if reset or link.tcp:  # a TCP socket that is closed with unread bytes is reset
            for sent in self._state.history.sent:
                sent.certain = sent.certain and sent.conn != conn
        if reset and link.tcp:
            link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_FOR_NOTHING)
        link.sock.close()

    def _leave_something_unread(self, link: Link) -> None:
        """Let the relay write something to a connection that no longer reads it."""
        if not link.peer.closed and link.reading:
            self._streams.unwatch(link)
        state, witness = self._state, self._state.links.get(WITNESS)
        known = link.peer.joined is not None or not link.peer.reads
        served = state.rules.forwards and not self._target.frozen and known
        if served and witness and witness.sending:
            until = time.monotonic() + state.timing.settle_seconds * state.patience.forwarding
            self._streams.repeat_until(  # a relay that accepts it only now forwards to it what follows
                lambda: shows(link.sock, select.POLLIN, 0.0),
                lambda: time.monotonic() < until and self._fences.write(witness),
                first=0.002,
                most=0.1,
            )

    def leave_all(self) -> None:
        """Close every connection, for the relay is going to be killed: it need not have taken anything."""
        for conn in self._state.links:
            self.leave(conn, reset=False)
        for sent in self._state.history.sent:
            sent.certain = False

    def stall(self, conn: int) -> None:
        """Let a client stop reading."""
        link = self._state.links.get(conn)
        if link is not None and link.reading and link.peer.open:
            self._fences.round(self._state.timing.sync_seconds)
            if link.peer.open:
                self._stop_reading(link)

    def _stop_reading(self, link: Link) -> None:
        self._streams.unwatch(link)
        link.reading = False
        link.peer.stalls.append(Stalled(self._state.tick))

    def sip(self, conn: int, size: int) -> None:
        """Let a stalled client read some bytes at most."""
        link = self._state.links.get(conn)
        if link is not None and not link.reading and link.peer.open:
            self._streams.read(link, size)

    def resume(self, conn: int) -> None:
        """Let a stalled client read again, unless it never does."""
        link = self._state.links.get(conn)
        if link is None or link.reading or not link.peer.open or not link.peer.reads:
            return
        self._state.tick += 1
        link.reading = True
        link.peer.stalls[-1].ended = self._state.tick
        self._streams.watch(link)

    def resume_all(self) -> None:
        """Let every stalled client read again."""
        for conn in self._state.links:
            self.resume(conn)

    def see_closed(self) -> None:
        """Read from the clients that never read, to see which the relay has closed; to it they become readers."""
        for link in self._state.links.values():
            while not link.peer.reads and link.peer.open and self._streams.read(link):
                pass
