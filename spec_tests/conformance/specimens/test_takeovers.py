"""The mutants of LIFE-3 and LIFE-4: each shows in a few steps or in the fixed check, and in none without takeovers."""

import pytest

from spec_tests.conformance.judged_relays import played, relay, specimen
from spec_tests.conformance.program_strategies import rules_of
from spec_tests.conformance.specimens.test_mutants import SEEN_IN_A_TAKEOVER
from torq_conformance.checks import EXTRA_CHECKS, Bench
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.model.frames import Frame, Tlv
from torq_conformance.model.profile import load_profile
from torq_conformance.model.steps import (
    Connect,
    FailedTakeover,
    Finish,
    Flood,
    HalfClose,
    Idle,
    Resume,
    Stall,
    Step,
    Takeover,
    Thaw,
    Write,
)
from torq_conformance.play.target import SpawnedTarget
from torq_conformance.specimens import mutants
from torq_conformance.specimens.mutants.table import TABLE

SUCCESSOR = "{command} --takeover"
OWN = Frame(2, (Tlv(30, 8),))
LARGE = Frame(2, (Tlv(30, 1_400),))
HUGE = Frame(2, (Tlv(30, 60_000),) * 2)
PAIR: tuple[Step, ...] = (Connect(0), Connect(1))
SEND: tuple[Step, ...] = (Write(0, (OWN,)), Write(1, (OWN,)))
BACKLOG: tuple[Step, ...] = (Stall(1), Flood(0, LARGE, 400))
STEPS: dict[str, tuple[Step, ...]] = {
    "takeover-forgets-partial": (Write(0, (OWN,), stop=20), Takeover(), Finish(0)),
    "takeover-forgets-half-closed": (HalfClose(1), Takeover(), Write(0, (OWN,))),
    "takeover-shuts-down": (Takeover(), Write(0, (OWN,))),
    "takeover-unlinks-path": (Takeover(), Connect(2), Write(0, (OWN,))),
    "takeover-turns-away": (Takeover(halted=True), Connect(2), Write(0, (OWN,))),
    "takeover-only-once": (Takeover(), Takeover(), Write(0, (OWN,))),
    "failed-takeover-serves-nobody": (FailedTakeover(holds=True), Write(0, (OWN,))),
    "failed-takeover-is-last": (FailedTakeover(holds=True), Takeover(), Write(0, (OWN,))),
    "takeover-cuts-large-partial": (Write(0, (HUGE,), stop=80_000), Takeover(), Finish(0)),
    "takeover-repeats-remainder": (*BACKLOG, Takeover(), Resume(1)),
    "takeover-drops-queue": (*BACKLOG, Takeover(), Resume(1)),
    "takeover-reorders": (*BACKLOG, Takeover(), Resume(1)),
    "takeover-two-owners": (*BACKLOG, Takeover(halted=True), Resume(1), Idle(5), Thaw()),
    "takeover-leaves-queue-asleep": (*BACKLOG, Takeover(), Resume(1)),
    "takeover-forgets-never-reading": (Connect(2, reads=False), Flood(0, LARGE, 400), Takeover()),
    "failed-takeover-forgets-partial": (Write(0, (OWN,), stop=20), FailedTakeover(holds=True), Finish(0)),
    "failed-takeover-drops-queue": (*BACKLOG, FailedTakeover(holds=True), Resume(1)),
}
"""Steps that show a fault, after two clients have connected."""
CHECKED = {
    "takeover-loses-254th": "closed",
    "takeover-restarts-counters": "miscounted",
    "failed-takeover-ends-relay": "crashed",
}
"""Faults that a fixed check shows, and how."""


def findings(target: SpawnedTarget, requirement: str, *steps: Step) -> list[str]:
    return [str(each) for each in SCENARIOS[requirement].judge(played(target, *steps), rules_of("signal"))]


def test_every_mutant_of_takeovers_is_here() -> None:
    mutants.load()
    assert STEPS.keys() | CHECKED.keys() == {
        name for name, row in TABLE.items() if row.catches[0] in SEEN_IN_A_TAKEOVER
    }


@pytest.mark.parametrize("mutant", STEPS)
def test_a_fault_shows_in_few_steps_and_in_none_without_takeovers(mutant: str) -> None:
    requirement, steps = nearest(mutant), STEPS[mutant]
    with relay(specimen("correct", "signal", f"--mutant {mutant}"), SUCCESSOR) as target:
        assert findings(target, requirement, *PAIR, *steps)
        target.restart()
        rest = tuple(step for step in steps if not isinstance(step, Takeover | FailedTakeover))
        assert findings(target, requirement, *PAIR, *rest) == []


def test_life_4_clients_of_a_successor_that_may_have_owned_them_are_gone_with_it_and_come_back() -> None:
    """Two clients are all there are: a relay that ends with status 0 may have handed over. One more, and it may not."""
    ends = specimen("correct", "signal", "--mutant failed-takeover-ends-relay")
    with relay(ends, SUCCESSOR) as target:
        history = played(target, *PAIR, *SEND, FailedTakeover(holds=True), Connect(2), Write(2, (OWN,)))
        assert (history.successors_killed, history.crash) == (0, "")
        assert [peer.left for peer in history.peers.values()] == [True, True, False]
        assert SCENARIOS["LIFE-4"].judge(history, rules_of("signal")) == []


@pytest.mark.parametrize("mutant", CHECKED)
def test_a_fixed_check_shows_what_programs_do_not(mutant: str) -> None:
    kinds, _ = checked(nearest(mutant), f"--mutant {mutant}")
    assert kinds == {CHECKED[mutant]}


@pytest.mark.parametrize("requirement", sorted(SEEN_IN_A_TAKEOVER))
def test_the_correct_relay_passes_the_fixed_check_and_nothing_is_left_out(requirement: str) -> None:
    assert checked(requirement) == (set(), [])


def checked(requirement: str, *arguments: str) -> tuple[set[str], list[str]]:
    """What a fixed check finds in a relay, and what it leaves out."""
    with Bench(specimen("correct", "signal", *arguments), load_profile("specimen"), rules_of("signal")) as bench:
        return {finding.kind for finding in EXTRA_CHECKS[requirement](bench)}, bench.left_out


def nearest(mutant: str) -> str:
    """The first requirement that a mutant breaks."""
    row = mutants.find(mutant)
    assert row is not None
    return row.catches[0]
