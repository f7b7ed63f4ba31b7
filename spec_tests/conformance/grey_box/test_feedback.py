"""The map: each byte is new once in a run, nothing that a relay sets is lost, and every process knows what is kept."""

import os
import tempfile
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance.grey_box.boxes import box_in
from torq_conformance.grey_box.feedback import MAP_BYTES, Feedback, GreyBox
from torq_conformance.grey_box.figures import reached_in
from torq_conformance.grey_box.reached import Missed
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Connect, Idle

PLACES = st.frozensets(st.one_of(st.integers(0, 40), st.integers(0, MAP_BYTES - 1)), max_size=12)


def program_of(number: int) -> Program:
    return Program("signal", (Connect(0), Idle(number)))


def reach(box: GreyBox, places: frozenset[int]) -> None:
    with box.map.open("r+b") as file:
        for place in places:
            file.seek(place)
            file.write(b"\x07")


@settings(max_examples=15, deadline=None)
@given(rounds=st.lists(st.tuples(st.booleans(), PLACES), max_size=6))
def test_what_is_new_is_kept_once_and_all_of_it_is_counted(rounds: list[tuple[bool, frozenset[int]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        box = box_in(Path(folder), "map")
        feedback, kept = Feedback(box), list[Program]()
        seen: dict[bool, set[int]] = {False: set(), True: set()}
        for number, (exploring, places) in enumerate(rounds):
            feedback.exploring = exploring
            reach(box, places)
            noticed = feedback.notice(program_of(number), time.monotonic())
            new = places - seen[exploring] - (set() if exploring else seen[True])
            assert (noticed.reached if noticed else frozenset()) == new
            kept += [program_of(number)] * bool(new)
            seen[exploring] |= places
            assert not feedback.collect()
        assert box.kept() == kept == [each.program for each in feedback.kept()]
        assert feedback.kept() == []
        (reached,) = reached_in(box, explored=3)
        assert reached.things["edge"].reached == len(seen[False] | seen[True])
        assert reached.by_explored_only == len(seen[True] - seen[False])
        assert reached.kept == len(kept)


def test_processes_of_a_run_share_what_is_new_and_what_is_kept(tmp_path: Path) -> None:
    box = box_in(tmp_path, "map")
    one = Feedback(box)
    reach(box, frozenset((1, 2)))
    assert one.notice(program_of(1), time.monotonic())
    other = Feedback(box)
    reach(box, frozenset((2,)))
    assert other.notice(program_of(2), time.monotonic()) is None
    assert [each.program for each in other.kept()] == [program_of(1)]


def test_a_dear_program_is_noticed_and_not_varied(tmp_path: Path) -> None:
    box = box_in(tmp_path, "map")
    feedback = Feedback(box)
    reach(box, frozenset((5,)))
    assert feedback.notice(program_of(1), time.monotonic() - 10)
    assert feedback.kept() == []


def test_the_environment_names_a_map_that_is_there(tmp_path: Path) -> None:
    box = box_in(tmp_path, "python", of=[tmp_path])
    environment = box.environment()
    assert Path(environment["CONFORMANCE_COVERAGE_MAP"]).stat().st_size == MAP_BYTES
    assert environment["CONFORMANCE_COVERAGE_OF"] == str(tmp_path.resolve())
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(box.folder / "python")


def test_what_was_missed_is_told_in_ranges() -> None:
    missed = Missed("relay.py", (3, 4, 5, 9, 11, 12), ((20, 22), (30, 0)))
    assert missed.words == "relay.py:3-5, 9, 11-12, 20->22, 30->end"
