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

from .handover.state import HubState, SegmentState, StateError, StretchState, WaitingData

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
        self._copied: dict[Segment, int] = {}
        self._copied_bytes: i64 = 0
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

    def begin_copy(self, segments: list[Segment]) -> list[memoryview]:
        """The bytes of those segments that will not change any more, for a copy that is made while we go on.

        Until :meth:`end_copy` an export leaves these bytes out: they stand in the copy, in this order.
        """
        self._copied = {}
        self._copied_bytes = 0
        parts: list[memoryview] = []
        for segment in segments:
            if segment is not self._open and segment not in self._copied:
                self._copied[segment] = int(self._copied_bytes)
                self._copied_bytes += segment.filled
                parts.append(memoryview(segment.data)[: segment.filled])
        return parts

    def end_copy(self) -> None:
        """Forget the copy."""
        self._copied = {}
        self._copied_bytes = 0

    def export(self, table: dict[Segment, int]) -> tuple[list[SegmentState], list[memoryview]]:
        """The segments of a table, and those of their bytes that are in no copy; the open one is added to it."""
        if self._open is not None:
            table.setdefault(self._open, len(table))
        found: list[SegmentState] = []
        parts: list[memoryview] = []
        end: i64 = self._copied_bytes
        for segment in table:
            filled: i64 = segment.filled if segment.holders > 0 else 0
            capacity: i64 = len(segment.data) if segment is self._open else filled
            marks = segment.marks.copy() if filled > 0 else []
            copied = self._copied.get(segment)
            if copied is not None:
                found.append(SegmentState(segment.number, copied, filled, capacity, marks))
                continue
            found.append(SegmentState(segment.number, end, filled, capacity, marks))
            if filled > 0:
                parts.append(memoryview(segment.data)[:filled])
            end += filled
        return found, parts

    def open_index(self, table: dict[Segment, int]) -> tuple[int, int]:
        """The number of the last segment, and the index in a table of the one that is being filled, -1 without one."""
        return self._number, -1 if self._open is None else table[self._open]

    def restore(self, state: HubState, data: WaitingData) -> list[Segment]:
        """The segments of a state; nobody holds them yet. Raises StateError for bytes that are not there."""
        table: list[Segment] = []
        for row in state.segments:
            segment = Segment(row.number, 0)
            segment.data = data.segment(row)
            segment.filled = row.filled
            segment.marks = list(row.marks)
            table.append(segment)
        self._number = state.segment_number
        if state.open_segment >= len(table):
            raise StateError(f"there is no segment {state.open_segment} to be filled")
        self._open = table[state.open_segment] if state.open_segment >= 0 else None
        return table


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

    def segments(self) -> list[Segment]:
        """The segments in which what waits lies, in order."""
        found = [stretch.segment for stretch in self.queue]
        return found if self.remainder is None else [self.remainder.segment, *found]

    def export_remainder(self, table: dict[Segment, int]) -> StretchState | None:
        """The rest of the frame partly sent; its segment is added to the table."""
        return None if self.remainder is None else _row(self.remainder, table)

    def export_queue(self, table: dict[Segment, int]) -> list[StretchState]:
        """The whole frames; their segments are added to the table."""
        return [_row(stretch, table) for stretch in self.queue]

    def restore(self, remainder: StretchState | None, queue: list[StretchState], table: list[Segment]) -> None:
        """Have what a state says, in an empty backlog. Raises StateError for stretches that lie in no segment."""
        if remainder is not None:
            self.remainder = self._restored(remainder, table)
        for row in queue:
            self.queue.append(self._restored(row, table))

    def _restored(self, row: StretchState, table: list[Segment]) -> Stretch:
        if not 0 <= row.segment < len(table) or not 0 <= row.start < row.stop <= table[row.segment].filled:
            raise StateError(f"frames at {row.start} to {row.stop} do not lie in segment {row.segment}")
        stretch = Stretch(table[row.segment], row.start, row.stop, row.frames)
        self._storage.hold(stretch.segment)
        self.frames += row.frames
        self.bytes += row.stop - row.start
        return stretch

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


def _row(stretch: Stretch, table: dict[Segment, int]) -> StretchState:
    return StretchState(table.setdefault(stretch.segment, len(table)), stretch.start, stretch.stop, stretch.frames)


def frame_size(data: bytes | bytearray, position: int) -> int:
    """Bytes of the accepted frame that starts at an offset."""
    return HEADER_SIZE + int.from_bytes(data[position + 24 : position + 28], "little")
