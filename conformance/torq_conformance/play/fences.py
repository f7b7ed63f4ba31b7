"""Fences: frames that each sender writes last and each receiver waits for, so that no sleep decides anything.

Facts:
- a fence that arrives proves that whatever its sender wrote before has arrived or never will (ORD-1 is the relay's own
  promise);
- when a fence does not arrive soon, another is sent in a write of its own: if that one arrives, the frames before the
  first are lost for certain, without a long wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from ..model import wire
from ..model.frames import fence_frame
from ..model.legality import free_type
from .recorder import Recorder
from .state import WITNESS, Link, State
from .streams import Streams
from .target import Target


class ProgressTimeout:
    """Expires after some seconds in which nothing new arrived, or ``factor`` times as many: slow is not silent."""

    def __init__(self, seconds: float, factor: float, arrived: Callable[[], int]) -> None:
        self._seconds = seconds
        self._arrived = arrived
        self._seen = arrived()
        self._deadline = time.monotonic() + seconds
        self._limit = time.monotonic() + seconds * factor

    def expired(self) -> bool:
        """Whether nothing has arrived for so long, or too little for far longer."""
        now, arrived = time.monotonic(), self._arrived()
        if arrived != self._seen:
            self._seen, self._deadline = arrived, min(now + self._seconds, self._limit)
        return now > self._deadline


class Fences:
    """Writes fences, and says what they prove."""

    def __init__(self, state: State, target: Target, recorder: Recorder, streams: Streams) -> None:
        self._state = state
        self._target = target
        self._recorder = recorder
        self._streams = streams

    def write(self, link: Link) -> bool:
        """Write one fence; False when the connection takes none."""
        state, conn = self._state, link.peer.conn
        state.fence += 1
        state.history.fences[state.fence] = conn
        data = fence_frame(
            domain=state.rules.number,
            tlv_type=free_type(state.rules),
            conn=conn,
            sequence=state.fence,
            play=state.play,
        )
        self._recorder.expect(link, 1, len(data))
        link.own_fence = state.fence
        return self._streams.write(link, data) == len(data)

    def write_of_witness(self) -> bool:
        """Write a fence of the witness that alone proves anything; False when it takes none."""
        self.witness()
        self.void([WITNESS])
        return self.write(self._state.links[WITNESS])

    def void(self, conns: Iterable[int]) -> None:
        """Let only fences that are still to be written prove anything of these senders."""
        self._recorder.void_fences(conns)

    def join(self, links: Sequence[Link]) -> None:
        """Let the witness write fences until the relay serves some new connections."""
        state, timing, first = self._state, self._state.timing, self._state.fence + 1
        self._target.thaw()
        limited = state.rules.max_connections is not None  # a client that is not served yet may still be refused
        share = 1.0 if limited else max(state.patience.joining, timing.join_least_share)
        deadline = time.monotonic() + timing.join_seconds * share

        def passed_over() -> list[Link]:
            return [link for link in links if link.peer.joined is None and link.peer.open]

        self._streams.repeat_until(
            lambda: not passed_over(),
            lambda: time.monotonic() < deadline and (self.write(self.witness()) or limited),
            first=0.001,
            most=0.2,
        )
        for link in passed_over():
            others_are = any(other.latest_fence >= first for other in state.links.values() if other is not link)
            link.peer.passed_over = share == 1.0 and others_are
        if any(link.peer.joined is not None or link.peer.open for link in links):
            state.patience.joining = state.share_after(share, met=not passed_over())
        if passed_over():
            state.fall_silent()
        last = state.fence  # the later fences must not mix with what comes next
        self._streams.pump_until(
            lambda: all(link.latest_fence >= last or not link.peer.open for link in links), timing.settle_seconds
        )

    def round(self, seconds: float) -> bool:
        """Let every sender write fences until every receiver has got one of each, written behind all that it has sent.

        False when none arrives for some ``seconds``, or for the share of them that patience leaves.
        """
        self._target.thaw()
        if not self._state.rules.forwards:
            self._streams.pump_for(self._state.timing.quiet_seconds)
            return True
        self.witness()
        self.void([WITNESS, *(link.peer.conn for link in self._senders() if link.under_way)])
        timeout = self.timeout(seconds * self._state.patience.forwarding)
        wait = 0.02
        while missing := self._unproven(self._senders()):
            if timeout.expired():
                return False
            for link in [link for link in self._senders() if link.peer.conn in missing]:
                self.write(link)
                if self._state.rules.granularity == "reads":  # one sender at a time, or their frames mix
                    self._streams.pump_until(partial(self.proven, link), wait)
            self._streams.pump_until(lambda: not self._unproven(self._senders()), wait)
            wait = min(wait * 2, 0.3)
            for receiver in self.receivers():
                receiver.peer.torn = _swallowed_a_fence(receiver.buffer)
        for link in self._senders():
            link.under_way = False
        return True

    def timeout(self, seconds: float) -> ProgressTimeout:
        """A wait that goes on while frames of the program arrive at receivers, or more bytes of one."""
        timing = self._state.timing
        backlog = max((0, *(link.awaited_bytes for link in self.receivers())))
        return ProgressTimeout(
            seconds,
            timing.slow_factor * (1 + backlog / timing.slow_bytes),
            lambda: sum(len(link.got) + len(link.buffer) for link in self.receivers()),
        )

    def witness(self) -> Link:
        """The witness; a new one where the relay has disconnected it as a slow consumer, or refused it."""
        link = self._state.links[WITNESS]
        disconnected = link.peer.closed and link.peer.stalls and self._state.rules.overflow != "drop_oldest"
        if disconnected or self.is_refused(WITNESS):
            link.sock.close()
            link = self._streams.open(WITNESS) or link
        return link

    def is_refused(self, conn: int) -> bool:
        """Whether a relay with a limit has closed a connection before it served it."""
        link = self._state.links.get(conn)
        limited = self._state.rules.max_connections is not None
        return limited and link is not None and bool(link.peer.closed) and link.peer.joined is None

    def receivers(self) -> list[Link]:
        """The clients that the relay serves and that read."""
        return [
            link
            for link in self._state.links.values()
            if link.peer.conn != WITNESS
            and link.reading
            and link.peer.open
            and link.peer.joined is not None
            and not link.peer.torn
        ]

    def proven(self, sender: Link) -> bool:
        """Whether every receiver has got a fence of a sender, or the sender can write none."""
        return not self._unproven([sender])

    def proven_of_witness(self) -> bool:
        """Whether every receiver has got a fence of the witness."""
        return self.proven(self._state.links[WITNESS])

    def _senders(self) -> list[Link]:
        """The connections whose fences prove something, and that can write one: those that have sent, and the witness.

        The witness is last, after what the clients may have under way.
        """
        links = sorted(self._state.links.values(), key=lambda link: link.peer.conn == WITNESS)
        return [link for link in links if link.sending and link.peer.open and (link.wrote or link.peer.conn == WITNESS)]

    def _unproven(self, senders: Iterable[Link]) -> set[int]:
        """The senders of which some receiver has got no fence."""
        receivers, echo = self.receivers(), self._state.rules.echo
        return {
            sender.peer.conn
            for sender in senders
            if sender.sending
            and any(
                sender.peer.conn not in receiver.peer.fenced_by and (echo or sender is not receiver)
                for receiver in receivers
            )
        }


def _swallowed_a_fence(rest: bytearray) -> bool:
    """Whether a receiver waits for the end of a frame while a fence stands inside it: its stream is torn."""
    place = rest.find(wire.FENCE_MARK)
    return place >= 0 and place != wire.HEADER.size + 2
