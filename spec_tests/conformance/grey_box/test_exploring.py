"""Programs that are played for what they reach find what no others would, and accuse nobody who is right."""

import dataclasses
from pathlib import Path

import pytest

from spec_tests.conformance.grey_box.boxes import HIDDEN_FAULT, HIDDEN_FAULT_COMMAND, box_in, plan_in
from spec_tests.conformance.judged_relays import specimen
from torq_conformance.generation.search import Clock
from torq_conformance.grey_box.feedback import Feedback, GreyBox
from torq_conformance.grey_box.figures import reached_in
from torq_conformance.judging.exploring import Exploration
from torq_conformance.judging.parallel import judge_in_workers
from torq_conformance.judging.plan import Observer
from torq_conformance.judging.runner import judge_all
from torq_conformance.judging.verdict import Meeting, Verdict
from torq_conformance.model.findings import Kind
from torq_conformance.model.frames import Frame
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Connect, Idle, Write
from torq_conformance.play.naming import target_for

SECONDS = 60.0
DEAD_FUNCTION = tuple(
    number for number, line in enumerate(HIDDEN_FAULT.read_text().splitlines(), 1) if "answer" in line
)


class Deaf(Feedback):
    """Hears nothing of what is reached."""

    def collect(self) -> frozenset[int]:
        super().collect()
        return frozenset()


class Told(Observer):
    """Hears how an exploration goes."""

    def __init__(self) -> None:
        self.count = 0
        self.meeting = Meeting()

    def explored(self, count: int, kept: int) -> None:
        assert count == self.count + 1
        self.count = count

    def has_explored(self, meeting: Meeting) -> None:
        self.meeting = meeting


def explored(box: GreyBox, feedback: Feedback, most: int, *handed: Program) -> tuple[Meeting, int]:
    """What an exploration of the relay with the hidden fault shows, and how many programs it has played."""
    plan = dataclasses.replace(plan_in(box, "FWD-1", max_examples=20), kept=handed)
    with target_for(None, HIDDEN_FAULT_COMMAND, "signal", plan.environment) as target:
        meeting = Exploration(plan, target, Clock(SECONDS), plan.rules, feedback, Observer()).explore(most)
        return meeting, target.plays


def test_a_fault_behind_three_comparisons_is_found_by_what_is_reached_and_not_without(tmp_path: Path) -> None:
    box = box_in(tmp_path, "python", of=[HIDDEN_FAULT])
    meeting, played = explored(box, Feedback(box), 1000)
    assert meeting.shown["FWD-1"].findings[0].kind is Kind.LOST
    (reached,) = reached_in(box, meeting.explored)
    assert [(each.lines, each.branches) for each in reached.never] == [(DEAD_FUNCTION, ())]
    assert reached.kept == 2
    without, _ = explored(box, Deaf(box), played)
    assert without.explored == played
    assert not without.shown


def test_a_slow_program_does_not_take_what_is_new_from_the_quick_ones(tmp_path: Path) -> None:
    box = box_in(tmp_path, "python", of=[HIDDEN_FAULT])
    second_comparison = Frame(2, sequence=0x4F54)
    slow = Program("signal", (Connect(0), Connect(1), Idle(300), Write(0, (second_comparison,))))
    meeting, _ = explored(box, Feedback(box), 1000, slow)
    assert "FWD-1" in meeting.shown


@pytest.fixture
def few_situations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torq_conformance.judging.exploring.QUICK_SECONDS", 5.0)  # on a busy machine too
    for module in ("runner", "parallel"):
        monkeypatch.setattr(f"torq_conformance.judging.{module}.meeting_share", lambda _: 0.01)


@pytest.mark.usefixtures("few_situations")
def test_a_run_confirms_what_it_found_so_and_makes_it_smaller(tmp_path: Path) -> None:
    box = box_in(tmp_path, "python", of=[HIDDEN_FAULT])
    plan = plan_in(box, "FWD-1", max_examples=20, time_budget=600.0, confirm_seconds=0.5, shrink_seconds=1.5)
    with target_for(None, HIDDEN_FAULT_COMMAND, "signal", plan.environment) as target:
        (result,) = judge_all(plan, target, Observer())
    assert result.verdict is Verdict.FAIL
    shown = result.counterexample
    assert shown is not None
    assert shown.runs > 1
    (frame,) = (frame for _, _, _, frame in shown.program.frames())
    assert frame.sequence is not None
    assert frame.sequence.to_bytes(8, "little")[:3] == b"TOR"


@pytest.mark.usefixtures("few_situations")
def test_workers_find_it_too_and_share_what_they_reach(tmp_path: Path) -> None:
    box = box_in(tmp_path, "python", of=[HIDDEN_FAULT])
    plan = plan_in(box, "FWD-1", max_examples=20, time_budget=600.0, shrink_seconds=0.1, confirm_seconds=0.1)
    told = Told()
    (result,) = judge_in_workers(plan, HIDDEN_FAULT_COMMAND, 2, told)
    assert result.verdict is Verdict.FAIL
    assert told.count == told.meeting.explored > 0
    (reached,) = reached_in(box, 0)
    assert [each.lines for each in reached.never] == [DEAD_FUNCTION]


def test_a_right_relay_is_accused_of_nothing(tmp_path: Path) -> None:
    box = box_in(tmp_path, "python")
    plan = plan_in(box, "FWD-1", "FWD-3", "VAL-1", "ORD-1", "CONN-6", max_examples=20)
    with target_for(None, specimen("correct", "signal"), "signal", plan.environment) as target:
        meeting = Exploration(plan, target, Clock(SECONDS), plan.rules, box.feedback(), Observer()).explore(40)
    assert meeting.explored == 40
    assert not meeting.shown
    assert reached_in(box, 40)[0].kept > 1
