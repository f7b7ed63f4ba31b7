"""A captured stream becomes one table for each type, with the values that the schema reads."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.protocol.field_values import values
from torq_protocol import encode_message, schema
from torq_protocol.capture import Capture, read_capture
from torq_protocol.payload_dtypes import payload_dtype, types_with_layout, wide_integers

TRADE = bytes.fromhex("000000000043544280d3049d1a0400004e61bc000000000000002a36fe9c97176500330001000000")
FIXED_TYPES = sorted(types_with_layout() - {101})


def plain(value: Any, dtype: np.dtype[Any]) -> Any:
    """A field of a table in the schema's terms."""
    if dtype.names == ("count", "elements"):
        element = dtype["elements"].base
        elements = value["elements"][: value["count"]]
        return [plain(each, element) for each in elements] if element.names else wide_integers(elements)
    if dtype.names:
        return {name: plain(value[name], dtype[name]) for name in dtype.names}
    if dtype.subdtype is not None:
        return wide_integers(value.reshape(1, -1))[0]
    return value.tolist()


@pytest.mark.parametrize("tlv_type", FIXED_TYPES)
def test_dtypes_have_the_size_of_the_schema(tlv_type: int) -> None:
    assert payload_dtype(tlv_type).itemsize == schema.PAYLOADS[tlv_type].sizeof()


@settings(max_examples=120, deadline=None)
@given(data=st.data(), tlv_type=st.sampled_from(FIXED_TYPES))
def test_a_table_holds_the_values_that_the_schema_reads(data: st.DataObject, tlv_type: int) -> None:
    rows = data.draw(st.lists(values(schema.PAYLOADS[tlv_type]), min_size=1, max_size=2))
    payloads = [(tlv_type, schema.build_payload(tlv_type, fields)) for fields in rows]
    table = read_capture(encode_message(1, 1, payloads, sequence=1, timestamp=1))[tlv_type]
    assert [plain(row, table.dtype) for row in table] == rows


def mixed() -> Capture:
    reserves = schema.build_payload(
        10,
        {"timestamp_ns": 5, "reserves": [2**127 + 1, 2**64], "pool_address": bytes(range(20)), "venue": 300},
    )
    book = schema.build_payload(
        3,
        {
            "snapshot_timestamp_ns": 1, "sequence": 2, "precision_factor": 3, "asset_id": 4, "venue_id": 5,
            "asset_type": 6, "reserved": 0, "asks": [],
            "bids": [{"price": 10, "size": 20, "order_count": 1}],
        },
    )  # fmt: skip
    stream = [
        encode_message(1, 2, [(1, TRADE), (10, reserves)], sequence=7, timestamp=70),
        encode_message(1, 3, [(9, b"no layout"), (1, TRADE[:-1])], sequence=8, timestamp=80),
        encode_message(1, 2, [(3, book), (1, TRADE)], sequence=9, timestamp=90),
        encode_message(4, 2, [(101, schema.build_record(schema.RECORDS["SnapshotHeader"], SNAPSHOT) + b"{}")],
                       sequence=10, timestamp=100),
    ]  # fmt: skip
    return read_capture(b"".join(stream))


SNAPSHOT = {
    "sequence": 1, "timestamp": 2, "snapshot_id": 3, "checksum": 4, "uncompressed_size": 2, "tlv_type": 101,
    "tlv_length": 32, "compression_type": 0,
}  # fmt: skip


def test_a_mixed_stream_becomes_a_table_for_each_type() -> None:
    capture = mixed()
    assert list(capture) == [1, 3, 10, 101]
    assert len(capture) == 4
    assert capture[1]["price"].tolist() == [4_512_350_000_000] * 2
    assert capture.headers(1)["sequence"].tolist() == [7, 9]
    assert capture.messages(1).tolist() == [0, 2]
    assert capture[1] is capture[1]
    others = capture.others
    assert [(row["type"], row["size"], row["message"]) for row in others] == [(9, 9, 1), (1, 39, 1)]
    offset, size = others["offset"][0], others["size"][0]
    assert capture.batch.data[offset : offset + size] == b"no layout"
    with pytest.raises(KeyError):
        _ = capture[2]
    assert list(read_capture(b"")) == []


def test_columns_are_ready_for_a_frame() -> None:
    capture = mixed()
    assert list(capture.columns(1))[:5] == [
        "header_domain", "header_source", "header_sequence", "header_timestamp", "asset_id",
    ]  # fmt: skip
    pools = capture.columns(10)
    assert pools["reserves"] == [[2**127 + 1, 2**64]]
    assert pools["pool_address"] == [bytes(range(20))]
    assert capture.columns(3)["bids"] == [[{"price": 10, "size": 20, "order_count": 1}]]
    assert capture.columns(3)["asks"] == [[]]
    assert np.asarray(capture.columns(101)["header.snapshot_id"]).tolist() == [3]


def test_frames_and_tables_where_the_libraries_are_installed() -> None:
    capture = mixed()
    pandas = pytest.importorskip("pandas")
    arrow = pytest.importorskip("pyarrow")
    frame = capture.frame(1)
    assert isinstance(frame, pandas.DataFrame)
    assert frame["price"].tolist() == [4_512_350_000_000] * 2
    for tlv_type in capture:
        table = capture.table(tlv_type)
        assert isinstance(table, arrow.Table)
        assert table.num_rows == len(capture[tlv_type]) == len(capture.frame(tlv_type))
    assert capture.table(10).column("reserves").to_pylist() == [[2**127 + 1, 2**64]]
    state = encode_message(1, 1, [(15, b"\xff" * 64 + bytes(128))], sequence=1, timestamp=1)
    assert read_capture(state).table(15).column("reserve0").to_pylist() == [2**128 - 1]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        mixed().frame(1)
