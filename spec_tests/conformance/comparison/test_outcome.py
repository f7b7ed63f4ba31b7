"""What a comparison comes to: the sentence, the exit code and the JSON report say the same, and leave nothing out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torq_conformance.comparison.accepted import AcceptedDifference
from torq_conformance.comparison.outcome import Entry, Outcome, outcome
from torq_conformance.comparison.topics import Level
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


def test_an_accepted_difference_that_another_explains_is_not_stale() -> None:
    listed = [AcceptedDifference("loses:cut", "known")]
    assert outcome(Level.EXACT, 100, [], listed, {}, frozenset(), frozenset({"loses:cut"})).code is Exit.PASS
    assert outcome(Level.EXACT, 100, [], listed, {}, frozenset()).code is Exit.FAIL
