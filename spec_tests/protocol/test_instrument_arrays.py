"""Arrays of ids do what single ids do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.protocol.frames import u8, u64
from torq_protocol import FieldValueError, InstrumentId, TlvSizeError
from torq_protocol.instrument_arrays import (
    INSTRUMENT_DTYPE,
    InstrumentIndex,
    from_u64_keys,
    from_u128_keys,
    instrument_array,
    instruments_from_bytes,
    instruments_of,
    pack_instruments,
    u64_keys,
    u128_keys,
    unpack_instruments,
)

single_ids = st.builds(InstrumentId, u64, st.integers(0, 0xFFFF), u8, u8)
id_lists = st.lists(single_ids, max_size=30)


@settings(max_examples=150, deadline=None)
@given(ids=id_lists)
def test_d13_keys_of_an_array_are_those_of_its_ids(ids: list[InstrumentId]) -> None:
    array = instrument_array(ids)
    assert u64_keys(array).tolist() == [each.u64_key for each in ids]
    high, low = u128_keys(array)
    assert [up << 64 | down for up, down in zip(high.tolist(), low.tolist(), strict=True)] == [
        each.u128_key for each in ids
    ]
    assert instruments_of(from_u128_keys(high, low)) == ids
    assert instruments_of(from_u64_keys(u64_keys(array))) == [InstrumentId.from_u64_key(each.u64_key) for each in ids]


@settings(max_examples=100, deadline=None)
@given(ids=id_lists)
def test_arrays_are_packed_and_unpacked_without_loss(ids: list[InstrumentId]) -> None:
    wire = b"".join(each.to_bytes() for each in ids)
    array = instruments_from_bytes(wire)
    assert instruments_of(array) == ids
    fields = unpack_instruments(array)
    assert all(column.flags.c_contiguous for column in fields)
    assert pack_instruments(*fields).tobytes() == wire
    assert pack_instruments(*fields[:3])["reserved"].tolist() == [0] * len(ids)


@settings(max_examples=150, deadline=None)
@given(known=st.lists(single_ids, unique=True, max_size=60), others=id_lists)
def test_an_index_finds_known_ids_and_no_others(known: list[InstrumentId], others: list[InstrumentId]) -> None:
    index = InstrumentIndex(instrument_array(known))
    assert len(index) == len(known)
    wanted = known + others
    positions = {each: place for place, each in enumerate(known)}
    assert index.find(instrument_array(wanted)).tolist() == [positions.get(each, -1) for each in wanted]


def test_an_index_of_many_ids_is_searched_in_blocks() -> None:
    count = 40_000
    symbols = np.arange(count, dtype=np.uint64) << np.uint64(40)  # ids that differ in few bits, as symbols do
    known = pack_instruments(symbols, np.full(count, 101), np.full(count, 51))
    index = InstrumentIndex(known)
    assert (index.find(known) == np.arange(count)).all()
    known["reserved"] = 1
    assert (index.find(known) == -1).all()


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(TlvSizeError):
        instruments_from_bytes(bytes(13))
    for array in (np.zeros(3, [("asset_id", "<u8")]), np.zeros((2, 2), INSTRUMENT_DTYPE)):
        with pytest.raises(FieldValueError, match="INSTRUMENT_DTYPE"):
            u64_keys(array)
    with pytest.raises(FieldValueError, match="twice"):
        InstrumentIndex(instrument_array([InstrumentId(1, 2, 3)] * 2))
    with pytest.raises(FieldValueError, match="bits 127 to 96"):
        from_u128_keys(np.array([1 << 32], np.uint64), np.array([1], np.uint64))
