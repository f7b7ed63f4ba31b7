"""Bytes that must be refused: at least one vector of every error kind, each with one fault and where it lies.

Facts:
- ``parser`` vectors are refused by any parser that verifies checksums; ``relay`` vectors are well-formed messages that
  a relay of a domain and level refuses; ``payload`` vectors are well-formed messages whose payload is not;
- a relay is the one that the specification describes: each domain at its own level, only execution refusing a checksum
  of 0;
- expected errors are asked from the schema, and a test asks every other reader of the project for the same.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from ..constants import RelayDomain
from ..errors import ProtocolError
from ..policy import FramePolicy
from ..registry import REGISTRY
from ..schema import PAYLOADS, build_message, build_payload, build_tlv, checksum_of, parse_message, parse_payload
from ..schema.as_json import Json
from ..schema.layout import rows_of
from ..schema.vocabulary import Bounded, Closed, Marker
from .examples import example
from .levels import DEFAULT_LEVELS

_GOOD: Final = build_tlv(205, b"\x01\x02\x03\x04")
_WORKED: Final = "efbeadde00010100010000000000000000002a36fe9c97170600000094891ecdc80401020304"


def _checksum_over_zeros(frame: bytearray) -> bytes:
    frame[28:32] = bytes(4)
    frame[28:32] = crc32(frame).to_bytes(4, "little")
    return bytes(frame)


_WHOLE: Final = build_message(_GOOD, sequence=1)
_ENVELOPES: Final = (
    ("empty", "No bytes at all.", b""),
    ("header-31-bytes", "One byte short of a header.", _WHOLE[:31]),
    ("magic-big-endian", "The magic in the wrong byte order (D1, D3).", build_message(_GOOD, magic=0xEFBEADDE)),
    (
        "magic-before-all",
        "A bad magic is found before a bad domain and size.",
        build_message(magic=1, relay_domain=9, payload_size=7),
    ),
    (
        "oversize",
        "One byte above 1 048 576; no payload is needed to see it (D10).",
        build_message(payload_size=1_048_545),
    ),
    ("oversize-largest", "The largest size that a header can claim.", build_message(payload_size=0xFFFF_FFFF)),
    (
        "domain-0",
        "Domain 0 was market data in one of the original's numberings (D4).",
        build_message(_GOOD, relay_domain=0),
    ),
    (
        "domain-0-worked",
        "The worked message: checksum cd1e8994 is right, domain 0 is not (D4, D9).",
        bytes.fromhex(_WORKED),
    ),
    ("domain-5", "The first number above the domains (D4).", build_message(_GOOD, relay_domain=5)),
    ("domain-255", "The highest byte (D4).", build_message(_GOOD, relay_domain=255)),
    ("payload-missing", "A header that announces 6 bytes, and none of them.", _WHOLE[:32]),
    ("payload-cut", "The last byte is missing.", _WHOLE[:-1]),
    ("byte-behind", "One byte more than the header announces.", _WHOLE + b"\x00"),
    (
        "checksum-wrong",
        "The checksum is off by one bit (D9).",
        build_message(_GOOD, sequence=1, checksum=checksum_of(_WHOLE) ^ 1),
    ),
    (
        "checksum-field-as-zeros",
        "Computed with zeros in place of the field instead of leaving it out (D9).",
        _checksum_over_zeros(bytearray(_WHOLE)),
    ),
)


_TLVS: Final = (
    ("tlv-lone-byte", "A trailing byte is half a TLV header (D7).", b"\x01"),
    ("tlv-lone-marker", "An extended TLV header of one byte.", b"\xff"),
    ("tlv-extended-header-cut", "Four of the five bytes of an extended TLV header.", b"\xff\x00\x01\x00"),
    ("tlv-value-cut", "A standard TLV of 4 bytes with 3.", b"\x01\x04\x00\x00\x00"),
    ("tlv-extended-value-cut", "An extended TLV of 256 bytes with 255.", b"\xff\x00\x01\x00\x01" + bytes(255)),
    ("tlv-length-big-endian", "A length of 1 in the wrong byte order is 256 (D1).", b"\xff\x00\x01\x00\x01\x00"),
    ("tlv-reserved-byte", "The reserved byte of an extended TLV header is 1.", b"\xff\x01\x01\x00\x00"),
    ("tlv-reserved-before-type", "A bad reserved byte is found before a bad inner type.", b"\xff\x01\xff\x00\x00"),
    ("tlv-inner-type-255", "The marker is no type (D5).", b"\xff\x00\xff\x00\x00"),
    ("tlv-inner-type-0", "Nor is 0 in the extended form (D7).", b"\xff\x00\x00\x00\x00"),
)


_FILL: Final = build_tlv(42, bytes(32))
_RELAYS: Final = (
    (
        "relay-other-domain",
        "A signal message at the market data relay.",
        build_message(relay_domain=2),
        RelayDomain.MARKET_DATA,
    ),
    (
        "relay-version",
        "Version 2 at the security level (D3).",
        build_message(_FILL, relay_domain=3, version=2),
        RelayDomain.EXECUTION,
    ),
    (
        "relay-source-0",
        "Source 0 has no name.",
        build_message(_FILL, relay_domain=3, source=0),
        RelayDomain.EXECUTION,
    ),
    (
        "relay-checksum",
        "A wrong checksum at the reliability level.",
        build_message(relay_domain=2, checksum=7),
        RelayDomain.SIGNAL,
    ),
    (
        "relay-checksum-not-computed",
        "A checksum of 0, which says that none was computed; this relay judges it like any other (D9, VAL-1).",
        build_message(_FILL, relay_domain=3, checksum=0),
        RelayDomain.EXECUTION,
    ),
    (
        "relay-type-19",
        "Market data in a signal message (D5).",
        build_message(build_tlv(19, b"\x00"), relay_domain=2),
        RelayDomain.SIGNAL,
    ),
    (
        "relay-type-40",
        "Execution in a signal message (D5).",
        build_message(build_tlv(40, bytes(32)), relay_domain=2),
        RelayDomain.SIGNAL,
    ),
    (
        "relay-type-80",
        "A system type in an execution message (D5).",
        build_message(_FILL + build_tlv(80, bytes(32)), relay_domain=3),
        RelayDomain.EXECUTION,
    ),
    (
        "relay-inner-type",
        "Of an extended TLV the inner type counts.",
        build_message(build_tlv(1, bytes(40), extended=True), relay_domain=2),
        RelayDomain.SIGNAL,
    ),
    (
        "relay-type-254",
        "Vendor types belong to no domain.",
        build_message(build_tlv(254, b""), relay_domain=3),
        RelayDomain.EXECUTION,
    ),
    (
        "relay-size",
        "A Fill of 31 bytes at the security level (D6).",
        build_message(build_tlv(42, bytes(31)), relay_domain=3),
        RelayDomain.EXECUTION,
    ),
    (
        "relay-size-extended",
        "The extended form does not free a type from its size (D6).",
        build_message(build_tlv(42, bytes(33), extended=True), relay_domain=3),
        RelayDomain.EXECUTION,
    ),
)


def malformed_vectors() -> list[Json]:
    """The vectors of docs/vectors/malformed.json, in the order of the checks."""
    return [
        *(_parser(name, about, frame) for name, about, frame in _ENVELOPES),
        *(_parser(name, about, build_message(_GOOD + bad)) for name, about, bad in _TLVS),
        *(_relay(*vector) for vector in _RELAYS),
        *_payload_vectors(),
    ]


def _payload_vectors() -> list[Json]:
    vectors = []
    for number, layout in PAYLOADS.items():
        good = _lowest(number)
        for size in (len(good) - 1, len(good) + 1 if layout.name != "Snapshot" else 1025):
            value = (good + bytes(1025))[:size]
            vectors.append(
                _payload(f"{layout.name}-{size}-bytes", "A size that the type does not allow (D6).", number, value)
            )
        for row in rows_of(layout):
            if isinstance(row.declared, (Closed, Bounded, Marker)):
                damaged = bytearray(good)
                assert row.size is not None
                damaged[row.offset : row.offset + row.size] = b"\xff" * row.size
                about = f"{row.name} is no value of its field."
                vectors.append(_payload(f"{layout.name}-{row.name}", about, number, bytes(damaged)))
    vectors.append(
        _payload("OrderRequest-31-bytes", "A registered size binds types without a layout too (D6).", 40, bytes(31))
    )
    return vectors


def _lowest(number: int) -> bytes:
    fields = example(PAYLOADS[number], "lowest")
    assert isinstance(fields, dict)
    return build_payload(number, fields)


def _parser(name: str, about: str, frame: bytes) -> Json:
    return _expecting(name, about, frame, "parser", _error(frame))


def _relay(name: str, about: str, frame: bytes, domain: RelayDomain) -> Json:
    level = DEFAULT_LEVELS[domain]
    policy = FramePolicy.for_domain(domain, level)
    vector = _expecting(name, about, frame, "relay", _error(frame, policy))
    assert isinstance(vector, dict)
    zero_checksum = "accept" if policy.accept_zero_checksum else "refuse"
    return vector | {"relay": {"domain": int(domain), "level": level.value, "zero_checksum": zero_checksum}}


def _payload(name: str, about: str, number: int, value: bytes) -> Json:
    domain = RelayDomain.of_type(number) or RelayDomain.MARKET_DATA
    frame = build_message(build_tlv(number, value), relay_domain=domain)
    at = parse_message(frame).tlvs[0].offset
    if number not in PAYLOADS:
        assert not REGISTRY.size_rule(number).allows(len(value))
        return _vector(name, about, frame, "payload", "bad-tlv-size", at)
    try:
        parse_payload(number, value)
    except ProtocolError as error:
        return _vector(name, about, frame, "payload", error.kind.label, at + error.offset)
    raise AssertionError(f"{name} is not malformed")


def _error(frame: bytes, policy: FramePolicy | None = None) -> ProtocolError:
    try:
        parse_message(frame, policy)
    except ProtocolError as error:
        return error
    raise AssertionError(f"{frame.hex()} is not malformed")


def _expecting(name: str, about: str, frame: bytes, check: str, error: ProtocolError) -> Json:
    return _vector(name, about, frame, check, error.kind.label, error.offset)


def _vector(name: str, about: str, frame: bytes, check: str, error: str, offset: int) -> Json:
    return {"name": name, "about": about, "hex": frame.hex(), "check": check, "error": error, "offset": offset}
