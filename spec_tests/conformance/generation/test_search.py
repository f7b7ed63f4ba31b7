"""The search: every one has programs of its own, ends in time, and makes what it found smaller."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.comparison.topics import TOPICS
from torq_conformance.generation.features import Traffic
from torq_conformance.generation.minimise import simpler_programs
from torq_conformance.generation.search import GRACE, Clock, OutOfTime, Writer, plays_for, seed_of, shrink
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements
from torq_conformance.model.steps import Connect, Write


@dataclass(frozen=True)
class Shown:
    program: Program


class Ticking:
    """A clock that moves by a second each time that somebody reads it."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        self.time += 1.0
        return self.time


def writer(count: int = 20, first: tuple[Program, ...] = ()) -> Writer:
    return Writer("FWD-1", (Traffic,), rules_of("signal"), steps=6, count=count, seed=3, first=first)


def keep(programs: list[Program]) -> Callable[[Program], Shown | None]:
    return lambda program: programs.append(program)


def test_no_two_searches_share_their_seed() -> None:
    names = {*requirements(), *(topic.name for topic in TOPICS)}
    seeds = {seed_of(name, seed) for name in names for seed in range(100)}
    assert len(seeds) == 100 * len(names)
    assert seed_of("FWD-3", 1) == seed_of("FWD-3", 1)


def test_a_search_begins_with_what_it_is_given_and_ends_with_what_it_finds() -> None:
    written: list[Program] = []
    assert writer().until_shown(keep(written)) is None
    assert len(written) >= 20
    seen: list[Program] = []

    def look(program: Program) -> Shown | None:
        seen.append(program)
        return Shown(program) if len(seen) == 5 else None

    shown = writer(first=(written[7], written[3])).until_shown(look)
    assert seen == [written[7], written[3], *written[:3]]
    assert shown == Shown(seen[-1])


def test_hypothesis_plays_nothing_more_once_the_time_is_over() -> None:
    seen: list[Program] = []

    def look(program: Program) -> Shown | None:
        seen.append(program)
        raise OutOfTime

    with pytest.raises(OutOfTime):
        writer().until_shown(look)
    assert len(seen) == 1


def test_shrinking_ends_with_its_time_or_with_the_last_candidate() -> None:
    written: list[Program] = []
    writer().until_shown(keep(written))
    large = max(written, key=lambda program: program.weight)

    def writes(program: Program) -> Shown | None:
        return Shown(program) if any(isinstance(step, Write) for step in program.steps) else None

    smallest, minimal = shrink(Shown(large), simpler_programs, writes, Clock(1e9))
    assert minimal
    assert [type(step) for step in smallest.program.steps] == [Connect, Write]
    larger, minimal = shrink(Shown(large), simpler_programs, writes, Clock(3.0, Ticking()))
    assert not minimal
    assert smallest.program.weight < larger.program.weight <= large.weight


def test_a_candidate_that_the_time_cuts_short_ends_the_shrinking() -> None:
    def cut_short(_: Program) -> Shown | None:
        raise OutOfTime

    program = Program("signal", ())
    assert shrink(Shown(program), lambda each: [each], cut_short, Clock(1e9)) == (Shown(program), False)


def counted(runs: Iterator[int], seconds_each: float, clock: list[float]) -> int:
    total = 0
    for total in islice(runs, 1000):  # noqa: B007 - the last number is what counts
        clock[0] += seconds_each
    return total


@pytest.mark.parametrize(
    ("each", "plays"),
    [(0.01, 60), (0.1, 21), (2.0, 5), (3.5, 4), (60.0, 1)],
    ids=["at most", "as many as fit", "the least", "fewer than the least", "one at least"],
)
def test_a_program_is_played_as_often_as_its_time_allows(each: float, plays: int) -> None:
    time = [100.0]
    clock = Clock(1.0, lambda: time[0])
    assert counted(clock.runs(2.0, 5, 60), each, time) == plays
    assert clock.until == 100.0 + 2.0 + GRACE


@given(left=st.floats(0.0, 30.0), seconds=st.floats(0.0, 60.0), each=st.floats(0.01, 60.0), least=st.integers(1, 9))
def test_nothing_goes_on_after_the_end_of_the_run(left: float, seconds: float, each: float, least: int) -> None:
    time = [100.0]
    end = 100.0 + left
    clock = Clock(seconds, lambda: time[0], end=end)
    assert clock.until <= end
    begun = []
    for _ in clock.runs(seconds, least, 60):
        begun.append(time[0])
        assert clock.until <= end
        time[0] += each
    assert all(moment < end for moment in begun)
    clock.allow(seconds)
    assert clock.until <= end


@pytest.mark.parametrize("tried", range(13))
def test_a_search_goes_on_behind_what_it_has_tried(tried: int) -> None:
    first = tuple(Program("signal", (Connect(number),)) for number in range(3))
    played: list[Program] = []
    dataclasses.replace(writer(9, first), tried=tried).until_shown(keep(played))
    assert [each for each in first if each in played] == list(first[tried:])
    assert len(played) == 12 - tried


def test_a_rarer_failure_needs_more_plays() -> None:
    assert plays_for(1.0, 0.001) == 1
    assert plays_for(0.5, 0.001) == 10
    assert plays_for(0.1, 0.001) == 66
