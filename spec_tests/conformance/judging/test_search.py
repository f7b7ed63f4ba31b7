"""The search for a minimal program: what is reported when shrinking went too far."""

import dataclasses

import pytest

from spec_tests.conformance.judged_relays import judged, plan_for, relay, specimen
from torq_conformance.errors import CutShortError
from torq_conformance.generation.search import Clock
from torq_conformance.judging.plan import Observer
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.judging.search import FRESH_PLAYS, MOST_FRESH_CONTROLS, STAMP_RUNS, Search
from torq_conformance.judging.verdict import Counterexample, Verdict
from torq_conformance.model.findings import Finding
from torq_conformance.model.history import History
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements
from torq_conformance.model.steps import Close
from torq_conformance.play.executor import Executor
from torq_conformance.reports.narrate import evidence


class Fading(Search):
    """Every program fails until the relay is a fresh one; then only those as long as the first do."""

    stamping = False
    longest = 0

    def _stamp(self, best: Counterexample) -> None:
        self.stamping = True
        super()._stamp(best)

    def _play(self, program: Program) -> Counterexample | None:
        self.longest = max(self.longest, len(program.steps))
        if self.stamping and len(program.steps) < self.longest:
            return None
        return Counterexample("FWD-1", program, [Finding("lost", "a frame", "nothing")], History())


def test_a_small_program_that_fails_no_more_gives_way_to_a_larger_one_that_always_does() -> None:
    with relay(specimen("correct", "signal")) as target:
        search = Fading(requirements()["FWD-1"], SCENARIOS["FWD-1"], plan_for("FWD-1"), target, Observer(), Clock(60.0))
        result = search.run()
    assert result.verdict is Verdict.FAIL
    assert result.counterexample is not None
    assert len(result.counterexample.program.steps) == search.longest > 2
    assert (result.counterexample.failures, result.counterexample.runs) == (STAMP_RUNS, STAMP_RUNS)


class Slow(Search):
    """Every program fails, and each play takes a minute of a clock that nothing else moves."""

    time = 0.0
    played = 0

    def _history_of(self, program: Program) -> History:
        self.played += 1
        Slow.time += 60.0
        return History(crash="it died")


def test_a_failure_that_takes_a_minute_to_show_is_measured_and_shrunk_within_its_time() -> None:
    plan = plan_for("FWD-1", confirm_seconds=2.0, shrink_seconds=4.0)
    with relay(specimen("correct", "signal")) as target:
        clock = Clock(600.0, lambda: Slow.time)
        search = Slow(requirements()["FWD-1"], SCENARIOS["FWD-1"], plan, target, Observer(), clock)
        result = search.run()
    assert result.verdict is Verdict.FAIL
    assert search.played <= 4, "found once, confirmed once, one smaller program, stamped once"
    assert result.counterexample is not None
    assert (result.counterexample.failures, result.counterexample.runs) == (1, 1)
    assert not result.counterexample.minimal


def test_a_failure_of_which_no_second_play_ends_in_time_is_told_as_seen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    died = History(crash="it died")
    answers = iter([died])

    def play(_: Executor, __: Program) -> History:
        try:
            return next(answers)
        except StopIteration:
            raise CutShortError("the time was over in a flood") from None

    with relay(specimen("correct", "signal")) as target:
        plan, clock = plan_for("FWD-1"), Clock(60.0)
        search = Search(requirements()["FWD-1"], SCENARIOS["FWD-1"], plan, target, Observer(), clock)
        monkeypatch.setattr(Executor, "play", play)
        shown = search.run().counterexample
    assert shown is not None
    assert (shown.failures, shown.runs, shown.history.crash) == (1, 1, "it died")


@pytest.mark.parametrize(("shrink_seconds", "minimal"), [(0.0, False), (30.0, True)])
def test_a_program_that_was_not_shrunk_to_the_end_says_so(shrink_seconds: float, minimal: bool) -> None:
    with relay(specimen("correct", "signal", "--mutant", "drop-last-of-batch")) as target:
        result = judged(target, plan_for("FWD-1", shrink_seconds=shrink_seconds))["FWD-1"]
    assert result.counterexample is not None
    assert result.counterexample.minimal is minimal
    assert ("perhaps not minimal" in evidence(result)) is not minimal


class Leaving(Search):
    """Each program in which a client closes leaves a relay that fails every program from then on, until a fresh one."""

    spoils = True
    spoiled = False
    restarts = 0

    def fresh(self, *, patient: bool) -> None:
        self.restarts += patient
        self.spoiled = not self.spoils

    def _history_of(self, program: Program) -> History:
        self.spoiled = self.spoiled or any(isinstance(step, Close) for step in program.steps)
        return History(crash="it died" if self.spoiled else "")


@pytest.mark.parametrize("spoils", [True, False], ids=["left by the program", "there without it"])
def test_a_control_that_fails_for_what_the_program_has_left_clears_nothing(
    spoils: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = dataclasses.replace(plan_for("CONN-6", max_examples=20), first_failure_only=True)
    with relay(specimen("correct", "signal")) as target:
        search = Leaving(requirements()["CONN-6"], SCENARIOS["CONN-6"], plan, target, Observer(), Clock(60.0))
        search.spoils = spoils
        search.fresh(patient=False)
        monkeypatch.setattr(search._executor, "restart", search.fresh)
        result = search.run()
    assert (result.verdict is Verdict.FAIL) is spoils
    assert search.restarts == (FRESH_PLAYS if spoils else MOST_FRESH_CONTROLS)
