"""What two relays are compared on beyond the programs of the requirements."""

import msgspec
import pytest

from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.comparison.topics import GUESTS, MOST_BEGUN, begun
from torq_conformance.model.steps import Connect, Write
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
