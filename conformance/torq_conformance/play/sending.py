"""What clients send: writes, cut as a program says, and floods.

Facts:
- a flood is paced by fences: a part is sent when the receivers have got the one before, so that none of them can be
  taken for a slow consumer; where the one before does not arrive, the flood ends.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from ..errors import CutShortError
from ..model.history import Delay
from ..model.legality import Fate
from ..model.steps import Flood, Write
from .fences import Fences
from .recorder import Recorder
from .state import WITNESS, Link, State
from .streams import Streams

PART_BYTES = 60_000
"""What a flood sends at once: less than any socket buffer, so that the parts stay apart."""


class Sending:
    """The writes of the clients."""

    def __init__(self, state: State, recorder: Recorder, streams: Streams, fences: Fences) -> None:
        self._state = state
        self._recorder = recorder
        self._streams = streams
        self._fences = fences

    def set_buffer(self, conn: int, size: int) -> None:
        """Make the send buffer of a client ``size`` bytes, or the kernel's least."""
        link = self._state.links.get(conn)
        if link is not None and link.peer.open:
            link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def write(self, step: Write, position: int, first: int) -> None:
        """Play a write, the step at a ``position`` of the program, whose frames are numbered from ``first``."""
        recorder, link = self._recorder, self._state.links.get(step.conn)
        data, ends, boundary = recorder.begin_write(step, position, first)
        if link is None or not link.sending:
            return
        if step.size < len(data):
            rest = data[step.size :]
            link.unfinished = rest, [(len(rest), sent) for end, sent in ends if end > step.size]
        refused = [len(sent.data) for _, sent in ends if sent.fate is Fate.REFUSE]
        recorder.expect(link, len(ends) - len(refused), len(data) - sum(refused))
        link.wrote = link.under_way = True
        written = 0
        for start, stop in step.pieces():
            written += self._streams.write(link, memoryview(data)[start:stop])
            if written < stop:
                break
            if step.settle:
                self._streams.settle(link)
        to_close = recorder.is_to_close(step.conn)
        recorder.end_write(ends, written, taken=to_close or link.sending)
        if link.unfinished is not None or not boundary or to_close:
            link.sending = False

    def finish(self, conn: int) -> None:
        """Send the rest of a write that stopped short."""
        link = self._state.links.get(conn)
        if link is None or link.unfinished is None or not link.peer.open:
            return
        data, ends = link.unfinished
        link.unfinished = None
        link.sending = link.under_way = True
        written = self._streams.write(link, data)
        self._streams.settle(link)
        self._recorder.end_write(ends, written, taken=link.sending)

    def flood(self, step: Flood, position: int, first: int) -> None:
        """Play a flood, the step at a ``position`` of the program, whose frames are numbered from ``first``.

        Raises CutShortError when the deadline of the play is over.
        """
        state, link = self._state, self._state.links.get(step.conn)
        if link is None or not link.sending:
            return
        link.wrote = link.under_way = True
        each = max(1, PART_BYTES // step.frame.size)
        paced = state.rules.forwards
        for start in range(0, step.count, each):
            begun, numbers = time.monotonic(), range(first + start, first + min(start + each, step.count))
            if begun > state.deadline:
                raise CutShortError(f"the time was over after {start} of {step.count} frames of a flood")
            if not self._send_part(link, step, position, numbers):
                return
            if paced:
                paced = self._part_has_arrived(link)
                stalled = [other.peer.stalls[-1] for other in state.links.values() if not other.reading]
                took = Delay(bool(stalled), time.monotonic() - begun, len(numbers) * step.frame.size / PART_BYTES)
                state.history.delays.append(took)
                for stall in stalled if paced else ():
                    stall.forwarded_frames += len(numbers)
                    stall.forwarded_bytes += len(numbers) * step.frame.size
                if not (paced or self._goes_on_unpaced(link)):
                    return

    def _send_part(self, link: Link, step: Flood, position: int, numbers: Sequence[int]) -> bool:
        """Send a part of a flood; False when the relay does not take all of it."""
        data, ends = self._recorder.begin_part(step, position, numbers)
        if ends[0][1].fate is Fate.FORWARD:
            self._recorder.expect(link, len(ends), len(data))
        written = self._streams.write(link, data)
        self._recorder.end_write(ends, written, taken=link.sending)
        return written == len(data)

    def _part_has_arrived(self, sender: Link) -> bool:
        """Wait until the receivers have got what was sent; False when nothing arrives any more.

        Without this nothing more may be sent: they would become slow consumers through no fault of theirs.
        """
        self._fences.void([sender.peer.conn])
        timeout = self._fences.timeout(self._state.timing.part_seconds * self._state.patience.forwarding)

        def fence_again() -> bool:
            if timeout.expired():
                return False
            self._fences.write(sender)
            return True

        arrived = self._streams.repeat_until(lambda: self._is_forwarded(sender), fence_again, first=0.2, most=0.5)
        return arrived and sender.sending

    def _is_forwarded(self, sender: Link) -> bool:
        """Whether every receiver has got the sender's fence; where there is none, whether the witness has."""
        others = [link for link in self._fences.receivers() if self._state.rules.echo or link is not sender]
        if others or not sender.sending:
            return self._fences.proven(sender)
        witness = self._state.links[WITNESS].peer
        return not witness.open or witness.torn or sender.peer.conn in witness.fenced_by

    def _goes_on_unpaced(self, sender: Link) -> bool:
        """Whether a flood goes on though nothing arrives: backpressure drops nothing, and has to end by itself."""
        if sender.sending:
            self._state.fall_silent()
        return sender.sending and self._state.rules.overflow == "backpressure"
