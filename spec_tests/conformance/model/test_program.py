"""Programs as data: what they encode to, and that they survive being stored."""

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance.program_strategies import DOMAINS, frames, programs, rules_of
from torq_conformance.model import wire
from torq_conformance.model.frames import Frame, Tlv, connection_name, encode_frame, fence_frame
from torq_conformance.model.legality import Fate, fate_of
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Close, Connect, Kill, Resume, Stall, Step, Write
from torq_protocol.constants import RelayDomain
from torq_protocol.policy import FramePolicy, ValidationLevel
from torq_protocol.scanner import FrameScanner

FEW = settings(max_examples=60, deadline=None)
LEVELS = {
    "market_data": ValidationLevel.PERFORMANCE,
    "signal": ValidationLevel.RELIABILITY,
    "execution": ValidationLevel.SECURITY,
}


@FEW
@given(programs())
def test_a_program_survives_its_json(program: Program) -> None:
    text = msgspec.json.encode(program)
    assert msgspec.json.decode(text, type=Program) == program
    assert msgspec.json.encode(msgspec.json.decode(text, type=Program)) == text


@FEW
@given(programs())
def test_pieces_of_a_write_cover_what_is_sent_once_and_in_order(program: Program) -> None:
    for write in (step for step in program.steps if isinstance(step, Write)):
        pieces = write.pieces()
        if write.size:
            assert pieces[0][0] == 0
            assert pieces[-1][1] == write.size
            assert all(one[1] == two[0] for one, two in itertools.pairwise(pieces))
            assert all(start < stop for start, stop in pieces)


@FEW
@given(frames(), st.integers(0, 4), st.integers(0, 1000), st.integers(0, 2**64 - 1))
def test_a_frame_encodes_to_the_size_it_says(frame: Frame, conn: int, number: int, sequence: int) -> None:
    data = encode_frame(frame, conn=conn, number=number, sequence=sequence)
    assert len(data) == frame.size
    assert int.from_bytes(data[8:16], "little") == sequence
    assert data[4] == frame.domain


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(DOMAINS))
def test_the_fate_of_a_frame_is_what_the_protocol_package_decides(data: st.DataObject, domain: str) -> None:
    rules = rules_of(domain)
    frame = data.draw(frames(rules.number))
    encoded = encode_frame(frame, conn=0, number=3, sequence=9)
    scan = FrameScanner(FramePolicy.for_domain(RelayDomain(rules.number), LEVELS[domain])).scan(encoded)
    fate, why = fate_of(frame, rules)
    assert bool(scan.runs) is (fate is Fate.FORWARD), why
    assert bool(why) is (fate is not Fate.FORWARD)


def test_every_wrong_checksum_differs_from_the_right_one() -> None:
    for number in range(300):
        good = encode_frame(Frame(2, (Tlv(30, 8),)), conn=1, number=number, sequence=number)
        for kind in ("zero", "inverted", "off-by-one", "with-field"):
            frame = Frame(2, (Tlv(30, 8),), checksum=kind)
            wrong = encode_frame(frame, conn=1, number=number, sequence=number)
            assert wrong[28:32] != good[28:32]
            assert wrong[:28] + wrong[32:] == good[:28] + good[32:]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(frames(), min_size=1, max_size=5),
    st.lists(st.integers(0, 2000), max_size=8),
)
def test_decoding_a_stream_does_not_depend_on_its_cuts(items: list[Frame], cuts: list[int]) -> None:
    encoded = [encode_frame(item, conn=0, number=n, sequence=n) for n, item in enumerate(items)]
    stream = b"".join(encoded)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    buffer, found = bytearray(), []
    for start, stop in itertools.pairwise(edges):
        buffer += stream[start:stop]
        whole, used, torn = wire.decode(buffer, 1 << 20)
        assert not torn
        found += whole
        del buffer[:used]
    assert found == encoded
    assert not buffer


@FEW
@given(st.lists(frames(), max_size=3), st.binary(min_size=1, max_size=60))
def test_a_stream_is_torn_exactly_where_no_frame_can_begin(items: list[Frame], noise: bytes) -> None:
    stream = b"".join(encode_frame(item, conn=0, number=n, sequence=n) for n, item in enumerate(items))
    whole, used, torn = wire.decode(stream + noise, 1 << 20)
    if not b"\xef\xbe\xad\xde".startswith(noise[:4]):
        assert (len(whole), used, torn) == (len(items), len(stream), True)


def test_a_frame_above_the_limit_is_torn_before_its_bytes_come() -> None:
    header = encode_frame(Frame(2, (), claim=1000), conn=0, number=0, sequence=0)
    assert wire.decode(header, 1032) == ([], 0, False)
    assert wire.decode(header, 1031) == ([], 0, True)


def test_a_fence_is_a_frame_that_every_relay_of_its_domain_must_forward() -> None:
    for domain in DOMAINS:
        rules = rules_of(domain)
        policy = FramePolicy.for_domain(RelayDomain(rules.number), LEVELS[domain])
        for conn in (-1, 0, 4):
            kind = {"market_data": 4, "signal": 30, "execution": 46}[domain]
            fence = fence_frame(domain=rules.number, tlv_type=kind, conn=conn, sequence=77, play=5)
            assert FrameScanner(policy).scan(fence).runs == [(0, len(fence), 1)]
            assert wire.FENCE_MARK in fence[:64]


def test_connections_have_names_of_their_own() -> None:
    names = [connection_name(conn) for conn in range(-1, 40)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("steps", "resumed"),
    [
        ((Stall(0), Stall(1)), [0, 1]),
        ((Stall(0), Resume(0), Stall(1)), [1]),
        ((Stall(0), Resume(0), Stall(0)), [0]),
        ((Stall(0), Close(0)), []),
        ((Stall(0), Kill()), []),
        ((Stall(0), Close(0), Connect(0)), []),
        ((), []),
    ],
)
def test_only_who_stands_and_was_not_resumed_reads_again_at_the_end(
    steps: tuple[Step, ...], resumed: list[int]
) -> None:
    assert Program("signal", (Connect(0), Connect(1), *steps)).stalled_to_the_end == resumed
