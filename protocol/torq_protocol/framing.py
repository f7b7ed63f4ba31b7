"""The framing kernel: bytes in, runs of accepted frames out. Compiled by mypyc where a C compiler is there.

Facts:
- frames stand back to back with no length prefix, and how bytes are cut over reads means nothing (D15, FRAME-1,
  FRAME-2): what is left over at the end of a chunk is an incomplete frame, to be scanned again with more behind it;
- a bad magic, or a size above the limit, cannot be stepped over: nothing after it has a known place (VAL-5);
- any other fault refuses that frame alone; the frames around it are unharmed (DOM-1, DOM-2, VAL-1, VAL-3, VAL-4);
- adjacent accepted frames stay one run, so that forwarding a whole read is one send.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from librt.strings import read_i32_le
from mypy_extensions import i32, i64, mypyc_attr

from .policy import FramePolicy

_HEADER: Final = 32
_MAGIC: Final = -559038737  # 0xDEADBEEF read as i32
_ALL_ONES: Final = 0xFFFFFFFF

_BAD_MAGIC: Final = 2
_OVERSIZE: Final = 3
_BAD_DOMAIN: Final = 4
_BAD_VERSION: Final = 7
_UNKNOWN_SOURCE: Final = 8
_BAD_CHECKSUM: Final = 9
_TRUNCATED_TLV_HEADER: Final = 10
_TRUNCATED_TLV: Final = 11
_BAD_RESERVED_BYTE: Final = 12
_BAD_EXTENDED_TYPE: Final = 13
_TYPE_OUT_OF_RANGE: Final = 14
_BAD_TLV_SIZE: Final = 15


@mypyc_attr(native_class=True)
class Scan:
    """What one scan found.

    ``runs`` holds (start, stop, frames) of adjacent accepted frames, byte offsets into the scanned chunk;
    ``refused`` holds (start, stop, kind) with the :class:`~torq_protocol.ErrorKind` number of each refused frame;
    ``consumed`` is the offset behind the last whole frame; ``needed`` the bytes that the incomplete frame at
    ``consumed`` will have in all, 0 if none was begun (32 while its header is incomplete); ``fault`` the kind of the
    framing error at ``consumed`` (bad magic or oversize), 0 if there is none.
    """

    def __init__(self) -> None:
        self.runs: list[tuple[int, int, int]] = []
        self.refused: list[tuple[int, int, int]] = []
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
        self._strict: bool = policy.strict
        self._walk: bool = policy.check_tlvs or policy.types is not None or policy.strict
        types = range(256) if policy.types is None else policy.types
        self._types: bytes = bytes(number in types for number in range(256))
        self._sources: bytes = bytes(number in policy.known_sources for number in range(256))
        sizes = dict(policy.fixed_sizes)
        self._sizes: bytes = b"".join(sizes.get(number, -1).to_bytes(4, "little", signed=True) for number in range(256))

    def scan(self, data: bytes) -> Scan:
        """Cut ``data`` into frames; never raises, whatever the bytes."""
        result = Scan()
        size: i64 = len(data)
        limit: i64 = self._limit
        domain: i64 = self._domain
        plain: bool = not (self._checksum or self._walk or self._strict)
        position: i64 = 0
        run_start: i64 = 0
        run_frames: i64 = 0
        while position < size:
            left: i64 = size - position
            if left < _HEADER:
                if not _may_start_a_frame(data, position, left):
                    result.fault = _BAD_MAGIC
                else:
                    result.needed = _HEADER
                break
            if read_i32_le(data, position) != _MAGIC:
                result.fault = _BAD_MAGIC
                break
            payload: i64 = i64(read_i32_le(data, position + 24)) & _ALL_ONES
            total: i64 = payload + _HEADER
            if total > limit:
                result.fault = _OVERSIZE
                break
            if total > left:
                result.needed = total
                break
            kind: i64 = 0
            if i64(data[position + 4]) != domain:
                kind = _BAD_DOMAIN
            elif not plain:
                kind = self._judge(data, position, total)
            if kind == 0:
                run_frames += 1
            else:
                if run_frames:
                    result.runs.append((run_start, position, run_frames))
                    run_frames = 0
                run_start = position + total
                result.refused.append((position, run_start, kind))
            position += total
        if run_frames:
            result.runs.append((run_start, position, run_frames))
        result.consumed = position
        return result

    def _judge(self, data: bytes, position: i64, total: i64) -> i64:
        """The kind of the first fault of a whole frame of the right domain, 0 if it has none."""
        if self._strict:
            if data[position + 5] != 1:
                return _BAD_VERSION
            if self._sources[i64(data[position + 6])] == 0:
                return _UNKNOWN_SOURCE
        if self._checksum and not _checksum_holds(data, position, total):
            return _BAD_CHECKSUM
        if self._walk:
            return self._walk_tlvs(data, position + _HEADER, position + total)
        return 0

    def _walk_tlvs(self, data: bytes, position: i64, stop: i64) -> i64:
        """The kind of the first fault of the TLVs between two offsets, 0 if they have none."""
        while position < stop:
            left: i64 = stop - position
            if left < 2:
                return _TRUNCATED_TLV_HEADER
            tlv_type: i64 = data[position]
            length: i64 = data[position + 1]
            header: i64 = 2
            if tlv_type == 255:
                if left < 5:
                    return _TRUNCATED_TLV_HEADER
                if length != 0:
                    return _BAD_RESERVED_BYTE
                tlv_type = data[position + 2]
                if tlv_type == 0 or tlv_type == 255:
                    return _BAD_EXTENDED_TYPE
                length = i64(data[position + 3]) | (i64(data[position + 4]) << 8)
                header = 5
            if length > left - header:
                return _TRUNCATED_TLV
            if self._types[tlv_type] == 0:
                return _TYPE_OUT_OF_RANGE
            if self._strict:
                fixed: i32 = read_i32_le(self._sizes, tlv_type * 4)
                if fixed >= 0 and i64(fixed) != length:
                    return _BAD_TLV_SIZE
            position += header + length
        return 0


def _may_start_a_frame(data: bytes, position: i64, left: i64) -> bool:
    """Whether fewer than 32 bytes can still become a header: as much of the magic as is there must stand there."""
    if data[position] != 0xEF:
        return False
    if left > 1 and data[position + 1] != 0xBE:
        return False
    if left > 2 and data[position + 2] != 0xAD:
        return False
    return not (left > 3 and data[position + 3] != 0xDE)


def _checksum_holds(data: bytes, position: i64, total: i64) -> bool:
    view = memoryview(data)
    start = crc32(view[position : position + 28])
    computed: i64 = crc32(view[position + _HEADER : position + total], start)
    return computed == i64(read_i32_le(data, position + 28)) & _ALL_ONES
