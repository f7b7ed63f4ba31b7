"""The loops behind :mod:`torq_protocol.batch`: many messages in one buffer. Compiled with the framing kernel.

Facts:
- what is found comes back as rows of bytes that NumPy reads in place: the parts of a row are written in the order of
  the dtypes of :mod:`torq_protocol.batch`, which states them;
- a message is judged as by :func:`torq_protocol.parse_message`, the faults in the same order, kind and offset.
"""

from __future__ import annotations

from typing import final

from librt.strings import BytesWriter, read_i32_le, read_i64_le, write_i32_le, write_i64_le
from mypy_extensions import i64

from .checksum import frame_crc
from .compiled_numbers import (
    BAD_CHECKSUM,
    BAD_DOMAIN,
    BAD_EXTENDED_TYPE,
    BAD_MAGIC,
    BAD_RESERVED_BYTE,
    LAST_DOMAIN,
    OVERSIZE,
)
from .constants import (
    CHECKSUM_OFFSET,
    DOMAIN_OFFSET,
    EXTENDED_MARKER,
    EXTENDED_TLV_HEADER_SIZE,
    HEADER_SIZE,
    MAGIC_AS_I32,
    PAYLOAD_SIZE_OFFSET,
    STANDARD_TLV_HEADER_SIZE,
    U32_MAX,
)
from .header import signed_32
from .tlv import tlv_fault


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


def index_messages(data: bytes, verify_checksum: bool, accept_zero_checksum: bool, limit: i64) -> MessageTables:
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
        if left < HEADER_SIZE:
            break
        if read_i32_le(data, position) != MAGIC_AS_I32:
            tables.fault = BAD_MAGIC
            break
        total: i64 = (i64(read_i32_le(data, position + PAYLOAD_SIZE_OFFSET)) & U32_MAX) + HEADER_SIZE
        if total > limit:
            tables.fault = OVERSIZE
            break
        if total > left:
            break
        fault = _message_fault(data, position, total, verify_checksum, accept_zero_checksum)
        if fault != 0:
            _write_fault(faults, data, position, total, fault)
        else:
            write_i64_le(starts, position)
            write_i64_le(headers, read_i64_le(data, position))
            write_i64_le(headers, read_i64_le(data, position + 8))
            write_i64_le(headers, read_i64_le(data, position + 16))
            write_i64_le(headers, read_i64_le(data, position + 24))
            _write_tlvs(tlvs, data, position + HEADER_SIZE, position + total, count)
            count += 1
        position += total
    tables.consumed = position
    tables.starts = starts.getvalue()
    tables.headers = headers.getvalue()
    tables.tlvs = tlvs.getvalue()
    tables.faults = faults.getvalue()
    return tables


def _message_fault(data: bytes, position: i64, total: i64, verify_checksum: bool, zero_passes: bool) -> i64:
    """The first fault of a whole message of right size: 0, or its kind plus 256 times the stream offset of its TLV."""
    domain: i64 = data[position + DOMAIN_OFFSET]
    if domain == 0 or domain > LAST_DOMAIN:
        return BAD_DOMAIN
    if verify_checksum:
        checksum: i64 = i64(read_i32_le(data, position + CHECKSUM_OFFSET)) & U32_MAX
        if not (checksum == 0 and zero_passes) and frame_crc(data, position, total) != checksum:
            return BAD_CHECKSUM
    return tlv_fault(data, position + HEADER_SIZE, position + total, b"", b"")


def _write_fault(faults: BytesWriter, data: bytes, position: i64, total: i64, fault: i64) -> None:
    """A row of FAULT_DTYPE: start, size, offset of the fault from the start, kind."""
    kind: i64 = fault & 255
    offset: i64 = (fault >> 8) - position
    if kind == BAD_DOMAIN:
        offset = DOMAIN_OFFSET
    elif kind == BAD_CHECKSUM:
        offset = CHECKSUM_OFFSET
    elif kind == BAD_RESERVED_BYTE:
        offset += 1
    elif kind == BAD_EXTENDED_TYPE:
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
        if tlv_type != EXTENDED_MARKER:
            length: i64 = data[position + 1]
            position += STANDARD_TLV_HEADER_SIZE
        else:
            extended = 1
            tlv_type = data[position + 2]
            length = i64(data[position + 3]) | (i64(data[position + 4]) << 8)
            position += EXTENDED_TLV_HEADER_SIZE
        write_i64_le(tlvs, position)
        write_i64_le(tlvs, (message & U32_MAX) | (length << 32) | (tlv_type << 48) | (extended << 56))
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
