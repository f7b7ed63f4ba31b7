"""Two runs beside each other: nothing is marked but where they part, and it is marked in both."""

from collections.abc import Callable

import pytest

from spec_tests.conformance import shown_comparisons as shown
from torq_conformance.comparison.evidence.diagrams import parted
from torq_conformance.comparison.found import FoundDifference
from torq_conformance.reports.diagram import Diagram


def marked(diagram: Diagram) -> list[tuple[str, str, str]]:
    return [(event.kind, event.label, event.connection) for event in diagram.events if event.marked]


@pytest.mark.parametrize(
    ("found", "in_a", "in_b"),
    [
        (shown.lost, ("receive", "A1", "B"), ("missing", "A1 never came", "B")),
        (shown.closed, ("point", "stays connected", "A"), ("receive", "closed (end of stream)", "A")),
        (shown.torn, ("point", "only whole frames", "B"), ("receive", "9 bytes, no whole frame", "B")),
        (shown.crashes, ("note", "it goes on", ""), ("note", "the relay was ended by signal SIGSEGV", "")),
    ],
)
def test_only_what_the_difference_is_about_is_marked(
    found: Callable[[], FoundDifference], in_a: tuple[str, str, str], in_b: tuple[str, str, str]
) -> None:
    a, b = parted(found())
    assert (marked(a), marked(b)) == ([in_a], [in_b])


def test_up_to_where_they_part_both_diagrams_are_the_same() -> None:
    a, b = parted(shown.lost())
    assert a.columns == b.columns
    places = [next(place for place, event in enumerate(each.events) if event.marked) for each in (a, b)]
    steps = [max(event.step for event in each.events[:place]) for each, place in zip((a, b), places, strict=True)]
    assert steps[0] == steps[1] == 4
    assert a.events[: min(places)] == b.events[: min(places)]


def test_what_did_not_happen_stands_behind_the_step_at_which_it_happened_on_the_other_relay() -> None:
    """Relay B tears the stream of a client behind the first frame; what A did stands there, not at its end."""
    early = shown.two_frames(torn=True)
    early.peers[1].received, early.peers[1].rest_at = [], early.sent[0].tick
    found = shown.found_in(shown.two_frames(), early, *shown.SENDING)
    a, b = parted(found)
    for diagram in (a, b):
        place = next(place for place, event in enumerate(diagram.events) if event.marked)
        assert max(event.step for event in diagram.events[:place]) == 3
        assert max(event.step for event in diagram.events[place:]) == 4


def test_of_frames_in_another_order_both_runs_mark_the_same_frames() -> None:
    a, b = parted(shown.found_in(shown.two_frames(), shown.swapped(), *shown.SENDING))
    assert marked(a) == [("receive", "A0", "B"), ("receive", "A1", "B")]
    assert marked(b) == [("receive", "A1", "B"), ("receive", "A0", "B")]
