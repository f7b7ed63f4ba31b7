"""The mutants of LIFE-3 and LIFE-4: each shows in a few steps or in the fixed check, and in none without takeovers."""

import pytest

from spec_tests.conformance.judged_relays import played, relay, specimen
from spec_tests.conformance.program_strategies import rules_of
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

SUCCESSOR = "{command} --takeover"
OWN = Frame(2, (Tlv(30, 8),))
LARGE = Frame(2, (Tlv(30, 1_400),))
HUGE = Frame(2, (Tlv(30, 60_000),) * 2)
PAIR: tuple[Step, ...] = (Connect(0), Connect(1))
SEND: tuple[Step, ...] = (Write(0, (OWN,)), Write(1, (OWN,)))
BACKLOG: tuple[Step, ...] = (Stall(1), Flood(0, LARGE, 400))


def findings(target: SpawnedTarget, requirement: str, *steps: Step) -> list[str]:
    return [str(each) for each in SCENARIOS[requirement].judge(played(target, *steps), rules_of("signal"))]


@pytest.mark.parametrize(
    ("mutant", "requirement", "steps"),
    [
        ("takeover-forgets-partial", "LIFE-3", (Write(0, (OWN,), stop=20), Takeover(), Finish(0))),
        ("takeover-forgets-half-closed", "LIFE-3", (HalfClose(1), Takeover(), Write(0, (OWN,)))),
        ("takeover-shuts-down", "LIFE-3", (Takeover(), Write(0, (OWN,)))),
        ("takeover-unlinks-path", "LIFE-3", (Takeover(), Connect(2), Write(0, (OWN,)))),
        ("takeover-turns-away", "LIFE-3", (Takeover(halted=True), Connect(2), Write(0, (OWN,)))),
        ("takeover-only-once", "LIFE-3", (Takeover(), Takeover(), Write(0, (OWN,)))),
        ("failed-takeover-serves-nobody", "LIFE-4", (FailedTakeover(holds=True), Write(0, (OWN,)))),
        ("failed-takeover-is-last", "LIFE-4", (FailedTakeover(holds=True), Takeover(), Write(0, (OWN,)))),
        ("takeover-cuts-large-partial", "LIFE-3", (Write(0, (HUGE,), stop=80_000), Takeover(), Finish(0))),
        ("takeover-repeats-remainder", "LIFE-3", (*BACKLOG, Takeover(), Resume(1))),
        ("takeover-drops-queue", "LIFE-3", (*BACKLOG, Takeover(), Resume(1))),
        ("takeover-reorders", "LIFE-3", (*BACKLOG, Takeover(), Resume(1))),
        (
            "takeover-two-owners",
            "LIFE-3",
            (*BACKLOG, Takeover(halted=True), Resume(1), Idle(5), Thaw()),
        ),
    ],
)
def test_a_fault_shows_in_few_steps_and_in_none_without_takeovers(
    mutant: str, requirement: str, steps: tuple[Step, ...]
) -> None:
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


@pytest.mark.parametrize(
    ("mutant", "requirement", "kind"),
    [
        ("", "LIFE-3", ""),
        ("", "LIFE-4", ""),
        ("takeover-loses-254th", "LIFE-3", "closed"),
        ("takeover-restarts-counters", "LIFE-3", "miscounted"),
        ("failed-takeover-ends-relay", "LIFE-4", "crashed"),
    ],
)
def test_the_fixed_checks_show_what_programs_do_not(mutant: str, requirement: str, kind: str) -> None:
    command = specimen("correct", "signal", *(["--mutant", mutant] if mutant else []))
    with Bench(command, load_profile("specimen"), rules_of("signal")) as bench:
        assert {finding.kind for finding in EXTRA_CHECKS[requirement](bench)} == ({kind} if kind else set())
    assert mutant or bench.left_out == []
