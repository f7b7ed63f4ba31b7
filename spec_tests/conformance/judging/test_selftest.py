"""The suite's self-test: mutants are killed, right relays are not, and survivors are not hidden."""

import msgspec
import pytest

from spec_tests.matrix import specimen
from torq_conformance.errors import UsageError
from torq_conformance.judging.selftest import judge_case
from torq_conformance.judging.selftest_cases import (
    Case,
    Effort,
    Mutant,
    chosen_mutants,
    listed_mutants,
    mutant_cases,
    profile_of,
    repeated,
    right_cases,
)
from torq_conformance.judging.selftest_outcomes import Outcome, Selftest


def case(name: str, **changes: object) -> Case:
    (mutant,) = chosen_mutants([name], None)
    mutant = msgspec.structs.replace(mutant, **changes)
    (found,) = mutant_cases([mutant], Effort(3, 60))
    return found


@pytest.mark.parametrize("name", ["drop-header-only", "crash-on-bad-magic", "resync-unasked"])
def test_a_mutant_is_killed_by_a_requirement_that_it_names(name: str) -> None:
    outcome = judge_case(case(name))
    assert outcome.as_it_should
    assert outcome.killed_by in outcome.expected


def test_a_mutant_that_the_named_requirement_does_not_see_survives() -> None:
    outcome = judge_case(case("drop-header-only", catches=("FWD-4",)))
    assert (outcome.as_it_should, outcome.killed_by, outcome.error) == (False, "", "")


def test_a_relay_that_does_not_start_is_no_kill() -> None:
    missing = msgspec.structs.replace(chosen_mutants(["drop-header-only"], None)[0], name="there-is-no-such-mutant")
    outcome = judge_case(Case("signal", (), missing, Effort(3, 60)))
    assert outcome.error
    assert not outcome.as_it_should


def test_a_fault_of_the_suite_in_one_case_is_told_and_is_no_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("fence 7")

    monkeypatch.setattr("torq_conformance.judging.selftest.judge_all", broken)
    outcome = judge_case(case("drop-header-only"))
    assert outcome.error.startswith("a fault of the suite itself: KeyError: 'fence 7' (test_selftest.py, line ")
    assert not outcome.as_it_should


def test_every_domain_has_a_right_relay_and_every_mutant_a_domain() -> None:
    right, faulty = list(right_cases(Effort(1))), list(mutant_cases(listed_mutants(), Effort(1)))
    assert {each.domain for each in right} == {"market_data", "signal", "execution"}
    assert len(faulty) == len(listed_mutants()) >= 40
    assert all(each.domain in each.mutant.domains for each in faulty if each.mutant)


def test_a_relay_that_is_judged_again_gets_another_seed_and_is_told_by_its_rate() -> None:
    chosen = repeated([case("drop-header-only")], 3)
    assert [each.effort.seed for each in chosen] == [3, 4, 5]
    outcomes = [
        Outcome(each.name, each.domain, False, ("FWD-6",), {}, killed, 10 * turn, turn, seed=each.effort.seed)
        for turn, (each, killed) in enumerate(zip(chosen, ("FWD-6", "", "FWD-6"), strict=True))
    ]
    done = Selftest(3, 60, 1, 3.0, tuple(outcomes))
    (rate,) = done.survivors
    kept = specimen(rate)
    assert (rate.rightly, rate.always, kept.killed_by, kept.programs, kept.seconds) == (2, False, ("FWD-6",), 10, 1.0)
    assert [each.seed for each in rate.missed] == [4]
    assert (done.killed, len(rate.outcomes), done.trusted, done.false_alarms) == (0, 3, False, [])


def test_the_profile_follows_the_arguments() -> None:
    profile = profile_of(("--no-echo", "--overflow", "disconnect", "--max-connections", "4"))
    assert (profile.echo, profile.overflow, profile.max_connections) == (False, "disconnect", 4)


def test_an_unknown_mutant_is_refused() -> None:
    with pytest.raises(UsageError, match="no mutant is called nonsense"):
        chosen_mutants(["nonsense"], None)
    assert isinstance(chosen_mutants([], 3)[2], Mutant)
    assert not any(mutant.family for mutant in chosen_mutants([], None))
    kinds = chosen_mutants([], None, by_kind=True)
    assert all(mutant.family for mutant in kinds)
    assert len(kinds) > len({mutant.family for mutant in kinds}) > 40
