"""What a comparison comes to: the sentence, the exit code and the JSON report say the same, and leave nothing out."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_tests.conformance import shown_comparisons
from torq_conformance.comparison.accepted import AcceptedDifference
from torq_conformance.comparison.course import NO_BOUND, NO_CHECK, NO_RELAY, Course
from torq_conformance.comparison.figures import Figure
from torq_conformance.comparison.found import OUT_OF_TIME, TopicResult
from torq_conformance.comparison.outcome import Entry, Outcome, outcome
from torq_conformance.comparison.topics import Level
from torq_conformance.errors import NotServingError
from torq_conformance.exits import Exit

IDS = ("loses:plain", "loses:cut", "tears:garbage")


def of(
    *found: tuple[str, str], accepted: tuple[str, ...] = (), gaps: dict[str, str] | None = None, programs: int = 100
) -> Outcome:
    entries = [Entry(name, name, "", "", status) for name, status in found]
    listed = [AcceptedDifference(name, "known") for name in accepted]
    unfinished = frozenset(name for name, reason in (gaps or {}).items() if reason == "the time was over")
    return outcome(Level.EXACT, programs, entries, listed, gaps or {}, unfinished)


FOUND = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(("DIFFERENT", "FLAKY"))), max_size=4)
GAPS = st.dictionaries(st.sampled_from(("FWD-1", "LIFE-1")), st.sampled_from(("the time was over", "no profile")))


@given(found=FOUND, accepted=st.sets(st.sampled_from(IDS)), gaps=GAPS, programs=st.integers(0, 3))
def test_the_sentence_and_the_exit_code_say_the_same(
    found: list[tuple[str, str]], accepted: set[str], gaps: dict[str, str], programs: int
) -> None:
    result = of(*found, accepted=tuple(accepted), gaps=gaps, programs=programs)
    word = result.verdict.split()[0]
    assert (word == "EQUIVALENT") == (result.code is Exit.PASS)
    assert (word == "UNKNOWN") == (result.code is Exit.UNKNOWN)
    assert (word in ("DIFFERENT", "FLAKY", "STALE")) == (result.code is Exit.FAIL)
    assert "at level exact" in result.verdict
    assert all(name in result.verdict and reason in result.verdict for name, reason in gaps.items())
    assert (result.code is Exit.FAIL) >= bool({name for name, _ in found} - accepted)


@pytest.mark.parametrize(
    ("result", "code", "words"),
    [
        (of(), Exit.PASS, "EQUIVALENT at level exact: 0 of 100 programs differ (below 3.00 % with 95 % confidence)"),
        (of(("loses:plain", "FLAKY")), Exit.FAIL, "FLAKY at level exact: 0 differences not accepted, 1 difference"),
        (of(("loses:plain", "DIFFERENT"), accepted=("loses:plain",)), Exit.PASS, "but for 1 accepted difference"),
        (of(accepted=("loses:plain",)), Exit.FAIL, "STALE at level exact"),
        (of(accepted=("loses:plain",), gaps={"CONN-3": "the time was over"}), Exit.UNKNOWN, "not compared: CONN-3"),
        (of(accepted=("breaks:LIFE-1-left-behind",), gaps={"LIFE-1 (fixed check)": "no profile"}), Exit.PASS, "LIFE-1"),
        (of(accepted=("breaks:LIFE-1-left-behind",), gaps={"LIFE-5 (fixed check)": "no profile"}), Exit.FAIL, "STALE"),
        (of(gaps={"LIFE-1": "the time was over"}), Exit.UNKNOWN, "UNKNOWN at level exact"),
        (of(programs=0), Exit.UNKNOWN, "UNKNOWN at level exact: nothing was compared"),
    ],
)
def test_each_outcome_has_its_sentence(result: Outcome, code: Exit, words: str) -> None:
    assert result.code is code
    assert words in result.verdict


def test_one_difference_that_was_found_twice_is_one() -> None:
    result = of(("loses:plain", "FLAKY"), ("loses:plain", "DIFFERENT"))
    assert [(each.id, each.status) for each in result.entries] == [("loses:plain", "DIFFERENT")]


@pytest.mark.parametrize("rare_first", [True, False])
def test_what_is_accepted_as_rare_hides_none_of_its_id_that_shows_each_time(rare_first: bool) -> None:
    rare, steady = (Entry("loses:size", "", "", "", differs_in_b=shown, runs=60) for shown in (1, 60))
    listed = [AcceptedDifference("loses:size", "known", rate="1 in 50")]
    assert outcome(Level.EXACT, 100, [rare], listed, {}, frozenset()).code is Exit.PASS
    found = [rare, steady] if rare_first else [steady, rare]
    assert outcome(Level.EXACT, 100, found, listed, {}, frozenset()).code is Exit.FAIL


def test_what_shows_now_and_then_is_not_stale_where_it_does_not_show() -> None:
    listed = [AcceptedDifference("loses:size", "known", rate="1 in 50")]
    assert outcome(Level.EXACT, 100, [], listed, {}, frozenset()).code is Exit.PASS


@pytest.mark.parametrize("identifier", ["breaks:LIFE-1-status", "costs:memory"])
@pytest.mark.parametrize("level", Level)
def test_what_is_no_part_of_a_comparison_is_left_out_and_not_stale(identifier: str, level: Level) -> None:
    checks = ("LIFE-1",) if level is Level.EXACT else ()
    whole = Course.of(level, checks, (Figure.MEMORY,))
    starts_not = Course.of(level, checks, (Figure.MEMORY,))
    starts_not.failed_to_start(NotServingError("it did not start"))
    for course, why in ((Course.of(level, ()), (NO_BOUND, NO_CHECK)), (starts_not, (NO_RELAY,))):
        result = course.outcome(level, [AcceptedDifference(identifier, "known")])
        assert not result.stale
        assert {reason for name, reason in result.gaps.items() if name not in course.planned} <= set(why)
        assert len(result.gaps) == len(course.planned) + 1
    other = next(each for each in Level if each is not level)
    listed = [AcceptedDifference("costs:stop-time", "known", other.value)]
    assert "figure stop-time" not in whole.outcome(level, listed).gaps, "it is not expected at this level"


@pytest.mark.parametrize(
    ("figure", "status"),
    [(Figure.DELIVERY, "ACCEPTED"), (Figure.MEMORY, "DIFFERENT"), (Figure.STREAM, "DIFFERENT")],
    ids=["beyond its bound", "not measured", "without a bound"],
)
def test_an_entry_accepts_what_its_figure_costs_and_is_stale_only_where_that_is_decided(
    figure: Figure, status: str
) -> None:
    course = shown_comparisons.course(checks=False, costs=True)
    result = course.outcome(Level.EXACT, [AcceptedDifference(f"costs:{figure}", "known")])
    assert [(each.id, each.status) for each in result.entries] == [("costs:delivery-time", status)]
    assert not result.stale
    within = [msgspec.structs.replace(each, bound=9.0) for each in course.figures]
    course.planned, course.figures = (*course.planned, f"figure {figure}"), within
    result = course.outcome(Level.EXACT, [AcceptedDifference(f"costs:{figure}", "known")])
    assert [each.id for each in result.stale] == ([] if figure is Figure.MEMORY else [f"costs:{figure}"])


def test_what_an_interruption_left_open_is_not_said_to_have_lacked_time() -> None:
    course = Course(planned=("FWD-1", "FWD-2"), ended={"FWD-1"})
    course.topics = [TopicResult("FWD-1", put_off=1)]
    listed = [AcceptedDifference("loses:plain", "known")]
    for stopped, why in (("", OUT_OF_TIME), ("interrupted by Ctrl-C", "interrupted by Ctrl-C")):
        result = course.outcome(Level.EXACT, listed, stopped)
        assert result.gaps == {"FWD-1": why, "FWD-2": stopped}
        assert result.unfinished == {"FWD-1", "FWD-2"}


def test_an_accepted_difference_that_another_explains_is_not_stale() -> None:
    listed = [AcceptedDifference("loses:cut", "known")]
    assert outcome(Level.EXACT, 100, [], listed, {}, frozenset(), frozenset({"loses:cut"})).code is Exit.PASS
    assert outcome(Level.EXACT, 100, [], listed, {}, frozenset()).code is Exit.FAIL
