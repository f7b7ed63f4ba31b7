"""Figures of a comparison: what they say of two relays, and what they never say."""

import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance.judged_relays import specimen
from torq_conformance.comparison.arms import Arm
from torq_conformance.comparison.figures import KINDS, LEAST_BLOCKS, Figure, Measured, Samples, bounds_of, measured
from torq_conformance.comparison.found import OUT_OF_TIME
from torq_conformance.comparison.measuring import COPY, MEASURES, RELAYS, Measuring
from torq_conformance.errors import UsageError
from torq_conformance.model.profile import domain_named
from torq_conformance.play.target import SpawnedTarget

Blocks = list[list[float]]
VALUES = st.floats(0, 1e9, allow_nan=False)
BLOCKS = st.lists(st.lists(VALUES, min_size=1, max_size=3), min_size=1, max_size=LEAST_BLOCKS + 2)
EACH_FIGURE = pytest.mark.parametrize("figure", list(Figure), ids=str)


def samples(figure: Figure, a: Blocks, copy: Blocks, b: Blocks) -> Samples:
    found = Samples()
    found.of[figure] = {"a": a, COPY: copy, "b": b}
    return found


def steady(value: float, blocks: int = LEAST_BLOCKS) -> Blocks:
    return [[value] for _ in range(blocks)]


def only(found: Samples, figure: Figure, bounds: dict[Figure, float] | None = None) -> Measured:
    return next(each for each in measured(found, bounds or {}, 1) if each.name == figure)


@given(st.sampled_from(Figure), BLOCKS, st.floats(1, 100))
@settings(max_examples=30)
def test_a_relay_that_measures_as_relay_a_does_costs_no_more(figure: Figure, blocks: Blocks, bound: float) -> None:
    found = only(samples(figure, blocks, blocks, blocks), figure, {figure: bound})
    assert not found.is_apart
    assert not found.is_beyond


@given(st.sampled_from(Figure), BLOCKS, BLOCKS, BLOCKS)
@settings(max_examples=30)
def test_a_ratio_lies_in_its_interval(figure: Figure, a: Blocks, copy: Blocks, b: Blocks) -> None:
    found = only(samples(figure, a, copy, b), figure)
    assert found.ratio is not None
    assert found.ratio.low <= found.ratio.value <= found.ratio.high
    assert msgspec.json.decode(msgspec.json.encode(found), type=Measured) == found


@EACH_FIGURE
def test_what_costs_something_where_relay_a_costs_nothing_is_beyond_every_bound(figure: Figure) -> None:
    found = samples(figure, steady(0), steady(0), steady(2 * KINDS[figure].least))
    beyond = only(found, figure, {figure: 999_999.0})
    assert beyond.is_beyond
    assert "inf (inf to inf)" in beyond.words[1]
    assert msgspec.json.decode(msgspec.json.encode(beyond), type=Measured) == beyond


@EACH_FIGURE
def test_a_relay_that_always_costs_more_does_so_and_is_beyond_a_lower_bound_alone(figure: Figure) -> None:
    least = KINDS[figure].least
    found = samples(figure, steady(10 * least), steady(10 * least), steady(20 * least))
    assert only(found, figure).is_apart
    assert only(found, figure, {figure: 1.5}).is_beyond
    assert not only(found, figure, {figure: 2.5}).is_beyond


@EACH_FIGURE
def test_what_differs_no_more_than_can_be_told_is_not_told(figure: Figure) -> None:
    least = KINDS[figure].least
    assert not only(samples(figure, steady(least / 2), steady(least / 2), steady(least)), figure).is_apart


@EACH_FIGURE
def test_a_copy_of_relay_a_that_costs_as_much_explains_it(figure: Figure) -> None:
    least = KINDS[figure].least
    assert not only(samples(figure, steady(10 * least), steady(20 * least), steady(20 * least)), figure).is_apart


@EACH_FIGURE
def test_too_few_blocks_decide_nothing(figure: Figure) -> None:
    blocks = LEAST_BLOCKS - 1
    found = only(samples(figure, steady(1, blocks), steady(1, blocks), steady(1e6, blocks)), figure, {figure: 1.0})
    assert found.is_measured
    assert not found.is_decided
    assert not found.is_apart
    assert not found.is_beyond


def test_what_was_not_measured_says_why() -> None:
    found = Samples(invalid={Figure.STREAM: "relay B loses a frame"})
    reasons = {each.name: each.reason for each in measured(found, {}, 1)}
    assert reasons.pop(Figure.STREAM) == "relay B loses a frame"
    assert set(reasons.values()) == {OUT_OF_TIME}


@pytest.mark.parametrize(
    ("given_bounds", "said"),
    [
        (["memroy=1.1"], "did you mean memory?"),
        (["colour=1.1"], "the figures are delivery-time,"),
        (["memory"], "write memory=RATIO"),
        (["memory=much"], "write memory=RATIO"),
        (["memory=0"], "write memory=RATIO"),
        (["memory=-1"], "write memory=RATIO"),
        (["memory=nan"], "write memory=RATIO"),
        (["memory=inf"], "write memory=RATIO"),
        (["memory=1.1", "memory=1.2"], "has a bound already"),
    ],
)
def test_a_wrong_bound_is_told(given_bounds: list[str], said: str) -> None:
    with pytest.raises(UsageError, match="--bound") as told:
        bounds_of(given_bounds)
    assert said in str(told.value)


def measured_once(b: str) -> Samples:
    commands = [specimen("correct", "signal"), b]
    domain = domain_named("signal")
    targets = [SpawnedTarget(command, domain) for command in commands]
    with targets[0], targets[1]:
        arm = Arm(targets[0], domain)
        measuring = Measuring(targets[0], targets[1], arm.profile, arm.rules)
        measuring.run(time.monotonic() + 60, blocks=1)
    return measuring.samples


def test_every_figure_of_right_relays_is_measured() -> None:
    found = measured_once(specimen("correct", "signal"))
    assert not found.invalid
    times = {figure: rounds for _, figures, rounds in MEASURES for figure in figures} | {Figure.START: 1}
    for figure in Figure:
        for relay in RELAYS:
            assert [len(block) for block in found.of[figure][relay]] == [times[figure]], (figure, relay)


def test_a_relay_that_loses_frames_has_no_figures_for_them() -> None:
    found = measured_once(specimen("correct", "signal", "--mutant", "drop-every-100th"))
    assert found.invalid[Figure.DELIVERY] == "relay B delivers no frame for 5 s"
    assert Figure.MEMORY not in found.invalid
