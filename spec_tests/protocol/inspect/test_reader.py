"""What a stream holds, told the same however it is cut, with the exact place of what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spec_tests.protocol.frames import any_bytes, frames
from torq_protocol import (
    ErrorKind,
    FrameDecoder,
    Message,
    MessageBuilder,
    OnFault,
    RelayDomain,
    encode_message,
    encode_raw_message,
)
from torq_protocol.inspect import reader as reader_module
from torq_protocol.inspect.reader import Broken, Checksums, Faulty, Found, Incomplete, Item, StreamReader

HEARTBEAT = encode_message(2, 20, [(20, bytes(16))], sequence=1, timestamp=1)


def reader(*, resync: bool = False, checksums: Checksums = Checksums.DOMAIN) -> StreamReader:
    return StreamReader("", resync=resync, checksums=checksums, max_message_size=1 << 20)


def read(stream: bytes, cuts: Iterable[int] = (), *, resync: bool = False, cut_off: bool = False) -> list[Item]:
    one, items = reader(resync=resync), list[Item]()
    for start, stop in pairwise(sorted({0, *(place for place in cuts if place < len(stream)), len(stream)})):
        items += one.feed(stream[start:stop])
    return [*items, *one.end(cut=cut_off)]


def shape(items: Iterable[Item]) -> list[tuple[object, ...]]:
    """Items without the bytes around a break, of which more are known when more came at once."""
    return [
        ("broken", item.begins, item.offset, item.reason)
        if isinstance(item, Broken)
        else (type(item).__name__, item.offset, str(getattr(item, "error", "")), getattr(item, "message", None))
        for item in items
    ]


streams = st.lists(frames | any_bytes | st.binary(max_size=10), max_size=5).map(b"".join)


@settings(max_examples=120, deadline=None)
@given(stream=streams, cuts=st.lists(st.integers(1, 400), max_size=8), resync=st.booleans())
def test_what_is_told_does_not_depend_on_how_the_stream_was_cut(stream: bytes, cuts: list[int], resync: bool) -> None:
    assert shape(read(stream, cuts, resync=resync)) == shape(read(stream, resync=resync))


@settings(max_examples=120, deadline=None)
@given(stream=streams, resync=st.booleans())
@example(stream=HEARTBEAT + b"x", resync=False)
def test_messages_are_those_of_the_decoder_at_their_offsets(stream: bytes, resync: bool) -> None:
    decoder = FrameDecoder(verify_checksum=False, on_fault=OnFault.RESYNC)
    wanted = [(decoder.offset - len(message), message) for message in decoder.feed(stream)]
    items = read(stream, resync=resync)
    found = [(item.offset, item.message) for item in items if isinstance(item, Found)]
    if resync:  # beyond the decoder's, those that stand in a message whose end never came
        assert found[: len(wanted)] == wanted
        assert all(offset > decoder.offset for offset, _ in found[len(wanted) :])
    else:
        assert found == wanted[: len(found)]
        assert len(found) == len(wanted) or isinstance(items[-1], Broken)
    for item in items:
        if isinstance(item, Found | Faulty):
            data = item.message.to_bytes() if isinstance(item, Found) else item.data
            assert stream[item.offset :].startswith(data)
        if isinstance(item, Broken):
            assert item.around == stream[item.around_offset : item.around_offset + len(item.around)]
            assert item.around_offset <= item.offset


def test_a_break_is_told_once_with_the_bytes_around_it() -> None:
    [first, broken] = read(HEARTBEAT + b"noise" + HEARTBEAT)
    assert isinstance(first, Found)
    assert isinstance(broken, Broken)
    assert (broken.begins, broken.offset) == (50, 50)
    assert broken.error is not None
    assert broken.error.kind is ErrorKind.BAD_MAGIC
    assert b"noise" in broken.around


def test_with_resync_reading_goes_on_behind_a_break() -> None:
    items = read(HEARTBEAT + b"noise" + HEARTBEAT, resync=True)
    assert [type(item).__name__ for item in items] == ["Found", "Broken", "Found"]
    assert items[-1].offset == 55


@pytest.mark.parametrize("size", [1, 31, 32, 49])
def test_a_stream_that_ends_inside_a_message_breaks_where_it_ends(size: int) -> None:
    broken = read(HEARTBEAT + HEARTBEAT[:size])[-1]
    assert isinstance(broken, Broken)
    assert (broken.begins, broken.offset) == (50, 50 + size)
    assert read(HEARTBEAT + HEARTBEAT[:size], cut_off=True)[-1] == Incomplete("", 50, size)


@pytest.mark.parametrize(
    ("domain", "checksums", "fails"),
    [
        (1, Checksums.DOMAIN, False),
        (1, Checksums.ALWAYS, True),
        (2, Checksums.DOMAIN, True),
        (2, Checksums.NEVER, False),
    ],
)
def test_val_2_checksums_are_verified_as_the_relay_of_the_domain_does(
    domain: int, checksums: Checksums, fails: bool
) -> None:
    [item] = reader(checksums=checksums).feed(encode_message(domain, 1, [], sequence=1, timestamp=1, checksum=7))
    assert isinstance(item, Found)
    assert [fault.kind for fault in item.faults] == [ErrorKind.BAD_CHECKSUM] * fails
    assert [fault.stream_offset for fault in item.faults] == [28] * fails


@pytest.mark.parametrize("domain", RelayDomain)
def test_d9_a_checksum_that_was_not_computed_is_no_fault(domain: RelayDomain) -> None:
    frame = encode_message(domain, 1, [], sequence=1, timestamp=1, checksum=0)
    [item] = reader(checksums=Checksums.ALWAYS).feed(frame)
    assert isinstance(item, Found)
    assert item.faults == ()


def test_a_wrong_value_is_told_with_its_place_in_the_stream() -> None:
    value = bytearray(40)
    value[36] = 9
    frame = encode_message(1, 1, [(1, bytes(value))], sequence=1, timestamp=1)
    item = read(HEARTBEAT + frame)[1]
    assert isinstance(item, Found)
    [fault] = item.faults
    assert fault.stream_offset == 50 + 34 + 36
    assert fault.kind is ErrorKind.BAD_VALUE


def test_gaps_are_told_by_source() -> None:
    def numbered(source: int, sequence: int) -> bytes:
        return MessageBuilder(RelayDomain.SIGNAL, source).build(sequence=sequence, timestamp=1)

    items = read(numbered(1, 5) + numbered(2, 9) + numbered(1, 8))
    gaps = [item.gap for item in items if isinstance(item, Found)]
    assert gaps[:2] == [None, None]
    assert gaps[2] is not None
    assert list(gaps[2].missing) == [6, 7]


@given(before=st.integers(0, 49), after=st.integers(1, 49), cuts=st.lists(st.integers(1, 200), max_size=4))
@settings(max_examples=60, deadline=None)
def test_behind_missing_bytes_reading_goes_on_at_the_next_message(before: int, after: int, cuts: list[int]) -> None:
    one = reader(resync=True)
    items = [*one.feed(HEARTBEAT + HEARTBEAT[:before]), *one.hole(after - before % after)]
    rest = HEARTBEAT[after:] + HEARTBEAT + HEARTBEAT
    for start, stop in pairwise(sorted({0, *(place for place in cuts if place < len(rest)), len(rest)})):
        items += one.feed(rest[start:stop])
    items += one.end(cut=False)
    assert [type(item).__name__ for item in items] == ["Found", "Broken", "Found", "Found"]
    hole_ends = 50 + before + after - before % after
    assert isinstance(items[1], Broken)
    assert (items[1].begins, items[1].offset) == (50, 50 + before)
    assert [item.offset - hole_ends for item in items[2:]] == [50 - after, 100 - after]


def test_what_announces_more_than_is_left_is_judged_by_its_header_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or each of many would have a decoder take all that is left: quadratic (``torq_bench readers`` measures it)."""
    fed: list[int] = []

    class Counting:
        def __init__(self, **options: Any) -> None:
            self.decoder = FrameDecoder(**options)

        def feed(self, data: bytes) -> Iterator[Message]:
            fed.append(len(data))
            return self.decoder.feed(data)

        def __getattr__(self, name: str) -> object:
            return getattr(self.decoder, name)

    monkeypatch.setattr(reader_module, "FrameDecoder", Counting)
    unfinished = encode_raw_message(2, 20, bytes(9999), sequence=1, timestamp=1)[:32]
    whole = encode_message(2, 20, [(39, b"x")], sequence=7, timestamp=1)
    stream = unfinished * 50 + whole + unfinished * 20
    items = read(stream, resync=True)
    assert [item.begins for item in items if isinstance(item, Broken)] == [
        *range(0, 1600, 32),
        *range(1600 + len(whole), len(stream), 32),
    ]
    assert all(item.error is not None and item.offset == len(stream) for item in items if isinstance(item, Broken))
    assert [item.offset for item in items if isinstance(item, Found)] == [1600]
    assert sum(fed) == len(stream) + len(whole)
