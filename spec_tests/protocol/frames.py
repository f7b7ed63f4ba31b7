"""Strategies for frames: right ones, damaged ones, and bytes that never were one."""

from __future__ import annotations

from hypothesis import strategies as st

from torq_protocol.constants import RelayDomain
from torq_protocol.policy import FramePolicy, ValidationLevel
from torq_protocol.schema import build_message, build_tlv

EDGE_TYPES = (1, 2, 19, 20, 39, 40, 79, 80, 119, 120, 199, 200, 254)
EDGE_SIZES = (0, 1, 16, 40, 56, 254, 255, 256, 300)

u8 = st.integers(0, 255)
u64 = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1])

tlv_pairs = st.lists(
    st.tuples(
        st.sampled_from(EDGE_TYPES) | st.integers(1, 254),
        st.binary(max_size=12) | st.sampled_from(EDGE_SIZES).map(bytes),
    ),
    max_size=4,
)
"""(type, value) of TLVs that a builder accepts."""

tlv_bytes = st.builds(
    lambda number, value, extended: build_tlv(number, value, extended=extended or len(value) > 255),
    st.sampled_from(EDGE_TYPES) | st.integers(0, 254),
    st.binary(max_size=8) | st.sampled_from(EDGE_SIZES).map(bytes),
    st.booleans(),
)
broken_tlvs = st.sampled_from(
    [
        b"\x01",
        b"\x01\x02x",
        b"\xff\x00",
        b"\xff\x00\x01\x00",
        b"\xff\x01\x01\x00\x00",
        b"\xff\x00\x00\x00\x00",
        b"\xff\x00\xff\x00\x00",
        b"\xff\x00\x01\x01\x00",
        b"\xff\x00\x01\xff\xffx",
    ]
)
payloads = st.lists(st.one_of(tlv_bytes, tlv_bytes, broken_tlvs, st.binary(max_size=6)), max_size=4).map(b"".join)
"""Payloads of well-formed TLVs, with broken ones and other bytes between them."""

frames = st.builds(
    lambda payload, domain, version, source, flags, sequence, timestamp: build_message(
        payload,
        relay_domain=domain,
        version=version,
        source=source,
        flags=flags,
        sequence=sequence,
        timestamp=timestamp,
    ),
    payloads,
    st.sampled_from([1, 1, 1, 1, 2, 3, 4, 0, 5, 255]),
    st.sampled_from([1, 1, 1, 0, 2]),
    st.sampled_from([1, 2, 20, 40]) | u8,
    u8,
    u64,
    u64,
)
"""Frames with right magic, size and checksum; other header fields and payloads may be wrong."""


def uncomputed(frame: bytes) -> bytes:
    """The same frame with 0 in its checksum field, which says that none was computed (D9)."""
    return frame[:28] + bytes(4) + frame[32:]


RIGHT_ZEROS = tuple(
    build_message(build_tlv(tlv_type, bytes.fromhex(value)), relay_domain=domain)
    for domain, tlv_type, value in ((1, 5, "2d8fa23f"), (2, 28, "cdcbf556"), (3, 60, "f8496c24"))
)
"""Frames whose right checksum is 0, by their last four bytes."""

zero_checksums = frames.map(uncomputed) | st.sampled_from(RIGHT_ZEROS)
"""Frames whose checksum field is 0: right by chance, or not computed."""


@st.composite
def damaged(draw: st.DrawFn, source: st.SearchStrategy[bytes] = frames) -> bytes:
    """A frame after up to three byte changes, a cut or an addition."""
    data = bytearray(draw(source))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data) - 1) | st.integers(0, 35).filter(lambda at: at < len(data)))
        data[place] = draw(u8)
    match draw(st.sampled_from(["whole", "whole", "cut", "longer"])):
        case "cut":
            del data[draw(st.integers(0, len(data))) :]
        case "longer":
            data += draw(st.binary(min_size=1, max_size=5))
    return bytes(data)


any_bytes = (
    st.binary(max_size=80)
    | st.binary(max_size=60).map(lambda tail: b"\xef\xbe\xad\xde\x01\x01\x01\x00" + tail)
    | damaged()
    | damaged(zero_checksums)
    | frames
)
"""Anything that can arrive."""

policies = st.builds(
    lambda domain, level, limit, types, accept_zero_checksum: FramePolicy(
        domain,
        types=types and domain.type_range,
        verify_checksum=level is not ValidationLevel.PERFORMANCE,
        accept_zero_checksum=accept_zero_checksum,
        check_tlvs=level is not ValidationLevel.PERFORMANCE,
        strict=level is ValidationLevel.SECURITY,
        max_message_size=limit,
    ),
    st.sampled_from([RelayDomain.MARKET_DATA] * 3 + list(RelayDomain)),
    st.sampled_from(ValidationLevel),
    st.sampled_from([1_048_576, 1_048_576, 100]),
    st.sampled_from([True, None]),
    st.booleans(),
)
