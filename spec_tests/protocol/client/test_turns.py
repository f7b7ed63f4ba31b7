"""What callers wait for: it ends in time, however short that is, and whoever tells it, however often."""

import sys

import pytest

from spec_tests.protocol.client.fake_relays import in_thread
from torq_protocol.client.turns import Closing


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 1e-7, 1e-6, 1e-5])
def test_a_wait_ends_however_short_it_is(seconds: float) -> None:
    """Who computes what is left of a short time anew must not take a time that is over for one without end."""

    def wait_often() -> None:
        for _ in range(20_000):
            Closing().wait(seconds)

    with in_thread(wait_often):
        pass


@pytest.mark.parametrize("seconds", [0.0, 3600.0, sys.float_info.max, float("inf")])
def test_whoever_waits_goes_on_when_it_is_told_and_after_that(seconds: float) -> None:
    closing = Closing()

    def wait_twice() -> None:
        closing.wait(seconds)
        closing.wait(seconds)

    with in_thread(wait_twice), in_thread(wait_twice):
        closing.tell()
        closing.tell()
    closing.wait(seconds)
