"""What a plan makes of a history before any requirement is looked at."""

import pytest

from spec_tests.conformance.histories import Chronicle
from spec_tests.conformance.judged_relays import plan_for, played, relay, specimen
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.model.frames import Frame, Tlv
from torq_conformance.model.steps import Connect, Write


@pytest.mark.parametrize(
    ("profile", "excused"), [("first-generic", True), ("reference", False), ("pass-through", False)]
)
def test_a_torn_stream_shows_nothing_where_frames_may_be_cut_by_reads(profile: str, excused: bool) -> None:
    plan = plan_for("FWD-1", profile=profile)
    chronicle = Chronicle(rules_of("signal"))
    chronicle.all_get(chronicle.sends(0))
    assert not plan.excuses(chronicle.history)
    chronicle.peer(1).torn = True
    assert plan.excuses(chronicle.history) == excused
    chronicle.history.crash = "the relay exited with status 1"
    assert not plan.excuses(chronicle.history)


def test_the_first_generic_engine_tears_what_does_not_come_in_one_read() -> None:
    large = Frame(2, (Tlv(30, 40_000), Tlv(30, 40_000)))
    with relay(specimen("first-generic", "signal")) as target:
        history = played(target, Connect(0), Connect(1), Write(0, (large, large)), profile="first-generic")
    assert plan_for("FWD-3", profile="first-generic").excuses(history)
    assert not plan_for("FWD-3").excuses(history)
