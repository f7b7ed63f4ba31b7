"""The framing kernel: bytes in, runs of accepted frames out. Compiled by mypyc where a C compiler is there.

Facts:
- frames stand back to back with no length prefix, and how bytes are cut over reads means nothing (D15, FRAME-1,
  FRAME-2): what is left over at the end of a chunk is an incomplete frame, to be scanned again with more behind it;
- a bad magic, or a size above the limit, cannot be stepped over: nothing after it has a known place (VAL-5);
- any other fault refuses that frame alone; the frames around it are unharmed (DOM-1, DOM-2, VAL-1, VAL-3, VAL-4);
- adjacent accepted frames stay one run, so that forwarding a whole read is one send.
"""

from __future__ import annotations

from librt.strings import read_i32_le
from mypy_extensions import i64, mypyc_attr

from .arguments import Buffer, octets
from .checksum import frame_crc
from .compiled_numbers import BAD_CHECKSUM, BAD_DOMAIN, BAD_MAGIC, BAD_VERSION, OVERSIZE, UNKNOWN_SOURCE
from .constants import (
    CHECKSUM_OFFSET,
    DOMAIN_OFFSET,
    HEADER_SIZE,
    MAGIC_AS_I32,
    PAYLOAD_SIZE_OFFSET,
    SOURCE_OFFSET,
    U32_MAX,
    VERSION,
    VERSION_OFFSET,
)
from .policy import FramePolicy
from .tlv import tlv_fault


@mypyc_attr(native_class=True)
class Scan:
    """What one scan found.

    ``runs`` holds (start, stop, frames) of adjacent accepted frames, byte offsets into the scanned chunk;
    ``refused`` holds (start, stop, kind) with the :class:`~torq_protocol.ErrorKind` number of each refused frame;
    ``frames`` counts the accepted ones; ``consumed`` is the offset behind the last whole frame; ``needed`` the bytes
    that the incomplete frame at ``consumed`` will have in all, 0 if none was begun (32 while its header is incomplete);
    ``fault`` the kind of the framing error at ``consumed`` (bad magic or oversize), 0 if there is none.
    """

    def __init__(self) -> None:
        self.runs: list[tuple[int, int, int]] = []
        self.refused: list[tuple[int, int, int]] = []
        self.frames: int = 0
        self.consumed: int = 0
        self.needed: int = 0
        self.fault: int = 0


@mypyc_attr(native_class=True)
class FrameScanner:
    """Cuts chunks into frames and judges each by a :class:`~torq_protocol.FramePolicy`. Holds no state of a stream."""

    def __init__(self, policy: FramePolicy) -> None:
        self._domain: i64 = policy.domain
        self._limit: i64 = policy.max_message_size
        self._checksum: bool = policy.verify_checksum
        self._zero_accepted: bool = policy.accept_zero_checksum
        self._strict: bool = policy.strict
        self._walk: bool = policy.walks_tlvs
        self._types: bytes = policy.type_table
        self._sizes: bytes = policy.size_table
        self._sources: bytes = policy.source_table

    def scan(self, data: Buffer, start: int = 0, stop: int = -1) -> Scan:
        """Cut ``data[start:stop]`` into frames, all of it where no stop is given; never raises, whatever the bytes.

        Offsets in the result count from the beginning of ``data``.
        """
        raw = data if isinstance(data, bytes) else octets(data)
        end = len(raw) if stop < 0 else stop
        if not 0 <= start <= end <= len(raw):
            raise ValueError(f"offsets {start} to {end} do not lie in {len(raw)} bytes")
        return self._scan(raw, start, end)

    def _scan(self, data: bytes, start: i64, size: i64) -> Scan:
        result = Scan()
        limit: i64 = self._limit
        domain: i64 = self._domain
        plain: bool = not (self._checksum or self._walk or self._strict)
        position: i64 = start
        run_start: i64 = start
        run_frames: i64 = 0
        while position < size:
            left: i64 = size - position
            if left < HEADER_SIZE:
                if not _may_start_a_frame(data, position, left):
                    result.fault = BAD_MAGIC
                else:
                    result.needed = HEADER_SIZE
                break
            if read_i32_le(data, position) != MAGIC_AS_I32:
                result.fault = BAD_MAGIC
                break
            payload: i64 = i64(read_i32_le(data, position + PAYLOAD_SIZE_OFFSET)) & U32_MAX
            total: i64 = payload + HEADER_SIZE
            if total > limit:
                result.fault = OVERSIZE
                break
            if total > left:
                result.needed = total
                break
            kind: i64 = 0
            if i64(data[position + DOMAIN_OFFSET]) != domain:
                kind = BAD_DOMAIN
            elif not plain:
                kind = self._judge(data, position, total)
            if kind == 0:
                run_frames += 1
            else:
                if run_frames:
                    result.runs.append((run_start, position, run_frames))
                    result.frames += run_frames
                    run_frames = 0
                run_start = position + total
                result.refused.append((position, run_start, kind))
            position += total
        if run_frames:
            result.runs.append((run_start, position, run_frames))
            result.frames += run_frames
        result.consumed = position
        return result

    def _judge(self, data: bytes, position: i64, total: i64) -> i64:
        """The kind of the first fault of a whole frame of the right domain, 0 if it has none."""
        if self._strict:
            if data[position + VERSION_OFFSET] != VERSION:
                return BAD_VERSION
            if self._sources[i64(data[position + SOURCE_OFFSET])] == 0:
                return UNKNOWN_SOURCE
        if self._checksum:
            checksum: i64 = i64(read_i32_le(data, position + CHECKSUM_OFFSET)) & U32_MAX
            if not (checksum == 0 and self._zero_accepted) and frame_crc(data, position, total) != checksum:
                return BAD_CHECKSUM
        if self._walk:
            return tlv_fault(data, position + HEADER_SIZE, position + total, self._types, self._sizes) & 255
        return 0


def skip_frames(data: bytes | bytearray, start: int, frames: int, size: int) -> tuple[int, int]:
    """Pass over whole frames from ``start`` on, at least so many, of at least so many bytes in all.

    (how many, the offset behind them); ends at the end of ``data`` too.
    """
    at, skipped, goal = start, 0, start + size
    while (skipped < frames or at < goal) and len(data) - at >= HEADER_SIZE:
        at += HEADER_SIZE + int.from_bytes(data[at + 24 : at + 28], "little")
        skipped += 1
    return skipped, at


def _may_start_a_frame(data: bytes, position: i64, left: i64) -> bool:
    """Whether fewer than 32 bytes can still become a header: as much of the magic as is there must stand there."""
    if data[position] != 0xEF:
        return False
    if left > 1 and data[position + 1] != 0xBE:
        return False
    if left > 2 and data[position + 2] != 0xAD:
        return False
    return not (left > 3 and data[position + 3] != 0xDE)
