"""Features in which clients do not read, or the relay's process is stopped or killed.

Facts: a queue overflows only behind thousands of frames, so these programs flood; a flood waits for those who read.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ...model.program import Connect, Flood, Frame, Freeze, Kill, Resume, Sip, Stall, Sync, Thaw, Tlv, Write
from ..machine import MAX_CONNECTIONS, PICK, ProgramMachine

MAX_OVERFLOWS = 2
"""How often a program may flood as much as overflows a queue."""
FLOOD_SIZES = (200, 1_400, 40)
"""Sizes in bytes of the values in floods: with the first the fewest bytes overflow a queue that counts frames."""
PEACE_FRAMES = 1_300
"""Frames of the flood that nobody is slow for: enough parts of it to compare later ones with."""


class Floods(ProgramMachine):
    """Floods past the bound of a queue, of small frames."""

    flooded = 0

    def overflow_frames(self, size: int) -> int:
        """How many frames of a size overflow the queue of somebody who does not read, for certain."""
        return self.promise.queue_frames + self.promise.socket_bytes // size + 500

    def overflow(self, conn: int, size: int, *, beyond: int = 0) -> None:
        """Overflow the queues of all who do not read; with larger frames where small ones would be far too many."""
        if self.overflow_frames(size + 34) > 2 * self.promise.queue_frames + 5_000:
            size = max(FLOOD_SIZES)
        self.flood(conn, size=size, count=self.overflow_frames(size + 34) + beyond)

    def flood(self, conn: int, *, size: int, count: int) -> None:
        """Append a flood, unless the program has become too big."""
        frame = Frame(self.promise.number, (Tlv(self.padding_type(), size),))
        if self.flooded + count <= MAX_OVERFLOWS * self.overflow_frames(40):
            self.flooded += count
            self.steps.append(Flood(conn, frame, count))


class Stalls(Floods):
    """A consumer that stops reading, is flooded past its bound, sips or not, and reads again or never."""

    cells = (
        "stalls",
        "floods",
    )
    overflowed = False

    def __init__(self) -> None:
        super().__init__()
        self.stalled: list[int] = []

    def begin_peace(self) -> None:
        """One flood that nobody is slow for: what the later ones are compared with."""
        if not self.flooded:
            self.flood(self.open[0], size=FLOOD_SIZES[0], count=PEACE_FRAMES)

    @rule(pick=PICK)
    def stall(self, pick: int) -> None:
        candidates = [conn for conn in self.open if conn not in self.stalled]
        if len(candidates) > 1:
            self.begin_peace()
            conn = candidates[pick % len(candidates)]
            self.steps.append(Stall(conn))
            self.stalled.append(conn)
            self.writers.remove(conn)

    @rule(pick=PICK, size=st.sampled_from(FLOOD_SIZES), beyond=st.sampled_from((0, 0, 1_000)), large=st.booleans())
    def send_too_much(self, pick: int, size: int, beyond: int, large: bool) -> None:
        """Large frames first fill the socket, so that one of them is partly sent when the queue overflows."""
        if self.stalled and (conn := self.writer(pick)) is not None:
            if large:
                self.flood(conn, size=60_000, count=8)
            self.overflow(conn, size, beyond=beyond)
            self.overflowed = True

    @rule(pick=PICK, count=st.integers(1, 1_000))
    def flood_a_little(self, pick: int, count: int) -> None:
        if self.stalled and (conn := self.writer(pick)) is not None:
            self.flood(conn, size=40, count=count)

    @rule(pick=PICK, size=st.sampled_from((1, 31, 33, 1000, 20_000, 200_000)))
    def sip(self, pick: int, size: int) -> None:
        if self.stalled:
            self.steps.append(Sip(self.stalled[pick % len(self.stalled)], size))

    @rule(pick=PICK)
    def resume(self, pick: int) -> None:
        if self.stalled:
            conn = self.stalled.pop(pick % len(self.stalled))
            self.steps.append(Resume(conn))
            self.writers.append(conn)
            self.steps.append(Sync())

    def ensure(self) -> None:
        if not self.overflowed:
            if not self.stalled:
                self.stall(self.lucky_pick())
            self.send_too_much(self.lucky_pick(), FLOOD_SIZES[0], 0, self.luck.random() < 0.5)
        while self.stalled and self.promise.overflow == "drop_oldest":
            self.resume(0)
            self.everybody_sends()
        super().ensure()


class StallsAgainstBaseline(Stalls):
    """Stalls, and a flood behind them that nobody is slow for: what was slow meanwhile is compared with both sides."""

    def ensure(self) -> None:
        super().ensure()
        if not self.stalled:
            self.steps.append(Sync())
            self.flood(self.open[0], size=FLOOD_SIZES[0], count=PEACE_FRAMES)


class SendOnlyClients(Floods):
    """Clients that send and never read."""

    cells = (
        "stalls",
        "floods",
    )

    def __init__(self) -> None:
        super().__init__()
        self.mute: list[int] = []

    @rule()
    def join_without_reading(self) -> None:
        if len(self.open) + len(self.mute) < MAX_CONNECTIONS:
            self.mute.append(self.connected)
            self.steps.append(Connect(self.connected, reads=False))
            self.connected += 1

    @rule(pick=PICK, mine=st.booleans(), size=st.sampled_from(FLOOD_SIZES))
    def flood_it(self, pick: int, mine: bool, size: int) -> None:
        if self.mute:
            senders = self.mute if mine else self.writers
            self.overflow(senders[pick % len(senders)], size)

    @rule(pick=PICK)
    def it_sends(self, pick: int) -> None:
        if self.mute:
            self.flood(self.mute[pick % len(self.mute)], size=8, count=1)

    def ensure(self) -> None:
        if not self.mute:
            self.join_without_reading()
        if self.flooded < self.promise.queue_frames:
            self.flood_it(self.lucky_pick(), self.luck.random() < 0.5, FLOOD_SIZES[0])
        self.it_sends(0)
        super().ensure()


class Freezes(ProgramMachine):
    """A relay that is stopped while several clients write, so that it finds all of it at once."""

    cells = ("freezes",)

    @rule(picks=st.lists(st.tuples(PICK, st.sampled_from((8, 0, 300, 20_000))), min_size=1, max_size=6))
    def write_to_a_stopped_relay(self, picks: list[tuple[int, int]]) -> None:
        self.steps.append(Freeze())
        for pick, size in picks:
            if (conn := self.writer(pick)) is not None:
                frame = Frame(self.promise.number, (Tlv(self.padding_type(), size),))
                self.write(Write(conn, (frame,), settle=False))
        self.steps.append(Thaw())

    def ensure(self) -> None:
        if self.lacks("freezes"):
            self.write_to_a_stopped_relay([(self.lucky_pick(), 8) for _ in range(4)])
        super().ensure()


class Kills(ProgramMachine):
    """A relay that is killed and started again on the same path, with clients that come back."""

    cells = ("kills",)

    @rule(idle=st.booleans())
    def kill(self, idle: bool) -> None:
        if sum(isinstance(step, Kill) for step in self.steps) < 2 and self.connected < 20:
            if not idle:
                self.everybody_sends()
            self.steps.append(Kill())
            for group in (self.open, self.writers, self.unfinished):
                group.clear()
            self.connect()
            self.connect()

    def ensure(self) -> None:
        if not self.has(Kill):
            self.kill(True)
        self.everybody_sends()
        super().ensure()
