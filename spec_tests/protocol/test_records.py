"""What is recorded of frames: the kernel in C and in Python write the same, and it is read back whole (SEC-3)."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torq_protocol
from spec_tests.protocol.frames import any_bytes, frames, policies, u8, u64
from torq_protocol.build_info import interpreted_package
from torq_protocol.policy import FramePolicy
from torq_protocol.records import RecordedFrame, recorded_frames
from torq_protocol.schema import build_message


@settings(max_examples=250)
@given(data=st.lists(frames | any_bytes, max_size=6).map(b"".join), policy=policies, before=st.binary(max_size=3))
def test_sec_3_records_of_a_scan_are_its_frames_in_wire_order(
    wire: ModuleType, data: bytes, policy: FramePolicy, before: bytes
) -> None:
    buffer = bytearray(before + data + b"left over")
    scan = wire.FrameScanner(policy).scan(buffer, len(before), len(before) + len(data))
    records = import_module(f"{wire.__name__}.scanner").frame_records(buffer, scan.runs, scan.refused)
    verdicts = {start: kind for start, _, kind in scan.refused}
    expected, at = [], len(before)
    while at < scan.consumed:
        header = wire.MessageHeader.from_bytes(buffer[at : at + 32])
        expected.append((header.source, header.sequence, header.payload_size, header.checksum, verdicts.get(at, 0)))
        at += 32 + header.payload_size
    assert list(recorded_frames(records)) == expected


offsets = (
    st.integers(-2, 4).map(lambda number: number * 32)
    | st.integers(-2, 120)
    | st.sampled_from([2**63 - 1, 2**62, -(2**62)])
)
entries = st.lists(st.tuples(offsets, offsets, st.integers(-1, 4) | offsets), max_size=3)


@settings(max_examples=400)
@given(data=any_bytes | st.lists(frames, max_size=2).map(b"".join) | st.just(bytes(128)), runs=entries, refused=entries)
def test_sec_3_any_lists_are_recorded_or_refused_alike(
    data: bytes, runs: list[tuple[int, int, int]], refused: list[tuple[int, int, int]]
) -> None:
    """In C as in Python; no byte outside the data is read, whatever the numbers."""

    def recorded(package: ModuleType) -> bytes | None:
        try:
            records: bytes = import_module(f"{package.__name__}.scanner").frame_records(data, runs, refused)
        except ValueError:
            return None
        return records

    assert recorded(torq_protocol) == recorded(interpreted_package())


@settings(max_examples=250)
@given(
    rows=st.lists(st.tuples(u8, u64, st.integers(0, 300), st.integers(0, 2**32 - 1), st.just(0) | st.integers(1, 255))),
    cut=st.integers(1, 30),
)
def test_sec_3_records_are_read_back_and_a_cut_one_is_an_error(
    wire: ModuleType, rows: list[tuple[int, int, int, int, int]], cut: int
) -> None:
    data = b""
    runs: list[tuple[int, int, int]] = []
    refused: list[tuple[int, int, int]] = []
    for source, sequence, size, checksum, kind in rows:
        start = len(data)
        data += build_message(bytes(size), source=source, sequence=sequence, checksum=checksum)
        (refused if kind else runs).append((start, len(data), kind or 1))
    records = import_module(f"{wire.__name__}.scanner").frame_records(data, runs, refused)
    assert list(recorded_frames(records)) == rows
    read: list[RecordedFrame] = []
    with suppress(ValueError):
        read.extend(recorded_frames(records[:-cut]))
    assert read == rows[: len(read)]
    assert len(read) < len(rows) or not rows


@given(data=st.binary(max_size=60))
def test_sec_3_any_bytes_are_records_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        for frame in recorded_frames(data):
            assert 0 <= frame.sequence < 2**64
            assert 0 <= frame.payload_size < 2**32


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (b"\x08\x00\x00\x00\x00\x00", "flags 0x8"),
        (b"\x00\x00\x00\x00\x00", "cut off"),
        (b"\x04\x00\x00\x00\x00\x00", "cut off"),
        (b"\x01", "cut off"),
        (b"\x00" + b"\xff" * 9 + b"\x02\x00\x00\x00\x00", "too large"),
        (b"\x00" + b"\x80" * 11 + b"\x00\x00\x00\x00\x00", "too large"),
        (b"\x02\x00" + b"\xff\xff\xff\xff\x10" + bytes(4), "too large"),
    ],
)
def test_sec_3_what_is_no_record_says_why(records: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(recorded_frames(records))
