"""The loops behind :mod:`torq_protocol.batch`: many messages in one buffer. Compiled with the framing kernel.

Facts:
- what is found comes back as rows of bytes that NumPy reads in place: the parts of a row are written in the order of
  the dtypes of :mod:`torq_protocol.batch`, which states them;
- a message is judged as by :func:`torq_protocol.parse_message`, the faults in the same order, kind and offset.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter, read_i32_le, read_i64_le, write_i32_le, write_i64_le
from mypy_extensions import i64

from .checksum import frame_crc
from .header import signed_32
from .tlv import tlv_fault

_HEADER: Final = 32
_MAGIC: Final = -559038737  # 0xDEADBEEF read as i32
_ONES: Final = 0xFFFFFFFF
_SYSTEM: Final = 4
_MARKER: Final = 255

_TRUNCATED_HEADER: Final = 1
_BAD_MAGIC: Final = 2
_OVERSIZE: Final = 3
_BAD_DOMAIN: Final = 4
_TRUNCATED_PAYLOAD: Final = 5
_BAD_CHECKSUM: Final = 9
_BAD_RESERVED_BYTE: Final = 12
_BAD_EXTENDED_TYPE: Final = 13


@final
class MessageTables:
    """Rows of what was found: ``starts`` i64 offsets and ``headers`` of 32 bytes by message, ``tlvs`` and ``faults`` of
    16 and 32 bytes; ``consumed`` is the offset behind the last whole message, ``fault`` a framing fault there or 0."""

    def __init__(self) -> None:
        self.starts = b""
        self.headers = b""
        self.tlvs = b""
        self.faults = b""
        self.consumed: int = 0
        self.fault: int = 0


def index_messages(data: bytes, verify_checksum: bool, limit: i64) -> MessageTables:
    """Find the messages of a buffer, and their TLVs, up to its end, an incomplete message or a framing fault."""
    starts = BytesWriter()
    headers = BytesWriter()
    tlvs = BytesWriter()
    faults = BytesWriter()
    tables = MessageTables()
    size: i64 = len(data)
    position: i64 = 0
    count: i64 = 0
    fault: i64
    while position < size:
        left: i64 = size - position
        if left < _HEADER:
            break
        if read_i32_le(data, position) != _MAGIC:
            tables.fault = _BAD_MAGIC
            break
        total: i64 = (i64(read_i32_le(data, position + 24)) & _ONES) + _HEADER
        if total > limit:
            tables.fault = _OVERSIZE
            break
        if total > left:
            break
        fault = _message_fault(data, position, total, verify_checksum)
        if fault != 0:
            _write_fault(faults, data, position, total, fault)
        else:
            write_i64_le(starts, position)
            write_i64_le(headers, read_i64_le(data, position))
            write_i64_le(headers, read_i64_le(data, position + 8))
            write_i64_le(headers, read_i64_le(data, position + 16))
            write_i64_le(headers, read_i64_le(data, position + 24))
            _write_tlvs(tlvs, data, position + _HEADER, position + total, count)
            count += 1
        position += total
    tables.consumed = position
    tables.starts = starts.getvalue()
    tables.headers = headers.getvalue()
    tables.tlvs = tlvs.getvalue()
    tables.faults = faults.getvalue()
    return tables


def _message_fault(data: bytes, position: i64, total: i64, verify_checksum: bool) -> i64:
    """The first fault of a whole message of right size: 0, or its kind plus 256 times the stream offset of its TLV."""
    domain: i64 = data[position + 4]
    if domain == 0 or domain > _SYSTEM:
        return _BAD_DOMAIN
    if verify_checksum and frame_crc(data, position, total) != i64(read_i32_le(data, position + 28)) & _ONES:
        return _BAD_CHECKSUM
    return tlv_fault(data, position + _HEADER, position + total, b"", b"")


def _write_fault(faults: BytesWriter, data: bytes, position: i64, total: i64, fault: i64) -> None:
    """A row of FAULT_DTYPE: start, size, offset of the fault from the start, kind."""
    kind: i64 = fault & 255
    offset: i64 = (fault >> 8) - position
    if kind == _BAD_DOMAIN:
        offset = 4
    elif kind == _BAD_CHECKSUM:
        offset = 28
    elif kind == _BAD_RESERVED_BYTE:
        offset += 1
    elif kind == _BAD_EXTENDED_TYPE:
        offset += 2
    write_i64_le(faults, position)
    write_i64_le(faults, total)
    write_i64_le(faults, offset)
    write_i64_le(faults, kind)


def _write_tlvs(tlvs: BytesWriter, data: bytes, start: i64, stop: i64, message: i64) -> None:
    """Rows of TLV_DTYPE: offset of the value, message number, size of the value, type, form."""
    position: i64 = start
    while position < stop:
        tlv_type: i64 = data[position]
        extended: i64 = 0
        if tlv_type != _MARKER:
            length: i64 = data[position + 1]
            position += 2
        else:
            extended = 1
            tlv_type = data[position + 2]
            length = i64(data[position + 3]) | (i64(data[position + 4]) << 8)
            position += 5
        write_i64_le(tlvs, position)
        write_i64_le(tlvs, (message & _ONES) | (length << 32) | (tlv_type << 48) | (extended << 56))
        position += length


def frame_crcs(data: bytes, size: i64) -> bytes:
    """The checksums (u32, little-endian) of frames of one size that stand back to back."""
    crcs = BytesWriter()
    position: i64 = 0
    stop: i64 = len(data)
    while position + size <= stop:
        write_i32_le(crcs, signed_32(frame_crc(data, position, size)))
        position += size
    return crcs.getvalue()
