"""The steps of a program in which clients or the relay misbehave: stalled readers, floods, a stopped or killed relay.

Facts:
- a stall begins when all that was sent before it has arrived, so that only what is sent during it can legally be
  dropped, and only once more waits than the relay's queue may hold (ISO-2);
- a flood is paced by fences: a part is sent when those who read have got the one before, so that none of them can be
  taken for a slow consumer; where the one before does not come, the flood ends;
- a relay's process can be stopped or killed only where the suite has started it; elsewhere these steps do nothing.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from abc import abstractmethod
from collections.abc import Iterator
from zlib import crc32

import msgspec

from torq_protocol.constants import HEADER_SIZE

from ..errors import CutShortError, TargetError
from ..model.history import Sent, Stalled
from ..model.legality import Fate, fate_of
from ..model.program import (
    EDGE_BYTES,
    EPOCH_NS,
    Act,
    Buffer,
    Flood,
    Frame,
    Freeze,
    Kill,
    Resume,
    Sip,
    Stall,
    Thaw,
    connection_name,
    encode_frame,
)
from .fences import Fences, ProgressTimeout
from .streams import WITNESS, Link

PART_BYTES = 60_000
"""What a flood sends at once: less than any socket buffer, so that the parts stay apart."""
PART_PATIENCE = 3.0
"""Seconds that a part of a flood may take to reach those who read."""

SEQUENCE_AND_TIME = struct.Struct("<QQ")
"""Bytes 8 to 23 of a header."""

FaultStep = Buffer | Stall | Sip | Resume | Flood | Freeze | Thaw | Kill | Act


class Faults(Fences):
    """The part of a play that makes clients and relay misbehave."""

    @abstractmethod
    def _leave(self, conn: int, *, reset: bool) -> None: ...
    @abstractmethod
    def _connect_witness(self) -> None: ...

    def play_fault(self, step: FaultStep, position: int, numbers: list[int]) -> None:
        """Play one such step; ``numbers`` are those of the frames that it sends."""
        match step:
            case Buffer(conn=conn, size=size):
                self._set_buffer(conn, size)
            case Stall(conn=conn):
                self._stall(conn)
            case Sip(conn=conn, size=size):
                link = self._links.get(conn)
                if link is not None and not link.reading and link.peer.open:
                    self._read(link, size)
            case Resume(conn=conn):
                self._resume(conn)
            case Flood():
                self._flood(step, position, numbers)
            case Freeze():
                self._freeze()
            case Thaw():
                self._thaw()
            case Kill():
                self._kill()
            case Act():
                pass

    def _set_buffer(self, conn: int, size: int) -> None:
        link = self._links.get(conn)
        if link is not None and link.peer.open and not link.peer.left:
            link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    # --- readers -------------------------------------------------------------------------------------------------

    def _stall(self, conn: int) -> None:
        link = self._links.get(conn)
        if link is None or not link.reading or not link.peer.open:
            return
        self._fence_round(patience=0.3 * self.patience.forwarding)
        if link.peer.open:
            self._begin_stall(link)

    def _begin_stall(self, link: Link) -> None:
        self._unwatch(link)
        link.reading = False
        link.peer.stalls.append(Stalled(self._tick))

    def _resume(self, conn: int) -> None:
        link = self._links.get(conn)
        if link is None or link.reading or not link.peer.open or not link.peer.reads:
            return
        self._tick += 1
        link.reading = True
        link.peer.stalls[-1].ended = self._tick
        self._watch(link)

    def _resume_all(self) -> None:
        """Let everybody read again who ever will."""
        for conn in self._links:
            self._resume(conn)

    def _read_the_unread(self) -> None:
        """See which of those that never read have been closed; a relay that was not done would see a slow reader."""
        for link in self._links.values():
            while not link.peer.reads and link.peer.open and self._read(link):
                pass

    # --- floods --------------------------------------------------------------------------------------------------

    def _flood(self, step: Flood, position: int, numbers: list[int]) -> None:
        link = self._links.get(step.conn)
        if link is None or not link.sending:
            return
        each = max(1, PART_BYTES // step.frame.size)
        paced = self._rules.forwards
        for start in range(0, len(numbers), each):
            begun, part = time.monotonic(), numbers[start : start + each]
            if begun > self.deadline:
                raise CutShortError(f"the time was over after {start} of {len(numbers)} frames of a flood")
            if not self._send_part(link, step, position, part):
                return
            if paced:
                paced = self._part_has_come(link)
                stalled = [other.peer.stalls[-1] for other in self._links.values() if not other.reading]
                self._history.delays.append((bool(stalled), time.monotonic() - begun))
                for stall in stalled if paced else ():
                    stall.forwarded_frames += len(part)
                    stall.forwarded_bytes += len(part) * step.frame.size
                if not (paced or self._goes_on_unpaced(link)):
                    return

    def _part_has_come(self, sender: Link) -> bool:
        """Wait until those who read have got what was sent; False when nothing comes any more.

        Without this nothing more may be sent, for they would become slow consumers through no fault of theirs.
        """
        self._void_fences([sender.peer.conn])
        timeout, wait = ProgressTimeout(PART_PATIENCE * self.patience.forwarding, self._arrived), 0.2
        while not self._has_forwarded(sender):
            if timeout.expired():
                return False
            self._fence(sender)
            self._pump_until(lambda: self._has_forwarded(sender), wait)
            wait = min(wait * 2, 0.5)
        return sender.sending

    def _has_forwarded(self, sender: Link) -> bool:
        """Whether whoever must get what a sender writes has got its fence; where nobody must, the witness does."""
        others = [link for link in self._receivers() if self._rules.echo or link is not sender]
        if others or not sender.sending:
            return self._proven([sender])
        witness = self._links[WITNESS].peer
        return not witness.open or witness.torn or sender.peer.conn in witness.fenced_by

    def _goes_on_unpaced(self, sender: Link) -> bool:
        """Whether a flood goes on though nothing comes: backpressure drops nothing, and has to end by itself."""
        if sender.sending:
            self._fell_silent()
        return sender.sending and self._rules.overflow == "backpressure"

    def _send_part(self, link: Link, step: Flood, position: int, numbers: list[int]) -> bool:
        fate, why = fate_of(step.frame, self._rules)
        begun = self._tick
        entries: list[Sent] = []
        for number, data in zip(numbers, encoded_flood(step, numbers, self._sequence + 1), strict=True):
            self._sequence += 1
            entries.append(Sent(number, position, step.conn, step.frame, data, fate, why, begun))
            self._known.setdefault(data, []).append(entries[-1])
        self._history.sent += entries
        whole = b"".join(entry.data for entry in entries)
        if fate is Fate.FORWARD:
            self._account(link, len(entries), len(whole))
        complete = self._send_all(link, memoryview(whole)) == len(whole)
        self._tick += 1
        for entry in entries:
            entry.tick = self._tick
            entry.whole = complete
            entry.certain = complete and link.sending
        return complete

    # --- the relay's process -------------------------------------------------------------------------------------

    def _freeze(self) -> None:
        if self._target.pid is not None and not self._target.crash():
            os.kill(self._target.pid, signal.SIGSTOP)
            self.frozen = True

    def _kill(self) -> None:
        if not self._target.revivable:
            return
        for conn in list(self._links):
            self._leave(conn, reset=False)
        for sent in self._history.sent:
            sent.certain = False
        try:
            self._target.revive()
        except TargetError as error:
            self._history.crash = f"killed and started again on the same path, it does not serve: {error}"
        else:
            self._connect_witness()


def encoded_flood(step: Flood, numbers: list[int], sequence: int) -> Iterator[bytes]:
    """The frames of a flood as :func:`encode_frame` would write them; they differ by sequence, time and label only."""
    frame, conn = step.frame, step.conn
    plain = msgspec.structs.replace(frame, tlvs=()) == Frame(frame.domain)
    if not plain or len(frame.tlvs) != 1 or not numbers:
        for place, number in enumerate(numbers):
            yield encode_frame(frame, conn=conn, number=number, sequence=sequence + place)
        return
    first = encode_frame(frame, conn=conn, number=numbers[0], sequence=sequence)
    size = frame.tlvs[0].size
    head, tlv_head = first[:8], first[HEADER_SIZE : len(first) - size]
    payload_size = first[24:28]
    name, filling = connection_name(conn), EDGE_BYTES * (size // 256 + 1)
    for place, number in enumerate(numbers):
        value = (f"{name}{number}.".encode() + filling)[:size]
        start = head + SEQUENCE_AND_TIME.pack(sequence + place, EPOCH_NS + number) + payload_size
        rest = tlv_head + value
        yield start + crc32(rest, crc32(start)).to_bytes(4, "little") + rest
