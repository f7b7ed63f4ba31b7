"""Plays a program against a relay over real sockets, in one thread, and records what was seen.

The play stands on four layers: :mod:`.streams` (sockets), :mod:`.fences` (proofs of what has arrived), :mod:`.faults`
(clients and relays that misbehave) and :mod:`.vitals` (whether the relay is alive).
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable, Iterator
from itertools import islice

from . import wire
from .history import History, Sent
from .legality import BEHIND_AN_ERROR, Fate, fate_of
from .owed import must_arrive
from .profile import Rules
from .program import (
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
from .streams import SETTLE_PATIENCE, WITNESS, Link, Patience
from .target import Target
from .vitals import Vitals

SILENCE = 2.0
"""Seconds without any fence after which a relay counts as forwarding nothing more to a connection."""
HOLDING_PATIENCE = 1.0
"""Seconds that a relay gets to forward the last frame of each client before anything of that client's follows it."""
LEAST_SERVED = 4
"""Times that a relay must have served the witness meanwhile: one that is merely slow does not hold anything back."""
ORPHAN_PATIENCE = 0.3
"""Seconds that a relay gets to forward what is still missing after it has served everybody else."""


class Executor:
    """Plays programs against one target, and remembers how patient one still has to be with it."""

    def __init__(self, target: Target, rules: Rules, patience: Patience | None = None) -> None:
        self._target = target
        self._rules = rules
        self._patience = patience or Patience()
        self._served = False

    def play(self, program: Program) -> History:
        """Run a program to its end. Raises TargetError when the relay cannot be reached at all."""
        play = _Play(self._target, self._rules, program, self._patience)
        play.served = self._served
        try:
            return play.run()
        finally:
            play.close()
            self._served = play.served
            if not play.silent:
                self._patience.forwarding = 1.0

    def restart(self, *, patient: bool) -> None:
        """Go on with a fresh relay, where the target can give one; ``patient`` as with one that is not known yet."""
        self._target.restart()
        self._served = False
        if patient:
            self._patience = Patience(holding=self._patience.holding, holds_back=self._patience.holds_back)


class _Play(Vitals):
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
                    self._pump_for(milliseconds / 1000)
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

    def _connect(self, conn: int, *, joining: bool) -> None:
        if conn in self._links:
            return
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
        elif joining and self._links[WITNESS].sending:
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
            select.select([link.sock], [], [], SETTLE_PATIENCE * self.patience.forwarding)

    def _write(self, step: Write, position: int, numbered: list[tuple[int, Frame]]) -> None:
        link = self._links.get(step.conn)
        data, sent, boundary = self._encode(step, position, iter(numbered))
        if link is None or not link.sending:
            return
        if step.size < len(data):
            link.unfinished = (data[step.size :], [entry for end, entry in sent if end > step.size])
        self._account(len(sent), len(data))
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
                self._known.setdefault(encoded, []).append(number)
                entry = Sent(number, position, step.conn, frame, encoded, fate, why, self._tick)
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

    def _conclude(self) -> None:
        """The end of what was broken, the closing fences, and one more, behind which even a doubled frame has come."""
        self._thaw()
        self._resume_all()
        self._await_closing()
        missing = self._await_the_last() if self._rules.forwards else []
        concluded = self._fence_round(patience=SILENCE * self.patience.forwarding)
        if concluded:
            self._read_the_unread()
        else:
            self._fell_silent()
        if concluded and self._rules.forwards:
            witness = self._links[WITNESS]
            if witness.sending:
                for link in self._links.values():
                    link.peer.fenced_by.discard(WITNESS)
                self._fence(witness)
                self._pump_until(lambda: self._proven([witness]), 0.05)
                for link in self._receivers():
                    link.peer.fenced_by.add(WITNESS)
        if self._rules.forwards:
            self._await_stragglers()
        self._history.late = {(link.peer.conn, sent.number) for link, sent in missing if sent.number in link.got}
        self.patience.holds_back = self.patience.holds_back or bool(self._history.late)

    def _await_closing(self) -> None:
        """Wait for the end of the connections that the relay has to close, for the bytes they sent begin no frame."""
        if self._rules.on_framing_error != "close":
            return
        broken = [self._links[conn].peer for conn in self._history.broken if conn in self._links]
        if any(peer.open for peer in broken):
            share = self.patience.closing
            met = self._pump_until(lambda: not any(peer.open for peer in broken), SILENCE * share)
            self.patience.closing = Patience.after(share, met=met)

    def _await_stragglers(self) -> None:
        """Wait for what no fence proves lost: frames of senders that have left or were closed, and overtaken ones."""
        if self._await(self._owed(), 0.0):
            share = min(self.patience.orphans, self.patience.forwarding)
            missing = self._await(self._owed(), ORPHAN_PATIENCE * share)
            self.patience.orphans = Patience.after(share, met=not missing)

    def _await_the_last(self) -> list[tuple[Link, Sent]]:
        """Wait for the last frame of each client; where it is missing although the relay serves the witness meanwhile.

        The fences behind it would push out what a relay holds back until more comes.
        """
        share, wait = min(self.patience.holding, self.patience.forwarding), 0.02
        if share < 1.0 and not self.patience.holds_back:  # it loses frames: what it holds back cannot be told apart
            return []
        last = list({sent.conn: sent for sent in self._owed()}.values())
        missing = self._await(last, 0.01)
        deadline, served = time.monotonic() + HOLDING_PATIENCE * share, 0
        while missing and (served < LEAST_SERVED or time.monotonic() < deadline) and self._serves_the_witness(deadline):
            served += 1
            missing = self._await(last, wait)
            wait = min(wait * 2, 0.3)
        if missing:
            self.patience.holding = Patience.after(share, met=False)
        return missing if served >= LEAST_SERVED else []

    def _serves_the_witness(self, deadline: float) -> bool:
        """Whether a new fence of the witness comes to every receiver by a deadline, or shortly after it."""
        witness = self._links[WITNESS]
        for link in self._links.values():
            link.peer.fenced_by.discard(WITNESS)
        left = max(0.1, deadline - time.monotonic())
        return self._fence(witness) and self._pump_until(lambda: self._proven([witness]), left)

    def _owed(self) -> list[Sent]:
        """The frames that somebody may be owed."""
        return [sent for sent in self._history.sent if sent.certain and sent.fate is Fate.FORWARD]

    def _await(self, frames: Iterable[Sent], seconds: float) -> list[tuple[Link, Sent]]:
        """Wait until frames have come to all who must get them; those that have not, and to whom."""
        owed = [
            (link, sent)
            for sent in frames
            for link in self._receivers()
            if sent.number not in link.got and must_arrive(sent, link.peer, self._history, self._rules)
        ]

        def missing() -> list[tuple[Link, Sent]]:
            return [(link, sent) for link, sent in owed if link.peer.open and sent.number not in link.got]

        self._pump_until(lambda: not missing(), seconds)
        return missing()


def _frames_of(step: Step) -> int:
    """How many frames a step sends."""
    if isinstance(step, Flood):
        return step.count
    return sum(isinstance(item, Frame) for item in step.items) if isinstance(step, Write) else 0
