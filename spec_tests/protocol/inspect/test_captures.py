"""Streams out of captures: however packets are cut, doubled, reordered or lost, and whoever wrote the file."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.protocol.generate.captures import ETHERNET, USER0, tcp_segments, write_pcapng
from torq_protocol import encode_message
from torq_protocol.inspect.capture_file import PCAP_MAGICS, CaptureError, Packet, packets
from torq_protocol.inspect.inputs import pieces
from torq_protocol.inspect.pieces import End, Hole, Input, Note, Piece
from torq_protocol.inspect.tcp_streams import Streams

FRAMES = [encode_message(2, 20, [(20, bytes(16))], sequence=number, timestamp=1) for number in range(12)]
STREAM = b"".join(FRAMES)
SYN, FIN = 2, 1


def segment(sequence: int, data: bytes = b"", *, flags: int = 16, port: int = 7411, version: int = 4) -> bytes:
    """An IP packet of a TCP segment."""
    tcp = struct.pack(">HHIIBBHHH", 40_000, port, sequence & 0xFFFFFFFF, 1, 5 << 4, flags, 65_535, 0, 0) + data
    if version == 6:
        return struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64) + bytes(15) + b"\x01" + bytes(15) + b"\x01" + tcp
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, b"\x7f\0\0\1", b"\x7f\0\0\1")
    return head + tcp


def inputs(segments: Sequence[bytes], link_type: int = 101, *, missing: int = 0) -> list[Input]:
    streams, found = Streams(), list[Input]()
    for data in segments:
        found += streams.feed(Packet(link_type, 0, data, missing))
    return [*found, *streams.finish()]


def joined(found: Sequence[Input]) -> bytes:
    return b"".join(each.data for each in found if isinstance(each, Piece))


@settings(max_examples=80, deadline=None)
@given(
    cuts=st.lists(st.integers(1, len(STREAM) - 1), max_size=12, unique=True),
    first=st.sampled_from([1, 2**32 - 100, 2**32 - 1]),
    data=st.data(),
)
def test_segments_in_any_order_doubled_and_overlapping_give_the_stream(
    cuts: list[int], first: int, data: st.DataObject
) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    parts = [
        segment(first + start, STREAM[start : stop + data.draw(st.integers(0, 20))]) for start, stop in pairwise(places)
    ]
    parts += data.draw(st.lists(st.sampled_from(parts), max_size=4))
    found = inputs([segment(first - 1, flags=SYN), *data.draw(st.permutations(parts))])
    assert joined(found) == STREAM
    assert not [each for each in found if isinstance(each, Hole)]


def test_a_lost_segment_is_a_hole_of_its_size() -> None:
    parts = [segment(0, flags=SYN), segment(1, STREAM[:70]), segment(101, STREAM[100:]), segment(601, flags=FIN)]
    found = inputs(parts)
    assert [each for each in found if not isinstance(each, Piece)] == [
        Hole("127.0.0.1:40000 > 127.0.0.1:7411", 30),
        End("127.0.0.1:40000 > 127.0.0.1:7411"),
    ]


def calls_to_join(segments: Sequence[bytes]) -> int:
    """How many functions are called to make streams of a capture: a measure of work that no load changes."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        inputs(segments)
    finally:
        sys.setprofile(before)
    return calls


def test_many_small_segments_behind_a_lost_one_take_work_for_each_segment_and_not_for_each_pair() -> None:
    work = []
    for count in (500, 2000):
        sent = (STREAM * count)[: 8 * count]
        parts = [segment(1 + start, sent[start : start + 8]) for start in range(0, len(sent), 8)]
        work.append(calls_to_join([segment(0, flags=SYN), *parts[:3], *parts[4:]]))
    assert work[1] < 4.5 * work[0]


def test_a_capture_that_begins_inside_a_connection_is_read_from_the_first_message_on() -> None:
    found = inputs([segment(77, STREAM[30:60]), segment(107, STREAM[60:])])
    assert joined(found) == STREAM[50:]
    assert isinstance(found[0], Note)
    assert found[-1] == End("127.0.0.1:40000 > 127.0.0.1:7411", cut=True)


def test_connections_of_others_are_left_out_and_counted() -> None:
    http = [segment(0, flags=SYN, port=80), segment(1, b"GET / HTTP/1.1\r\n", port=80), segment(17, b"more", port=80)]
    found = inputs([*http, b"\x60", segment(0, flags=SYN), segment(1, STREAM)])
    assert joined(found) == STREAM
    notes = [each.text for each in found if isinstance(each, Note)]
    assert notes == [
        "1 TCP streams in which no message begins were left out",
        "1 packets that are not TCP were left out",
    ]


def test_two_directions_are_two_streams() -> None:
    back = bytearray(segment(1, FRAMES[1]))
    back[20:24] = struct.pack(">HH", 7411, 40_000)
    found = inputs([segment(1, FRAMES[0]), bytes(back)])
    names = {each.stream for each in found if isinstance(each, Piece)}
    assert names == {"127.0.0.1:40000 > 127.0.0.1:7411", "127.0.0.1:7411 > 127.0.0.1:40000"}


@pytest.mark.parametrize(
    ("link_type", "head"),
    [
        (1, bytes(12) + b"\x08\x00"),
        (1, bytes(12) + b"\x81\x00\x00\x05\x08\x00"),
        (113, bytes(14) + b"\x08\x00"),
        (276, b"\x08\x00" + bytes(18)),
        (101, b""),
        (228, b""),
        (0, b"\x02\0\0\0"),
    ],
)
def test_every_usual_link_type_is_read(link_type: int, head: bytes) -> None:
    assert joined(inputs([head + segment(1, STREAM)], link_type)) == STREAM


def test_ipv6_is_read_with_its_extension_headers() -> None:
    plain = segment(1, STREAM, version=6)
    extended = plain[:6] + b"\0" + plain[7:40] + b"\x06\0" + bytes(6) + plain[40:]
    extended = extended[:4] + struct.pack(">H", len(extended) - 40) + extended[6:]
    for data in (plain, extended):
        found = inputs([data])
        assert joined(found) == STREAM
        assert {each.stream for each in found if isinstance(each, Piece)} == {"[::1]:40000 > [::1]:7411"}


def test_packets_of_unix_sockets_are_one_stream_and_what_was_not_captured_a_hole() -> None:
    assert joined(inputs(FRAMES, USER0)) == STREAM
    assert [each for each in inputs(FRAMES[:1], USER0, missing=5) if isinstance(each, Hole)] == [Hole("", 5)]


def pcap(order: str, magic: bytes, link_type: int, data: Sequence[bytes]) -> bytes:
    records = [struct.pack(order + "4I", 0, 0, len(each), len(each)) + each for each in data]
    return magic + struct.pack(order + "HHiIII", 2, 4, 0, 0, 65_535, link_type) + b"".join(records)


@pytest.mark.parametrize(("magic", "order"), PCAP_MAGICS.items())
def test_pcap_is_read_in_both_byte_orders(magic: bytes, order: str) -> None:
    found = list(packets(io.BytesIO(pcap(order, magic, USER0, FRAMES)).read))
    assert found == [Packet(USER0, 0, frame, 0) for frame in FRAMES]


def pcapng(order: str) -> bytes:
    """A section of another byte order, with blocks that nobody knows and a simple packet."""

    def block(kind: int, body: bytes) -> bytes:
        size = 12 + len(body)
        return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)

    simple = struct.pack(order + "I", len(FRAMES[0])) + FRAMES[0].ljust(52, b"\0")
    section = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    return section + block(1, struct.pack(order + "HHI", USER0, 0, 0)) + block(77, b"what") + block(3, simple)


def test_pcapng_sections_may_change_the_byte_order() -> None:
    found = list(packets(io.BytesIO(pcapng(">") + pcapng("<")).read))
    assert found == [Packet(USER0, 0, FRAMES[0], 0)] * 2


@settings(max_examples=150, deadline=None)
@given(
    kept=st.integers(0, 200),
    changes=st.lists(st.tuples(st.integers(4, 150), st.integers(0, 255)), max_size=3),
    big_endian=st.booleans(),
)
def test_a_damaged_capture_gives_packets_or_says_where_it_is_wrong(
    kept: int, changes: list[tuple[int, int]], big_endian: bool
) -> None:
    whole = pcapng(">" if big_endian else "<")
    data = bytearray(whole)
    for place, byte in changes:
        if place < len(data):
            data[place] = byte
    data = data[: max(4, kept)]
    streams = Streams()
    with suppress(CaptureError):
        for packet in packets(io.BytesIO(data).read):
            list(streams.feed(packet))
    list(streams.finish())


@settings(max_examples=60, deadline=None)
@given(kept=st.integers(5, 131), big_endian=st.booleans())
def test_a_cut_capture_says_where_it_ends(kept: int, big_endian: bool) -> None:
    whole = pcapng(">" if big_endian else "<")
    read = packets(io.BytesIO(whole[:kept]).read)
    ends_of_blocks = {28, 48, 64}
    if kept in ends_of_blocks:
        assert all(packet.data == FRAMES[0] for packet in read)
    else:
        with pytest.raises(CaptureError, match=f"ends at byte {kept}, inside"):
            list(read)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 12, 101, 113, 147, 276]), st.binary(max_size=80)), max_size=5))
def test_no_packet_can_stop_the_reading(given_packets: list[tuple[int, bytes]]) -> None:
    streams = Streams()
    for link_type, data in given_packets:
        list(streams.feed(Packet(link_type, 0, data, 0)))
    list(streams.finish())


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (Debian: tshark)")
@pytest.mark.parametrize("written_as", ["pcapng", "pcap", "nsecpcap"])
def test_captures_that_tshark_writes_are_read(tmp_path: Path, written_as: str) -> None:
    write_pcapng(tmp_path / "ours", ETHERNET, tcp_segments(STREAM, range(7, len(STREAM), 41), port=7411))
    command = ["tshark", "-r", str(tmp_path / "ours"), "-F", written_as, "-w", str(tmp_path / "theirs")]
    subprocess.run(command, check=True, capture_output=True)
    found = list(pieces(str(tmp_path / "theirs"), follow=False))
    assert joined(found) == STREAM
