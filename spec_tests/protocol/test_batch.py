"""Runs of messages are built and parsed as one message at a time is."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torq_protocol
from spec_tests.protocol.frames import any_bytes, frames, u8, u64
from torq_protocol import ErrorKind, FieldValueError, OversizeError, TlvSizeError, encode_message, schema
from torq_protocol.batch import TLV_DTYPE, Numbers, build_batch, parse_batch
from torq_protocol.capture import read_capture

streams = st.lists(frames | any_bytes, max_size=5).map(b"".join)
GOOD = encode_message(1, 2, [(1, bytes(range(40)))], sequence=1, timestamp=2)


def fault_of(wire: ModuleType, frame: bytes, **judged: bool) -> tuple[int, int] | None:
    try:
        wire.parse_message(frame, **judged)
    except wire.ProtocolError as error:
        return int(error.kind), error.offset
    return None


@settings(max_examples=250, deadline=None)
@given(data=streams, verify=st.booleans(), zero=st.booleans())
def test_batch_equals_the_parser_on_any_bytes(wire: ModuleType, data: bytes, verify: bool, zero: bool) -> None:
    judged = {"verify_checksum": verify, "accept_zero_checksum": zero}
    batch = wire.batch.parse_batch(data, **judged)
    position, messages, faults = 0, [], []
    framing_fault = None
    while len(data) - position >= 32:
        size = int.from_bytes(data[position + 24 : position + 28], "little") + 32
        header_fault = fault_of(wire, data[position : position + 32])
        if header_fault and header_fault[0] in (ErrorKind.BAD_MAGIC, ErrorKind.OVERSIZE):
            framing_fault = header_fault[0]
            break
        if position + size > len(data):
            break
        frame = data[position : position + size]
        fault = fault_of(wire, frame, **judged)
        if fault is None:
            messages.append((position, wire.parse_message(frame, **judged)))
        else:
            faults.append((position, size, fault[1], fault[0]))
        position += size
    assert (batch.consumed, batch.framing_fault) == (position, framing_fault)
    assert batch.faults.tolist() == faults
    assert [(int(error.kind), error.offset, error.stream_offset) for error in batch.errors()] == [
        (kind, offset, start + offset) for start, _, offset, kind in faults
    ]
    assert batch.starts.tolist() == [start for start, _ in messages]
    assert batch.headers.tobytes() == b"".join(message.header.to_bytes() for _, message in messages)
    assert [tuple(row) for row in batch.tlvs.tolist()] == [
        (start + tlv.value_offset, number, tlv.size, tlv.type, tlv.extended)
        for number, (start, message) in enumerate(messages)
        for tlv in message.tlvs
    ]


@settings(max_examples=100, deadline=None)
@given(data=streams)
def test_batch_equals_schema_on_values(wire: ModuleType, data: bytes) -> None:
    batch = wire.batch.parse_batch(data)
    seen = []
    for row, start in enumerate(batch.starts.tolist()):
        size = 32 + int(batch.headers["payload_size"][row])
        message = schema.parse_message(data[start : start + size])
        header = batch.headers[row]
        assert {"relay_domain": header["domain"], **{name: header[name] for name in header.dtype.names[2:]}} == {
            name: value for name, value in message.header.items() if name != "magic"
        }
        seen += [(row, tlv.tlv_type, tlv.value) for tlv in message.tlvs]
    assert [
        (message, number, data[offset : offset + size]) for offset, message, size, number, _ in batch.tlvs.tolist()
    ] == seen


@settings(max_examples=60, deadline=None)
@given(
    domain=u8,
    source=u8,
    flags=u8,
    shape=st.lists(st.tuples(st.integers(1, 254), st.sampled_from([0, 1, 40, 255, 256, 300])), max_size=3),
    count=st.integers(0, 5),
    first=u64,
    timestamp=u64,
    seed=st.integers(0, 2**32 - 1),
)
def test_a_built_run_is_the_messages_one_by_one(
    wire: ModuleType,
    domain: int,
    source: int,
    flags: int,
    shape: list[tuple[int, int]],
    count: int,
    first: int,
    timestamp: int,
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    first = min(first, 2**64 - 5)
    values = [(number, generator.integers(0, 256, (count, size), dtype=np.uint8)) for number, size in shape]
    sequences = np.uint64(first) + np.arange(count, dtype=np.uint64)
    built = wire.batch.build_batch(domain, source, values, sequence=sequences, timestamp=timestamp, flags=flags)
    expected = [
        wire.encode_message(
            domain,
            source,
            [(number, rows[row].tobytes()) for number, rows in values],
            sequence=first + row,
            timestamp=timestamp,
            flags=flags,
        )
        for row in range(count)
    ]
    assert built == b"".join(expected)
    if values:
        assert wire.batch.build_batch(domain, source, values, sequence=first, timestamp=timestamp, flags=flags) == built


def test_structured_values_go_in_and_come_out() -> None:
    dtype = np.dtype([("price", "<i8"), ("side", "u1")])
    prices = np.array([(-5, 1), (7, 0), (2**62, 1)], dtype)
    wide = np.arange(900, dtype=np.uint8).reshape(3, 300)
    data = build_batch(
        1, 2, [(200, prices), (7, wide)], sequence=5, timestamp=np.array([1, 2, 3], np.uint64), checksums=True
    )
    batch = parse_batch(data + GOOD[:40])
    assert (len(batch), batch.consumed, batch.framing_fault, len(batch.faults)) == (3, len(data), None, 0)
    assert batch.values(200, dtype).tolist() == prices.tolist()
    assert batch.values(7, np.dtype((np.void, 300))).tobytes() == wide.tobytes()
    assert batch.values(7, dtype).shape == batch.values(9, dtype).shape == (0,)
    assert batch.tlvs["message"][batch.rows_of(200)].tolist() == [0, 1, 2]
    assert batch.tlvs["extended"].tolist() == [False, True] * 3
    assert batch.headers["timestamp"].tolist() == [1, 2, 3]
    assert batch.headers["sequence"].tolist() == [5, 6, 7]


def test_d9_a_run_without_checksums_has_zeros_and_is_read_unless_they_are_refused() -> None:
    data = build_batch(1, 2, [(1, np.zeros((4, 40), np.uint8))], sequence=1, timestamp=0, checksums=False)
    assert parse_batch(data).headers["checksum"].tolist() == [0] * 4
    assert len(read_capture(data)[1]) == 4
    refusing = parse_batch(data, accept_zero_checksum=False)
    assert refusing.faults["kind"].tolist() == [ErrorKind.BAD_CHECKSUM] * 4
    assert [error.offset for error in refusing.errors()] == [28] * 4
    assert len(read_capture(data, accept_zero_checksum=False).batch) == 0
    unverified = parse_batch(data, verify_checksum=False, accept_zero_checksum=False)
    assert unverified.headers["checksum"].tolist() == [0] * 4


def test_d10_a_framing_fault_ends_the_run() -> None:
    assert parse_batch(GOOD + bytes(32)).framing_fault is ErrorKind.BAD_MAGIC
    assert parse_batch(GOOD + GOOD, max_message_size=73).framing_fault is ErrorKind.OVERSIZE
    assert len(parse_batch(GOOD + GOOD + bytes(31))) == 2


def test_columns_that_make_no_run_are_refused() -> None:
    rows = np.zeros((2, 40), np.uint8)
    build = partial(build_batch, 1, 2, timestamp=0)
    columns: list[tuple[list[tuple[int, npt.NDArray[Any]]], Numbers]] = [
        ([(1, rows), (2, rows[:1])], 1),
        ([], 1),
        ([(1, rows)], np.arange(3)),
        ([(0, rows)], 1),
        ([(255, rows)], 1),
        ([(1, np.zeros((2, 2, 2), np.uint8))], 1),
        ([(1, np.zeros((2, 2)))], 1),
        ([(1, rows)], np.array([-1, 0])),
        ([(1, rows)], np.array([0.5, 1])),
        ([(1, rows)], 2**64 - 1),
        ([(1, rows)], -1),
    ]
    for values, sequence in columns:
        with pytest.raises(FieldValueError):
            build(values, sequence=sequence)
    with pytest.raises(FieldValueError, match="source"):
        build_batch(1, 256, [(1, rows)], sequence=1, timestamp=0)
    with pytest.raises(FieldValueError, match="timestamp"):
        build_batch(1, 2, [(1, rows)], sequence=1, timestamp=-1)
    with pytest.raises(TlvSizeError):
        build([(1, np.zeros((1, 65_536), np.uint8))], sequence=1)
    with pytest.raises(OversizeError):
        build([(1, np.zeros((1, 65_535), np.uint8))] * 17, sequence=1)


def test_tables_have_the_stated_widths() -> None:
    assert (torq_protocol.batch.HEADER_DTYPE.itemsize, TLV_DTYPE.itemsize) == (32, 16)
    assert torq_protocol.batch.FAULT_DTYPE.itemsize == 32
