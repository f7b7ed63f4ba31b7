"""Programs that every run begins with: queues that overflow, or nearly overflow (ISO-2 to ISO-5).

Facts:
- a consumer reads before it stalls, so that the relay has seen it read (ISO-7); where the relay may close a slow
  consumer, that consumer also reads after its socket was full, because relays notice reading in several ways;
- a queue is bounded in frames and in bytes; below both bounds no frame may be missing.
"""

from __future__ import annotations

from ...model.frames import Frame
from ...model.program import Program
from ...model.rules import Rules
from ...model.steps import Connect, Flood, Idle, Resume, Stall, Step, Sync
from .tables import own, sized

FRAMES_READ_FIRST = 2_400
"""Frames of 0.2 kB that a consumer reads before it stalls: more than twice what its socket holds."""
FILLING_FRAME_BYTES = 60_000
"""Bytes of each frame that fills the socket of a consumer."""
MOST_QUEUE_BYTES = 1 << 28
"""Bytes of the largest queue that programs fill: the suite has to hold as many."""
MOST_STREAM_BYTES = 1 << 26
"""Bytes of the largest queue that gets a stream of twice its size: the suite keeps all that it sends."""
MOST_QUEUE_FRAMES = 50_000
"""Frames of the largest queue that programs fill: more take too long."""


def _bytes_beyond(rules: Rules) -> int:
    """Bytes that overflow the queue of a stalled consumer for certain."""
    return rules.queue_bytes + rules.socket_bytes


def _program(rules: Rules, *steps: Step) -> Program:
    return Program(rules.domain, (Connect(0), Connect(1), *_reading(rules), Stall(1), *steps, Resume(1), Sync()))


def _reading(rules: Rules) -> tuple[Step, ...]:
    """The steps that show a relay that a consumer reads."""
    small = own(rules, 200)
    if rules.overflow == "drop_oldest":
        return (Flood(0, small, FRAMES_READ_FIRST),)
    large = sized(rules, min(FILLING_FRAME_BYTES, rules.max_message_size))
    twice = Flood(0, small, 2 * rules.socket_bytes // small.size + FRAMES_READ_FIRST)
    return (twice, Stall(1), Flood(0, large, rules.socket_bytes // large.size + 2), Resume(1), Sync())


def _large(rules: Rules) -> Frame:
    """The largest frame of which a queue holds several."""
    return sized(rules, max(64, min(rules.max_message_size, rules.queue_bytes // 8)))


def byte_bound_overflow(rules: Rules) -> tuple[Program, ...]:
    """A few large frames overflow a queue in bytes (ISO-2, ISO-3)."""
    large = _large(rules)
    count = _bytes_beyond(rules) // large.size
    if _bytes_beyond(rules) > MOST_QUEUE_BYTES or count > rules.queue_frames:
        return ()
    return (_program(rules, Flood(0, large, count + 3)),)


def sustained_overflow(rules: Rules) -> tuple[Program, ...]:
    """The same; the consumer stays stalled for ``idle_seconds``, unless the relay may close it (ISO-3)."""
    if rules.overflow != "drop_oldest":
        return byte_bound_overflow(rules)
    idle = Idle(round(rules.idle_seconds * 1000))
    return tuple(
        Program(program.domain, (*program.steps[:-2], idle, *program.steps[-2:]))
        for program in byte_bound_overflow(rules)
    )


def stream_beyond_queue_bound(rules: Rules) -> tuple[Program, ...]:
    """More bytes than a queue holds, for consumers that read: no frame may be missing (FWD-7).

    A socket takes large frames in parts: a byte count that drifts with each part ends in a queue that stays full.
    """
    if rules.queue_bytes > MOST_STREAM_BYTES:
        return ()
    large = _large(rules)
    flood = Flood(0, large, 2 * rules.queue_bytes // large.size)
    return (Program(rules.domain, (Connect(0), Connect(1), flood)),)


def _below_the_bounds(rules: Rules, frame: Frame) -> Flood:
    """As many frames as stay below both bounds, with room for the suite's fences."""
    return Flood(0, frame, max(1, min(rules.queue_frames * 8 // 10, rules.queue_bytes * 8 // 10 // frame.size)))


def queue_filled_to_bound(rules: Rules) -> tuple[Program, ...]:
    """A queue that is filled to just below its bounds, in frames, again after an overflow, and twice in bytes (ISO-5).

    A socket takes large frames in parts: a byte count that drifts with each part makes the second filling overflow.
    """
    small, large = own(rules, 200), _large(rules)
    programs = []
    if rules.queue_frames <= MOST_QUEUE_FRAMES and rules.queue_bytes <= MOST_QUEUE_BYTES:
        nearly = _below_the_bounds(rules, small)
        programs.append(_program(rules, nearly))
        if rules.overflow == "drop_oldest":
            beyond = Flood(0, small, rules.queue_frames * 3 // 2 + rules.socket_bytes // small.size + 500)
            programs.append(_program(rules, beyond, Resume(1), Sync(), Stall(1), nearly))
    if rules.queue_bytes <= MOST_QUEUE_BYTES:
        filled = _below_the_bounds(rules, large)
        programs.append(_program(rules, filled, Resume(1), Sync(), Stall(1), filled))
    return tuple(programs)


def repeated_overflow(rules: Rules) -> tuple[Program, ...]:
    """A queue overflows while a large frame is partly sent, drains, and overflows again (ISO-4)."""
    small, large = own(rules, 200), own(rules, 60_000)
    count = rules.queue_frames + rules.socket_bytes // small.size + 500
    round_: tuple[Step, ...] = (Stall(1), Flood(0, large, 8), Flood(0, small, count), Resume(1), Sync())
    return (Program(rules.domain, (Connect(0), Connect(1), *round_, *round_)),)
