"""What two relays are compared on beyond the programs of the requirements."""

import msgspec
import pytest

from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.comparison.topics import GUESTS, MOST_BEGUN, READS, begun, begun_and_left, small_reads_behind
from torq_conformance.model.steps import Connect, Finish, Idle, Stall, Write
from torq_protocol.constants import HEADER_SIZE


@pytest.mark.parametrize("most", [None, 5, 20])
def test_whatever_is_no_frame_is_begun_up_to_each_of_its_bytes(most: int | None) -> None:
    rules = msgspec.structs.replace(rules_of("signal"), max_connections=most)
    stops: dict[object, set[int]] = {}
    for program in begun(rules):
        clients = [step.conn for step in program.steps if isinstance(step, Connect)]
        assert len(clients) <= (GUESTS + 2 if most is None else most - 1), "one is the suite's own"
        for step in program.steps:
            if isinstance(step, Write) and step.stop is not None:
                stops.setdefault(step.items[0], set()).add(step.stop)
    assert len(stops) >= 5
    for item, seen in stops.items():
        assert seen == set(range(1, max(seen) + 1)), item
        assert HEADER_SIZE <= max(seen) <= MOST_BEGUN


@pytest.mark.parametrize("bound", [0, READS, READS - 1])
def test_more_small_reads_wait_for_a_client_than_a_ring_of_reads_holds(bound: int) -> None:
    """The hand-written relay of market data kept 16 384 reads: of frames that came one by one it lost the oldest."""
    programs = small_reads_behind(msgspec.structs.replace(rules_of("market_data"), queue_frames=bound))
    assert len(programs) == (not 0 < bound < READS), "what fewer frames fill, other programs overflow"
    for program in programs:
        [write] = [step for step in program.steps if isinstance(step, Write)]
        assert Stall(1) in program.steps[: program.steps.index(write)]
        assert len(write.pieces()) == len(write.items) == READS > 16_384


def test_frames_are_begun_at_both_ends_of_header_and_payload_and_left_for_a_while() -> None:
    rules = rules_of("signal")
    [program] = begun_and_left(rules)
    begun_by = {step.conn: step for step in program.steps if isinstance(step, Write) and step.stop is not None}
    [wait] = [at for at, step in enumerate(program.steps) if isinstance(step, Idle)]
    finished = {step.conn for step in program.steps[wait:] if isinstance(step, Finish)}
    assert begun_by.keys() == finished
    assert {1, HEADER_SIZE - 1, HEADER_SIZE} < {step.stop for step in begun_by.values()}
    assert max(step.size for step in begun_by.values()) == next(iter(begun_by.values())).whole - 1
    assert begun_and_left(msgspec.structs.replace(rules, idle_seconds=3_600)) == (), "nobody waits for that"
