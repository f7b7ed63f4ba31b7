"""The fast path builds and parses what the schema does: same values, same errors, same offsets."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import TypeVar
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torq_protocol
from spec_tests.protocol.frames import any_bytes, frames, policies, tlv_pairs, u8, u64
from torq_protocol import schema
from torq_protocol.build_info import interpreted_package
from torq_protocol.constants import MAX_MESSAGE_SIZE
from torq_protocol.errors import ErrorKind
from torq_protocol.policy import FramePolicy
from torq_protocol.schema import SchemaMessage, SchemaTlv, build_message, build_tlv

T = TypeVar("T")
WORKED = bytes.fromhex("efbeadde00010100010000000000000000002a36fe9c97170600000094891ecdc80401020304")


def outcome(parse: Callable[[], T], errors: type[Exception]) -> tuple[T | None, tuple[int, int] | None]:
    """A parsed value, or (kind, offset) of the error; any other exception fails the test."""
    try:
        return parse(), None
    except errors as error:
        return None, (int(error.kind), error.offset)  # type: ignore[attr-defined]  # the class of either package


def as_schema(message: torq_protocol.Message, *, with_tlvs: bool = True) -> SchemaMessage:
    """A message of the fast path in the schema's terms."""
    header = message.header
    fields = {
        "magic": 0xDEADBEEF,
        "relay_domain": header.domain,
        "version": header.version,
        "source": header.source,
        "flags": header.flags,
        "sequence": header.sequence,
        "timestamp": header.timestamp,
        "payload_size": header.payload_size,
        "checksum": header.checksum,
    }
    tlvs = message.tlvs if with_tlvs else ()
    return SchemaMessage(fields, tuple(SchemaTlv(tlv.type, tlv.value, tlv.extended, tlv.value_offset) for tlv in tlvs))


@settings(max_examples=250, deadline=None)
@given(data=any_bytes, zero=st.booleans())
def test_parser_equals_schema_on_any_bytes(wire: ModuleType, data: bytes, zero: bool) -> None:
    expected = outcome(lambda: schema.parse_message(data, accept_zero_checksum=zero), torq_protocol.ProtocolError)
    got = outcome(lambda: as_schema(wire.parse_message(data, accept_zero_checksum=zero)), wire.ProtocolError)
    assert got == expected


@settings(max_examples=250, deadline=None)
@given(data=any_bytes, policy=policies)
def test_parser_with_a_policy_equals_schema_on_any_bytes(wire: ModuleType, data: bytes, policy: FramePolicy) -> None:
    expected = outcome(lambda: schema.parse_message(data, policy), torq_protocol.ProtocolError)
    got = outcome(lambda: as_schema(wire.parse_frame(data, policy), with_tlvs=policy.walks_tlvs), wire.ProtocolError)
    assert got == expected


Judged = tuple[list[tuple[int, int, int]], int, int, int]


def judge_one_by_one(wire: ModuleType, data: bytes, policy: FramePolicy) -> Judged:
    """(start, stop, kind or 0) of every whole frame by the parser; where it stopped; the kind of a framing fault
    there; the bytes that the incomplete frame there will have."""
    frames: list[tuple[int, int, int]] = []
    position = 0
    while position < len(data):
        header = data[position : position + 32]
        _, refused = outcome(partial(wire.parse_frame, header, policy), wire.ProtocolError)
        if refused is not None and refused[0] in (ErrorKind.BAD_MAGIC, ErrorKind.OVERSIZE):
            return frames, position, refused[0], 0
        if len(header) < 32:
            magic = bytes.fromhex("efbeadde")
            begun = header[:4] == magic[: len(header)]
            return (frames, position, 0, 32) if begun else (frames, position, ErrorKind.BAD_MAGIC, 0)
        stop = position + 32 + int.from_bytes(header[24:28], "little")
        if stop > len(data):
            return frames, position, 0, stop - position
        frame = data[position:stop]
        _, refused = outcome(partial(wire.parse_frame, frame, policy), wire.ProtocolError)
        frames.append((position, stop, refused[0] if refused else 0))
        position = stop
    return frames, position, 0, 0


@settings(max_examples=250, deadline=None)
@given(data=st.lists(frames | any_bytes, max_size=4).map(b"".join), policy=policies)
def test_kernel_judges_every_frame_of_a_stream_as_the_parser(
    wire: ModuleType, data: bytes, policy: FramePolicy
) -> None:
    scan = wire.FrameScanner(policy).scan(data)
    judged, stopped, fault, needed = judge_one_by_one(wire, data, policy)
    assert scan.refused == [frame for frame in judged if frame[2]]
    assert (scan.consumed, scan.fault, scan.needed) == (stopped, fault, needed)
    accepted = [(start, stop) for start, stop, kind in judged if kind == 0]
    assert sum(count for _, _, count in scan.runs) == len(accepted)
    for start, stop, count in scan.runs:
        inside = [frame for frame in accepted if start <= frame[0] and frame[1] <= stop]
        assert (inside[0][0], inside[-1][1], len(inside)) == (start, stop, count)
        assert sum(end - begin for begin, end in inside) == stop - start


@settings(max_examples=200, deadline=None)
@given(
    domain=u8,
    version=u8,
    source=u8,
    flags=u8,
    sequence=u64,
    timestamp=u64,
    tlvs=tlv_pairs,
    checksum=st.none() | st.just(7),
)
def test_builder_equals_schema(
    wire: ModuleType,
    domain: int,
    version: int,
    source: int,
    flags: int,
    sequence: int,
    timestamp: int,
    tlvs: list[tuple[int, bytes]],
    checksum: int | None,
) -> None:
    fields = {"relay_domain": domain, "version": version, "source": source, "flags": flags}
    fields |= {"sequence": sequence, "timestamp": timestamp} | ({} if checksum is None else {"checksum": checksum})
    expected = build_message(b"".join(build_tlv(number, value) for number, value in tlvs), **fields)
    built = wire.encode_message(
        domain,
        source,
        tlvs,
        sequence=sequence,
        timestamp=timestamp,
        flags=flags,
        version=version,
        checksum=checksum,
    )
    assert built == expected
    assert wire.MessageHeader.from_bytes(built).to_bytes() == built[:32]


def test_worked_message_is_built_and_refused_for_its_domain(wire: ModuleType) -> None:
    tlvs = [(200, bytes([1, 2, 3, 4]))]
    assert wire.encode_message(0, 1, tlvs, sequence=1, timestamp=1_700_000_000_000_000_000) == WORKED
    with pytest.raises(wire.BadDomainError):
        wire.parse_message(WORKED)
    assert wire.message_checksum(WORKED) == 0xCD1E8994


@pytest.mark.parametrize("size", [0, 1, 254, 255, 256, 257, 65_534, 65_535])
def test_d7_builder_takes_the_standard_form_up_to_255_bytes(wire: ModuleType, size: int) -> None:
    built = wire.encode_tlv(7, bytes(size))
    assert built == build_tlv(7, bytes(size))
    assert len(built) == size + (2 if size <= 255 else 5)
    assert wire.encode_extended_tlv(7, bytes(size)) == build_tlv(7, bytes(size), extended=True)


def test_builder_refuses_what_no_header_can_say(wire: ModuleType) -> None:
    def build(**fields: int) -> object:
        return wire.encode_message(**{"domain": 1, "source": 1, "sequence": 0, "timestamp": 0, "tlvs": [], **fields})

    for name, largest in [
        ("domain", 255), ("source", 255), ("version", 255), ("flags", 255),
        ("sequence", 2**64 - 1), ("timestamp", 2**64 - 1), ("checksum", 2**32 - 1),
    ]:  # fmt: skip
        assert build(**{name: largest})
        for value in (-1, largest + 1, 2**70, -(2**70)):
            with pytest.raises(wire.FieldValueError, match=name):
                build(**{name: value})


def test_builder_refuses_types_and_sizes_that_no_tlv_has(wire: ModuleType) -> None:
    for number in (-1, 0, 255, 256, 2**70):
        with pytest.raises(wire.FieldValueError, match="TLV type"):
            wire.encode_tlv(number, b"")
        with pytest.raises(wire.FieldValueError, match="TLV type"):
            wire.encode_extended_tlv(number, b"")
    with pytest.raises(wire.TlvSizeError, match="65535 fit"):
        wire.encode_tlv(1, bytes(65_536))


def test_d10_builder_and_parser_agree_on_the_largest_message(wire: ModuleType) -> None:
    largest = wire.encode_raw_message(1, 1, bytes(MAX_MESSAGE_SIZE - 32), sequence=0, timestamp=0)
    assert len(wire.parse_message(largest, check_tlvs=False)) == MAX_MESSAGE_SIZE
    with pytest.raises(wire.OversizeError):
        wire.encode_raw_message(1, 1, bytes(MAX_MESSAGE_SIZE - 31), sequence=0, timestamp=0)
    bigger = wire.encode_raw_message(
        1, 1, bytes(MAX_MESSAGE_SIZE - 31), sequence=0, timestamp=0, max_message_size=MAX_MESSAGE_SIZE + 1
    )
    with pytest.raises(wire.OversizeError):
        wire.parse_message(bigger)
    assert wire.parse_message(bigger, check_tlvs=False, max_message_size=MAX_MESSAGE_SIZE + 1)


@settings(max_examples=15, deadline=None)
@given(frame=frames.filter(lambda frame: len(frame) < 400))
def test_d9_checksum_detects_every_single_bit_flip(wire: ModuleType, frame: bytes) -> None:
    right = wire.message_checksum(frame)
    assert right == int.from_bytes(frame[28:32], "little")
    for bit in range(len(frame) * 8):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << (bit % 8)
        assert wire.message_checksum(flipped) != int.from_bytes(flipped[28:32], "little")


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=90), start=st.integers(0, 40), crc=st.integers(0, 2**32 - 1))
def test_checksum_of_any_span_is_zlibs(wire: ModuleType, data: bytes, start: int, crc: int) -> None:
    start = min(start, len(data))
    assert wire.checksum.span_crc(data, start, len(data), crc) == crc32(data[start:], crc)
    assert wire.checksum._sliced_crc(data, start, len(data), crc) == crc32(data[start:], crc)


@pytest.mark.parametrize("size", [2047, 2048, 2049, 5000])
def test_checksum_of_long_spans_is_zlibs(wire: ModuleType, size: int) -> None:
    data = bytes(range(256)) * 20
    assert wire.checksum.span_crc(data, 1, size, 9) == crc32(data[1:size], 9)


def test_a_message_is_a_value(wire: ModuleType) -> None:
    frame = wire.encode_message(2, 20, [(20, b"a"), (21, b"b" * 300), (20, b"c")], sequence=9, timestamp=8)
    message = wire.parse_message(frame)
    assert message == wire.parse_message(bytearray(frame)) == wire.parse_message(memoryview(frame))
    assert hash(message) == hash(wire.parse_message(frame))
    assert message != wire.parse_message(wire.encode_message(2, 20, [], sequence=9, timestamp=8))
    assert message != frame
    assert (len(message), message.to_bytes(), message.payload) == (len(frame), frame, frame[32:])
    assert message.tlvs is message.tlvs
    assert b"".join(tlv.to_bytes() for tlv in message.tlvs) == message.payload
    assert message.find(20) == message.tlvs[0]
    assert message.find(20) != message.tlvs[2]
    assert message.find(22) is None
    assert [tlv.extended for tlv in message.tlvs] == [False, True, False]
    assert [(tlv.offset, tlv.size) for tlv in message.tlvs] == [(32, 1), (35, 300), (340, 1)]
    assert len({*message.tlvs}) == 3
    assert "sequence=9" in repr(message)
    assert repr(message.tlvs[1]) == "Tlv(type=21, extended, 300 bytes at 35)"
    for attribute in ("header", "tlvs", "payload"):
        with pytest.raises(AttributeError):
            setattr(message, attribute, None)


def test_values_can_be_copied_and_sent_to_other_processes(wire: ModuleType) -> None:
    message = wire.parse_message(wire.encode_message(2, 20, [(20, b"a")], sequence=2**64 - 1, timestamp=8))
    for value in (message, message.header, message.tlvs[0], message.tlvs):
        assert pickle.loads(pickle.dumps(value)) == value
        assert copy.deepcopy(value) == copy.copy(value) == value


def test_a_header_is_an_immutable_value(wire: ModuleType) -> None:
    header = wire.MessageHeader(1, 2, sequence=3, timestamp=4, payload_size=5, checksum=6, flags=7)
    assert header == wire.MessageHeader.from_bytes(header.to_bytes())
    assert header != wire.MessageHeader(1, 2)
    assert header != 5
    assert len({header, wire.MessageHeader.from_bytes(memoryview(header.to_bytes() + b"rest"))}) == 1
    assert repr(header).startswith("MessageHeader(domain=1, source=2, sequence=3, timestamp=4")
    for name in ("domain", "sequence", "unheard_of"):
        with pytest.raises(AttributeError):
            setattr(header, name, 1)
    with pytest.raises(wire.FieldValueError, match="payload_size"):
        wire.MessageHeader(1, 2, payload_size=2**32)
    with pytest.raises(wire.TruncatedHeaderError):
        wire.MessageHeader.from_bytes(header.to_bytes()[:31])
    with pytest.raises(wire.BadMagicError):
        wire.MessageHeader.from_bytes(bytes(32))


def test_unchecked_tlvs_raise_when_they_are_asked_for(wire: ModuleType) -> None:
    frame = wire.encode_raw_message(1, 1, b"\x01\x01a\x02", sequence=0, timestamp=0)
    message = wire.parse_message(frame, check_tlvs=False)
    with pytest.raises(wire.TruncatedTlvHeaderError) as refused:
        _ = message.tlvs
    assert refused.value.offset == 35


@settings(max_examples=150, deadline=None)
@given(data=any_bytes.map(lambda data: data[32:]))
def test_lazy_walk_yields_what_stands_before_the_fault(wire: ModuleType, data: bytes) -> None:
    expected = outcome(lambda: schema.parse_message(build_message(data)), torq_protocol.ProtocolError)
    seen: list[torq_protocol.Tlv] = []

    def walk() -> None:
        for tlv in wire.iter_tlvs(data):
            seen.append(tlv)  # noqa: PERF402 - extend would drop what came before a fault

    _, refused = outcome(walk, wire.ProtocolError)
    assert (refused and (refused[0], refused[1] + 32)) == expected[1]
    if expected[0] is not None:
        assert [tlv.value for tlv in seen] == [tlv.value for tlv in expected[0].tlvs]
    else:
        assert b"".join(tlv.to_bytes() for tlv in seen) == data[: sum(len(tlv.to_bytes()) for tlv in seen)]


@pytest.mark.parametrize("size", [0, 65_535, 65_536, 65_531 * 2, 65_531 * 2 + 1])
def test_large_data_is_split_and_joined(wire: ModuleType, size: int) -> None:
    data = bytes(range(251)) * (size // 251) + bytes(size % 251)
    pieces = wire.split_value(data)
    assert all(len(piece) <= 65_535 for piece in pieces)
    assert wire.join_values(pieces[::-1]) == data
    if size > 65_535:
        assert [int.from_bytes(piece[:4], "little") for piece in pieces] == list(range(len(pieces)))
    else:
        assert pieces == [data]


def test_pieces_that_do_not_fit_together_are_refused(wire: ModuleType) -> None:
    one, two, three = wire.split_value(bytes(140_000))
    with pytest.raises(wire.FieldValueError, match="piece 1 of 2 is missing"):
        wire.join_values([one, three])
    with pytest.raises(wire.FieldValueError, match="twice"):
        wire.join_values([one, two, one])
    with pytest.raises(wire.FieldValueError, match="no index"):
        wire.join_values([one, b"abc"])


def test_typed_payloads_of_a_message() -> None:
    trade, gas = (
        torq_protocol.Trade(1, 2, 3, 4, 5, 6, torq_protocol.Side.SELL),
        torq_protocol.GasPrice(1, 2, 3, 4, 5, 6),
    )
    builder = torq_protocol.MessageBuilder(1, 2).add(trade).add_raw(4, b"raw").add(gas).add(replace(trade, price=9))
    for package in (torq_protocol, interpreted_package()):
        message = package.parse_message(builder.build(sequence=1, timestamp=1))
        assert message.get(package.Trade).to_bytes() == trade.to_bytes()
        assert message.get(package.GasPrice).to_bytes() == gas.to_bytes()
        assert message.get(package.Quote) is None
        assert [type(payload).__name__ for payload in message.payloads()] == [
            "Trade",
            "RawPayload",
            "GasPrice",
            "Trade",
        ]
        assert [tlv.decode() for tlv in message.tlvs] == message.payloads()
        assert message.body == message.payload == message.to_bytes()[32:]
        for wrong in (1, trade, torq_protocol.RawPayload, None, "Trade"):
            with pytest.raises(TypeError, match="is no payload class"):
                message.get(wrong)


def test_a_wrong_payload_of_a_message_has_its_offset_in_the_message() -> None:
    damaged = bytearray(
        torq_protocol.MessageBuilder(1, 2).add_raw(1, bytes(36) + b"\x07" + bytes(3)).build(sequence=1, timestamp=1)
    )
    for package in (torq_protocol, interpreted_package()):
        message = package.parse_message(damaged)
        for call in (partial(message.get, package.Trade), message.payloads, message.tlvs[0].decode):
            with pytest.raises(package.ProtocolError) as caught:
                call()
            assert caught.value.offset == 32 + 2 + 36
