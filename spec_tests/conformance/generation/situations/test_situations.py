"""Situations: what stands in the file of dimensions, what goes together, and that arrays and programs keep to both."""

from itertools import combinations, islice, product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance.program_strategies import DOMAINS, rules_of
from torq_conformance.generation.situations.coverage import covered
from torq_conformance.generation.situations.covering import Combinations, covering, situations
from torq_conformance.generation.situations.dimensions import Situation, Value, dimensions
from torq_conformance.generation.situations.possible import Possible, apart
from torq_conformance.model.profile import built_in_profiles, load_profile
from torq_conformance.model.requirements import requirements
from torq_conformance.model.rules import Rules

VARIED = st.fixed_dictionaries(
    {},
    optional={
        "overflow": st.sampled_from(("drop_oldest", "disconnect", "backpressure")),
        "granularity": st.sampled_from(("frames", "reads")),
        "on_framing_error": st.sampled_from(("close", "resync", "forward")),
        "max_connections": st.integers(2, 200),
        "max_message_size": st.sampled_from((600, 4_096, 65_536, 100_000, 1_048_576)),
    },
)


def together(rules: Rules, situation: Situation) -> bool:
    values = [(each.name, situation[each.name]) for each in dimensions()]
    return not any(apart(rules, one, other) for one, other in combinations(values, 2))


def test_each_value_stands_once_with_a_reason_and_with_requirements_that_there_are() -> None:
    for dimension in dimensions():
        names = [value.name for value in dimension.values]
        assert len(names) == len(set(names)), dimension.name
        assert all(value.why for value in dimension.values), dimension.name
        assert {name for value in dimension.values for name in value.about} <= requirements().keys(), dimension.name


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_pair_that_is_possible_is_met(domain: str) -> None:
    every = situations(rules_of(domain), frozenset(), 2, 5)
    met = covered(every.possible, tuple(every))
    assert met.pairs == met.pairs_of > 7_000
    assert not met.missing


@pytest.mark.parametrize("profile", built_in_profiles())
def test_who_forwards_meets_situations_of_what_it_promises(profile: str) -> None:
    for domain in DOMAINS:
        rules, unpromised = rules_of(domain, profile), frozenset(load_profile(profile).not_promised)
        every = list(situations(rules, unpromised, 2, 5))
        assert bool(every) == rules.forwards
        for each in every:
            for dimension in dimensions():
                assert each.is_plain(dimension.name) or not unpromised.issuperset(each[dimension.name].about or "?")


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(DOMAINS), VARIED, st.integers(0, 2**32))
def test_an_array_holds_what_is_possible_and_nothing_else(domain: str, varied: dict[str, object], seed: int) -> None:
    rules = msgspec.structs.replace(rules_of(domain), **varied)
    possible = Possible(rules)
    if not all(possible.choices):
        assert list(situations(rules, frozenset(), 2, seed)) == []
        return
    every = list(covering(possible, 2, seed))
    assert all(together(rules, each) for each in every)
    left = Combinations(possible, 2)
    for each in every:
        left.meet(each)
    assert left.left == 0, list(left.unmet())[:3]


def test_of_three_values_every_combination_can_be_met_too() -> None:
    rules = msgspec.structs.replace(rules_of("market_data"), max_connections=9, max_message_size=600)
    possible = Possible(rules)
    left = Combinations(possible, 3)
    for each in covering(possible, 3, 1):
        left.meet(each)
    assert left.of > 10_000
    assert left.left == 0, list(left.unmet())[:3]


def test_what_is_possible_is_counted_as_it_is_by_hand() -> None:
    rules = rules_of("execution")
    possible = Possible(rules)
    values = [
        [(each.name, each.values[place]) for place in places]
        for each, places in zip(dimensions(), possible.choices, strict=True)
    ]

    def fit(*some: tuple[str, Value]) -> bool:
        return not any(apart(rules, one, other) for one, other in combinations(some, 2))

    for strength in (2, 3):
        which = list(combinations(values[:6], strength))  # of the first six dimensions: all would take long
        by_hand = sum(fit(*some) for each in which for some in product(*each))
        last = sum(len(each.values) for each in dimensions()[:6])
        assert by_hand == sum(some[-1] < last for some in Combinations(possible, strength).unmet())


def test_what_was_not_played_is_missing_by_name() -> None:
    every = situations(rules_of("signal"), frozenset(), 2, 5)
    few = covered(every.possible, tuple(islice(every, 40)))
    assert few.played == 40
    assert few.pairs < few.pairs_of
    assert few.missing
    assert "thin: " in few.words
    assert "100 %" not in few.words
    whole = covered(every.possible, tuple(every))
    assert "2-way 100 % of" in whole.words
    assert set(whole.left_out.values()) == {"with --depth 3"}


def test_other_seeds_bring_other_values_together() -> None:
    rules = rules_of("signal")
    one, same, other = (list(situations(rules, frozenset(), 2, seed)) for seed in (1, 1, 2))
    assert one == same == list(covering(Possible(rules), 2, 1))
    assert one != other


def test_what_was_begun_with_counts_and_does_not_come_again() -> None:
    rules = rules_of("signal")
    whole = list(situations(rules, frozenset(), 2, 1))
    begun = tuple(whole[:100])
    rest = list(situations(rules, frozenset(), 2, 2, begun))
    assert not set(begun) & set(rest)
    assert len(rest) < len(whole)
    assert covered(Possible(rules), (*begun, *rest)).pairs == covered(Possible(rules), tuple(whole)).pairs
    assert list(situations(rules, frozenset(), 2, 3, (*begun, *rest))) == []
