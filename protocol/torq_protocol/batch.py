"""Runs of messages: many built or parsed in one call, as NumPy arrays.

Facts:
- a parsed run is a table of headers and a table of TLVs; values stay where they are in the buffer until
  :meth:`MessageBatch.values` gathers those of one type;
- a run is built of messages of one shape: the same TLV types with values of the same sizes, one row of each array for
  one message. Runs of different shapes are joined with ``b"".join``;
- both are held to :func:`parse_message` and :func:`encode_message` by the tests: same values, same faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, SupportsIndex, TypeAlias

from .arguments import Buffer, octets, whole
from .batch_kernel import frame_crcs, index_messages
from .constants import (
    DOMAIN_OFFSET,
    EXTENDED_MARKER,
    EXTENDED_TLV_HEADER_SIZE,
    FLAGS_OFFSET,
    HEADER_SIZE,
    MAGIC,
    MAX_EXTENDED_VALUE,
    MAX_MESSAGE_SIZE,
    MAX_STANDARD_VALUE,
    PAYLOAD_SIZE_OFFSET,
    SEQUENCE_OFFSET,
    SOURCE_OFFSET,
    STANDARD_TLV_HEADER_SIZE,
    TIMESTAMP_OFFSET,
    U8_MAX,
    U32_MAX,
    U64_MAX,
    VERSION,
)
from .errors import ErrorKind, FieldValueError, OversizeError, ProtocolError, TlvSizeError
from .extras import Extra
from .header import check_unsigned
from .message import parse_message

with Extra("arrays"):
    import numpy as np
    import numpy.typing as npt

Records: TypeAlias = npt.NDArray[np.void]
"""A structured array."""
Numbers: TypeAlias = int | npt.NDArray[np.integer[Any]]
"""One number, or one for each message."""

HEADER_DTYPE: Final = np.dtype(
    [
        ("magic", "<u4"),
        ("domain", "u1"),
        ("version", "u1"),
        ("source", "u1"),
        ("flags", "u1"),
        ("sequence", "<u8"),
        ("timestamp", "<u8"),
        ("payload_size", "<u4"),
        ("checksum", "<u4"),
    ]
)
"""A header (D2): 32 bytes."""
TLV_DTYPE: Final = np.dtype([("offset", "<i8"), ("message", "<u4"), ("size", "<u2"), ("type", "u1"), ("extended", "?")])
"""A TLV: where its value begins in the buffer, the row of its message, bytes of the value, type, form (D7)."""
FAULT_DTYPE: Final = np.dtype([("start", "<i8"), ("size", "<i8"), ("offset", "<i8"), ("kind", "<i8")])
"""A refused message: where it begins in the buffer, its bytes, the fault's offset in it, its ErrorKind."""


@dataclass(frozen=True, slots=True)
class MessageBatch:
    """The messages of a buffer.

    ``headers`` (HEADER_DTYPE) and ``starts`` (offset in ``data``) have one row for each message, ``tlvs`` (TLV_DTYPE)
    one for each of their TLVs, ``faults`` (FAULT_DTYPE) one for each message that was refused and left out.
    ``consumed`` is the offset behind the last whole message: from there on ``data`` holds an incomplete message, or
    what ``framing_fault`` says.
    """

    data: bytes
    starts: npt.NDArray[np.int64]
    headers: Records
    tlvs: Records
    faults: Records
    consumed: int
    framing_fault: ErrorKind | None

    def __len__(self) -> int:
        return len(self.headers)

    def errors(self) -> list[ProtocolError]:
        """The exceptions of ``faults``, as :func:`parse_message` would raise them, ``stream_offset`` set."""
        return [
            _error(self.data[start : start + size], start, kind == ErrorKind.BAD_CHECKSUM)
            for start, size, _, kind in self.faults.tolist()
        ]

    def rows_of(self, tlv_type: int, size: int | None = None) -> npt.NDArray[np.intp]:
        """The rows of ``tlvs`` of a type, and of a value size in bytes if one is given."""
        rows = self.tlvs["type"] == tlv_type
        if size is not None:
            rows &= self.tlvs["size"] == size
        return np.flatnonzero(rows)

    def values(self, tlv_type: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """A copy of the values of a type that have the dtype's size, in the order of the stream.

        ``rows_of(tlv_type, dtype.itemsize)`` gives their rows, and so their messages.
        """
        return gather(self.data, self.tlvs["offset"][self.rows_of(tlv_type, dtype.itemsize)], dtype)


def parse_batch(
    data: Buffer,
    *,
    verify_checksum: bool = True,
    accept_zero_checksum: bool = True,
    max_message_size: SupportsIndex = MAX_MESSAGE_SIZE,
) -> MessageBatch:
    """Parse the messages that stand back to back in a buffer, each judged as by :func:`parse_message`.

    ``headers["checksum"] == 0`` tells the messages whose checksum was not computed (D9). Raises nothing: messages that
    are refused are in ``faults``.
    """
    raw = octets(data)
    limit = min(max(whole(max_message_size, "max_message_size"), 0), U32_MAX + HEADER_SIZE)
    tables = index_messages(raw, verify_checksum, accept_zero_checksum, limit)
    return MessageBatch(
        data=raw,
        starts=np.frombuffer(tables.starts, "<i8"),
        headers=np.frombuffer(tables.headers, HEADER_DTYPE),
        tlvs=np.frombuffer(tables.tlvs, TLV_DTYPE),
        faults=np.frombuffer(tables.faults, FAULT_DTYPE),
        consumed=tables.consumed,
        framing_fault=ErrorKind(tables.fault) if tables.fault else None,
    )


def gather(data: bytes, offsets: npt.NDArray[np.int64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The values of a dtype at some offsets of a buffer, copied; every value must lie in the buffer."""
    if not len(offsets):
        return np.empty(0, dtype)
    whole = np.dtype((np.void, dtype.itemsize))
    windows: npt.NDArray[np.void] = np.ndarray(
        (len(data) - dtype.itemsize + 1,), dtype=whole, buffer=data, strides=(1,)
    )
    return windows[offsets].view(dtype)


def build_batch(
    domain: int,
    source: int,
    tlvs: Sequence[tuple[int, npt.NDArray[Any]]],
    *,
    sequence: Numbers,
    timestamp: Numbers,
    flags: int = 0,
    checksums: bool = True,
) -> bytes:
    """The bytes of a run of messages, one for each row of the values.

    ``tlvs`` gives, for each TLV of every message, its type and an array of as many values as there are messages:
    a structured array, or one of shape (messages, bytes) and dtype u8. ``sequence`` is the first number (each next
    message has one more) or an array, ``timestamp`` (ns since the Unix epoch) one for all or an array. Without TLVs
    ``sequence`` must be an array. ``checksums`` off writes 0, as original market data senders do (D9).
    Raises :class:`FieldValueError`, :class:`TlvSizeError` or :class:`OversizeError`.
    """
    values = [(number, _as_rows(number, rows)) for number, rows in tlvs]
    count = _count([rows for _, rows in values], sequence, timestamp)
    size = HEADER_SIZE + sum(_header_size(rows.dtype.itemsize) + rows.dtype.itemsize for _, rows in values)
    if size > MAX_MESSAGE_SIZE:
        raise OversizeError(
            f"messages of {size} bytes, the limit is {MAX_MESSAGE_SIZE}",
            offset=PAYLOAD_SIZE_OFFSET,
            expected=MAX_MESSAGE_SIZE,
            got=size,
        )
    for name, value, offset in (
        ("domain", domain, DOMAIN_OFFSET),
        ("source", source, SOURCE_OFFSET),
        ("flags", flags, FLAGS_OFFSET),
    ):
        check_unsigned(value, U8_MAX, name, offset)
    run: Records = np.zeros(count, _run_dtype([rows.dtype.itemsize for _, rows in values]))
    head = run["header"]
    head["magic"], head["version"], head["payload_size"] = MAGIC, VERSION, size - HEADER_SIZE
    head["domain"], head["source"], head["flags"] = domain, source, flags
    head["sequence"] = _sequences(sequence, count)
    head["timestamp"] = _unsigned("timestamp", timestamp)
    for index, (number, rows) in enumerate(values):
        run[f"tlv{index}"] = np.frombuffer(_tlv_header(number, rows.dtype.itemsize), np.uint8)
        run[f"value{index}"] = rows
    if checksums:
        head["checksum"] = np.frombuffer(frame_crcs(run.tobytes(), size), "<u4")
    return run.tobytes()


def _error(message: bytes, start: int, of_the_checksum: bool) -> ProtocolError:
    try:
        parse_message(
            message,
            verify_checksum=of_the_checksum,
            accept_zero_checksum=False,
            max_message_size=len(message),
        )
    except ProtocolError as error:
        error.stream_offset = start + error.offset
        return error
    raise AssertionError("a message in the table of faults has none")


def _header_size(value_size: int) -> int:
    return STANDARD_TLV_HEADER_SIZE if value_size <= MAX_STANDARD_VALUE else EXTENDED_TLV_HEADER_SIZE


def _tlv_header(tlv_type: int, size: int) -> bytes:
    if size <= MAX_STANDARD_VALUE:
        return bytes((tlv_type, size))
    return bytes((EXTENDED_MARKER, 0, tlv_type)) + size.to_bytes(2, "little")


def _run_dtype(sizes: list[int]) -> np.dtype[np.void]:
    fields: list[tuple[Any, ...]] = [("header", HEADER_DTYPE)]
    for index, size in enumerate(sizes):
        fields += [(f"tlv{index}", "u1", (_header_size(size),)), (f"value{index}", np.void, size)]
    return np.dtype(fields)


def _as_rows(tlv_type: int, values: npt.NDArray[Any]) -> Records:
    """The values as one opaque item for each message."""
    if not 1 <= tlv_type <= 254:
        raise FieldValueError(
            f"TLV type {tlv_type}: use 1 to 254 (255 is the extended marker)", expected="1..254", got=tlv_type
        )
    flat = np.ascontiguousarray(values)
    if flat.dtype == np.uint8 and flat.ndim == 2:
        size = flat.shape[1]
    elif flat.ndim == 1:
        size = flat.dtype.itemsize
    else:
        raise FieldValueError(
            f"values of shape {values.shape} and dtype {values.dtype} for TLV type {tlv_type}",
            expected="one structured item for each message, or u8 of shape (messages, bytes)",
            got=values.shape,
        )
    if size > MAX_EXTENDED_VALUE:
        raise TlvSizeError(
            f"values of {size} bytes for TLV type {tlv_type}: at most {MAX_EXTENDED_VALUE} fit",
            expected=f"0..{MAX_EXTENDED_VALUE}",
            got=size,
        )
    return np.frombuffer(flat, np.dtype((np.void, size))) if size and len(flat) else np.empty(len(flat), "V0")


def _count(columns: Sequence[npt.NDArray[Any]], *numbers: Numbers) -> int:
    """The number of messages that all columns agree on."""
    counts = {len(column) for column in (*columns, *numbers) if not isinstance(column, int)}
    if len(counts) != 1:
        raise FieldValueError(
            f"columns of {sorted(counts)} rows: give each message one row of every array",
            expected="one length",
            got=sorted(counts),
        )
    return counts.pop()


def _sequences(sequence: Numbers, count: int) -> npt.NDArray[np.uint64]:
    if not isinstance(sequence, int):
        return np.asarray(_unsigned("sequence", sequence), np.uint64)
    check_unsigned(sequence, U64_MAX + 1 - max(count, 1), "sequence", SEQUENCE_OFFSET)
    return np.uint64(sequence) + np.arange(count, dtype=np.uint64)


def _unsigned(name: str, numbers: Numbers) -> Numbers:
    """Numbers that are u64, or :class:`FieldValueError`."""
    if isinstance(numbers, int):
        check_unsigned(numbers, U64_MAX, name, TIMESTAMP_OFFSET)
    elif numbers.dtype.kind not in "iu" or (numbers.dtype.kind == "i" and len(numbers) and numbers.min() < 0):
        raise FieldValueError(f"{name}: use integers of 0 to 2^64 - 1", expected="u64", got=str(numbers.dtype))
    return numbers
