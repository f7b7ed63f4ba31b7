"""What waits for receivers: one log of bytes for all of them, and for each the stretches of it that it still lacks.

Compiled with the hub.

Facts:
- the read buffer is used again, so what a receiver did not take is copied once, behind what was copied before; however
  many receivers wait for it and however small the reads were, a queued frame costs its bytes and little more (RES-4);
- a segment of the log is given back when nobody waits for a byte of it; the one being filled starts anew then, so that
  a short wait never leaves the cache;
- the more waits the larger are new segments, up to 1 MiB: thousands of receivers with much before them hold some
  hundred stretches each, not tens of thousands. The garbage collector passes stretches by: its full collections would
  hold up the relay for as long as there are stretches to look at;
- the rest of a frame already partly sent stands apart from the whole frames: it cannot be dropped (ISO-4). One that is
  small beside its segment is copied out, so that a client that never reads on keeps no segment of the log for it;
- how long a frame waits is what its segment's marks tell: nothing is kept for a frame itself;
- a stretch holds many frames, so frames are found again by their headers when a stretch is torn or cut.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from typing import Final

from mypy_extensions import i64, mypyc_attr

from torq_protocol.constants import HEADER_SIZE
from torq_protocol.scanner import skip_frames

_MOST_PARTS: Final = 256
MOST_BYTES: Final = 262_144
"""Bytes that one send is given, or little more."""
SEGMENT_BYTES: Final = 65_536
_MARK_SECONDS: Final = 0.1
_NEVER: Final = float("inf")
_MOST_SEGMENT_BYTES: Final = 1_048_576
_SEGMENTS: Final = 64
_SMALL_PART: Final = 16
"""A rest is small below this part of its segment: less than what a smallest segment holds, even of a largest one."""


@mypyc_attr(native_class=True, acyclic=True)
class Segment:
    """A part of the log: ``filled`` bytes of ``data`` are in use, ``holders`` stretches lie in it.

    ``marks`` are offsets in it and the moments at which it was filled to there, ``_MARK_SECONDS`` or more apart.
    """

    def __init__(self, number: int, size: int) -> None:
        self.number: i64 = number
        self.data = bytearray(size)
        self.filled: i64 = 0
        self.holders: i64 = 0
        self.marks: list[tuple[int, float]] = []

    def moment(self, position: i64) -> float:
        """When the byte at a position was kept, or up to ``_MARK_SECONDS`` before."""
        return self.marks[bisect_right(self.marks, (position, _NEVER)) - 1][1]

    def copied(self, start: i64, stop: i64) -> Segment:
        """A part of it as a segment of its own, as old as it is here."""
        part = Segment(self.number, stop - start)
        part.data[:] = memoryview(self.data)[start:stop]
        part.filled = stop - start
        part.marks.append((0, self.moment(start)))
        return part


@mypyc_attr(native_class=True)
class Storage:
    """The log: ``bytes`` counts what is kept for anybody, shared bytes once (ISO-2)."""

    def __init__(self, segment_bytes: int = SEGMENT_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._segment_bytes: i64 = segment_bytes
        self._clock = clock
        self._number: i64 = 0
        self._open: Segment | None = None
        self.bytes: i64 = 0

    def keep(self, data: bytes | bytearray, start: i64, stop: i64) -> Segment:
        """Copy ``data[start:stop]`` behind what was kept before; it ends where the segment is filled to."""
        size: i64 = stop - start
        segment = self._open
        if segment is not None and segment.holders == 0:
            segment.filled = 0
            segment.marks.clear()
        if segment is None or len(segment.data) - segment.filled < size:
            self._number += 1
            grown: i64 = min(self.bytes // _SEGMENTS, _MOST_SEGMENT_BYTES)
            segment = Segment(self._number, max(size, self._segment_bytes, grown))
            self._open = segment
        now = self._clock()
        if not segment.marks or now - segment.marks[-1][1] >= _MARK_SECONDS:
            segment.marks.append((segment.filled, now))
        behind: i64 = segment.filled + size
        memoryview(segment.data)[segment.filled : behind] = memoryview(data)[start:stop]
        segment.filled = behind
        if segment.holders > 0:
            self.bytes += size
        return segment

    def hold(self, segment: Segment) -> None:
        """One more stretch lies in a segment."""
        segment.holders += 1
        if segment.holders == 1:
            self.bytes += segment.filled

    def release(self, segment: Segment) -> None:
        """A stretch of it is gone."""
        segment.holders -= 1
        if segment.holders == 0:
            self.bytes -= segment.filled


@mypyc_attr(native_class=True, acyclic=True)
class Stretch:
    """``frames`` whole frames, or the rest of one, at ``start`` to ``stop`` of a segment."""

    def __init__(self, segment: Segment, start: int, stop: int, frames: int) -> None:
        self.segment = segment
        self.start: i64 = start
        self.stop: i64 = stop
        self.frames: i64 = frames


@mypyc_attr(native_class=True)
class Backlog:
    """What waits for one receiver, in order: plain data.

    ``remainder`` is the rest of the frame partly sent, ``queue`` whole frames. ``frames`` and ``bytes`` count both.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.remainder: Stretch | None = None
        self.queue: deque[Stretch] = deque()
        self.frames: i64 = 0
        self.bytes: i64 = 0

    def push(self, segment: Segment, start: i64, stop: i64, frames: i64) -> None:
        """Put whole frames of a segment behind what waits; what lies behind the last stretch lengthens it."""
        self.frames += frames
        self.bytes += stop - start
        if self.queue:
            last = self.queue[-1]
            if last.segment is segment and last.stop == start:
                last.stop = stop
                last.frames += frames
                return
        self.queue.append(Stretch(segment, start, stop, frames))
        self._storage.hold(segment)

    def oldest(self) -> float:
        """The moment at which the oldest frame here was kept; infinite when nothing waits."""
        if self.remainder is not None:
            return self.remainder.segment.moment(self.remainder.start)
        if self.queue:
            return self.queue[0].segment.moment(self.queue[0].start)
        return _NEVER

    def gather(self) -> tuple[list[memoryview], int]:
        """The front of what waits, as buffers for one send, and their size in bytes."""
        parts: list[memoryview] = []
        size: i64 = 0
        remainder = self.remainder
        if remainder is not None:
            parts.append(memoryview(remainder.segment.data)[remainder.start : remainder.stop])
            size = remainder.stop - remainder.start
        for stretch in self.queue:
            if len(parts) >= _MOST_PARTS or size >= MOST_BYTES:
                break
            parts.append(memoryview(stretch.segment.data)[stretch.start : stretch.stop])
            size += stretch.stop - stretch.start
        return parts, size

    def advance(self, taken: i64) -> i64:
        """``taken`` bytes left from the front; returns how many frames are now wholly gone."""
        self.bytes -= taken
        gone: i64 = 0
        remainder = self.remainder
        if remainder is not None:
            rest: i64 = remainder.stop - remainder.start
            if taken < rest:
                remainder.start += taken
                return 0
            taken -= rest
            self._forget_remainder()
            gone = 1
        while taken > 0:
            stretch = self.queue[0]
            size: i64 = stretch.stop - stretch.start
            if taken >= size:
                gone += stretch.frames
                self._pop_head()
                taken -= size
            else:
                gone += self._tear(stretch, stretch.start + taken)
                taken = 0
        self.frames -= gone
        return gone

    def drop_oldest(self, most_frames: i64, most_bytes: i64) -> i64:
        """Drop whole frames from the front until the bounds hold; returns how many."""
        dropped: i64 = 0
        while self.queue:
            frames: i64 = self.frames - most_frames
            size: i64 = self.bytes - most_bytes
            if frames <= 0 and size <= 0:
                break
            stretch = self.queue[0]
            if frames >= stretch.frames or size >= stretch.stop - stretch.start:
                dropped += self.drop_head()
            else:
                dropped += self._cut(stretch, frames, size)
        return dropped

    def drop_head(self) -> i64:
        """Drop the oldest stretch; returns how many frames that was."""
        stretch = self.queue[0]
        frames: i64 = stretch.frames
        self.frames -= frames
        self.bytes -= stretch.stop - stretch.start
        self._pop_head()
        return frames

    def drop_newest(self, size: i64, frames: i64) -> i64:
        """Take back frames just pushed, but for what of them is sent or partly sent; returns how many."""
        if not self.queue:
            return 0
        last = self.queue[-1]
        if size < last.stop - last.start:
            last.stop -= size
            last.frames -= frames
        else:
            frames = last.frames
            size = last.stop - last.start
            self.queue.pop()
            self._storage.release(last.segment)
        self.frames -= frames
        self.bytes -= size
        return frames

    def drop_whole(self) -> i64:
        """Drop all whole frames: only the rest of one partly sent stays; returns how many."""
        dropped: i64 = 0
        while self.queue:
            dropped += self.drop_head()
        return dropped

    def discard(self) -> i64:
        """Drop everything, the torn frame included; returns how many frames."""
        frames: i64 = self.frames
        self.drop_whole()
        if self.remainder is not None:
            self._forget_remainder()
        self.frames = 0
        self.bytes = 0
        return frames

    def _tear(self, stretch: Stretch, stop: i64) -> i64:
        """The first stretch was taken up to ``stop``; returns how many whole frames that was."""
        segment = stretch.segment
        frames, behind = skip_frames(segment.data, stretch.start, 0, stop - stretch.start)
        stretch.start = behind
        stretch.frames -= frames
        if behind > stop:
            if (behind - stop) * _SMALL_PART < segment.filled:
                self.remainder = Stretch(segment.copied(stop, behind), 0, behind - stop, 1)
            else:
                self.remainder = Stretch(segment, stop, behind, 1)
            self._storage.hold(self.remainder.segment)
            frames -= 1
        if behind == stretch.stop:
            self._pop_head()
        return frames

    def _cut(self, stretch: Stretch, frames: i64, size: i64) -> i64:
        """Drop single frames of the first stretch: at least so many, of so many bytes; returns how many."""
        dropped, behind = skip_frames(stretch.segment.data, stretch.start, frames, size)
        self.bytes -= behind - stretch.start
        self.frames -= dropped
        stretch.start = behind
        stretch.frames -= dropped
        if behind == stretch.stop:
            self._pop_head()
        return dropped

    def _pop_head(self) -> None:
        self._storage.release(self.queue.popleft().segment)

    def _forget_remainder(self) -> None:
        remainder = self.remainder
        assert remainder is not None
        self._storage.release(remainder.segment)
        self.remainder = None


def frame_size(data: bytes | bytearray, position: int) -> int:
    """Bytes of the accepted frame that starts at an offset."""
    return HEADER_SIZE + int.from_bytes(data[position + 24 : position + 28], "little")
