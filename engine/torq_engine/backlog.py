"""The queue of one receiver: the rest of a torn frame, then whole frames. Compiled with the hub.

Facts:
- the rest of a frame already partly sent stands apart from the queue of whole frames: no overflow drops it (ISO-4);
- receivers share chunks: the relay keeps one copy of the bytes however many receivers wait for them;
- the queue holds chunks of many frames, so it finds frames again by their headers when it tears or cuts a chunk.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from librt.strings import read_i32_le
from mypy_extensions import i64, mypyc_attr

from torq_protocol.constants import HEADER_SIZE

_ALL_ONES: Final = 0xFFFFFFFF
_MOST_PARTS: Final = 256
MOST_BYTES: Final = 262_144


@mypyc_attr(native_class=True)
class Chunk:
    """Accepted frames kept for receivers: one copy of the bytes however many ``holders`` there are."""

    def __init__(self, data: bytes, frames: int, number: int) -> None:
        self.data = data
        self.frames: i64 = frames
        self.number: i64 = number
        self.holders: i64 = 0


@mypyc_attr(native_class=True)
class Storage:
    """Counts the bytes of all chunks for which a receiver waits."""

    def __init__(self) -> None:
        self.chunks: i64 = 0
        self.bytes: i64 = 0

    def keep(self, data: bytes, frames: int) -> Chunk:
        """Make a chunk, for which no receiver waits yet."""
        self.chunks += 1
        return Chunk(data, frames, self.chunks)

    def hold(self, chunk: Chunk) -> None:
        """Count a receiver that begins to wait for a chunk."""
        chunk.holders += 1
        if chunk.holders == 1:
            self.bytes += len(chunk.data)

    def release(self, chunk: Chunk) -> None:
        """Count a receiver that no longer waits for a chunk."""
        chunk.holders -= 1
        if chunk.holders == 0:
            self.bytes -= len(chunk.data)


@mypyc_attr(native_class=True)
class Backlog:
    """The frames that wait for one receiver, in order: plain data.

    ``remainder`` is the rest of a frame partly sent. ``queue`` holds whole frames; of its first chunk, the first
    ``head_frames`` frames, up to offset ``head_at``, are gone. ``frames`` and ``bytes`` count remainder and queue.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.remainder: memoryview | None = None
        self.queue: deque[Chunk] = deque()
        self.head_at: i64 = 0
        self.head_frames: i64 = 0
        self.frames: i64 = 0
        self.bytes: i64 = 0

    def push(self, chunk: Chunk) -> None:
        """Append a chunk."""
        self.queue.append(chunk)
        self.frames += chunk.frames
        self.bytes += len(chunk.data)
        self._storage.hold(chunk)

    def gather(self) -> tuple[list[bytes | memoryview], int]:
        """The oldest bytes as buffers for one send, and their size in bytes."""
        parts: list[bytes | memoryview] = []
        size: i64 = 0
        remainder = self.remainder
        if remainder is not None:
            parts.append(remainder)
            size = len(remainder)
        at: i64 = self.head_at
        for chunk in self.queue:
            if len(parts) >= _MOST_PARTS or size >= MOST_BYTES:
                break
            parts.append(memoryview(chunk.data)[at:] if at > 0 else chunk.data)
            size += len(chunk.data) - at
            at = 0
        return parts, size

    def advance(self, taken: i64) -> i64:
        """Remove ``taken`` bytes from the front; returns the number of frames that are now wholly sent."""
        self.bytes -= taken
        gone: i64 = 0
        remainder = self.remainder
        if remainder is not None:
            rest: i64 = len(remainder)
            if taken < rest:
                self.remainder = remainder[taken:]
                return 0
            taken -= rest
            self.remainder = None
            gone = 1
        while taken > 0:
            chunk = self.queue[0]
            left: i64 = len(chunk.data) - self.head_at
            if taken >= left:
                gone += chunk.frames - self.head_frames
                self._pop_head()
                taken -= left
            else:
                gone += self._tear(chunk, self.head_at + taken)
                taken = 0
        self.frames -= gone
        return gone

    def drop_oldest(self, most_frames: i64, most_bytes: i64) -> i64:
        """Drop whole frames from the front until the bounds hold; returns the number of frames."""
        dropped: i64 = 0
        while self.queue:
            frames: i64 = self.frames - most_frames
            size: i64 = self.bytes - most_bytes
            if frames <= 0 and size <= 0:
                break
            chunk = self.queue[0]
            if frames >= chunk.frames - self.head_frames or size >= len(chunk.data) - self.head_at:
                dropped += self.drop_head()
            else:
                dropped += self._cut(chunk, frames, size)
        return dropped

    def drop_head(self) -> i64:
        """Drop the rest of the oldest chunk; returns its number of frames."""
        chunk = self.queue[0]
        frames: i64 = chunk.frames - self.head_frames
        self.frames -= frames
        self.bytes -= len(chunk.data) - self.head_at
        self._pop_head()
        return frames

    def drop_newest(self, chunk: Chunk) -> i64:
        """Drop a chunk just pushed, but for a frame of it already partly sent; returns the number of frames."""
        if not self.queue or self.queue[-1] is not chunk:
            return 0
        if len(self.queue) == 1:
            return self.drop_head()
        self.queue.pop()
        self.frames -= chunk.frames
        self.bytes -= len(chunk.data)
        self._storage.release(chunk)
        return chunk.frames

    def discard(self) -> i64:
        """Drop everything, the torn frame included; returns the number of frames."""
        frames: i64 = self.frames
        for chunk in self.queue:
            self._storage.release(chunk)
        self.queue.clear()
        self.remainder = None
        self.head_at = 0
        self.head_frames = 0
        self.frames = 0
        self.bytes = 0
        return frames

    def _tear(self, chunk: Chunk, stop: i64) -> i64:
        """Remove the first chunk up to ``stop``; returns the number of whole frames in that part."""
        position: i64 = self.head_at
        frames: i64 = 0
        end: i64 = position + frame_size(chunk.data, position)
        while end <= stop:
            position = end
            frames += 1
            if position == stop:
                break
            end = position + frame_size(chunk.data, position)
        self.head_frames += frames
        self.head_at = position
        if position < stop:
            self.remainder = memoryview(chunk.data)[stop:end]
            self.head_frames += 1
            self.head_at = end
            if end == len(chunk.data):
                self._pop_head()
        return frames

    def _cut(self, chunk: Chunk, frames: i64, size: i64) -> i64:
        """Drop at least so many frames and so many bytes of the first chunk; returns the number of frames."""
        dropped: i64 = 0
        while frames > dropped or size > 0:
            one = frame_size(chunk.data, self.head_at)
            self.head_at += one
            self.bytes -= one
            size -= one
            dropped += 1
        self.head_frames += dropped
        self.frames -= dropped
        if self.head_at == len(chunk.data):
            self._pop_head()
        return dropped

    def _pop_head(self) -> None:
        chunk = self.queue.popleft()
        self.head_at = 0
        self.head_frames = 0
        self._storage.release(chunk)


def frame_size(data: bytes, position: i64) -> i64:
    """Bytes of the accepted frame that starts at an offset."""
    return HEADER_SIZE + (i64(read_i32_le(data, position + 24)) & _ALL_ONES)
