"""Sequence tracking by source, and what a gap asks for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torq_protocol import Arrival, FieldValueError, Gap, RecoveryRequest, SequenceTracker
from torq_protocol.enumerations import RecoveryRequestType

arrivals = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), max_size=40)


@settings(max_examples=200, deadline=None)
@given(arrivals=arrivals, remembered=st.integers(1, 5))
def test_d17_each_source_is_followed_on_its_own(arrivals: list[tuple[int, int]], remembered: int) -> None:
    tracker = SequenceTracker(remembered=remembered)
    history: dict[int, list[int]] = {}
    for source, sequence in arrivals:
        past = history.setdefault(source, [])
        assert tracker.last(source) == max(past, default=None)
        observation = tracker.observe(source, sequence)
        if not past:
            expected = Arrival.FIRST
        elif sequence > max(past) + 1:
            expected = Arrival.GAP
        elif sequence == max(past) + 1:
            expected = Arrival.NEXT
        else:
            expected = Arrival.DUPLICATE if sequence in past[-remembered:] else Arrival.LATE
        assert observation.arrival is expected
        gap = Gap(source, max(past), sequence) if expected is Arrival.GAP else None
        assert observation.gap == gap
        if expected is not Arrival.DUPLICATE:
            past.append(sequence)


@pytest.mark.parametrize(
    ("last", "current", "missing", "request_type"),
    [
        (10, 12, 1, RecoveryRequestType.RETRANSMIT),
        (10, 109, 98, RecoveryRequestType.RETRANSMIT),
        (10, 110, 99, RecoveryRequestType.SNAPSHOT),
        (10, 10_011, 10_000, RecoveryRequestType.SNAPSHOT),
    ],
)
def test_a_gap_below_100_asks_for_retransmission(
    last: int, current: int, missing: int, request_type: RecoveryRequestType
) -> None:
    gap = Gap(1, last, current)
    assert gap.count == len(gap.missing) == missing
    assert last + 1 in gap.missing
    assert current not in gap.missing
    assert gap.request_type() is request_type
    assert gap.request_type(retry=True) is RecoveryRequestType.SNAPSHOT
    assert gap.recoverable
    assert gap.request(7) == RecoveryRequest.for_gap(7, last, current)
    assert gap.request(7, retry=True) == RecoveryRequest(last, current, 7, RecoveryRequestType.SNAPSHOT)


def test_a_gap_above_10_000_is_given_up() -> None:
    assert not Gap(1, 10, 10_012).recoverable
    assert Gap(1, 0, 2**64 - 1).recoverable is False


def test_the_widest_gap_has_a_count() -> None:
    tracker = SequenceTracker()
    tracker.observe(1, 0)
    gap = tracker.observe(1, 2**64 - 1).gap
    assert gap is not None
    assert gap.count == 2**64 - 2


def test_a_source_starts_again_after_reset() -> None:
    tracker = SequenceTracker()
    tracker.observe(1, 500)
    tracker.reset(1)
    tracker.reset(2)
    assert tracker.last(1) is None
    assert tracker.observe(1, 1).arrival is Arrival.FIRST
    with pytest.raises(FieldValueError):
        SequenceTracker(remembered=0)
