"""The builder makes right messages only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.protocol.frames import tlv_pairs, u8, u64
from torq_protocol import (
    REGISTRY,
    BadDomainError,
    FieldValueError,
    FramePolicy,
    MessageBuilder,
    OversizeError,
    RecoveryRequest,
    RecoveryRequestType,
    RelayDomain,
    TlvSizeError,
    TypeOutOfRangeError,
    decode_tlv,
    encode_message,
    parse_frame,
    parse_message,
)


@dataclass(frozen=True)
class Note:
    """A payload of a vendor type."""

    tlv_type: ClassVar[int] = 254
    text: str

    def to_bytes(self) -> bytes:
        return self.text.encode()


@settings(max_examples=150, deadline=None)
@given(domain=st.sampled_from(RelayDomain), source=u8, flags=u8, sequence=u64, timestamp=u64, tlvs=tlv_pairs)
def test_every_built_message_parses_to_what_was_added(
    domain: RelayDomain, source: int, flags: int, sequence: int, timestamp: int, tlvs: list[tuple[int, bytes]]
) -> None:
    builder = MessageBuilder(domain, source, flags=flags)
    added = []
    for number, value in tlvs:
        rule = REGISTRY.size_rule(number)
        if not rule.allows(len(value)):
            with pytest.raises(TlvSizeError) as refused:
                builder.add_raw(number, value)
            assert refused.value.expected in (rule.fixed, str(rule))
            continue
        added.append((number, value))
        builder.add_raw(number, value)
    built = builder.build(sequence=sequence, timestamp=timestamp)
    assert built == encode_message(domain, source, added, sequence=sequence, timestamp=timestamp, flags=flags)
    assert builder.size == len(built)
    message = parse_message(built)
    assert [(tlv.type, tlv.value, tlv.extended) for tlv in message.tlvs] == [
        (number, value, len(value) > 255) for number, value in added
    ]


def test_d6_sizes_that_the_registry_does_not_allow_are_refused() -> None:
    builder = MessageBuilder(RelayDomain.SIGNAL, 20)
    for size in (23, 513):
        with pytest.raises(TlvSizeError, match="30: the type has 24 to 512") as refused:
            builder.add_raw(30, bytes(size))
        assert (refused.value.offset, refused.value.expected, refused.value.got) == (32, "24 to 512", size)
    for size in (24, 512):
        builder.add_raw(30, bytes(size))
    message = parse_message(builder.build(sequence=1, timestamp=2))
    assert [decode_tlv(tlv).to_bytes() for tlv in message.tlvs] == [bytes(24), bytes(512)]


@pytest.mark.parametrize("domain", RelayDomain)
def test_d5_which_types_a_domain_carries_is_left_to_the_relay(domain: RelayDomain) -> None:
    asked = (
        MessageBuilder(domain, 20)
        .add(RecoveryRequest(1, 3, 7, RecoveryRequestType.RETRANSMIT))
        .build(sequence=1, timestamp=2)
    )
    assert parse_message(asked).tlvs[0].type == 110
    strict = FramePolicy(domain, types=domain.type_range)
    if domain is RelayDomain.SYSTEM:
        assert parse_frame(asked, strict).to_bytes() == asked
        return
    with pytest.raises(TypeOutOfRangeError):
        parse_frame(asked, strict)


def test_d8_a_message_without_tlvs_is_built() -> None:
    built = MessageBuilder(RelayDomain.SIGNAL, 20).build(sequence=1, timestamp=2)
    assert len(built) == 32
    assert parse_message(built).tlvs == ()


def test_typed_payloads_are_added_by_their_type_and_bytes() -> None:
    built = (
        MessageBuilder(RelayDomain.SIGNAL, 20).add(Note("hello")).add(Note("you" * 100)).build(sequence=1, timestamp=2)
    )
    assert [(tlv.type, tlv.value) for tlv in parse_message(built).tlvs] == [(254, b"hello"), (254, b"you" * 100)]


def test_what_no_message_can_hold_is_refused_before_it_is_built() -> None:
    for domain in (0, 5, 255, -1):
        with pytest.raises(BadDomainError):
            MessageBuilder(domain, 1)
    with pytest.raises(FieldValueError, match="source"):
        MessageBuilder(1, 256)
    with pytest.raises(FieldValueError, match="flags"):
        MessageBuilder(1, 1, flags=-1)
    builder = MessageBuilder(1, 1)
    for number in (0, 255):
        with pytest.raises(FieldValueError, match="TLV type"):
            builder.add_raw(number, b"")
    with pytest.raises(TlvSizeError, match="split_value"):
        builder.add_raw(254, bytes(65_536))
    assert builder.size == 32
    with pytest.raises(FieldValueError, match="sequence"):
        builder.build(sequence=2**64, timestamp=0)


def test_d10_the_largest_message_is_built_and_no_larger_one() -> None:
    builder = MessageBuilder(1, 1, max_message_size=100)
    builder.add_raw(254, bytes(66))
    with pytest.raises(OversizeError) as refused:
        builder.add_raw(254, b"")
    assert refused.value.got == 70
    assert len(builder.build(sequence=0, timestamp=0)) == 100
