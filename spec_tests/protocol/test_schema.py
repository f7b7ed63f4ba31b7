"""The schema reads and writes what the layouts say, and refuses in the stated order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torq_protocol import constants
from torq_protocol.batch import HEADER_DTYPE
from torq_protocol.constants import HEADER_SIZE, RelayDomain
from torq_protocol.errors import ErrorKind, FieldValueError, ProtocolError, TlvSizeError
from torq_protocol.instrument_arrays import INSTRUMENT_DTYPE
from torq_protocol.policy import FramePolicy, ValidationLevel
from torq_protocol.registry import REGISTRY
from torq_protocol.scanner import FrameScanner
from torq_protocol.schema import (
    PAYLOADS,
    RECORDS,
    ExtendedTlvHeader,
    Header,
    StandardTlvHeader,
    build_message,
    build_payload,
    build_tlv,
    parse_header,
    parse_message,
    parse_payload,
)
from torq_protocol.schema.layout import rows_of, size_of

T = TypeVar("T")
WORKED_TRADE = bytes.fromhex("000000000043544280d3049d1a0400004e61bc000000000000002a36fe9c97176500330001000000")
WORKED_MESSAGE = bytes.fromhex("efbeadde00010100010000000000000000002a36fe9c97170600000094891ecdc80401020304")

COMPILED_SIZES = {
    "Trade": 40,
    "Quote": 56,
    "OrderBook": 2456,
    "PoolLiquidity": 208,
    "PoolSwap": 208,
    "PoolMint": 208,
    "PoolBurn": 208,
    "PoolTick": 64,
    "PoolState": 192,
    "PoolSync": 160,
    "QuoteUpdate": 56,
    "GasPrice": 32,
    "StateInvalidationReason": 1,
    "ArbitrageSignal": 170,
    "StateInvalidation": 224,
    "SystemHealth": 48,
    "TraceContext": 32,
    "RecoveryRequest": 24,
    "PoolInfo": 88,
    "PoolCacheHeader": 64,
}


def test_every_layout_has_its_compiled_size() -> None:
    sizes = {layout.name: layout.sizeof() for layout in PAYLOADS.values() if layout.name != "Snapshot"}
    assert sizes == COMPILED_SIZES
    assert {name: record.sizeof() for name, record in RECORDS.items()} == {
        "InstrumentId": 12,
        "OrderLevel": 24,
        "SnapshotHeader": 32,
        "PoolCacheJournalEntry": 104,
    }
    assert (Header.sizeof(), StandardTlvHeader.sizeof(), ExtendedTlvHeader.sizeof()) == (32, 2, 5)


def test_registry_and_schema_agree_on_every_size_and_name() -> None:
    for number, layout in PAYLOADS.items():
        registered = REGISTRY.tlv_types[number]
        assert registered.name == layout.name
        if layout.name == "Snapshot":
            assert registered.size.minimum == RECORDS["SnapshotHeader"].sizeof()
        elif registered.size.fixed is None:
            assert registered.name == "PoolCacheHeader", "the one layout that the registry leaves open"
            assert registered.size.allows(layout.sizeof())
        else:
            assert registered.size.fixed == layout.sizeof()


def test_worked_trade() -> None:
    fields = parse_payload(1, WORKED_TRADE)
    assert fields == {
        "asset_id": 0x4254430000000000,
        "price": 4_512_350_000_000,
        "volume": 12_345_678,
        "execution_timestamp_ns": 1_700_000_000_000_000_000,
        "venue_id": 101,
        "asset_type": 51,
        "reserved": 0,
        "side": 1,
    }
    assert build_payload(1, fields) == WORKED_TRADE


def test_worked_message_is_built_to_the_byte_and_refused_for_its_domain() -> None:
    payload = build_tlv(200, bytes([1, 2, 3, 4]))
    assert build_message(payload, relay_domain=0, sequence=1, timestamp=1_700_000_000_000_000_000) == WORKED_MESSAGE
    with pytest.raises(ProtocolError) as refused:
        parse_message(WORKED_MESSAGE)
    assert (refused.value.kind, refused.value.offset) == (ErrorKind.BAD_DOMAIN, 4)


def test_fillers_are_written_zero_and_ignored_when_read() -> None:
    assert parse_payload(1, WORKED_TRADE[:37] + b"\x01\x02\x03") == parse_payload(1, WORKED_TRADE)


def test_a_refused_field_names_its_offset() -> None:
    with pytest.raises(FieldValueError) as refused:
        parse_payload(1, WORKED_TRADE[:36] + b"\x07\x00\x00\x00")
    assert (refused.value.offset, refused.value.got) == (36, 7)


def test_d6_a_payload_of_another_size_is_refused() -> None:
    for data in (WORKED_TRADE[:-1], WORKED_TRADE + b"\x00", b""):
        with pytest.raises(TlvSizeError):
            parse_payload(1, data)


def attempt(parse: Callable[[], T]) -> tuple[T | None, ProtocolError | None]:
    """What a parse gives: a value or a protocol error; any other exception fails the test."""
    try:
        return parse(), None
    except ProtocolError as error:
        return None, error


GOOD_TLV = build_tlv(1, b"x")
DAMAGES = [
    (b"", ErrorKind.TRUNCATED_HEADER, 0),
    (build_message()[:31], ErrorKind.TRUNCATED_HEADER, 31),
    (build_message(magic=1, relay_domain=0, payload_size=1), ErrorKind.BAD_MAGIC, 0),
    (build_message(relay_domain=0, payload_size=1_048_545), ErrorKind.OVERSIZE, 24),
    (build_message(relay_domain=0, payload_size=1_048_544), ErrorKind.BAD_DOMAIN, 4),
    (build_message(relay_domain=5), ErrorKind.BAD_DOMAIN, 4),
    (build_message(payload_size=1, checksum=1), ErrorKind.TRUNCATED_PAYLOAD, 32),
    (build_message(GOOD_TLV, payload_size=2), ErrorKind.TRAILING_BYTES, 34),
    (build_message(b"\x01", checksum=1), ErrorKind.BAD_CHECKSUM, 28),
    (build_message(b"\x01", checksum=0), ErrorKind.TRUNCATED_TLV_HEADER, 32),
    (build_message(GOOD_TLV + b"\x01"), ErrorKind.TRUNCATED_TLV_HEADER, 35),
    (build_message(GOOD_TLV + b"\xff\x01\x01\x00"), ErrorKind.TRUNCATED_TLV_HEADER, 35),
    (build_message(GOOD_TLV + b"\xff\x01\xff\x09\x00"), ErrorKind.BAD_RESERVED_BYTE, 36),
    (build_message(GOOD_TLV + b"\xff\x00\xff\x09\x00"), ErrorKind.BAD_EXTENDED_TYPE, 37),
    (build_message(GOOD_TLV + b"\x01\x02\x00"), ErrorKind.TRUNCATED_TLV, 35),
    (build_message(GOOD_TLV + b"\xff\x00\x01\x01\x00"), ErrorKind.TRUNCATED_TLV, 35),
]


@pytest.mark.parametrize(("frame", "kind", "offset"), DAMAGES)
def test_the_first_broken_rule_decides_kind_and_offset(frame: bytes, kind: ErrorKind, offset: int) -> None:
    with pytest.raises(ProtocolError) as refused:
        parse_message(frame)
    assert (refused.value.kind, refused.value.offset) == (kind, offset)


tlv_runs = st.lists(
    st.builds(
        lambda number, size, extended: build_tlv(number, bytes(size), extended=extended),
        st.sampled_from([0, 1, 2, 19, 20, 40, 79, 80, 119, 120, 200, 254]),
        st.sampled_from([0, 1, 32, 40, 56, 255]),
        st.booleans(),
    )
    | st.binary(max_size=6),
    max_size=4,
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(
    payload=tlv_runs,
    domain=st.integers(0, 5),
    version=st.integers(0, 2),
    source=st.integers(0, 90),
    zero=st.booleans(),
    flip=st.none() | st.integers(0, 31),
    served=st.sampled_from(list(RelayDomain)),
    level=st.sampled_from(list(ValidationLevel)),
)
def test_schema_with_a_policy_judges_as_the_framing_kernel(
    payload: bytes,
    domain: int,
    version: int,
    source: int,
    zero: bool,
    flip: int | None,
    served: RelayDomain,
    level: ValidationLevel,
) -> None:
    frame = bytearray(build_message(payload, relay_domain=domain, version=version, source=source))
    if zero:
        frame[28:32] = bytes(4)
    if flip is not None:
        frame[flip] ^= 1
    policy = FramePolicy.for_domain(served, level)
    scan = FrameScanner(policy).scan(bytes(frame))
    kernel = scan.fault or (scan.refused[0][2] if scan.refused else 0)
    if scan.needed or scan.consumed not in (0, len(frame)):
        return  # the size field was flipped: more or fewer bytes than one frame, a matter of streams
    _, refused = attempt(lambda: parse_message(bytes(frame), policy))
    assert (refused.kind if refused else 0) == kernel


@settings(max_examples=300, deadline=None)
@given(number=st.sampled_from(sorted(PAYLOADS)), data=st.data())
def test_arbitrary_payload_bytes_parse_or_raise_protocol_error(number: int, data: st.DataObject) -> None:
    size = REGISTRY.tlv_types[number].size.fixed or 64
    value = data.draw(st.binary(min_size=size, max_size=size))
    fields, refused = attempt(lambda: parse_payload(number, value))
    if fields is not None:
        assert parse_payload(number, build_payload(number, fields)) == fields
    if refused is not None:
        assert refused.kind is ErrorKind.BAD_VALUE
        assert 0 <= refused.offset < size


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: b"\xef\xbe\xad\xde\x01\x01\x01\x00" + tail))
def test_arbitrary_message_bytes_parse_or_raise_protocol_error(data: bytes) -> None:
    message, refused = attempt(lambda: parse_message(data))
    if message is not None:
        assert 32 + sum(len(build_tlv(tlv.tlv_type, tlv.value, extended=tlv.extended)) for tlv in message.tlvs) == len(
            data
        )
    if refused is not None:
        assert 0 <= refused.offset <= len(data)


def test_what_client_code_says_of_places_is_what_the_schema_says() -> None:
    """Compiled code takes offsets from the constants, NumPy from the dtypes."""
    header = {row.name.removeprefix("relay_"): row.offset for row in rows_of(Header)}
    assert {name: getattr(constants, f"{name.upper()}_OFFSET") for name in header if name != "magic"} | {
        "magic": 0
    } == header
    assert size_of(Header) == HEADER_SIZE == HEADER_DTYPE.itemsize
    instrument = {row.name: row.offset for row in rows_of(RECORDS["InstrumentId"])}
    for dtype, expected in ((HEADER_DTYPE, header), (INSTRUMENT_DTYPE, instrument)):
        assert dtype.fields is not None
        assert {name: offset for name, (_, offset, *_) in dtype.fields.items()} == expected


def test_a_header_alone_is_read_unchecked() -> None:
    assert parse_header(WORKED_MESSAGE)["checksum"] == 0xCD1E8994
    assert parse_header(b"\x01" * 32)["magic"] == 0x01010101
    with pytest.raises(ProtocolError) as refused:
        parse_header(WORKED_MESSAGE[:31])
    assert (refused.value.kind, refused.value.offset) == (ErrorKind.TRUNCATED_HEADER, 31)


def test_the_schema_builds_no_payload_of_missing_or_misfit_fields() -> None:
    fields = parse_payload(1, WORKED_TRADE)
    without_price = {name: value for name, value in fields.items() if name != "price"}
    for wrong in (without_price, fields | {"price": 2**63}, fields | {"side": 2}, fields | {"price": b"1"}):
        with pytest.raises(FieldValueError):
            build_payload(1, wrong)
    with pytest.raises(FieldValueError, match="use b'POOL'"):
        build_payload(201, parse_payload(201, POOL_CACHE_HEADER) | {"magic": b"LOOP"})
    assert build_payload(201, parse_payload(201, POOL_CACHE_HEADER)) == POOL_CACHE_HEADER


POOL_CACHE_HEADER = bytes(48) + b"\x01" + bytes(11) + b"POOL"
