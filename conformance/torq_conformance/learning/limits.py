"""Learning a relay's limits: what happens to a consumer that stops reading, and how many connections are served.

Facts:
- these take many bytes and many connections, so they are probed on relays that the suite started itself, or when asked;
- a consumer counts as slow only once it has been seen to read (ISO-7), so the lagging one reads first;
- many small writes fill a bound counted in messages, larger ones tell whether it is one, large ones fill a bound
  counted in bytes; of those no more are sent than a run fills, for a bound may be as large as the machine;
- where a queue drops the oldest, what comes behind the last gap is what it holds. Elsewhere that is what was sent until
  the relay acted, less what the sockets may hold: a bound that is too small by as much accuses no relay.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import resource
import select
import socket
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ..counting import counted
from ..generation.features import MOST_QUEUE_BYTES
from ..model import wire
from ..model.frames import encode_frame
from ..model.profile import LEAST
from ..model.rules import MIB, UNIX_SOCKET_BYTES
from ..play.address import shows
from .probing import Probe

SMALL_SIZE = 8
SMALL_FRAMES = 30_000
MEDIUM_SIZE = 1_400
LARGE_SIZE = 60_000
LARGE_FRAMES = MOST_QUEUE_BYTES // LARGE_SIZE
SMALL_IN_SOCKETS = 1_000
"""Small frames that the sockets between a sender and a consumer may hold: each takes far more than its bytes there."""
ALIKE = 0.8
"""Two bounds in frames are one where the smaller is this share of the larger at least."""
MANY_CONNECTIONS = 1050
SPARE_DESCRIPTORS = 64


class _Flood:
    """One sender that floods, a consumer that lags, and the bytes that each of them read."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._timing = probe.target.timing
        self.sender = probe.target.connect()
        self.lagging = probe.target.connect()
        self.sent = 0
        self.stalled = 0.0
        self._deadline = time.monotonic() + self._timing.limit_seconds

    def close(self) -> None:
        self.sender.close()
        self.lagging.close()

    def frame(self, size: int) -> bytes:
        """The next frame: its sequence is its place in the flood."""
        self.sent += 1
        return encode_frame(self._probe.own(size), conn=0, number=0, sequence=self.sent)

    def drain(self, sock: socket.socket, seconds: float) -> bytes | None:
        """What a socket holds; None at its end."""
        if not shows(sock, select.POLLIN, seconds):
            return b""
        try:
            return sock.recv(1 << 20) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def write(self, data: bytes) -> bool:
        """Write a frame, reading the echo meanwhile; False when the relay holds the sender back, or drops it."""
        view = memoryview(data)
        since = time.monotonic()
        while view:
            try:
                view = view[self.sender.send(view) :]
                since = time.monotonic()
            except BlockingIOError:
                if self.drain(self.sender, 0.005) is None:
                    return False
                self.stalled = max(self.stalled, time.monotonic() - since)
                if self.stalled > self._timing.held_back_seconds:
                    return False
            except OSError:
                return False
        return True

    def disconnected(self) -> bool:
        """Whether the relay has closed the lagging connection."""
        return shows(self.lagging, select.POLLRDHUP)

    def join(self) -> bool:
        """Let the lagging consumer read once: only a consumer that has read can become slow (ISO-7)."""
        for _ in range(200):
            self.write(self.frame(8))
            if self.drain(self.lagging, 0.01):
                return True
        return False

    def run(self, size: int, count: int) -> Literal["held back", "disconnected", ""]:
        """Flood until something happens: "held back", "disconnected", or "" when all was written."""
        for index in range(count):
            if not self.write(self.frame(size)):
                return "held back"
            if index % 64 == 0 or size == LARGE_SIZE:
                self.drain(self.sender, 0)
                if self.disconnected():
                    return "disconnected"
                if time.monotonic() > self._deadline:
                    break
        return "disconnected" if self.disconnected() else ""

    def settle(self) -> None:
        """Wait until the relay has read all that was written: only what waited by then says how much it holds."""
        unread = array.array("i", [1])
        while unread[0] and time.monotonic() < self._deadline:
            fcntl.ioctl(self.sender, termios.TIOCOUTQ, unread)
            if self.drain(self.sender, 0.005) is None:
                return
        while self.drain(self.sender, self._timing.settle_seconds):
            pass

    def received(self) -> tuple[list[int], bool]:
        """(sequences that the lagging consumer reads at last, whether its connection ended)."""
        buffer = bytearray()
        sequences: list[int] = []
        deadline = time.monotonic() + self._timing.limit_seconds
        while time.monotonic() < deadline:
            self.drain(self.sender, 0)
            data = self.drain(self.lagging, self._timing.unread_seconds)
            if not data:
                return sequences, data is None
            buffer += data
            frames, used, torn = wire.decode(buffer, 1 << 24)
            del buffer[:used]
            sequences += [int.from_bytes(frame[8:16], "little") for frame in frames]
            if torn:
                return sequences, False
        return sequences, False


@dataclass(frozen=True, slots=True)
class _Filling:
    """What became of a queue that frames of one size flooded: ``overflow`` is "" where nothing was lost.

    ``kept`` is the number of frames that it certainly held, ``frame_bytes`` the size of each.
    """

    overflow: str
    kept: int
    frame_bytes: int
    evidence: str

    @property
    def kept_bytes(self) -> int:
        return self.kept * self.frame_bytes


def _fill(probe: Probe, size: int, count: int) -> _Filling | None:
    """Flood a consumer that does not read; None where no consumer is ever served."""
    with contextlib.closing(_Flood(probe)) as flood:
        if not flood.join():
            return None
        before = flood.sent
        outcome = flood.run(size, count)
        if not outcome:
            flood.settle()
        sequences, ended = flood.received()
    frame_bytes, sent = probe.own(size).size, flood.sent - before
    in_sockets = min(SMALL_IN_SOCKETS, UNIX_SOCKET_BYTES // frame_bytes)
    amount = f"{counted(sent, 'frame')} of {counted(frame_bytes, 'byte')}"
    unread = f"a consumer that did not read while {amount} were sent"
    if outcome == "held back":
        seconds = probe.target.timing.held_back_seconds
        evidence = f"its sender could write nothing for {seconds:g} s after {amount}, while a consumer did not read"
        return _Filling("backpressure", sent - in_sockets, frame_bytes, evidence)
    if outcome == "disconnected" or ended:
        return _Filling("disconnect", sent - in_sockets, frame_bytes, f"{unread} was disconnected")
    if sequences and sequences[-1] - sequences[0] + 1 > len(sequences):
        gap = max(place for place, (one, other) in enumerate(pairwise(sequences), 1) if other != one + 1)
        newest = "the newest included" if sequences[-1] == flood.sent else "not the newest"
        evidence = f"{unread} then got {counted(len(sequences), 'frame')}, {newest}"
        return _Filling("drop_oldest", len(sequences) - gap - 1, frame_bytes, evidence)  # one may be partly sent
    return _Filling("", sent, frame_bytes, f"{unread} lost none of them")


def probe_overflow(probe: Probe) -> None:
    """What happens past the bound of a consumer that does not read, and what that bound is (ISO-2, ISO-3)."""
    small = _fill(probe, SMALL_SIZE, SMALL_FRAMES)
    if small is None:
        return
    if small.overflow:
        probe.learn("overflow", small.overflow, small.evidence)
        medium = _fill(probe, MEDIUM_SIZE, SMALL_FRAMES)
        if medium is not None and medium.overflow and medium.kept < small.kept * ALIKE:
            _learn_bound(probe, "queue_bytes", max(small.kept_bytes, medium.kept_bytes), medium)
            return
        _learn_bound(probe, "queue_frames", small.kept, small)
    large = _fill(probe, LARGE_SIZE, LARGE_FRAMES)
    if large is None or (small.overflow and large.kept >= small.kept * ALIKE):
        return
    if large.overflow:
        if not small.overflow:
            probe.learn("overflow", large.overflow, large.evidence)
        _learn_bound(probe, "queue_bytes", large.kept_bytes, large)
    else:
        held = f"more than {large.kept_bytes // MIB} MiB held for a consumer: {large.evidence}"
        probe.learn("queue_bytes", large.kept_bytes, held, "; no more was sent")


def _learn_bound(probe: Probe, key: str, kept: int, filling: _Filling) -> None:
    """Keep a bound, of the least that can be judged by at least."""
    least = LEAST.get(key, 1)
    probe.learn(key, max(least, kept), f"so much was held, or a little more: {filling.evidence}")


def probe_max_connections(probe: Probe) -> None:
    """How many connections are served at once (CONN-5)."""
    with contextlib.ExitStack() as stack:
        opened: list[socket.socket] = []
        stop = ""
        for _ in range(_descriptors(MANY_CONNECTIONS)):
            try:
                opened.append(stack.enter_context(contextlib.closing(probe.target.connect())))
            except OSError as error:
                stop = f"; the next connect failed: {error.strerror or error}"
                break
        refused = sum(1 for _ in _ended(opened, probe.target.timing.unread_seconds))
    served = len(opened) - refused
    if refused or stop:
        probe.learn(
            "max_connections",
            served,
            f"of {counted(len(opened), 'connection')} {counted(refused, 'was', 'were')} closed at once{stop}",
        )
    else:
        probe.learn(
            "connections_served",
            served,
            f"{counted(served, 'connection was', 'connections were')} open at once, and none was refused",
        )


def _ended(opened: list[socket.socket], moment: float) -> Iterator[socket.socket]:
    """The connections that the relay closed; the last ones get a ``moment``, in seconds, to show it."""
    poller = select.poll()
    by_fd = {sock.fileno(): sock for sock in opened}
    for fd in by_fd:
        poller.register(fd, select.POLLHUP | select.POLLRDHUP)
    time_left = time.monotonic() + moment
    while (seconds := time_left - time.monotonic()) > 0 and by_fd:
        for fd, _ in poller.poll(seconds * 1000):
            poller.unregister(fd)
            yield by_fd.pop(fd)


def _descriptors(wanted: int) -> int:
    """Raise the limit of open files as far as it goes; how many connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_DESCRIPTORS
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(0, min(wanted, soft - SPARE_DESCRIPTORS))
