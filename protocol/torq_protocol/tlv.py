"""TLVs: their two header forms, reading and writing (D7, D8). Compiled with the framing kernel.

Facts:
- standard form: type, length (one byte each), 0 to 255 bytes. Extended form: 255, 0, type, length (u16), 0 to 65 535
  bytes. A builder takes the standard form up to 255 bytes; a reader accepts the extended form at any length;
- a TLV has no number of its own on the wire that says where it ends but its length, so nothing behind a fault can be
  read: the first fault of a walk is the only one;
- a payload has no filler: TLVs stand back to back and the last one ends with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, SupportsIndex, final

from librt.strings import BytesWriter, read_i32_le
from mypy_extensions import i32, i64

from .arguments import Buffer, octets, whole
from .compiled_numbers import (
    BAD_EXTENDED_TYPE,
    BAD_RESERVED_BYTE,
    BAD_TLV_SIZE,
    TRUNCATED_TLV,
    TRUNCATED_TLV_HEADER,
    TYPE_OUT_OF_RANGE,
)
from .constants import (
    EXTENDED_MARKER,
    EXTENDED_TLV_HEADER_SIZE,
    MAX_EXTENDED_VALUE,
    MAX_STANDARD_VALUE,
    STANDARD_TLV_HEADER_SIZE,
)
from .errors import (
    BadExtendedTypeError,
    BadReservedByteError,
    FieldValueError,
    ProtocolError,
    TlvSizeError,
    TruncatedTlvError,
    TruncatedTlvHeaderError,
    TypeOutOfRangeError,
)

if TYPE_CHECKING:
    from .payloads import Payload, RawPayload

_INDEX_SIZE: Final = 4
_CHUNK: Final = MAX_EXTENDED_VALUE - _INDEX_SIZE


@final
class Tlv:
    """One TLV of a message: a view that copies its value when it is asked for.

    ``offset`` counts bytes from the start of the message to the TLV's header.
    """

    __slots__ = ("_data", "_length", "_offset", "_start", "_type")

    def __init__(self, given: Buffer, offset: i64) -> None:
        data = given if isinstance(given, bytes) else octets(given)
        self._data = data
        self._offset: i64 = offset
        if data[offset] == EXTENDED_MARKER:
            self._type: i64 = data[offset + 2]
            self._length: i64 = i64(data[offset + 3]) | (i64(data[offset + 4]) << 8)
            self._start: i64 = offset + EXTENDED_TLV_HEADER_SIZE
        else:
            self._type = data[offset]
            self._length = data[offset + 1]
            self._start = offset + STANDARD_TLV_HEADER_SIZE

    @property
    def type(self) -> int:
        """The type number, in extended form the inner one."""
        return self._type

    @property
    def offset(self) -> int:
        """Where the TLV's header begins, bytes from the start of the message."""
        return self._offset

    @property
    def value_offset(self) -> int:
        """Where the value begins, bytes from the start of the message."""
        return self._start

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return self._length

    @property
    def extended(self) -> bool:
        """Whether the header has the extended form."""
        return self._start - self._offset == EXTENDED_TLV_HEADER_SIZE

    @property
    def value(self) -> bytes:
        """The value's bytes."""
        return self._data[self._start : self._start + self._length]

    def decode(self) -> Payload | RawPayload:
        """The typed payload; raw where the type has no layout. As :func:`decode_tlv`."""
        from .payloads import decode_tlv

        return decode_tlv(self)

    def to_bytes(self) -> bytes:
        """Header and value as they stand in the message."""
        return self._data[self._offset : self._start + self._length]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tlv):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __reduce__(self) -> tuple[object, ...]:
        return Tlv, (self._data, self._offset)

    def __repr__(self) -> str:
        form = "extended, " if self.extended else ""
        return f"Tlv(type={self._type}, {form}{self._length} bytes at {self._offset})"


def tlv_fault(data: bytes, start: i64, stop: i64, types: bytes, sizes: bytes) -> i64:
    """The first fault of the TLVs between two offsets: 0, or its kind's number plus 256 times the TLV's offset.

    ``types`` holds 256 bytes, 0 for a type that is refused (D5), or is empty to accept all. ``sizes`` holds 256 i32,
    the size that a type must have or -1 (D6), or is empty to accept all.
    """
    position: i64 = start
    any_type: bool = len(types) == 0
    any_size: bool = len(sizes) == 0
    while position < stop:
        left: i64 = stop - position
        if left < STANDARD_TLV_HEADER_SIZE:
            return (position << 8) | TRUNCATED_TLV_HEADER
        tlv_type: i64 = data[position]
        length: i64 = data[position + 1]
        header: i64 = STANDARD_TLV_HEADER_SIZE
        if tlv_type == EXTENDED_MARKER:
            if left < EXTENDED_TLV_HEADER_SIZE:
                return (position << 8) | TRUNCATED_TLV_HEADER
            if length != 0:
                return (position << 8) | BAD_RESERVED_BYTE
            tlv_type = data[position + 2]
            if tlv_type == 0 or tlv_type == EXTENDED_MARKER:
                return (position << 8) | BAD_EXTENDED_TYPE
            length = i64(data[position + 3]) | (i64(data[position + 4]) << 8)
            header = EXTENDED_TLV_HEADER_SIZE
        if length > left - header:
            return (position << 8) | TRUNCATED_TLV
        if not any_type and types[tlv_type] == 0:
            return (position << 8) | TYPE_OUT_OF_RANGE
        if not any_size:
            fixed: i32 = read_i32_le(sizes, tlv_type * 4)
            if fixed >= 0 and i64(fixed) != length:
                return (position << 8) | BAD_TLV_SIZE
        position += header + length
    return 0


def tlv_error(data: bytes, stop: i64, fault: i64, sizes: bytes) -> ProtocolError:
    """The exception for what :func:`tlv_fault` found.

    Its offset is the byte that is wrong; for a cut TLV, a refused type or a refused size the TLV's first byte.
    """
    kind = fault & 255
    start = fault >> 8
    left = stop - start
    extended = data[start] == EXTENDED_MARKER
    header = EXTENDED_TLV_HEADER_SIZE if extended else STANDARD_TLV_HEADER_SIZE
    if kind == TRUNCATED_TLV_HEADER:
        return TruncatedTlvHeaderError(
            f"the payload ends inside a TLV header: {left} of {header} bytes at offset {start}",
            offset=start, expected=header, got=left,
        )  # fmt: skip
    if kind == BAD_RESERVED_BYTE:
        reserved = data[start + 1]
        return BadReservedByteError(
            f"reserved byte {reserved} instead of 0 at offset {start + 1}",
            offset=start + 1, expected=0, got=reserved,
        )  # fmt: skip
    type_offset = start + 2 if extended else start
    tlv_type = data[type_offset]
    if kind == BAD_EXTENDED_TYPE:
        return BadExtendedTypeError(
            f"extended TLV of type {tlv_type} at offset {type_offset}: 0 and 255 are no types",
            offset=type_offset, expected="1..254", got=tlv_type,
        )  # fmt: skip
    length = data[start + 3] | (data[start + 4] << 8) if extended else data[start + 1]
    if kind == TRUNCATED_TLV:
        return TruncatedTlvError(
            f"TLV of type {tlv_type} at offset {start} announces {length} bytes, {left - header} are left",
            offset=start, expected=length, got=left - header,
        )  # fmt: skip
    if kind == TYPE_OUT_OF_RANGE:
        return TypeOutOfRangeError(
            f"TLV type {tlv_type} at offset {start} is outside the accepted types",
            offset=start, expected="a type of the domain", got=tlv_type,
        )  # fmt: skip
    fixed = int(read_i32_le(sizes, tlv_type * 4))
    return TlvSizeError(
        f"TLV of type {tlv_type} at offset {start} has {length} bytes, the type has {fixed}",
        offset=start, expected=fixed, got=length,
    )  # fmt: skip


def iter_tlvs(data: Buffer, start: SupportsIndex = 0, stop: SupportsIndex | None = None) -> Iterator[Tlv]:
    """The TLVs between two offsets of ``data`` (all of it by default), one by one, up to the first fault.

    Raises a :class:`TlvError` when the walk arrives at malformed bytes (D7), its offset counted from the start of
    ``data``: a reader of broken messages gets what stands before the fault.
    """
    raw = data if isinstance(data, bytes) else octets(data)
    first = whole(start, "start")
    last = len(raw) if stop is None else whole(stop, "stop")
    if not 0 <= first <= len(raw) or not 0 <= last <= len(raw):
        raise ValueError(f"start {first}, stop {last}: use offsets from 0 to {len(raw)}, the end of the bytes")
    return _walk(raw, first, last)


def _walk(data: bytes, position: i64, end: i64) -> Iterator[Tlv]:
    while position < end:
        size = _first_size(data, position, end)
        if size == 0:
            raise tlv_error(data, end, tlv_fault(data, position, end, b"", b""), b"")
        yield Tlv(data, position)
        position += size


def _first_size(data: bytes, position: i64, stop: i64) -> i64:
    """Bytes of the TLV at an offset, its header included; 0 if it is malformed."""
    left: i64 = stop - position
    size: i64
    if left >= STANDARD_TLV_HEADER_SIZE and data[position] != EXTENDED_MARKER:
        size = STANDARD_TLV_HEADER_SIZE + i64(data[position + 1])
    elif left >= EXTENDED_TLV_HEADER_SIZE:
        tlv_type: i64 = data[position + 2]
        if data[position + 1] != 0 or tlv_type == 0 or tlv_type == EXTENDED_MARKER:
            return 0
        size = EXTENDED_TLV_HEADER_SIZE + (i64(data[position + 3]) | (i64(data[position + 4]) << 8))
    else:
        return 0
    return size if size <= left else 0


def tlv_table(data: bytes, start: i64, stop: i64) -> tuple[Tlv, ...]:
    """The TLVs between two offsets that :func:`tlv_fault` has found well-formed."""
    found: list[Tlv] = []
    position: i64 = start
    while position < stop:
        tlv = Tlv(data, position)
        found.append(tlv)
        position = tlv._start + tlv._length
    return tuple(found)


def write_tlv(writer: BytesWriter, tlv_type: SupportsIndex, value: Buffer) -> None:
    """Append a TLV in the form of D7. Raises :class:`FieldValueError` or :class:`TlvSizeError`."""
    number = _checked_type(tlv_type)
    raw = value if isinstance(value, bytes) else octets(value)
    size: i64 = len(raw)
    if size <= MAX_STANDARD_VALUE:
        writer.append(number)
        writer.append(size)
    else:
        _write_extended_header(writer, number, size)
    writer.write(raw)


def _checked_type(tlv_type: SupportsIndex) -> int:
    number = tlv_type + 0 if isinstance(tlv_type, int) else whole(tlv_type, "TLV type")
    if not 1 <= number <= 254:
        raise FieldValueError(
            f"TLV type {number}: use 1 to 254 (255 is the extended marker)", expected="1..254", got=number
        )
    return number


def _write_extended_header(writer: BytesWriter, tlv_type: i64, size: i64) -> None:
    if size > MAX_EXTENDED_VALUE:
        raise TlvSizeError(
            f"a value of {size} bytes in a TLV of type {tlv_type}: at most {MAX_EXTENDED_VALUE} fit; see split_value",
            expected=f"0..{MAX_EXTENDED_VALUE}",
            got=size,
        )
    writer.append(EXTENDED_MARKER)
    writer.append(0)
    writer.append(tlv_type)
    writer.append(size & 255)
    writer.append(size >> 8)


def encode_tlv(tlv_type: SupportsIndex, value: Buffer) -> bytes:
    """A TLV in the form that D7 prescribes: standard up to 255 bytes of value, extended above.

    Raises :class:`FieldValueError` for a type outside 1 to 254, :class:`TlvSizeError` above 65 535 bytes.
    """
    writer = BytesWriter()
    write_tlv(writer, tlv_type, value)
    return writer.getvalue()


def encode_extended_tlv(tlv_type: SupportsIndex, value: Buffer) -> bytes:
    """A TLV in the extended form whatever its length, which every reader accepts (D7). Raises as :func:`encode_tlv`."""
    number = _checked_type(tlv_type)
    raw = value if isinstance(value, bytes) else octets(value)
    writer = BytesWriter()
    _write_extended_header(writer, number, len(raw))
    writer.write(raw)
    return writer.getvalue()


def split_value(value: Buffer) -> list[bytes]:
    """Cut data into values of TLVs of one type, as the original does: nothing on the wire marks them as pieces.

    Up to 65 535 bytes are one value, as they are. Longer data becomes several values, each a u32 little-endian index
    from 0 and at most 65 531 bytes of data. Neither their number nor their end is sent, so the receiver must know
    that a type is split; :func:`join_values` puts the pieces together again.
    """
    raw = value if isinstance(value, bytes) else octets(value)
    if len(raw) <= MAX_EXTENDED_VALUE:
        return [raw]
    pieces: list[bytes] = []
    for index, start in enumerate(range(0, len(raw), _CHUNK)):
        pieces.append(index.to_bytes(_INDEX_SIZE, "little") + raw[start : start + _CHUNK])
    return pieces


def join_values(values: Iterable[Buffer]) -> bytes:
    """What :func:`split_value` cut, given in any order.

    Raises :class:`FieldValueError` for an index that is missing, doubled or cut off.
    """
    parts = [value if isinstance(value, bytes) else octets(value) for value in values]
    if len(parts) == 1:
        return parts[0]
    pieces: dict[int, bytes] = {}
    for value in parts:
        if len(value) < _INDEX_SIZE:
            raise FieldValueError(
                f"a piece of {len(value)} bytes has no index", expected=f"{_INDEX_SIZE} bytes or more", got=value.hex()
            )
        index = int.from_bytes(value[:_INDEX_SIZE], "little")
        if index in pieces:
            raise FieldValueError(f"piece {index} is there twice", expected="each index once", got=index)
        pieces[index] = value[_INDEX_SIZE:]
    missing = [index for index in range(len(parts)) if index not in pieces]
    if missing:
        raise FieldValueError(f"piece {missing[0]} of {len(parts)} is missing", expected=missing[0], got=None)
    return b"".join([pieces[index] for index in range(len(parts))])
