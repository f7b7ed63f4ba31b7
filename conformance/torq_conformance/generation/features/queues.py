"""Programs that every run begins with: queues that overflow, or nearly overflow (ISO-2 to ISO-5).

Facts:
- a consumer reads before it stalls, so that the relay has seen it read (ISO-7); where the relay may close a slow
  consumer, that consumer also reads after its socket was full, because relays notice reading in several ways;
- a queue is bounded in frames and in bytes; below both bounds no frame may be missing;
- large frames overflow a bound of many bytes, and few programs do: the suite keeps what it sent, and each byte passes
  through several sockets.
"""

from __future__ import annotations

import math
import socket
from contextlib import suppress
from functools import cache

from ...model.frames import FENCE_BYTES, Frame
from ...model.program import Program
from ...model.rules import MIB, Rules
from ...model.steps import Connect, Flood, Idle, Resume, Sip, Stall, Step, Sync
from .tables import own, sized

FRAMES_READ_FIRST = 2_400
"""Frames of 0.2 kB that a consumer reads before it stalls: more than twice what its socket holds."""
FILLING_FRAME_BYTES = 60_000
"""Bytes of each frame that fills the socket of a consumer."""
MOST_QUEUE_BYTES = 288 * MIB
"""Bytes that overflow the largest queue that programs fill: the suite has to hold as many."""
CHEAP_BYTES = 32 * MIB
"""Bytes of a cheap overflow: a program may send it several times."""
CHEAP_FRAMES = 25_000
"""Frames of a cheap overflow."""
FRAME_COST = 1_000
"""Bytes that take as long to send as a frame takes besides its bytes."""
LARGER_VALUE = 1_400
"""Bytes of the value in frames that overflow a queue where smaller frames would be too many."""
MOST_STREAM_BYTES = 64 * MIB
"""Bytes of the largest queue that gets a stream of twice its size: the suite keeps all that it sends."""
MORE_THAN_A_SOCKET_TAKES = 1 << 22
"""Bytes of a write that no socket takes whole."""
FRAMES_BEYOND = 16
"""Frames that overflow a full queue once more."""
MOST_QUEUE_FRAMES = 50_000
"""Frames of the largest queue that programs fill: more take too long."""


def _bytes_beyond(rules: Rules) -> int:
    """Bytes that overflow the queue of a stalled consumer for certain."""
    return rules.most_bytes + rules.socket_bytes


def overflowing(rules: Rules, frame: Frame) -> tuple[Frame, int]:
    """The frame, or a larger frame where that would be too many, and the count that overflows a queue for certain."""
    frames = [each for each in (frame, own(rules, LARGER_VALUE)) if each.size <= rules.max_message_size]
    candidates = [(each, _count_beyond(rules, each)) for each in (*frames, large_frame(rules))]
    for each, count in candidates:
        if count <= CHEAP_FRAMES and count * each.size <= CHEAP_BYTES:
            return each, count
    return min(candidates, key=lambda candidate: cost_of_sending(*candidate))


def cost_of_sending(frame: Frame, count: int) -> int:
    """What ``count`` frames cost to send, in bytes."""
    return count * (FRAME_COST + frame.size)


def cost_of_overflow(rules: Rules) -> int:
    """What one overflow of a consumer's queue costs to send, in bytes."""
    return cost_of_sending(*overflowing(rules, own(rules, 200)))


def is_cheap_to_overflow(rules: Rules) -> bool:
    """Whether a program may overflow a queue several times."""
    return cost_of_overflow(rules) <= 2 * CHEAP_BYTES


def is_fillable(rules: Rules) -> bool:
    """Whether a program may overflow a queue at all."""
    return is_cheap_to_overflow(rules) or _bytes_beyond(rules) <= MOST_QUEUE_BYTES


def _count_beyond(rules: Rules, frame: Frame) -> int:
    margin = 3 + min(500, 500_000 // frame.size)
    return min(rules.most_frames + rules.socket_bytes // frame.size, _bytes_beyond(rules) // frame.size) + margin


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


def large_frame(rules: Rules) -> Frame:
    """The largest frame of which a queue holds several."""
    return sized(rules, max(64, min(rules.max_message_size, rules.most_bytes // 8)))


def byte_bound_overflow(rules: Rules) -> tuple[Program, ...]:
    """A few large frames overflow a queue in bytes (ISO-2, ISO-3)."""
    large = large_frame(rules)
    count = _bytes_beyond(rules) // large.size
    if _bytes_beyond(rules) > MOST_QUEUE_BYTES or count > rules.most_frames:
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


def single_overflow(rules: Rules) -> tuple[Program, ...]:
    """The same for a queue that no random program overflows, because it holds too much (ISO-5)."""
    return () if is_cheap_to_overflow(rules) else byte_bound_overflow(rules)


def stream_beyond_queue_bound(rules: Rules) -> tuple[Program, ...]:
    """More bytes than a queue holds, for consumers that read: no frame may be missing (FWD-7).

    A socket takes large frames in parts: a byte count that drifts with each part ends in a queue that stays full.
    """
    if rules.most_bytes > MOST_STREAM_BYTES:
        return ()
    large = large_frame(rules)
    flood = Flood(0, large, 2 * rules.most_bytes // large.size)
    return (Program(rules.domain, (Connect(0), Connect(1), flood)),)


def _below_the_bounds(rules: Rules, frame: Frame) -> Flood:
    """As many frames as stay below both bounds, with room for the suite's fences."""
    return Flood(0, frame, max(1, min(rules.most_frames * 8 // 10, rules.most_bytes * 8 // 10 // frame.size)))


def queue_filled_to_bound(rules: Rules) -> tuple[Program, ...]:
    """A queue that is filled to just below its bounds, in frames, again after an overflow, and twice in bytes (ISO-5).

    A socket takes large frames in parts: a byte count that drifts with each part makes the second filling overflow.
    """
    small, large = own(rules, 200), large_frame(rules)
    programs: list[Program] = []
    if rules.most_frames <= MOST_QUEUE_FRAMES and rules.most_bytes <= MOST_QUEUE_BYTES:
        nearly = _below_the_bounds(rules, small)
        programs.append(_program(rules, nearly))
        if rules.overflow == "drop_oldest":
            beyond = Flood(0, small, rules.most_frames * 3 // 2 + rules.socket_bytes // small.size + 500)
            programs.append(_program(rules, beyond, Resume(1), Sync(), Stall(1), nearly))
    if rules.most_bytes <= MOST_QUEUE_BYTES:
        filled = _below_the_bounds(rules, large)
        again = (Resume(1), Sync(), Stall(1), filled) if rules.most_bytes <= MOST_STREAM_BYTES else ()
        programs.append(_program(rules, filled, *again))
    return tuple(programs)


@cache
def taken_at_once() -> int:
    """The unit in bytes of which a Unix socket takes all or none: a short write ends at a multiple of it."""
    writer, reader = socket.socketpair()
    with writer, reader:
        writer.setblocking(False)
        whole, again = writer.send(bytes(MORE_THAN_A_SOCKET_TAKES)), 0
        while not again and reader.recv(1_024):  # until there is room for the next part
            with suppress(BlockingIOError):
                again = writer.send(bytes(MORE_THAN_A_SOCKET_TAKES))
        return math.gcd(whole, again)


def repeated_overflow(rules: Rules) -> tuple[Program, ...]:
    """A queue overflows while a large frame is partly sent, drains, and overflows again; or a few bytes are (ISO-4)."""
    if not is_fillable(rules):
        return ()
    beyond = Flood(0, *overflowing(rules, own(rules, 200)))
    round_: tuple[Step, ...] = (Stall(1), Flood(0, own(rules, 60_000), 8), beyond, Resume(1), Sync())
    times = 2 if is_cheap_to_overflow(rules) else 1
    return (Program(rules.domain, (Connect(0), Connect(1), *round_ * times)), *_overflow_within_first_bytes(rules))


def _overflow_within_first_bytes(rules: Rules) -> tuple[Program, ...]:
    """A queue overflows while the first bytes of a frame are sent.

    A socket takes each of these frames at once or not at all. Where the consumer reads all that its socket holds, the
    relay fills it with many frames, and the kernel ends that write behind some of its parts, each of which is one byte
    longer than a frame and the fence of the suite behind it.
    """
    frame = sized(rules, min(taken_at_once() - FENCE_BYTES - 1, rules.max_message_size))
    again: tuple[Step, ...] = (Sip(1, rules.socket_bytes), Flood(0, frame, FRAMES_BEYOND))
    return (_program(rules, Flood(0, frame, _count_beyond(rules, frame)), *again * 2),)
