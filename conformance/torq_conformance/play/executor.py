"""Plays a program against a relay over real sockets, in one thread, and records what was seen.

The play stands on five layers: :mod:`.streams` (sockets), :mod:`.fences` (proofs of what has arrived), :mod:`.faults`
(clients and relays that misbehave), :mod:`.vitals` (whether the relay is alive) and :mod:`.ending` (what may still
come).
"""

from __future__ import annotations

import math
import select
import socket
import time
from collections.abc import Iterator
from itertools import islice

from ..errors import CutShortError
from ..model import wire
from ..model.history import History, Sent
from ..model.legality import BEHIND_AN_ERROR, Fate, fate_of
from ..model.profile import Rules
from ..model.program import (
    Close,
    Connect,
    Finish,
    Flood,
    Frame,
    HalfClose,
    Idle,
    Program,
    Step,
    Sync,
    Write,
    encode_frame,
)
from .address import shows
from .ending import Ending
from .streams import SETTLE_PATIENCE, WITNESS, Link, Patience
from .target import Target

ROOM_PATIENCE = 3.0
"""Seconds that a relay with a limit gets to notice who has left."""
ROOM_WAIT = 0.05
"""Seconds between two attempts to be taken by it."""


class Executor:
    """Plays programs against one target, and remembers how patient one still has to be with it."""

    def __init__(self, target: Target, rules: Rules, patience: Patience | None = None) -> None:
        self._target = target
        self._rules = rules
        self._patience = patience or Patience()
        self._served = False
        self.deadline = math.inf
        """The moment (of the monotonic clock) at which floods and silences are given up."""

    def play(self, program: Program) -> History:
        """Run a program to its end.

        Raises TargetError when the relay cannot be reached at all, CutShortError when its deadline leaves no time for a
        flood or a silence.
        """
        play = _Play(self._target, self._rules, program, self._patience)
        play.served = self._served
        play.deadline = self.deadline
        try:
            return play.run()
        finally:
            play.close()
            self._served = play.served
            self._target.count(play.connections)
            if not play.silent:
                self._patience.forwarding = 1.0

    def restart(self, *, patient: bool) -> None:
        """Go on with a fresh relay, where the target can give one; ``patient`` as with one that is not known yet."""
        self._target.restart()
        self._served = False
        if patient:
            self._patience = Patience(holding=self._patience.holding, holds_back=self._patience.holds_back)


class _Play(Ending):
    """One run of one program."""

    def run(self) -> History:
        history = self._history
        self._connect(WITNESS, joining=False)
        if history.crash:
            return history
        numbers = iter(self._program.frames())
        for position, step in enumerate(self._program.steps):
            self._tick += 1
            frames = list(islice(numbers, _frames_of(step)))
            match step:
                case Connect(conn=conn, reads=reads):
                    self._connect(conn, joining=reads)
                case Write():
                    self._write(step, position, [(number, frame) for number, _, _, frame in frames])
                case Finish(conn=conn):
                    self._finish(conn)
                case Sync():
                    self._fence_round(patience=0.3 * self.patience.forwarding)
                case HalfClose(conn=conn):
                    self._half_close(conn)
                case Close(conn=conn, reset=reset):
                    self._leave(conn, reset=reset)
                case Idle(milliseconds=milliseconds):
                    self._idle(milliseconds / 1000)
                case _:
                    self.play_fault(step, position, [number for number, _, _, _ in frames])
            if self._crashed():
                break
        self._conclude()
        self.served = self.served or any(link.peer.joined is not None for link in self._links.values())
        for link in self._links.values():
            if link.peer.conn != WITNESS and not link.peer.left:
                link.peer.rest = bytes(link.buffer)
        if not self._crashed():
            history.crash = self._seen_dead()
        if self._crashed():
            history.remains = list(self._remains())
        return history

    def _idle(self, seconds: float) -> None:
        if time.monotonic() + seconds > self.deadline:
            raise CutShortError(f"no time was left for a silence of {seconds:g} s")
        self._pump_for(seconds)

    def _connect(self, conn: int, *, joining: bool) -> None:
        """Connect a client; one that is refused comes again, for who has just left may count for a moment still."""
        if conn in self._links:
            return
        until = time.monotonic() + ROOM_PATIENCE
        self._connect_once(conn, joining=joining)
        while self._is_refused(conn) and time.monotonic() < until:
            self._links.pop(conn).sock.close()
            self._pump_for(ROOM_WAIT)
            self._connect_once(conn, joining=joining)

    def _connect_once(self, conn: int, *, joining: bool) -> None:
        link = self._open(conn)
        if link is None:
            return
        if conn != WITNESS:
            self._history.peers[conn] = link.peer
            if not joining:
                link.peer.reads = False
                self._begin_stall(link)
        if joining and not self._rules.forwards:  # nothing shows when it is served: what may come, may come at once
            link.peer.joined = self._tick
        elif joining and self._keep_a_witness().sending:
            self._join(link)

    def _connect_witness(self) -> None:
        self._links.pop(WITNESS, None)
        self._connect(WITNESS, joining=False)

    def _leave(self, conn: int, *, reset: bool) -> None:
        link = self._links.get(conn)
        if link is None or link.peer.left:
            return
        if reset:
            self._leave_something_unread(link)
        elif link.reading:
            self._pump(0)
        link.peer.left = True
        link.sending = False
        link.reading = True
        if not link.peer.closed:
            self._unwatch(link)
        if reset or link.sock.family != socket.AF_UNIX:  # what a socket of TCP still holds unread takes the rest along
            for sent in self._history.sent:
                if sent.conn == conn:
                    sent.certain = False
        if reset and link.sock.family != socket.AF_UNIX:
            link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        link.sock.close()

    def _leave_something_unread(self, link: Link) -> None:
        """Let the relay write something to a connection that will not read it: closing it is a reset then."""
        if not link.peer.closed and link.reading:
            self._unwatch(link)
        witness = self._links.get(WITNESS)
        if self._rules.forwards and not self.frozen and link.peer.joined is not None and witness and witness.sending:
            self._fence(witness)
            shows(link.sock, select.POLLIN, SETTLE_PATIENCE * self.patience.forwarding)

    def _write(self, step: Write, position: int, numbered: list[tuple[int, Frame]]) -> None:
        link = self._links.get(step.conn)
        data, sent, boundary = self._encode(step, position, iter(numbered))
        if link is None or not link.sending:
            return
        if step.size < len(data):
            link.unfinished = (data[step.size :], [entry for end, entry in sent if end > step.size])
        refused = [len(entry.data) for _, entry in sent if entry.fate is Fate.REFUSE]
        self._account(link, len(sent) - len(refused), len(data) - sum(refused))
        written = 0
        for start, stop in step.pieces():
            written += self._send_all(link, memoryview(data)[start:stop])
            if written < stop:
                break
            if step.settle:
                self._settle(link)
        self._tick += 1
        for end, entry in sent:
            entry.tick = self._tick
            entry.whole = end <= written
            entry.certain = entry.whole and (self._closes(step.conn) or link.sending)
        if link.unfinished is not None or not boundary or self._closes(step.conn):
            link.sending = False

    def _closes(self, conn: int) -> bool:
        """Whether a connection has sent what makes the relay close it: the frames before that are still owed."""
        return conn in self._history.broken and self._rules.on_framing_error == "close"

    def _encode(
        self, step: Write, position: int, numbered: Iterator[tuple[int, Frame]]
    ) -> tuple[bytes, list[tuple[int, Sent]], bool]:
        """The bytes of a write, where each frame in them ends, and whether they end where another frame may begin."""
        data = bytearray()
        sent: list[tuple[int, Sent]] = []
        boundary = True
        for item in step.items:
            if isinstance(item, Frame):
                number, frame = next(numbered)
                self._sequence += 1
                encoded = encode_frame(frame, conn=step.conn, number=number, sequence=self._sequence)
                fate, why = fate_of(frame, self._rules)
                if self._closes(step.conn):
                    fate, why = BEHIND_AN_ERROR
                elif fate is Fate.BREAK:
                    self._history.broken.add(step.conn)
                data += encoded
                entry = Sent(number, position, step.conn, frame, encoded, fate, why, self._tick)
                self._known.setdefault(encoded, []).append(entry)
                self._history.sent.append(entry)
                sent.append((len(data), entry))
            else:
                raw = bytes.fromhex(item.bytes)
                data += raw
                _, used, torn = wire.decode(raw, self._rules.max_message_size)
                boundary = used == len(raw) or torn
                if torn:
                    self._history.broken.add(step.conn)
        return bytes(data), sent, boundary

    def _finish(self, conn: int) -> None:
        link = self._links.get(conn)
        if link is None or link.unfinished is None or not link.peer.open:
            return
        data, entries = link.unfinished
        link.unfinished = None
        link.sending = True
        complete = self._send_all(link, memoryview(data)) == len(data)
        self._settle(link)
        self._tick += 1
        for entry in entries:
            entry.tick = self._tick
            entry.whole = complete
            entry.certain = complete and link.sending


def _frames_of(step: Step) -> int:
    """How many frames a step sends."""
    if isinstance(step, Flood):
        return step.count
    return sum(isinstance(item, Frame) for item in step.items) if isinstance(step, Write) else 0
