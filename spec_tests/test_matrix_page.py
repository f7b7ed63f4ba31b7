"""The matrix page is complete, says what was seen, and cannot hide a mutant that lives or a right relay accused."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from spec_tests.matrix import CANDIDATES, OUTCOMES, Judged, Matrix, Relay, encoded, load, renewed, specimen
from spec_tests.matrix_page import faults, faults_of_the_page, page
from torq_conformance.judging.selftest_outcomes import Outcome, Selftest


def outcome(name: str, *, good: bool = False, killed_by: str = "FWD-1", failed: str = "FWD-1") -> Outcome:
    texts = {failed: "lost: expected frame A0 at /tmp, seen it never came"} if failed else {}
    return Outcome(name, "signal", good, ("FWD-1",), texts, killed_by, programs=3, seconds=0.4)


def matrix(*outcomes: Outcome, verdict: str = "PASS") -> Matrix:
    relays = tuple(
        Relay(
            each.name, "signal_relay", each.domain, each.profile, 10, 1.0, {"FWD-1": Judged(verdict, "A | B", "5 of 5")}
        )
        for each in CANDIDATES
    )
    specimens = map(specimen, Selftest(1, 100, 2, 5.0, outcomes).rates)
    return Matrix("0.1.0", 1, 100, "150s", 2, 9.0, relays, tuple(specimens))


def found(made: Matrix, mutants: tuple[str, ...], text: str | None = None) -> str:
    return "; ".join(faults(made, page(made) if text is None else text, mutants))


def test_a_complete_page_has_no_fault() -> None:
    made = matrix(outcome("dropper"), outcome("correct", good=True, killed_by="", failed=""))
    assert found(made, ("dropper",)) == ""
    text = page(made)
    assert "**1 of 1 mutants are killed** in each run (1 time)" in text
    assert f"0 accusations in {sum(each.right for each in CANDIDATES) + 1} runs of right relays" in text
    assert "| dropper |" in text
    assert "| FWD-1 | lost: expected frame A0 at /tmp, seen it never came | 3 | 0.4 |" in text


@pytest.mark.parametrize(
    ("made", "mutants", "words"),
    [
        (lambda: matrix(outcome("dropper")), ("dropper", "doubler"), "mutant doubler is not on the page"),
        (lambda: matrix(outcome("dropper")), (), "mutant dropper is on the page and does not exist"),
        (lambda: matrix(outcome("dropper", killed_by="", failed="")), ("dropper",), "mutant dropper survives"),
        (lambda: matrix(outcome("correct", good=True)), (), "a right relay is accused: correct"),
        (lambda: matrix(verdict="FAIL"), (), "a right relay is accused: reference, market data: FWD-1"),
        (lambda: msgspec.structs.replace(matrix(), relays=()), (), "relay 'first generic' is not on the page"),
    ],
)
def test_what_is_wrong_with_the_outcomes_is_named(
    made: Callable[[], Matrix], mutants: tuple[str, ...], words: str
) -> None:
    assert words in found(made(), mutants)


def test_a_mutant_by_kind_may_be_missing_but_not_alive_or_unknown() -> None:
    known, by_kind = ["dropper", "dropper:each=3"], ["dropper", "dropper:each=3"]
    for judged, words in (
        (outcome("dropper"), []),
        (outcome("dropper:each=3", killed_by="", failed=""), ["mutant dropper:each=3 survives"]),
        (outcome("dropper:each=4"), ["mutant dropper:each=4 is on the page and does not exist"]),
    ):
        made = matrix(judged)
        assert faults(made, page(made), known, by_kind) == words


def test_judging_some_again_keeps_the_others() -> None:
    survivor = outcome("dropper", killed_by="", failed="")
    old = matrix(survivor, outcome("doubler"), msgspec.structs.replace(survivor, seed=2))
    made = renewed(old, matrix(outcome("dropper"), outcome("new one")))
    assert [(each.name, each.killed_by, each.missed) for each in made.specimens] == [
        ("dropper", ("FWD-1",), ()),
        ("doubler", ("FWD-1",), ()),
        ("new one", ("FWD-1",), ()),
    ]


def test_a_mutant_that_one_run_misses_is_shown_with_the_seed_of_that_run() -> None:
    survivor = msgspec.structs.replace(outcome("dropper", killed_by="", failed=""), seed=7)
    assert "| FWD-1 (**1 of 2**, not with seed 7) |" in page(matrix(outcome("dropper"), survivor))
    assert "| nothing of FWD-1 (**0 of 1**, not with seed 7) |" in page(matrix(survivor))


def test_the_outcomes_are_a_line_for_each_relay_and_read_back_equal() -> None:
    made = matrix(outcome("dropper"), outcome("doubler", killed_by="", failed=""), outcome("correct", good=True))
    data = encoded(made)
    assert msgspec.json.decode(data, type=Matrix) == made
    names = [*(each.name for each in made.relays), *(each.name for each in made.specimens)]
    assert [name for line in data.splitlines() for name in names if f'"name":"{name}"' in line.decode()] == names
    assert encoded(load()) == OUTCOMES.read_bytes()


def test_a_page_that_was_edited_by_hand_is_found() -> None:
    made = matrix(outcome("dropper"))
    assert "is not what docs/matrix.json says" in found(made, ("dropper",), page(made).replace("dropper", "keeper"))


def test_a_failure_of_a_historical_relay_is_no_accusation() -> None:
    assert not replace(CANDIDATES[-1]).right
    text = page(matrix(outcome("dropper"), verdict="FAIL"))
    assert f"| {CANDIDATES[-1].name} | FWD-1 | A \\| B | 5 of 5 |" in text


def test_the_committed_page_has_every_mutant_dead_and_no_right_relay_accused() -> None:
    assert faults_of_the_page() == []
