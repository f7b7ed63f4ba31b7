"""Bytes of one connection to whole frames (FRAME-1 to 4, VAL-5).

Facts: a header is 32 bytes and starts with the magic; `payload_size` is a u32 at 24 and leaves the header out; how
bytes are split over reads means nothing; nothing is allocated because a header claims it.
"""

from collections.abc import Iterator

from torq_conformance.specimens.correct.settings import Settings

HEADER_BYTES = 32
MAGIC = 0xDEADBEEF.to_bytes(4, "little")


class FramingError(Exception):
    """The bytes cannot start a frame, or announce one above the maximum size."""


class Framer:
    """The bytes of one connection that are not yet part of a whole frame."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the frames that are whole with `data`. Raises FramingError where `on_framing_error` is close."""
        self.buffer += data
        start = 0
        try:
            while True:
                if self.fault(start):
                    start = self.recover(start)
                size = self.frame_size(start)
                if size is None or len(self.buffer) - start < size:
                    return
                start += size
                yield bytes(self.buffer[start - size : start])
        finally:
            del self.buffer[:start]

    def fault(self, start: int) -> bool:
        """Whether the bytes at `start` are already known not to begin a frame."""
        known = len(self.buffer) - start >= self.settings.magic_from
        if known and not MAGIC.startswith(self.buffer[start : start + len(MAGIC)]):
            return True
        size = self.frame_size(start)
        return size is not None and self.too_large(size)

    def frame_size(self, start: int) -> int | None:
        """Announced size of the frame at `start`, header included; None while the header is incomplete."""
        if len(self.buffer) - start < HEADER_BYTES:
            return None
        return HEADER_BYTES + int.from_bytes(self.buffer[start + 24 : start + 28], "little")

    def too_large(self, size: int) -> bool:
        """Whether a frame of this size, header included, is above the maximum."""
        return size > self.settings.max_message_size

    def recover(self, start: int) -> int:
        """Where the next frame may begin, or FramingError."""
        if self.settings.on_framing_error == "close":
            raise FramingError
        while self.fault(start):
            start = self.next_magic(start + 1)
        return start

    def next_magic(self, start: int) -> int:
        """Offset of the next magic, or of the bytes at the end that may turn out to begin one."""
        found = self.buffer.find(MAGIC, start)
        if found >= 0:
            return found
        end = len(self.buffer)
        return next(at for at in range(max(start, end - 3), end + 1) if MAGIC.startswith(self.buffer[at:]))
