"""Every kind of fault once, by hand: all that judge a frame name the same kind and offset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import ModuleType

import pytest

import torq_protocol
from spec_tests.protocol.frames import RIGHT_ZEROS, uncomputed
from torq_protocol import ErrorKind, FramePolicy, RelayDomain, ValidationLevel, schema
from torq_protocol.framing import FrameScanner
from torq_protocol.schema import build_message, build_tlv

GOOD_TLV = build_tlv(4, b"x")
STRICT = replace(FramePolicy.for_domain(RelayDomain.MARKET_DATA, ValidationLevel.SECURITY), accept_zero_checksum=False)
SMALL = STRICT.with_max_message_size(40)

FAULTS = [
    (ErrorKind.TRUNCATED_HEADER, 31, build_message()[:31], STRICT),
    (ErrorKind.BAD_MAGIC, 0, build_message(magic=0xDEADBEEE), STRICT),
    (ErrorKind.BAD_MAGIC, 0, build_message(magic=0xDFADBEEF), STRICT),
    (ErrorKind.OVERSIZE, 24, build_message(payload_size=9), SMALL),
    (ErrorKind.OVERSIZE, 24, build_message(payload_size=2**32 - 1), STRICT),
    (ErrorKind.BAD_DOMAIN, 4, build_message(relay_domain=0), STRICT),
    (ErrorKind.BAD_DOMAIN, 4, build_message(relay_domain=5), STRICT),
    (ErrorKind.TRUNCATED_PAYLOAD, 35, build_message(GOOD_TLV, payload_size=4), STRICT),
    (ErrorKind.TRAILING_BYTES, 34, build_message(GOOD_TLV, payload_size=2), STRICT),
    (ErrorKind.BAD_VERSION, 5, build_message(version=2), STRICT),
    (ErrorKind.BAD_VERSION, 5, build_message(version=0, source=0), STRICT),
    (ErrorKind.UNKNOWN_SOURCE, 6, build_message(source=0), STRICT),
    (ErrorKind.UNKNOWN_SOURCE, 6, build_message(source=255, checksum=0), STRICT),
    (ErrorKind.BAD_CHECKSUM, 28, build_message(GOOD_TLV, checksum=0), STRICT),
    (ErrorKind.BAD_CHECKSUM, 28, build_message(b"\x01", checksum=0), STRICT),
    (ErrorKind.TRUNCATED_TLV_HEADER, 35, build_message(GOOD_TLV + b"\x01"), STRICT),
    (ErrorKind.TRUNCATED_TLV_HEADER, 35, build_message(GOOD_TLV + b"\xff\x01\x00\x00"), STRICT),
    (ErrorKind.TRUNCATED_TLV, 35, build_message(GOOD_TLV + b"\x14\x01"), STRICT),
    (ErrorKind.TRUNCATED_TLV, 35, build_message(GOOD_TLV + b"\xff\x00\x14\x01\x00"), STRICT),
    (ErrorKind.BAD_RESERVED_BYTE, 36, build_message(GOOD_TLV + b"\xff\x01\x00\x01\x00"), STRICT),
    (ErrorKind.BAD_EXTENDED_TYPE, 37, build_message(GOOD_TLV + b"\xff\x00\x00\x01\x00"), STRICT),
    (ErrorKind.BAD_EXTENDED_TYPE, 37, build_message(GOOD_TLV + b"\xff\x00\xff\x01\x00"), STRICT),
    (ErrorKind.TYPE_OUT_OF_RANGE, 35, build_message(GOOD_TLV + b"\x00\x00"), STRICT),
    (ErrorKind.TYPE_OUT_OF_RANGE, 35, build_message(GOOD_TLV + b"\x14\x00"), STRICT),
    (ErrorKind.TYPE_OUT_OF_RANGE, 35, build_message(GOOD_TLV + b"\xff\x00\x6a\x00\x00"), STRICT),
    (ErrorKind.BAD_TLV_SIZE, 35, build_message(GOOD_TLV + build_tlv(1, bytes(39))), STRICT),
    (ErrorKind.BAD_TLV_SIZE, 35, build_message(GOOD_TLV + build_tlv(1, bytes(41), extended=True)), STRICT),
]
OF_THE_POLICY = {
    ErrorKind.BAD_VERSION,
    ErrorKind.UNKNOWN_SOURCE,
    ErrorKind.TYPE_OUT_OF_RANGE,
    ErrorKind.BAD_TLV_SIZE,
}
UNFINISHED = {ErrorKind.TRUNCATED_HEADER, ErrorKind.TRUNCATED_PAYLOAD}
OF_STREAMS = {ErrorKind.BAD_MAGIC, ErrorKind.OVERSIZE}

every_fault = pytest.mark.parametrize(("kind", "offset", "frame", "policy"), FAULTS)


def test_every_kind_of_fault_is_here() -> None:
    assert {kind for kind, *_ in FAULTS} == {*ErrorKind} - {ErrorKind.BAD_VALUE}


def decode_all(decoder: torq_protocol.FrameDecoder, stream: bytes) -> None:
    for _ in decoder.feed(stream):
        pass
    decoder.finish()


@every_fault
def test_schema_parser_and_decoder_name_the_same_fault(
    wire: ModuleType, kind: ErrorKind, offset: int, frame: bytes, policy: FramePolicy
) -> None:
    with pytest.raises(torq_protocol.ProtocolError) as by_schema:
        schema.parse_message(frame, policy)
    with pytest.raises(wire.ProtocolError) as by_parser:
        wire.parse_frame(frame, policy)
    judges = [by_schema.value, by_parser.value]
    if kind is not ErrorKind.TRAILING_BYTES:  # in a stream they are the next frame
        decoder = wire.FrameDecoder(policy)
        with pytest.raises(wire.ProtocolError) as by_decoder:
            decode_all(decoder, frame)
        judges.append(by_decoder.value)
        assert by_decoder.value.stream_offset == offset
    for error in judges:
        assert (error.kind, error.offset) == (kind, offset)
        assert error.expected is not None
        assert str(error)
    assert type(by_parser.value) is wire.ERROR_CLASSES[kind]


@every_fault
def test_kernel_names_the_same_kind(
    wire: ModuleType, kind: ErrorKind, offset: int, frame: bytes, policy: FramePolicy
) -> None:
    scan = wire.FrameScanner(policy).scan(frame)
    assert scan.runs == []
    if kind in OF_STREAMS:
        assert (scan.refused, scan.consumed, scan.needed, scan.fault) == ([], 0, 0, kind)
    elif kind in UNFINISHED:
        assert (scan.refused, scan.consumed, scan.needed, scan.fault) == ([], 0, announced(frame), 0)
    elif kind is ErrorKind.TRAILING_BYTES:
        cut_short = [(0, offset, ErrorKind.BAD_CHECKSUM)]
        assert (scan.refused, scan.consumed, scan.fault) == (cut_short, offset, ErrorKind.BAD_MAGIC)
    else:
        assert (scan.refused, scan.consumed, scan.fault) == ([(0, len(frame), kind)], len(frame), 0)


def announced(frame: bytes) -> int:
    """Bytes of the message that a frame begins; of its header, while that is not whole."""
    return 32 + int.from_bytes(frame[24:28], "little") if len(frame) >= 32 else 32


@every_fault
def test_parser_without_a_policy_and_batch_name_the_same_fault(
    wire: ModuleType, kind: ErrorKind, offset: int, frame: bytes, policy: FramePolicy
) -> None:
    expected = [(offset, kind)] if kind not in OF_THE_POLICY else other_faults(frame)
    judged = {"accept_zero_checksum": False, "max_message_size": policy.max_message_size}
    batch = wire.batch.parse_batch(frame, **judged)
    seen = []
    try:
        assert wire.parse_message(frame, **judged).to_bytes() == frame
    except wire.ProtocolError as error:
        seen.append((error.offset, error.kind))
    assert seen == expected
    faults, consumed, framing_fault = batch.faults.tolist(), batch.consumed, batch.framing_fault
    assert len(batch) == (not expected)
    if kind in OF_STREAMS:
        assert (faults, consumed, framing_fault) == ([], 0, kind)
    elif kind in UNFINISHED:
        assert (faults, consumed, framing_fault) == ([], 0, None)
    elif kind is ErrorKind.TRAILING_BYTES:
        assert (faults, consumed, framing_fault) == ([(0, offset, 28, ErrorKind.BAD_CHECKSUM)], offset, None)
    else:
        assert (faults, consumed, framing_fault) == ([(0, len(frame), *each) for each in expected], len(frame), None)


def other_faults(frame: bytes) -> list[tuple[int, ErrorKind]]:
    """What else is wrong with a frame of :data:`FAULTS` whose fault only a policy sees: nothing, or its checksum."""
    right = torq_protocol.message_checksum(frame) == int.from_bytes(frame[28:32], "little")
    return [] if right else [(28, ErrorKind.BAD_CHECKSUM)]


WELL_FORMED = build_message(GOOD_TLV)
ZEROS = [
    pytest.param(uncomputed(WELL_FORMED), True, None, id="accepted"),
    pytest.param(uncomputed(WELL_FORMED), False, ErrorKind.BAD_CHECKSUM, id="refused"),
    pytest.param(RIGHT_ZEROS[0], True, None, id="right-accepted"),
    pytest.param(RIGHT_ZEROS[0], False, None, id="right-refused"),
    pytest.param(uncomputed(build_message(GOOD_TLV + b"\x01")), True, ErrorKind.TRUNCATED_TLV_HEADER, id="malformed"),
    pytest.param(build_message(GOOD_TLV, checksum=1), True, ErrorKind.BAD_CHECKSUM, id="not-0"),
]


@pytest.mark.parametrize(("frame", "zero", "kind"), ZEROS)
def test_val_1_d9_all_that_verify_agree_on_a_checksum_of_0(
    wire: ModuleType, frame: bytes, zero: bool, kind: ErrorKind | None
) -> None:
    policy = replace(STRICT, accept_zero_checksum=zero)
    decoders = wire.FrameDecoder(policy), wire.FrameDecoder(accept_zero_checksum=zero)
    judges: list[Callable[[], object]] = [
        lambda: schema.parse_message(frame, policy),
        lambda: schema.parse_message(frame, accept_zero_checksum=zero),
        lambda: wire.parse_frame(frame, policy),
        lambda: wire.parse_message(frame, accept_zero_checksum=zero),
        *(partial(decode_all, decoder, frame) for decoder in decoders),
    ]
    for judge in judges:
        try:
            judge()
            seen = None
        except (torq_protocol.ProtocolError, wire.ProtocolError) as error:
            seen = error.kind
        assert seen == kind
    for scanner in (wire.FrameScanner(policy), FrameScanner(policy)):
        scan = scanner.scan(frame)
        assert [refused[2] for refused in scan.refused] == ([] if kind is None else [kind])
        assert scan.frames == (kind is None)
    faults = wire.batch.parse_batch(frame, accept_zero_checksum=zero).faults
    assert faults["kind"].tolist() == ([] if kind is None else [kind])


def test_d9_a_header_says_whether_its_checksum_was_computed(wire: ModuleType) -> None:
    assert wire.parse_message(WELL_FORMED).header.has_checksum
    assert not wire.parse_message(uncomputed(WELL_FORMED)).header.has_checksum
    for frame in RIGHT_ZEROS:
        assert wire.message_checksum(frame) == 0, "nobody can tell a right 0 from one that was not computed"
        assert not wire.parse_message(frame).header.has_checksum


@pytest.mark.parametrize("cut", range(1, 5))
def test_val_5_bytes_that_cannot_begin_a_frame_are_known_at_the_first_wrong_one(wire: ModuleType, cut: int) -> None:
    scanner = wire.FrameScanner(STRICT)
    begun = build_message()[:cut]
    assert (scanner.scan(begun).fault, scanner.scan(begun).needed) == (0, 32)
    wrong = begun[:-1] + b"\x00"
    assert (scanner.scan(wrong).fault, scanner.scan(wrong).needed) == (ErrorKind.BAD_MAGIC, 0)
