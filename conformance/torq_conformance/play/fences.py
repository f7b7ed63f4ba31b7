"""Fences: frames that each sender writes last and each receiver waits for, so that no sleep decides anything.

Facts:
- a fence that arrives proves that whatever its sender wrote before has arrived or never will (ORD-1 is the relay's own
  promise);
- a connection counts as joined when a frame of the witness has reached it; what was sent before may legally miss it;
- when a fence does not arrive soon, another is sent in a write of its own: if that one arrives, the frames before the
  first are lost for certain, without a long wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from ..model import wire
from ..model.history import Stalled
from ..model.legality import fence_type
from ..model.program import fence_frame
from .streams import SETTLE_PATIENCE, WITNESS, Link, Patience, Streams

JOIN_PATIENCE = 2.0
"""Seconds that a relay may take to serve a new connection."""
LEAST_OF_JOINING = 0.1
"""Share of them that it always gets: some wait 100 ms before they serve."""
MOST_OF_SLOWNESS = 5.0
"""Times as long as a silent relay that one gets which still forwards what it was sent."""
QUIET = 0.03
"""Seconds of silence that end a run where the profile forwards nothing."""


class ProgressTimeout:
    """Expires after so many seconds in which nothing new arrived, or after some times as many: slow is not silent."""

    def __init__(self, seconds: float, arrived: Callable[[], int]) -> None:
        self._seconds = seconds
        self._arrived = arrived
        self._seen = arrived()
        self._deadline = time.monotonic() + seconds
        self._limit = time.monotonic() + seconds * MOST_OF_SLOWNESS

    def expired(self) -> bool:
        """Whether nothing has arrived for so long, or too little for far longer."""
        now, arrived = time.monotonic(), self._arrived()
        if arrived > self._seen:
            self._seen, self._deadline = arrived, min(now + self._seconds, self._limit)
        return now > self._deadline


class Fences(Streams):
    """The part of a play that writes fences and waits for them."""

    def _join(self, link: Link) -> None:
        """Fence from the witness until the new connection is served, in short waits that grow."""
        patience, first = 0.001, self._sequence + 1
        limited = self._rules.max_connections is not None  # who is not served yet may be refused yet
        share = 1.0 if limited else max(self.patience.joining, LEAST_OF_JOINING)
        deadline = time.monotonic() + JOIN_PATIENCE * share
        while link.peer.joined is None and link.peer.open and time.monotonic() < deadline:
            if not self._fence(self._keep_a_witness()) and not limited:
                break
            self._pump_until(lambda: link.peer.joined is not None or not link.peer.open, patience)
            patience = min(patience * 2, 0.2)
        met = link.peer.joined is not None
        others_are = any(other.latest_fence >= first for other in self._links.values() if other is not link)
        link.peer.passed_over = share == 1.0 and not met and link.peer.open and others_are
        if met or link.peer.open:  # who was closed has used up no wait
            self.patience.joining = Patience.after(share, met=met)
        if not met and link.peer.open:
            self._fell_silent()
        last = self._sequence  # the fences behind the first must not mix with what comes next
        self._pump_until(lambda: link.latest_fence >= last or not link.peer.open, SETTLE_PATIENCE)

    def _fence(self, link: Link) -> bool:
        """Write one fence; False when the connection takes none."""
        self._sequence += 1
        sequence = self._sequence
        self._history.fences[sequence] = link.peer.conn
        data = fence_frame(
            domain=self._rules.number, tlv_type=fence_type(self._rules), conn=link.peer.conn, sequence=sequence
        )
        self._account(link, 1, len(data))
        return self._send_all(link, memoryview(data)) == len(data)

    def _account(self, sender: Link, frames: int, size: int) -> None:
        """Frames are sent that are forwarded: whoever is stalled has them waiting, whoever reads may fall behind."""
        for link in self._links.values():
            if link is sender and not self._rules.echo:
                continue
            if link.awaited_frames <= 0:
                link.awaited_since = self._tick
            link.awaited_frames = max(0, link.awaited_frames) + frames
            link.awaited_bytes = max(0, link.awaited_bytes) + size
            if link.reading:
                self._see_whether_behind(link)
            elif link.peer.stalls:
                link.peer.stalls[-1].frames += frames
                link.peer.stalls[-1].bytes += size

    def _see_whether_behind(self, link: Link) -> None:
        """Whether more is under way to one that reads than its queue holds: then it may lose frames all the same."""
        frames, size = link.awaited_frames, link.awaited_bytes
        if frames <= self._rules.queue_frames and size <= self._rules.queue_bytes:
            if link.behind is not None:
                link.behind.ended, link.behind = self._tick, None
            return
        if link.behind is None:
            link.behind = Stalled(link.awaited_since, reading=True)
            link.peer.stalls.append(link.behind)
        link.behind.frames, link.behind.bytes = max(link.behind.frames, frames), max(link.behind.bytes, size)

    def _keep_a_witness(self) -> Link:
        """The witness; another where it was itself a consumer that the relay may disconnect, or one too many."""
        link = self._links[WITNESS]
        disconnected = link.peer.closed and link.peer.stalls and self._rules.overflow != "drop_oldest"
        if disconnected or self._is_refused(WITNESS):
            link.sock.close()
            link = self._open(WITNESS) or link
        return link

    def _is_refused(self, conn: int) -> bool:
        """Whether a relay with a limit has closed a connection that it had not served yet."""
        link = self._links.get(conn)
        limited = self._rules.max_connections is not None
        return limited and link is not None and bool(link.peer.closed) and link.peer.joined is None

    def _void_fences(self, conns: Iterable[int]) -> None:
        """Let only fences that are still to be written prove anything of these senders: older ones may be under way."""
        for conn in conns:
            self._void[conn] = self._sequence
            for link in self._links.values():
                link.peer.fenced_by.discard(conn)

    def _senders(self) -> list[Link]:
        """Who can write a fence; the witness last, behind what the clients may still have under way."""
        links = sorted(self._links.values(), key=lambda link: link.peer.conn == WITNESS)
        return [link for link in links if link.sending and link.peer.open]

    def _receivers(self) -> list[Link]:
        return [
            link
            for link in self._links.values()
            if link.peer.conn != WITNESS
            and link.reading
            and link.peer.open
            and link.peer.joined is not None
            and not link.peer.torn
        ]

    def _unproven(self, senders: Iterable[Link]) -> set[int]:
        """Senders whose fence some open receiver has not seen."""
        receivers = self._receivers()
        return {
            sender.peer.conn
            for sender in senders
            if sender.sending
            for receiver in receivers
            if sender.peer.conn not in receiver.peer.fenced_by and (self._rules.echo or sender is not receiver)
        }

    def _proven(self, senders: Iterable[Link]) -> bool:
        """Whether every open receiver has seen a fence of each of these senders."""
        return not self._unproven(senders)

    def _arrived(self) -> int:
        """How many frames of the program have come to those who read."""
        return sum(len(link.got) for link in self._receivers())

    def _fence_round(self, *, patience: float) -> bool:
        """Let every sender write fences until every receiver has seen one of each; False when that never happens."""
        self._thaw()
        if not self._rules.forwards:
            self._pump_for(QUIET)
            return True
        self._keep_a_witness()
        self._void_fences(self._links)
        timeout = ProgressTimeout(patience, self._arrived)
        wait = 0.02
        while missing := self._unproven(self._senders()):
            if timeout.expired():
                return False
            fencing = [link for link in self._senders() if link.peer.conn in missing]
            for link in fencing:
                self._fence(link)
                if self._rules.granularity == "reads":  # one sender at a time, or their frames mix
                    self._pump_until(partial(self._proven, (link,)), wait)
            self._pump_until(lambda: self._proven(self._senders()), wait)
            wait = min(wait * 2, 0.3)
            for receiver in self._receivers():
                receiver.peer.torn = _swallowed_a_fence(receiver.buffer)
        return True


def _swallowed_a_fence(rest: bytearray) -> bool:
    """Whether a receiver waits for the end of a frame while a fence stands inside it: its stream is torn."""
    place = rest.find(wire.FENCE_MARK)
    return place >= 0 and place != wire.HEADER.size + 2
