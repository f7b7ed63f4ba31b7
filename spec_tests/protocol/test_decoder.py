"""What a decoder makes of a stream depends on its bytes, not on how they are cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.protocol.frames import any_bytes, frames, policies
from torq_protocol import (
    BadMagicError,
    FrameDecoder,
    FramePolicy,
    OnFault,
    OversizeError,
    ProtocolError,
    Refusal,
    RelayDomain,
    TruncatedPayloadError,
    encode_message,
    encode_raw_message,
    parse_frame,
    parse_message,
)
from torq_protocol.errors import ErrorKind

Event = tuple[str, object, object]
GOOD = encode_message(1, 2, [(1, bytes(40))], sequence=1, timestamp=2)
streams = st.lists(frames | any_bytes | st.just(GOOD), max_size=5).map(b"".join)


def error_event(error: ProtocolError) -> Event:
    assert error.stream_offset is not None
    return (error.kind.label, error.stream_offset, (str(error), error.offset, error.expected, error.got))


def events(wire: ModuleType, decoder: FrameDecoder, chunks: Sequence[bytes], seen: list[Event]) -> list[Event]:
    """Everything a decoder says about a stream: messages with their end, faults with their place."""
    for chunk in chunks:
        data: bytes = chunk
        while True:
            try:
                for message in decoder.feed(data):
                    seen.append(("message", decoder.offset, message.to_bytes()))  # noqa: PERF401 - faults end the loop
                break
            except (wire.BadMagicError, wire.OversizeError) as error:
                return [*seen, error_event(error)]
            except wire.ProtocolError as error:
                seen.append(error_event(error))
                data = b""
    try:
        decoder.finish()
    except wire.ProtocolError as error:
        seen.append(error_event(error))
    return seen


def decode(
    wire: ModuleType,
    data: bytes,
    cuts: list[int],
    on_fault: OnFault,
    policy: FramePolicy | None,
    **judged: bool,
) -> list[Event]:
    seen: list[Event] = []

    def refused(refusal: Refusal) -> None:
        assert refusal.error.stream_offset == refusal.start + refusal.error.offset
        seen.append((*error_event(refusal.error)[:2], (refusal.start, refusal.data)))

    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    chunks = [data[start:stop] for start, stop in pairwise(places)]
    decoder = wire.FrameDecoder(policy, on_fault=wire.OnFault[on_fault.name], on_refused=refused, **judged)
    return events(wire, decoder, chunks, seen)


@settings(max_examples=200, deadline=None)
@given(
    data=streams,
    cuts=st.lists(st.integers(0, 2000), max_size=8),
    on_fault=st.sampled_from(OnFault),
    policy=st.none() | policies,
)
def test_frame_1_2_what_comes_out_does_not_depend_on_the_cuts(
    wire: ModuleType, data: bytes, cuts: list[int], on_fault: OnFault, policy: FramePolicy | None
) -> None:
    whole = decode(wire, data, [], on_fault, policy)
    assert decode(wire, data, cuts, on_fault, policy) == whole
    assert decode(wire, data, list(range(len(data))), on_fault, policy) == whole


@settings(max_examples=200, deadline=None)
@given(data=streams, policy=st.none() | policies, verify=st.booleans(), zero=st.booleans())
def test_every_message_and_fault_stands_where_the_parser_says(
    wire: ModuleType, data: bytes, policy: FramePolicy | None, verify: bool, zero: bool
) -> None:
    judged = {"verify_checksum": verify, "accept_zero_checksum": zero}
    limit = 1_048_576 if policy is None else policy.max_message_size
    position = 0
    for name, place, content in decode(wire, data, [], OnFault.RAISE, policy, **judged):
        rest = data[position:]
        size = 32 + int.from_bytes(rest[24:28], "little")
        whole = len(rest) >= 32 and rest[:4] == GOOD[:4] and size <= min(limit, len(rest))
        frame = rest[:size] if whole else rest
        if name == "message":
            assert content == frame
            position += len(frame)
            assert place == position
            continue
        with pytest.raises(ProtocolError) as refused:
            _ = parse_message(frame, **judged) if policy is None else parse_frame(frame, policy)
        if len(rest) < 32 and name == "bad-magic":
            assert place == position
        else:
            assert (name, place) == (refused.value.kind.label, position + refused.value.offset)
        position += len(frame)


@settings(max_examples=100, deadline=None)
@given(garbage=st.binary(max_size=40).filter(lambda data: b"\xef" not in data), cuts=st.lists(st.integers(0, 300)))
def test_resync_finds_the_frames_behind_garbage(wire: ModuleType, garbage: bytes, cuts: list[int]) -> None:
    data = GOOD + garbage + GOOD
    seen = decode(wire, data, cuts, OnFault.RESYNC, None)
    assert [event[1] for event in seen if event[0] == "message"] == [len(GOOD), len(data)]
    assert [event[:2] for event in seen if event[0] != "message"] == ([("bad-magic", 74)] if garbage else [])


def test_a_faulty_frame_leaves_those_around_it_unharmed() -> None:
    bad = bytearray(GOOD)
    bad[40] ^= 1
    decoder = FrameDecoder()
    received = decoder.feed(GOOD + bad + GOOD)
    assert next(received).to_bytes() == GOOD
    with pytest.raises(ProtocolError, match="checksum") as refused:
        next(received)
    assert (refused.value.stream_offset, refused.value.offset) == (74 + 28, 28)
    assert [message.to_bytes() for message in decoder.feed(b"")] == [GOOD]
    assert (decoder.offset, decoder.buffered) == (3 * 74, 0)


def test_skipped_frames_are_counted_by_kind() -> None:
    bad = bytearray(GOOD)
    bad[40] ^= 1
    decoder = FrameDecoder(on_fault=OnFault.SKIP)
    assert len(list(decoder.feed(GOOD + bad + bad + GOOD))) == 2
    assert decoder.refused == {ErrorKind.BAD_CHECKSUM: 2}
    assert len(list(FrameDecoder(verify_checksum=False).feed(GOOD + bad))) == 2


def test_a_framing_fault_is_final_unless_resynchronised() -> None:
    for on_fault in (OnFault.RAISE, OnFault.SKIP):
        decoder = FrameDecoder(on_fault=on_fault)
        for data in (GOOD + b"oops", GOOD, b""):
            with pytest.raises(BadMagicError) as refused:
                list(decoder.feed(data))
            assert refused.value.stream_offset == 74
        assert decoder.buffered == 0
    decoder = FrameDecoder(on_fault=OnFault.RESYNC)
    assert len(list(decoder.feed(GOOD + b"oops" + GOOD))) == 2
    assert (decoder.skipped_bytes, decoder.refused) == (4, {ErrorKind.BAD_MAGIC: 1})


def test_val_6_memory_is_bounded_by_what_came_not_by_what_is_announced() -> None:
    decoder = FrameDecoder()
    with pytest.raises(OversizeError) as refused:
        list(decoder.feed(GOOD + GOOD[:24] + (1 << 30).to_bytes(4, "little") + bytes(4)))
    assert refused.value.stream_offset == 74 + 24
    seeking = FrameDecoder(on_fault=OnFault.RESYNC)
    for _ in range(100):
        assert not list(seeking.feed(bytes(10_000)))
        assert seeking.buffered <= 3


def test_a_large_frame_in_small_pieces_is_looked_at_once() -> None:
    frame = encode_raw_message(1, 1, bytes(1_000_000), sequence=0, timestamp=0)
    decoder = FrameDecoder(FramePolicy(RelayDomain.MARKET_DATA))
    chunks = [decoder._chunk]
    for start in range(0, len(frame), 50):
        messages = list(decoder.feed(frame[start : start + 50]))
        if decoder._chunk is not chunks[-1]:
            chunks.append(decoder._chunk)
    assert messages[0].to_bytes() == frame
    assert len(chunks) <= 4, "the bytes were put together more often than for magic, header and frame"


def test_a_stream_that_ends_inside_a_frame_says_so() -> None:
    decoder = FrameDecoder()
    assert len(list(decoder.feed(GOOD + GOOD[:50]))) == 1
    with pytest.raises(TruncatedPayloadError) as refused:
        decoder.finish()
    assert (refused.value.offset, refused.value.stream_offset) == (50, 124)
    whole = FrameDecoder()
    whole.feed(GOOD)
    with pytest.raises(RuntimeError, match="before all messages"):
        whole.finish()
