"""What a relay meets first: which situations a run plays, and to which requirement a contradiction goes."""

import dataclasses
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_tests.conformance.judged_relays import plan_for, relay, specimen
from torq_conformance.generation.situations.dimensions import Situation
from torq_conformance.judging.meeting import chosen, due
from torq_conformance.judging.plan import Observer, Plan
from torq_conformance.judging.runner import Judge, judge_all
from torq_conformance.judging.verdict import Meeting, Verdict

SIGNAL = ("FWD-1", "FWD-2", "FRAME-3", "ORD-1", "ORD-2", "DOM-1", "VAL-1", "VAL-5")


def met(command: str, plan: Plan) -> Meeting:
    with relay(command) as target:
        return Judge(plan, target, Observer(), time.monotonic() + 120.0).meet(120.0, due(plan))


def everything_due(plan: Plan) -> list[Situation]:
    return [situation for members in due(plan) for situation in members]


@given(st.integers(1, 300), st.sampled_from(SIGNAL))
def test_a_run_plays_each_situation_once_and_more_with_more_effort(effort: int, name: str) -> None:
    plan = plan_for(name, max_examples=effort)
    played = everything_due(plan)
    assert len(played) == len(set(played)) <= effort**2
    assert all(name in situation.about for situation in played)
    assert set(played) <= set(everything_due(dataclasses.replace(plan, max_examples=effort + 50)))


def test_every_situation_is_played_where_a_run_is_asked_about_everything_at_the_usual_effort() -> None:
    plan = plan_for(*SIGNAL, "FWD-6", "FWD-7", "FWD-8", "FRAME-1", "FRAME-2", "CONN-6", max_examples=100)
    assert set(everything_due(plan)) == set(chosen(plan))


@pytest.mark.parametrize(
    ("mutant", "requirement"),
    [
        ("order-lost-among:more_than=7", "ORD-1"),
        ("partial-lost-among:more_than=4", "FRAME-3"),
        ("payload-trusted-after:after=1013:of=relay", "DOM-2"),
        ("echo-ends-after:after=1013:of=relay", "FWD-4"),
        ("leaver-read-once", "FWD-1"),
        ("left-unread-at-accept", "FWD-1"),
    ],
)
def test_a_fault_is_found_by_its_kind_and_told_of_its_requirement(mutant: str, requirement: str) -> None:
    plan = plan_for(*SIGNAL, "CONN-6", "DOM-2", "FWD-4", max_examples=100)
    meeting = met(specimen("correct", "signal", "--mutant", mutant), dataclasses.replace(plan, first_failure_only=True))
    assert requirement in meeting.shown
    assert meeting.shown[requirement].findings


def test_what_is_shown_is_made_as_plain_as_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torq_conformance.judging.meeting.PLAIN_SECONDS", 60.0)
    command = specimen("correct", "signal", "--mutant", "order-lost-among:more_than=7")
    meeting = met(command, plan_for("ORD-1", max_examples=100))
    program = meeting.shown["ORD-1"].program
    assert 7 <= len(program.connections) <= 12  # and the witness
    assert len(program.steps) - len(program.connections) <= 4 * 7  # four who leave one after the other, or less


def test_a_requirement_is_not_accused_of_what_is_plainly_about_another_one() -> None:
    command = specimen("correct", "signal", "--mutant", "claim-cut:bits=30")
    with relay(command) as target:
        results = judge_all(plan_for("FWD-1", "FRAME-3", "ORD-1", max_examples=40), target, Observer())
    assert {result.requirement.id: result.verdict for result in results} == dict.fromkeys(
        ("FWD-1", "FRAME-3", "ORD-1"), Verdict.PASS
    )


def test_what_was_cut_short_counts_only_what_was_played() -> None:
    plan = plan_for(*SIGNAL, max_examples=100)
    with relay(specimen("correct", "signal")) as target:
        for seconds in (0.5, 1.0, 2.0, 4.0, 8.0):  # on busy cores the first may be over before a program is played
            meeting = Judge(plan, target, Observer(), time.monotonic() + 120.0).meet(seconds, due(plan))
            if meeting.played:
                break
    assert meeting.cut_short
    assert 0 < len(meeting.played) < len(list(chosen(plan)))
    assert meeting.evidence["programs"] <= len(meeting.played)
    assert not meeting.shown
