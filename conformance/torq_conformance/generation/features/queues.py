"""Programs that every run begins with, of queues that overflow, or nearly (ISO-2 to ISO-5).

Facts: a consumer reads before it stalls, so that the relay has seen it do so (ISO-7), and where it may be closed for
being slow also behind a full socket, for relays see that in several ways; what a queue holds is bounded in
frames and in bytes, and below both bounds nothing may be missing.
"""

from __future__ import annotations

from ...model.program import Connect, Flood, Frame, Idle, Program, Resume, Stall, Step, Sync
from ...model.rules import Rules
from .tables import own, sized

READ_BEFORE = 2_400
"""Frames of 0.2 kB that a consumer reads first: more than twice what its socket holds."""
FILLING = 60_000
"""Bytes of the frames that fill the socket of a consumer."""
MOST_TO_HOLD = 1 << 28
"""Bytes of a queue above which it is not filled: the suite has to hold as many."""
MOST_TO_STREAM = 1 << 26
"""Bytes of a queue above which no stream of twice as many is sent: the suite remembers what it sent."""
MOST_FRAMES = 50_000
"""The same in frames: they take too long."""


def _bytes_beyond(rules: Rules) -> int:
    """Bytes that overflow the queue of a consumer that does not read, for certain."""
    return rules.queue_bytes + rules.socket_bytes


def _program(rules: Rules, *steps: Step) -> Program:
    return Program(rules.domain, (Connect(0), Connect(1), *_reading(rules), Stall(1), *steps, Resume(1), Sync()))


def _reading(rules: Rules) -> tuple[Step, ...]:
    """What shows a relay that a consumer reads."""
    small = own(rules, 200)
    if rules.overflow == "drop_oldest":
        return (Flood(0, small, READ_BEFORE),)
    large = sized(rules, min(FILLING, rules.max_message_size))
    twice = Flood(0, small, 2 * rules.socket_bytes // small.size + READ_BEFORE)
    return (twice, Stall(1), Flood(0, large, rules.socket_bytes // large.size + 2), Resume(1), Sync())


def _large(rules: Rules) -> Frame:
    """The largest frame of which a queue holds several."""
    return sized(rules, max(64, min(rules.max_message_size, rules.queue_bytes // 8)))


def byte_bound_overflow(rules: Rules) -> tuple[Program, ...]:
    """A queue that overflows of a few large frames (ISO-2, ISO-3)."""
    large = _large(rules)
    count = _bytes_beyond(rules) // large.size
    if _bytes_beyond(rules) > MOST_TO_HOLD or count > rules.queue_frames:
        return ()
    return (_program(rules, Flood(0, large, count + 3)),)


def sustained_overflow(rules: Rules) -> tuple[Program, ...]:
    """The same, its client not reading for as long as the profile says, unless it may be closed anyhow (ISO-3)."""
    if rules.overflow != "drop_oldest":
        return byte_bound_overflow(rules)
    idle = Idle(round(rules.idle_seconds * 1000))
    return tuple(
        Program(program.domain, (*program.steps[:-2], idle, *program.steps[-2:]))
        for program in byte_bound_overflow(rules)
    )


def stream_beyond_queue_bound(rules: Rules) -> tuple[Program, ...]:
    """More bytes than a queue holds, to clients that read all: nothing is missing (FWD-7).

    Large frames go into a socket in parts: books that drift with each part end in a queue that is full for ever.
    """
    if rules.queue_bytes > MOST_TO_STREAM:
        return ()
    large = _large(rules)
    flood = Flood(0, large, 2 * rules.queue_bytes // large.size)
    return (Program(rules.domain, (Connect(0), Connect(1), flood)),)


def _below_the_bounds(rules: Rules, frame: Frame) -> Flood:
    """As many frames as stay below both bounds, with some room for the fences of the suite."""
    return Flood(0, frame, max(1, min(rules.queue_frames * 8 // 10, rules.queue_bytes * 8 // 10 // frame.size)))


def queue_filled_to_bound(rules: Rules) -> tuple[Program, ...]:
    """A queue that is filled to just below its bounds, in frames, again after an overflow, and twice in bytes (ISO-5).

    Large frames go into a socket in parts: books that drift with each part let the second filling overflow.
    """
    small, large = own(rules, 200), _large(rules)
    programs = []
    if rules.queue_frames <= MOST_FRAMES and rules.queue_bytes <= MOST_TO_HOLD:
        nearly = _below_the_bounds(rules, small)
        programs.append(_program(rules, nearly))
        if rules.overflow == "drop_oldest":
            beyond = Flood(0, small, rules.queue_frames * 3 // 2 + rules.socket_bytes // small.size + 500)
            programs.append(_program(rules, beyond, Resume(1), Sync(), Stall(1), nearly))
    if rules.queue_bytes <= MOST_TO_HOLD:
        filled = _below_the_bounds(rules, large)
        programs.append(_program(rules, filled, Resume(1), Sync(), Stall(1), filled))
    return tuple(programs)


def repeated_overflow(rules: Rules) -> tuple[Program, ...]:
    """A queue that overflows while a large frame is partly sent, is emptied, and does so again (ISO-4)."""
    small, large = own(rules, 200), own(rules, 60_000)
    count = rules.queue_frames + rules.socket_bytes // small.size + 500
    round_: tuple[Step, ...] = (Stall(1), Flood(0, large, 8), Flood(0, small, count), Resume(1), Sync())
    return (Program(rules.domain, (Connect(0), Connect(1), *round_, *round_)),)
