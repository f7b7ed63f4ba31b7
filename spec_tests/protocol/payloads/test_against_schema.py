"""Every payload class is its schema declaration: same fields, bytes, errors and offsets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from construct import Construct
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.protocol.field_values import fields_of, values, without_constants
from torq_protocol.errors import ErrorKind, FieldValueError, ProtocolError, TlvSizeError
from torq_protocol.instrument import InstrumentId
from torq_protocol.payloads import (
    PAYLOAD_CLASSES,
    OrderLevel,
    Payload,
    PoolCacheJournalEntry,
    PoolInfo,
    RawPayload,
    decode_payload,
)
from torq_protocol.registry import REGISTRY
from torq_protocol.schema import (
    PAYLOADS,
    RECORDS,
    FieldValue,
    build_payload,
    build_record,
    parse_payload,
    parse_record,
)
from torq_protocol.schema.vocabulary import bare

ELEMENTS: dict[str, Callable[..., object]] = {
    "bids": OrderLevel,
    "asks": OrderLevel,
    "instruments": InstrumentId,
}

LISTS = {"bids": 48, "asks": 1256, "reserves": 32, "instruments": 24}
"""Where the first element of each list lies."""


def made(payload_class: type[Payload], plain: dict[str, FieldValue]) -> Payload:
    """The payload of plain field values."""
    arguments: dict[str, Any] = dict(plain)
    for name, element in ELEMENTS.items():
        if name in arguments:
            arguments[name] = [element(**each) if isinstance(each, dict) else each for each in arguments[name]]
    return payload_class(**arguments)


def outcome(parse: Callable[[], object]) -> object:
    """What a parse gives, or kind and offset of its protocol error."""
    try:
        return parse()
    except ProtocolError as error:
        return error.kind, error.offset


def test_every_declared_type_has_a_class_and_the_other_way_round() -> None:
    assert sorted(PAYLOAD_CLASSES) == sorted(PAYLOADS)
    for number, payload_class in PAYLOAD_CLASSES.items():
        assert payload_class.__name__ == PAYLOADS[number].name == payload_class.LAYOUT.name
        assert REGISTRY.size_rule(number).allows(PAYLOADS[number].sizeof() if number != 101 else 32)


@pytest.mark.parametrize("number", sorted(PAYLOADS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_round_trip_on_arbitrary_field_values(number: int, data: st.DataObject) -> None:
    schema_fields = data.draw(values(PAYLOADS[number]))
    wire = build_payload(number, schema_fields)
    payload = decode_payload(number, wire)
    assert isinstance(payload, PAYLOAD_CLASSES[number])
    plain = without_constants(PAYLOADS[number].name, schema_fields)
    assert fields_of(payload) == plain
    assert payload.to_bytes() == wire
    assert made(PAYLOAD_CLASSES[number], plain) == payload
    assert parse_payload(number, wire) == schema_fields
    assert hash(payload) == hash(decode_payload(number, bytearray(wire)))
    assert decode_payload(number, memoryview(wire)) == payload


@pytest.mark.parametrize("number", sorted(PAYLOADS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_the_schemas_value_or_its_error_and_offset(number: int, data: st.DataObject) -> None:
    wire = bytearray(build_payload(number, data.draw(values(PAYLOADS[number]))))
    for place in data.draw(st.lists(st.integers(0, len(wire) - 1), max_size=6)):
        wire[place] = data.draw(st.integers(0, 255))
    damaged = bytes(wire)
    expected = outcome(lambda: without_constants(PAYLOADS[number].name, parse_payload(number, damaged)))
    seen = outcome(lambda: fields_of(PAYLOAD_CLASSES[number].from_bytes(damaged)))
    assert seen == expected


@pytest.mark.parametrize("number", sorted(PAYLOADS))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_arbitrary_bytes_of_the_right_size_give_the_schemas_value_or_its_error(
    number: int, data: st.DataObject
) -> None:
    size = PAYLOADS[number].sizeof() if number != 101 else data.draw(st.integers(32, 1024))
    wire = data.draw(st.randoms(use_true_random=False)).randbytes(size)
    expected = outcome(lambda: without_constants(PAYLOADS[number].name, parse_payload(number, wire)))
    assert outcome(lambda: fields_of(PAYLOAD_CLASSES[number].from_bytes(wire))) == expected


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 254), st.binary(max_size=300), st.integers(0, 2**20))
def test_decoding_any_type_from_any_bytes_raises_only_protocol_errors(number: int, value: bytes, at: int) -> None:
    seen = outcome(lambda: decode_payload(number, value, at=at))
    if isinstance(seen, tuple):
        kind, offset = seen
        assert kind in (ErrorKind.BAD_TLV_SIZE, ErrorKind.BAD_VALUE)
        assert at <= offset <= at + len(value)
    else:
        assert isinstance(seen, (Payload, RawPayload))
        assert seen.tlv_type == number
        if isinstance(seen, RawPayload):
            assert seen.to_bytes() == value


@pytest.mark.parametrize("number", sorted(PAYLOADS))
def test_d6_every_other_size_is_refused(number: int) -> None:
    largest = 1024 if number == 101 else PAYLOADS[number].sizeof()
    smallest = 32 if number == 101 else largest
    for size in (0, smallest - 1, largest + 1):
        with pytest.raises(TlvSizeError) as refused:
            decode_payload(number, bytes(size), at=40)
        assert (refused.value.offset, refused.value.got) == (40, size)
        with pytest.raises(TlvSizeError):
            parse_payload(number, bytes(size))


@pytest.mark.parametrize("number", sorted(PAYLOADS))
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_field_that_does_not_fit_is_refused_when_it_is_given(number: int, data: st.DataObject) -> None:
    payload_class = PAYLOAD_CLASSES[number]
    plain = without_constants(PAYLOADS[number].name, data.draw(values(PAYLOADS[number])))
    name = data.draw(st.sampled_from([field.name for field in fields(payload_class)]))  # type: ignore[arg-type]  # every payload class is a dataclass
    wrong: Any = data.draw(st.sampled_from([-(2**200), 2**200, 1.5, "text", None, b"short"]))
    if name == "data" and isinstance(wrong, bytes):
        return
    plain[name] = [wrong] if name in LISTS else wrong
    with pytest.raises(FieldValueError) as refused:
        made(payload_class, plain)
    assert refused.value.offset == LISTS.get(name, offset_of(PAYLOADS[number], name))
    assert refused.value.expected is not None


def offset_of(declared: Construct, name: str) -> int:
    """Where a field of a declaration lies."""
    if declared.name == "Snapshot" and name != "data":
        declared = RECORDS["SnapshotHeader"]
    offset = 0
    for part in bare(declared).subcons:
        if part.name == name:
            return offset
        offset += part.sizeof()
    raise AssertionError(name)


@settings(max_examples=25, deadline=None)
@given(values(RECORDS["PoolCacheJournalEntry"]), st.integers(0, 103), st.integers(0, 255))
def test_journal_entries_are_their_declaration(plain: dict[str, Any], place: int, value: int) -> None:
    wire = build_record(RECORDS["PoolCacheJournalEntry"], plain)
    entry = PoolCacheJournalEntry.from_bytes(wire)
    assert fields_of(entry) == without_constants("PoolCacheJournalEntry", plain)
    assert entry.to_bytes() == wire
    assert PoolCacheJournalEntry(entry.timestamp, entry.pool_info, entry.operation) == entry
    assert isinstance(entry.pool_info, PoolInfo)
    damaged = wire[:place] + bytes([value]) + wire[place + 1 :]
    expected = outcome(
        lambda: without_constants("PoolCacheJournalEntry", parse_record(RECORDS["PoolCacheJournalEntry"], damaged))
    )
    assert outcome(lambda: fields_of(PoolCacheJournalEntry.from_bytes(damaged))) == expected


@pytest.mark.parametrize("number", [0, 4, 33, 40, 120, 205, 254])
def test_d14_types_without_a_layout_round_trip_as_raw(number: int) -> None:
    size = REGISTRY.size_rule(number).minimum or 3
    payload = decode_payload(number, bytes(range(size)))
    assert payload == RawPayload(number, bytes(range(size)))
    assert payload.to_bytes() == bytes(range(size))


def test_registered_types_without_a_layout_keep_their_size_rule() -> None:
    with pytest.raises(TlvSizeError, match="OrderRequest: 31 bytes where 32"):
        decode_payload(40, bytes(31), at=34)


def test_raw_payloads_refuse_what_no_tlv_can_carry() -> None:
    for number, size in ((255, 0), (-1, 0), (256, 0), (1, 65_536)):
        with pytest.raises(FieldValueError):
            RawPayload(number, bytes(size))
