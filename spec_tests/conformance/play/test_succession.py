"""Takeovers over real sockets and processes: what comes about, what is halted, what is killed, and what is left."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spec_tests.conformance.judged_relays import played, relay, specimen
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.errors import UsageError
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.model.frames import Frame, Tlv
from torq_conformance.model.steps import (
    Connect,
    FailedTakeover,
    Finish,
    Freeze,
    HalfClose,
    Kill,
    Step,
    Sync,
    Takeover,
    Thaw,
    Write,
)
from torq_conformance.play.processes import doing
from torq_conformance.play.target import SpawnedTarget

SUCCESSOR = "{command} --takeover"
OWN = Frame(2, (Tlv(30, 8),))
PAIR: tuple[Step, ...] = (Connect(0), Connect(1))
SEND: tuple[Step, ...] = (Write(0, (OWN,)), Write(1, (OWN,)))


@pytest.fixture(scope="module")
def correct() -> Iterator[SpawnedTarget]:
    with relay(specimen("correct", "signal"), SUCCESSOR) as target:
        yield target


def test_life_3_a_successor_serves_the_same_clients(correct: SpawnedTarget) -> None:
    before = correct.pid
    history = played(correct, *PAIR, *SEND, Takeover(), *SEND, Connect(2), Write(2, (OWN,)))
    assert (history.takeovers, history.not_replaced, history.crash) == (1, "", "")
    assert [len(peer.received) for peer in history.peers.values()] == [5, 5, 1]
    assert correct.pid not in (before, None)
    assert SCENARIOS["LIFE-3"].judge(history, rules_of("signal")) == []


def test_life_3_both_processes_stand_still_within_a_halted_takeover() -> None:
    with relay(specimen("correct", "signal"), SUCCESSOR) as target:
        target.start_successor()
        old, new = target.pid, target.successor_pid
        while target.look_at_successor() is None and not target.handed_over:
            target.advance_takeover()
        assert old is not None
        assert new is not None
        assert (doing(old), doing(new), target.is_being_replaced) == ("is stopped", "is stopped", True)
        target.thaw()
        while target.look_at_successor() is None:
            pass
        assert (target.pid, target.is_being_replaced, target.crash()) == (new, False, "")


@pytest.mark.parametrize(
    "steps",
    [
        (Write(0, (OWN,), settle=False), HalfClose(1), Thaw(), Write(0, (OWN,))),
        (Write(0, (OWN,), settle=False), Connect(2), Write(2, (OWN,))),
        (Write(0, (OWN,), settle=False), Sync(), Write(1, (OWN,))),
        (Write(0, (OWN,), stop=20, settle=False), Freeze(), Finish(0), Thaw()),
        (Takeover(), Write(0, (OWN,))),
        (FailedTakeover(), Write(0, (OWN,))),
        (Kill(), Connect(2), Write(2, (OWN,))),
        (),
    ],
    ids=lambda steps: " ".join(type(step).__name__ for step in steps),
)
def test_a_halted_takeover_comes_to_its_end_whatever_follows(correct: SpawnedTarget, steps: tuple[Step, ...]) -> None:
    history = played(correct, *PAIR, Takeover(halted=True), *steps)
    assert history.takeovers >= 1
    assert SCENARIOS["LIFE-3"].judge(history, rules_of("signal")) == []
    assert not correct.is_being_replaced


@pytest.mark.parametrize("step", [FailedTakeover(), FailedTakeover(5), FailedTakeover(holds=True)])
def test_life_4_the_relay_serves_on_when_its_successor_is_killed(correct: SpawnedTarget, step: Step) -> None:
    before = correct.pid
    history = played(correct, *PAIR, *SEND, step, *SEND)
    assert (history.successors_killed, history.takeovers, correct.pid) == (1, 0, before)
    assert SCENARIOS["LIFE-4"].judge(history, rules_of("signal")) == []


def test_relays_and_successors_that_a_shell_has_started_stand_still_with_it() -> None:
    command = f"sh -c '{Path(sys.executable).parent}/{specimen('correct', 'signal')}; exit'"
    with relay(command, command.replace("; exit", " --takeover; exit")) as target:
        for step in (FailedTakeover(holds=True), Takeover(halted=True), FailedTakeover(holds=True)):
            before = target.pid
            history = played(target, *PAIR, *SEND, step, *SEND)
            killed = isinstance(step, FailedTakeover)
            assert (history.successors_killed, history.takeovers, target.pid == before) == (killed, not killed, killed)
            assert SCENARIOS["LIFE-4"].judge(history, rules_of("signal")) == []


def test_life_4_a_successor_that_serves_is_not_killed(correct: SpawnedTarget) -> None:
    before = correct.pid
    history = played(correct, *PAIR, FailedTakeover(2_000), *SEND)
    assert (history.successors_killed, history.takeovers) == (0, 1)
    assert correct.pid != before
    assert SCENARIOS["LIFE-4"].judge(history, rules_of("signal")) == []


@pytest.mark.parametrize(
    ("successor", "why"),
    [
        ("false {socket}", "it exited with status 1"),
        ("sh -c 'echo no way; exit 3' {socket}", "it exited with status 3, having printed 'no way'"),
        ("sh -c 'kill -TERM $$' {socket}", "it was ended by SIGTERM"),
    ],
)
def test_life_3_a_successor_that_fails_by_itself_is_told_of(successor: str, why: str) -> None:
    with relay(specimen("correct", "signal"), successor) as target:
        before = target.pid
        history = played(target, *PAIR, Takeover(), *SEND)
        assert history.not_replaced.startswith(why)
        assert target.pid == before
        found = SCENARIOS["LIFE-3"].judge(history, rules_of("signal"))
        assert [(each.kind, each.seen) for each in found] == [("not replaced", history.not_replaced)]


def test_nothing_is_taken_over_where_nobody_says_how() -> None:
    with relay(specimen("correct", "signal")) as target:
        history = played(target, *PAIR, Takeover(), Takeover(halted=True), FailedTakeover(), *SEND)
        assert (history.takeovers, history.successors_killed, history.not_replaced) == (0, 0, "")


@pytest.mark.parametrize("halted", [False, True])
def test_a_successor_that_has_not_come_to_serve_ends_with_its_relay(halted: bool) -> None:
    with relay(specimen("correct", "signal"), SUCCESSOR) as target:
        target.start_successor()
        while halted and not target.handed_over:
            target.advance_takeover()
        pids = [target.pid, target.successor_pid]
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize(
    ("successor", "message"),
    [
        ("my_relay --takeover", r"--exec-successor 'my_relay --takeover': write \{socket\}"),
        ("my_relay '{socket}", "--exec-successor .*No closing quotation"),
    ],
)
def test_a_command_that_can_be_no_successor_is_told_at_once(successor: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SpawnedTarget("my_relay {socket}", successor=successor)
