"""Learning a relay's limits: what happens to a consumer that stops reading, and how many connections are served.

Facts:
- these take many bytes and many connections, so they are probed on relays that the suite started itself, or when asked;
- a consumer counts as slow only once it has been seen to read (ISO-7), so the lagging one reads first;
- many small writes fill a bound counted in messages, large ones then fill a bound counted in bytes.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import time
from collections.abc import Iterator
from typing import Literal

from ..counting import counted
from ..model import wire
from ..model.frames import encode_frame
from ..play.address import shows
from .probing import Probe

SMALL_FRAMES = 30_000
LARGE_FRAMES = 400
LARGE_SIZE = 60_000
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

    def run(self) -> Literal["held back", "disconnected", ""]:
        """Flood until something happens: "held back", "disconnected", or "" when all was written."""
        sizes = [8] * SMALL_FRAMES + [LARGE_SIZE] * LARGE_FRAMES
        for index, size in enumerate(sizes):
            if not self.write(self.frame(size)):
                return "held back"
            if index % 64 == 0:
                self.drain(self.sender, 0)
                if self.disconnected():
                    return "disconnected"
                if time.monotonic() > self._deadline:
                    break
        return "disconnected" if self.disconnected() else ""

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


def probe_overflow(probe: Probe) -> None:
    """What happens past the bound of a consumer that does not read (ISO-3)."""
    with contextlib.closing(_Flood(probe)) as flood:
        if not flood.join():
            return
        outcome = flood.run()
        sequences, ended = flood.received()
    last, count = (sequences[-1], len(sequences)) if sequences else (0, 0)
    amount = f"{flood.sent} frames"
    if outcome == "held back":
        answer = "backpressure"
        seconds = probe.target.timing.held_back_seconds
        evidence = f"its sender could write nothing for {seconds:g} s after {amount}, while a consumer did not read"
    elif outcome == "disconnected" or ended:
        answer, evidence = "disconnect", f"a consumer that did not read while {amount} were sent was disconnected"
    elif sequences and last - sequences[0] + 1 > count:
        answer = "drop_oldest"
        evidence = (
            f"a consumer that did not read while {amount} were sent then got {count} of them, "
            f"{'the newest included' if last == flood.sent else 'not the newest'}"
        )
    else:
        probe.learn("no_bound_seen", True, f"a consumer that did not read while {amount} were sent lost none of them")
        return
    probe.learn("overflow", answer, evidence)


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
