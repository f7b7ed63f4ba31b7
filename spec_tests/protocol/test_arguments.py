"""What public calls take for bytes and integers: one table of kinds by calls, compiled and interpreted alike."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import torq_protocol
from torq_protocol.build_info import interpreted_package

FRAME = torq_protocol.encode_message(2, 20, [(39, b"0123456789abcdef")], sequence=1, timestamp=1)
PAYLOAD, TRADE = FRAME[32:], bytes(40)


def mapped(data: bytes) -> mmap.mmap:
    place = mmap.mmap(-1, len(data))
    place[:] = data
    return place


LENDERS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "view of every second byte": lambda data: memoryview(b"".join(bytes((byte, 0)) for byte in data))[::2],
    "view of pairs": lambda data: memoryview(data).cast("H"),
    "view of two rows": lambda data: memoryview(data).cast("B", (2, len(data) // 2)),
    "array": lambda data: array("B", data),
    "numpy": lambda data: np.frombuffer(data, np.uint8),
    "mmap": mapped,
}
NO_BYTES: list[Any] = [5, 0, True, None, "text", "", [1, 2], [], (), {}, set(), 1.5, object(), np.int64(3), bytes]

Call = Callable[[ModuleType, Any], object]
OF_BYTES: dict[str, tuple[bytes, Call]] = {
    "parse_message": (FRAME, lambda torq, given: torq.parse_message(given).to_bytes()),
    "parse_frame": (FRAME, lambda torq, given: torq.parse_frame(given, torq.FramePolicy(2)).to_bytes()),
    "Message": (FRAME, lambda torq, given: torq.Message(given).to_bytes()),
    "MessageHeader.from_bytes": (FRAME, lambda torq, given: torq.MessageHeader.from_bytes(given).to_bytes()),
    "message_checksum": (FRAME, lambda torq, given: torq.message_checksum(given)),
    "FrameDecoder.feed": (FRAME, lambda torq, given: [each.to_bytes() for each in torq.FrameDecoder().feed(given)]),
    "FrameScanner.scan": (FRAME, lambda torq, given: torq.FrameScanner(torq.FramePolicy(2)).scan(given).runs),
    "parse_batch": (FRAME, lambda torq, given: len(import_module(f"{torq.__name__}.batch").parse_batch(given))),
    "iter_tlvs": (PAYLOAD, lambda torq, given: [tlv.to_bytes() for tlv in torq.iter_tlvs(given)]),
    "Tlv": (PAYLOAD, lambda torq, given: torq.Tlv(given, 0).value),
    "encode_tlv": (PAYLOAD, lambda torq, given: torq.encode_tlv(39, given)),
    "encode_extended_tlv": (PAYLOAD, lambda torq, given: torq.encode_extended_tlv(39, given)),
    "encode_message": (PAYLOAD, lambda torq, given: torq.encode_message(2, 20, [(39, given)], sequence=1, timestamp=1)),
    "encode_raw_message": (PAYLOAD, lambda torq, given: torq.encode_raw_message(2, 20, given, sequence=1, timestamp=1)),
    "MessageBuilder.add_raw": (
        PAYLOAD,
        lambda torq, given: torq.MessageBuilder(2, 20).add_raw(39, given).build(sequence=1, timestamp=1),
    ),
    "split_value": (PAYLOAD, lambda torq, given: torq.split_value(given)),
    "join_values": (PAYLOAD, lambda torq, given: torq.join_values([given])),
    "Trade.from_bytes": (TRADE, lambda torq, given: torq.Trade.from_bytes(given).to_bytes()),
    "decode_payload": (TRADE, lambda torq, given: torq.decode_payload(1, given).to_bytes()),
    "decode_payload, raw": (TRADE, lambda torq, given: torq.decode_payload(39, given).to_bytes()),
    "RawPayload": (TRADE, lambda torq, given: torq.RawPayload(39, given).to_bytes()),
    "RawPayload.from_bytes": (TRADE, lambda torq, given: torq.RawPayload.from_bytes(39, given).to_bytes()),
    "InstrumentId.from_bytes": (TRADE[:12], lambda torq, given: torq.InstrumentId.from_bytes(given).to_bytes()),
}

INTEGERS: list[Any] = [
    7,
    np.uint8(7),
    np.int64(7),
    True,
    torq_protocol.TlvTypeNumber.L2_RESET,
    0,
    -1,
    2**32,
    2**70,
    -(2**70),
]
NO_INTEGERS: list[Any] = [7.0, "7", b"7", None, np.float64(7), object(), [7]]


def encoding(name: str) -> Call:
    """encode_message with a value in the place of one of its arguments."""
    return lambda torq, given: torq.encode_message(
        **({"domain": 2, "source": 20, "tlvs": [], "sequence": 1, "timestamp": 1} | {name: given})
    )


def header(name: str) -> Call:
    """A header with a value in the place of one of its fields."""
    return lambda torq, given: repr(torq.MessageHeader(**({"domain": 2, "source": 20} | {name: given})))


FIELDS = ("domain", "source", "sequence", "timestamp", "flags", "version")
OF_INTEGERS: dict[str, Call] = {
    **{f"encode_message, {name}": encoding(name) for name in (*FIELDS, "max_message_size")},
    **{f"MessageHeader, {name}": header(name) for name in (*FIELDS, "payload_size", "checksum")},
    "encode_message, type": lambda torq, given: torq.encode_message(2, 20, [(given, b"")], sequence=1, timestamp=1),
    "encode_tlv": lambda torq, given: torq.encode_tlv(given, b""),
    "encode_extended_tlv": lambda torq, given: torq.encode_extended_tlv(given, b""),
    "parse_message, max_message_size": lambda torq, given: (
        torq.parse_message(FRAME, max_message_size=given).tlvs[0].type
    ),
    "Message.find": lambda torq, given: repr(torq.parse_message(FRAME).find(given)),
    "FrameDecoder": lambda torq, given: [len(each) for each in torq.FrameDecoder(max_message_size=given).feed(FRAME)],
    "MessageBuilder, domain": lambda torq, given: torq.MessageBuilder(given, 20).build(sequence=1, timestamp=1),
    "MessageBuilder, source": lambda torq, given: torq.MessageBuilder(2, given).build(sequence=1, timestamp=1),
    "MessageBuilder, flags": lambda torq, given: torq.MessageBuilder(2, 20, flags=given).build(sequence=1, timestamp=1),
    "MessageBuilder.add_raw": lambda torq, given: torq.MessageBuilder(2, 20).add_raw(given, b"").size,
    "MessageBuilder.build": lambda torq, given: torq.MessageBuilder(2, 20).build(sequence=given, timestamp=1),
    "iter_tlvs, start": lambda torq, given: [repr(tlv) for tlv in torq.iter_tlvs(PAYLOAD, given)],
    "iter_tlvs, stop": lambda torq, given: [repr(tlv) for tlv in torq.iter_tlvs(PAYLOAD, 0, given)],
    "FramePolicy, domain": lambda torq, given: torq.FramePolicy(given).domain,
    "FramePolicy, max_message_size": lambda torq, given: torq.FramePolicy(2, max_message_size=given).max_message_size,
    "RawPayload": lambda torq, given: torq.RawPayload(given, b"").tlv_type,
    "decode_payload": lambda torq, given: repr(torq.decode_payload(given, TRADE)),
    "decimal_of": lambda torq, given: torq.decimal_of(given),
    "u64_to_symbol": lambda torq, given: torq.u64_to_symbol(given),
}
OF_FIELDS: dict[str, Call] = {
    "InstrumentId": lambda torq, given: torq.InstrumentId(given, 1, 1).to_bytes(),
    "InstrumentId.coin": lambda torq, given: torq.InstrumentId.coin(given, "BTC").to_bytes(),
    "GasPrice": lambda torq, given: torq.GasPrice(given, 1, 1, 1, 1, 1).to_bytes(),
    "units_of": lambda torq, given: torq.units_of(given),
}
"""Their wrong values are a FieldValueError, whatever is wrong with them."""


def outcome(call: Call, package: ModuleType, given: Any) -> tuple[str, object]:
    """What a call gives, or raises: the words too, where they are ours."""
    try:
        return "gives", call(package, given)
    except Exception as error:
        return type(error).__name__, "" if isinstance(error, TypeError) else str(error)


def both(call: Call, given: Any) -> tuple[str, object]:
    installed, interpreted = (outcome(call, package, given) for package in (torq_protocol, interpreted_package()))
    assert installed == interpreted
    return installed


@pytest.mark.parametrize("name", OF_BYTES)
def test_for_bytes_stands_whatever_lends_its_bytes_and_nothing_else(name: str) -> None:
    data, call = OF_BYTES[name]
    right = both(call, data)
    assert right[0] == "gives"
    for kind, lend in LENDERS.items():
        assert both(call, lend(data)) == right, kind
    for given in NO_BYTES:
        assert both(call, given)[0] == "TypeError", given


@pytest.mark.parametrize("name", OF_INTEGERS)
def test_for_an_integer_stands_whatever_is_one_and_nothing_else(name: str) -> None:
    call = OF_INTEGERS[name]
    for given in INTEGERS:
        kind, _ = both(call, given)
        assert kind == "gives" or kind.endswith("Error"), given
        assert kind not in ("TypeError", "OverflowError"), given
        assert both(call, int(given)) == both(call, given)
    for given in NO_INTEGERS:
        allowed = ("TypeError", "gives") if given is None and "stop" in name else ("TypeError",)
        assert both(call, given)[0] in allowed, given


@pytest.mark.parametrize("name", OF_FIELDS)
def test_a_field_takes_the_same_integers_and_refuses_the_others_as_values(name: str) -> None:
    call = OF_FIELDS[name]
    for given in INTEGERS:
        assert both(call, given)[0] in ("gives", "FieldValueError"), given
        assert both(call, int(given)) == both(call, given)
    for given in (given for given in NO_INTEGERS if not isinstance(given, str)):
        assert both(call, given)[0] == "FieldValueError", given


@pytest.mark.parametrize("given", [5, "text", [1], None])
def test_the_error_says_what_was_given_and_what_to_give(given: Any) -> None:
    with pytest.raises(TypeError, match=f"use bytes, bytearray or memoryview, not {type(given).__name__}"):
        torq_protocol.parse_message(given)
    with pytest.raises(TypeError, match=r"TLV type .*: use an integer, not float"):
        torq_protocol.encode_tlv(1.5, b"")  # type: ignore[arg-type]  # the point of the test
