"""Features with stalled consumers, and with a relay whose process is frozen or killed.

Facts:
- many frames overflow a queue, so these programs flood; a flood waits for the consumers that read;
- where a queue holds very much, a program overflows it once at most, and a program that needs only a backlog does not.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ...model.frames import Frame, Tlv
from ...model.steps import Connect, Flood, Freeze, Kill, Resume, Sip, Stall, Sync, Thaw, Write
from ..machine import MAX_CONNECTIONS, PICK, ProgramMachine
from .queues import cost_of_overflow, cost_of_sending, is_cheap_to_overflow, is_fillable, large_frame, overflowing

MAX_OVERFLOWS = 3
"""Floods of one program that each overflow a queue cheaply, at most."""
EXTRA_COST = 24_000_000
"""What a program may send besides one overflow, in bytes."""
BACKLOG_FRAMES = 2_500
"""Frames of a backlog where an overflow would cost too much."""
BACKLOG_BYTES = 12_000_000
"""Bytes that such a backlog ends with: more than the buffers of a TCP connection take, so that a relay must queue."""
FLOOD_SIZES = (200, 1_400, 40)
"""Sizes in bytes of the values in floods: the first overflows a queue that counts frames with the fewest bytes."""
BASELINE_FRAMES = 1_300
"""Frames of a flood without a stalled consumer: enough parts to compare later floods with."""


class Floods(ProgramMachine):
    """Floods past the bound of a queue, of small frames unless that would be too many."""

    spent = 0
    """What the floods of the program cost to send so far, in bytes."""

    def overflow(self, conn: int, size: int, *, beyond: int = 0) -> None:
        """Overflow the queues of all stalled consumers; leave a backlog where a program cannot fill a queue."""
        if not is_fillable(self.promise):
            self.leave_backlog(conn, size, beyond)
            return
        frame, count = overflowing(self.promise, self._padded(size))
        self._flood(conn, frame, count + (beyond if is_cheap_to_overflow(self.promise) else 0))

    def leave_backlog(self, conn: int, size: int, beyond: int) -> None:
        """Send frames of the size, and then as many large ones as no socket takes."""
        self.flood(conn, size=size, count=BACKLOG_FRAMES + beyond)
        large = large_frame(self.promise)
        self._flood(conn, large, BACKLOG_BYTES // large.size)

    def flood(self, conn: int, *, size: int, count: int) -> None:
        """Append a flood of frames with one value of ``size`` bytes, unless the program would grow too big."""
        self._flood(conn, self._padded(size), count)

    def _padded(self, size: int) -> Frame:
        return Frame(self.promise.number, (Tlv(self.padding_type(), size),))

    def _flood(self, conn: int, frame: Frame, count: int) -> None:
        rules = self.promise
        most = EXTRA_COST + (cost_of_overflow(rules) if is_fillable(rules) else 0)
        most = MAX_OVERFLOWS * most if is_cheap_to_overflow(rules) else most
        cost = cost_of_sending(frame, count)
        if self.spent + cost <= most:
            self.spent += cost
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
        if not self.spent:
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
            self.fill_queue(conn, size, beyond)
            self.overflowed = True

    def fill_queue(self, conn: int, size: int, beyond: int) -> None:
        """Overflow the queues of the stalled consumers."""
        self.overflow(conn, size, beyond=beyond)

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


class Backlogs(Stalls):
    """Stalls for which a backlog is enough: they do not overflow a queue that holds very much."""

    def fill_queue(self, conn: int, size: int, beyond: int) -> None:
        if is_cheap_to_overflow(self.promise):
            super().fill_queue(conn, size, beyond)
        else:
            self.leave_backlog(conn, size, beyond)


class StallsAgainstBaseline(Backlogs):
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
        if not any(isinstance(step, Flood) and step.count > 1 for step in self.steps):
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
            if (conn := self.big_writer(pick)) is not None:
                frame = Frame(self.promise.number, (Tlv(self.padding_type(), size),))
                self.write(Write(conn, (frame,), settle=False))
        self.steps.append(Thaw())
        if self.promise.granularity == "reads":  # what is left of them in a second read may mix with a later write
            self.steps.append(Sync())

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
