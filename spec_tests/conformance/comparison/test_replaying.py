"""A stored difference played again: what is said of it is what the runs show, and nothing more."""

import dataclasses
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_tests.conformance.judged_relays import relay, specimen
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.comparison.arms import refused_by_either
from torq_conformance.comparison.equivalence import Difference, Signature
from torq_conformance.comparison.replaying import Case, Replayed, Standing, Tally, replays, replays_of
from torq_conformance.errors import NotServingError, TargetError, UsageError
from torq_conformance.exits import Exit
from torq_conformance.model.frames import Frame
from torq_conformance.model.history import History, Peer
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Connect, HalfClose, Kill, Step, Write
from torq_conformance.play.executor import Executor
from torq_conformance.play.target import SpawnedTarget, Target

HERE = Difference(Signature("closes"), "stays", "closed", 0)


def run_of(*, shown: bool, in_copy: bool, other: bool) -> Replayed:
    return Replayed(History(), History(), HERE if shown else None, ("crashes",) if other else (), in_copy)


RUNS = st.lists(st.builds(run_of, shown=st.booleans(), in_copy=st.booleans(), other=st.booleans()), max_size=30)


@given(runs=RUNS, needed=st.none() | st.integers(1, 30))
def test_gone_and_different_are_only_said_of_what_the_runs_show(runs: list[Replayed], needed: int | None) -> None:
    tally = Tally(needed)
    for each in runs:
        tally.count(each)
    standing = tally.standing
    shown = sum(each.difference is not None for each in runs)
    clean = not any(each.difference or each.in_copy or each.others for each in runs)
    if standing is Standing.GONE:
        assert clean
        assert needed is not None
        assert len(runs) >= needed
    if standing is Standing.DIFFERENT:
        assert shown == len(runs) > sum(each.in_copy for each in runs)
    if standing is Standing.FLAKY:
        assert 0 < shown < len(runs)
    if clean and needed is not None and len(runs) >= needed:
        assert standing is Standing.GONE
    assert (standing.exit_code is Exit.FAIL) <= bool(shown)
    assert f"{len(runs)} run" in tally.words


@pytest.mark.parametrize(
    ("tally", "standing", "words"),
    [
        (Tally(10, runs=10, shown=10), Standing.DIFFERENT, "10 of 10 runs, on the copy of relay A in 0"),
        (Tally(10, runs=10, shown=3), Standing.FLAKY, "3 of 10 runs"),
        (Tally(10, runs=10), Standing.GONE, "relay B does as relay A in 10 of 10 runs"),
        (Tally(10, runs=9), Standing.NOT_SHOWN, "10 would prove that it is gone"),
        (Tally(None, runs=60), Standing.NOT_SHOWN, "nor did it again when it was recorded"),
        (Tally(10, runs=10, shown=10, in_copy=10), Standing.NOISE, "on the copy of relay A in 10: that is chance"),
        (Tally(10, runs=10, hidden=1, others={"crashes": None}), Standing.HIDDEN, "in 1 of 10 runs (crashes)"),
    ],
)
def test_each_standing_has_its_words(tally: Tally, standing: Standing, words: str) -> None:
    assert tally.standing is standing
    assert words in tally.words


CORRECT = specimen("correct", "signal")
CLOSING = specimen("correct", "signal", "--mutant", "half-close-closes")


def case(*steps: Step, effect: str = "closes") -> Case:
    rules = rules_of("signal")
    return Case(f"{effect}:x", effect, "", Program("signal", steps), rules, rules, refused_by_either("signal"))


HALF_CLOSING = case(Connect(0), HalfClose(0))


@pytest.mark.parametrize(
    ("a", "b", "standing"),
    [
        (CORRECT, CLOSING, Standing.DIFFERENT),
        (CORRECT, CORRECT, Standing.GONE),
        (CLOSING, CORRECT, Standing.HIDDEN),
        (CLOSING, CLOSING, Standing.GONE),
    ],
    ids=["B alone closes", "neither closes", "A alone closes", "both close"],
)
def test_a_difference_is_seen_again_on_real_relays(a: str, b: str, standing: Standing) -> None:
    tally = Tally(5)
    with ExitStack() as stack:
        for each in replays_of(HALF_CLOSING, SpawnedTarget(a), SpawnedTarget(a), SpawnedTarget(b), 5, stack):
            tally.count(each)
    assert tally.standing is standing, tally.words


def test_a_relay_b_that_does_not_start_shows_that_it_crashes_and_nothing_else() -> None:
    for effect, fails in (("crashes", False), ("closes", True)):
        with ExitStack() as stack:
            runs = replays_of(
                case(effect=effect), SpawnedTarget(CORRECT), SpawnedTarget(CORRECT), SpawnedTarget("false {socket}"),
                3, stack,
            )  # fmt: skip
            if fails:
                with pytest.raises(NotServingError):
                    list(runs)
            else:
                [only] = runs
                assert only.difference is not None


def test_a_running_relay_b_that_crashes_is_played_on_no_more() -> None:
    """The suite cannot start it again: what a dead relay does is no second crash."""
    crashing = specimen("correct", "signal", "--mutant", "crash-on-empty")
    empty = case(Connect(0), Write(0, (Frame(2),)), effect="crashes")
    with relay(CORRECT) as a, relay(CORRECT) as copy, SpawnedTarget(crashing) as b:
        runs = list(replays(dataclasses.replace(empty, started=False), a, copy, Target(b.address), 5))
    assert [each.difference is not None for each in runs] == [True]


def test_steps_that_need_a_process_are_refused_on_a_running_relay() -> None:
    with relay(CORRECT) as a, relay(CORRECT) as copy, pytest.raises(UsageError, match="needs a relay that is started"):
        next(replays(case(Connect(0), Kill()), a, copy, Target(a.address), 1))


def test_where_a_serves_nobody_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Executor, "play", lambda *_: History(peers={0: Peer(0, 1)}))
    with relay(CORRECT) as a, relay(CORRECT) as copy, pytest.raises(TargetError, match="start relay A afresh"):
        list(replays(case(Connect(0)), a, copy, a, 2))
