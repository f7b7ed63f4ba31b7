"""Programs that every run begins with: states that seldom meet, such as a stalled consumer that half-closes.

Facts: as in :mod:`.tables`; none overflows a queue.
"""

from __future__ import annotations

from ...model.frames import Frame, Raw
from ...model.program import Program
from ...model.rules import Rules
from ...model.steps import Close, Connect, Finish, Flood, Freeze, HalfClose, Resume, Stall, Step, Sync, Thaw, Write
from .queues import taken_at_once
from .tables import ABOVE_A_READ_BYTES, own, sized

SHORT_WRITE_BYTES = 600_000
"""Bytes for a stalled consumer, in frames that end where the kernel may cut a write short."""
BACKLOG_FRAMES = 400
"""Frames of 1.4 kB: more than the socket of a stalled consumer holds, far fewer than its queue holds."""
SMALL_BACKLOG_FRAMES = 2_500
"""The same for frames of 0.2 kB."""
PARTLY_SENT_BYTES = 300_000
"""Bytes of a frame that no socket holds whole."""
FRAMES_BEFORE_LEAVING = 15
"""Frames of 10 kB that a client sends before it leaves: more than one read holds, no more than a socket holds."""
BASELINE_FRAMES = 1_300
"""Frames of 0.2 kB in a flood without a stalled consumer: enough parts to compare later floods with."""
MANY_CLIENTS = 7
"""Clients of a program about one client: with the witness, more than a list made for two, four or six holds."""


def join_after_backlogged_leave(rules: Rules) -> tuple[Program, ...]:
    """A stalled consumer with a backlog leaves, another client joins after it (FWD-5, CONN-6)."""
    return (_join_after_backlog(rules, Close(2)),)


def join_after_backlogged_close(rules: Rules) -> tuple[Program, ...]:
    """The relay closes a stalled consumer with a backlog for its garbage, another client joins after it (FWD-5)."""
    return (_join_after_backlog(rules, Write(2, (Raw(bytes(64).hex()),))),) if rules.on_framing_error == "close" else ()


def _join_after_backlog(rules: Rules, end: Step) -> Program:
    frame = own(rules, 1_400)
    begins = (Connect(0), Connect(1), Write(0, (own(rules),)), Connect(2, reads=False))
    # Each Sync proves a thing before the next: the backlog is at the relay, and then it has seen the client's end.
    joins = (Sync(), Connect(3), Write(0, (own(rules),)))
    return Program(rules.domain, (*begins, Flood(0, frame, BACKLOG_FRAMES), Sync(), end, *joins))


def half_close_edges(rules: Rules) -> tuple[Program, ...]:
    """A client half-closes right after a frame; a half-closed client receives large frames (CONN-7).

    Two stalled consumers, one half-closed before its backlog, one after it. A client that half-closes within a frame.
    """
    large = min(ABOVE_A_READ_BYTES, rules.max_message_size - 100)
    waiting = tuple(
        Write(0, (sized(rules, size + 40),), settle=False) for size in (8, min(5_000, large), large // 2, 8)
    )
    at_once: tuple[Step, ...] = (Freeze(), Write(0, (own(rules),), settle=False), HalfClose(0), Thaw())
    many = map(Connect, range(2, MANY_CLIENTS))
    large_at_once: tuple[Step, ...] = (*many, Freeze(), *waiting[:-1], HalfClose(0), Thaw())
    then: tuple[Step, ...] = (HalfClose(0), *(Write(1, (sized(rules, size + 40),)) for size in (8, 5_000, large, 8)))
    small = own(rules, 200)
    flood = Flood(1, small, min(SMALL_BACKLOG_FRAMES, rules.most_frames))
    unread = (Connect(2), HalfClose(0), Stall(0), Stall(2), flood, HalfClose(2), flood, Resume(0), Resume(2), Sync())
    within: tuple[Step, ...] = (Write(0, (small,), stop=20), HalfClose(0), Write(1, (small,)))
    played = (at_once, large_at_once, then, unread, within)
    return tuple(Program(rules.domain, (Connect(0), Connect(1), *steps)) for steps in played)


def disconnects_with_frames_in_flight(rules: Rules) -> tuple[Program, ...]:
    """Frames wait for a stalled consumer when their sender leaves, or is closed for its garbage (CONN-6)."""
    waits = (Connect(0), Connect(1), Connect(2), Stall(1), Flood(0, own(rules, 60_000), 10))
    garbage = Write(2, (Raw(bytes(64).hex()),))
    ends: list[tuple[Step, ...]] = [(Close(2), Sync())]
    if rules.on_framing_error == "close":
        ends.append((garbage, Sync(), Close(2)))
    last = Write(2, (own(rules),) * FRAMES_BEFORE_LEAVING)
    return tuple(Program(rules.domain, (*waits, last, *end, Resume(1), Sync())) for end in ends)


def two_stalled_consumers(rules: Rules) -> tuple[Program, ...]:
    """Frames of every size for one reading consumer beside two stalled ones, and floods before and after (ISO-1)."""
    sizes = (40, 1_400, 5_000, min(ABOVE_A_READ_BYTES, rules.max_message_size))
    floods = (Flood(0, sized(rules, size), min(1_000, max(8, 600_000 // size))) for size in sizes)
    baseline = Flood(0, own(rules, 200), BASELINE_FRAMES)
    ends = (Write(3, (own(rules),)), Resume(1), Resume(2), Sync(), baseline)
    steps: tuple[Step, ...] = (baseline, Stall(1), Stall(2), *floods, *ends)
    return (Program(rules.domain, (*map(Connect, range(4)), *steps)),)


def backlog_delivery(rules: Rules) -> tuple[Program, ...]:
    """Backlogs of two senders' small, larger and huge frames; a backlog for a client within a frame (ISO-5)."""
    frame, header_only = own(rules, 2_000), Frame(rules.number)

    # A Sync now and then keeps the reading consumers free of a backlog.
    def alternating(one: int, other: int) -> tuple[Step, ...]:
        large = (Write(one, (frame,)), Write(other, (frame,)))
        small = (Write(one, (frame,)), Write(other, (header_only,)), Write(other, (frame,)), Write(one, (header_only,)))
        return (*large * 8, *small, Sync()) * (BACKLOG_FRAMES // 20)

    huge = sized(rules, min(PARTLY_SENT_BYTES // 3, rules.max_message_size))
    far_apart: tuple[Step, ...] = (Write(0, (huge,)), Write(1, (own(rules),))) * 10
    within = (
        Write(1, (own(rules),), stop=10),
        Stall(1),
        Flood(0, frame, BACKLOG_FRAMES),
        Resume(1),
        Sync(),
        Finish(1),
    )
    return (
        Program(rules.domain, (*map(Connect, range(3)), Stall(2), *alternating(0, 1), Resume(2), Sync())),
        Program(rules.domain, (*map(Connect, range(3)), Stall(1), *alternating(2, 0), Resume(1), Sync())),
        Program(rules.domain, (*map(Connect, range(3)), *within)),
        Program(rules.domain, (*map(Connect, range(3)), Stall(2), *far_apart, Resume(2), Sync())),
    )


def frames_at_short_write_ends(rules: Rules) -> tuple[Program, ...]:
    """Frames for a stalled consumer that end wherever the kernel cuts a write short (FWD-2, ISO-5)."""
    sizes = (taken_at_once() // part for part in (64, 32, 16) if taken_at_once() % part == 0)
    return tuple(
        Program(
            rules.domain,
            (
                *(Connect(0), Connect(1), Stall(1)),
                *(Flood(0, sized(rules, size), SHORT_WRITE_BYTES // size), Resume(1), Sync()),
            ),
        )
        for size in sizes
        if 64 <= size <= rules.max_message_size
    )
