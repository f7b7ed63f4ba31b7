"""Features with stalled consumers, and with a relay whose process is frozen or killed.

Facts: thousands of frames overflow a queue, so these programs flood; a flood waits for the consumers that read.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ...model.frames import Frame, Tlv
from ...model.steps import Connect, Flood, Freeze, Kill, Resume, Sip, Stall, Sync, Thaw, Write
from ..machine import MAX_CONNECTIONS, PICK, ProgramMachine

MAX_OVERFLOWS = 2
"""Floods of one program that each overflow a queue, at most."""
FLOOD_SIZES = (200, 1_400, 40)
"""Sizes in bytes of the values in floods: the first overflows a queue that counts frames with the fewest bytes."""
BASELINE_FRAMES = 1_300
"""Frames of a flood without a stalled consumer: enough parts to compare later floods with."""


class Floods(ProgramMachine):
    """Floods past the bound of a queue, of small frames."""

    flooded = 0

    def overflow_frames(self, size: int) -> int:
        """How many frames of a size overflow the queue of a stalled consumer for certain."""
        return self.promise.queue_frames + self.promise.socket_bytes // size + 500

    def overflow(self, conn: int, size: int, *, beyond: int = 0) -> None:
        """Overflow the queues of all stalled consumers; use larger frames where that would take too many small ones."""
        if self.overflow_frames(size + 34) > 2 * self.promise.queue_frames + 5_000:
            size = max(FLOOD_SIZES)
        self.flood(conn, size=size, count=self.overflow_frames(size + 34) + beyond)

    def flood(self, conn: int, *, size: int, count: int) -> None:
        """Append a flood, unless the program would grow too big."""
        frame = Frame(self.promise.number, (Tlv(self.padding_type(), size),))
        if self.flooded + count <= MAX_OVERFLOWS * self.overflow_frames(40):
            self.flooded += count
            self.steps.append(Flood(conn, frame, count))


class Stalls(Floods):
    """Consumers that stall, whose queue is flooded past its bound, and that then sip, read again or never read."""

    cells = (
        "stalls",
        "floods",
    )
    overflowed = False

    def __init__(self) -> None:
        super().__init__()
        self.stalled: list[int] = []

    def flood_baseline(self) -> None:
        """One flood without a stalled consumer: the later floods are compared with it."""
        if not self.flooded:
            self.flood(self.open[0], size=FLOOD_SIZES[0], count=BASELINE_FRAMES)

    @rule(pick=PICK)
    def stall(self, pick: int) -> None:
        candidates = [conn for conn in self.open if conn not in self.stalled]
        if len(candidates) > 1:
            self.flood_baseline()
            conn = candidates[pick % len(candidates)]
            self.steps.append(Stall(conn))
            self.stalled.append(conn)
            self.writers.remove(conn)

    @rule(pick=PICK, size=st.sampled_from(FLOOD_SIZES), beyond=st.sampled_from((0, 0, 1_000)), large=st.booleans())
    def overflow_stalled_consumer(self, pick: int, size: int, beyond: int, large: bool) -> None:
        """Large frames fill the socket first, so that one of them is partly sent when the queue overflows."""
        if self.stalled and (conn := self.writer(pick)) is not None:
            if large:
                self.flood(conn, size=60_000, count=8)
            self.overflow(conn, size, beyond=beyond)
            self.overflowed = True

    @rule(pick=PICK, count=st.integers(1, 1_000))
    def flood_few_frames(self, pick: int, count: int) -> None:
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
                self.stall(self.random_pick())
            self.overflow_stalled_consumer(self.random_pick(), FLOOD_SIZES[0], 0, self.random.random() < 0.5)
        while self.stalled and self.promise.overflow == "drop_oldest":
            self.resume(0)
            self.every_client_sends()
        super().ensure()


class StallsAgainstBaseline(Stalls):
    """Stalls, and a flood after them without a stalled consumer: delays are compared with before and after."""

    def ensure(self) -> None:
        super().ensure()
        if not self.stalled:
            self.steps.append(Sync())
            self.flood(self.open[0], size=FLOOD_SIZES[0], count=BASELINE_FRAMES)


class SendOnlyClients(Floods):
    """Clients that only send: they never read."""

    cells = (
        "stalls",
        "floods",
    )

    def __init__(self) -> None:
        super().__init__()
        self.send_only: list[int] = []

    @rule()
    def join_without_reading(self) -> None:
        if len(self.open) + len(self.send_only) < MAX_CONNECTIONS:
            self.send_only.append(self.connected)
            self.steps.append(Connect(self.connected, reads=False))
            self.connected += 1

    @rule(pick=PICK, from_send_only=st.booleans(), size=st.sampled_from(FLOOD_SIZES))
    def flood_past_bound(self, pick: int, from_send_only: bool, size: int) -> None:
        if self.send_only:
            senders = self.send_only if from_send_only else self.writers
            self.overflow(senders[pick % len(senders)], size)

    @rule(pick=PICK)
    def send_from_send_only_client(self, pick: int) -> None:
        if self.send_only:
            self.flood(self.send_only[pick % len(self.send_only)], size=8, count=1)

    def ensure(self) -> None:
        if not self.send_only:
            self.join_without_reading()
        if self.flooded < self.promise.queue_frames:
            self.flood_past_bound(self.random_pick(), self.random.random() < 0.5, FLOOD_SIZES[0])
        self.send_from_send_only_client(0)
        super().ensure()


class Freezes(ProgramMachine):
    """A relay that is frozen while several clients write: it finds all their frames together."""

    cells = ("freezes",)

    @rule(picks=st.lists(st.tuples(PICK, st.sampled_from((8, 0, 300, 20_000))), min_size=1, max_size=6))
    def write_to_frozen_relay(self, picks: list[tuple[int, int]]) -> None:
        self.steps.append(Freeze())
        for pick, size in picks:
            if (conn := self.writer(pick)) is not None:
                frame = Frame(self.promise.number, (Tlv(self.padding_type(), size),))
                self.write(Write(conn, (frame,), settle=False))
        self.steps.append(Thaw())

    def ensure(self) -> None:
        if self.lacks("freezes"):
            self.write_to_frozen_relay([(self.random_pick(), 8) for _ in range(4)])
        super().ensure()


class Kills(ProgramMachine):
    """A relay that is killed and started again on the same path; clients connect again."""

    cells = ("kills",)

    @rule(idle=st.booleans())
    def kill(self, idle: bool) -> None:
        if sum(isinstance(step, Kill) for step in self.steps) < 2 and self.connected < 20:
            if not idle:
                self.every_client_sends()
            self.steps.append(Kill())
            for group in (self.open, self.writers, self.unfinished):
                group.clear()
            self.connect()
            self.connect()

    def ensure(self) -> None:
        if not self.has(Kill):
            self.kill(True)
        self.every_client_sends()
        super().ensure()
