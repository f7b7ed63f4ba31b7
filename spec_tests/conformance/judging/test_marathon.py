"""A marathon: it can be stopped behind each leg and goes on there, judges what has not failed, and says what it met."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from spec_tests.conformance.grey_box.boxes import box_in
from spec_tests.conformance.judged_relays import plan_for, relay, specimen
from torq_conformance.errors import UsageError
from torq_conformance.generation.situations.dimensions import Situation, dimensions
from torq_conformance.grey_box.feedback import Kept
from torq_conformance.judging.marathon import EFFORT, LEG_SECONDS, Marathon, MarathonState, opened
from torq_conformance.judging.plan import Observer, Plan
from torq_conformance.judging.runner import judge_all
from torq_conformance.judging.verdict import Counterexample, Meeting, Result, Verdict
from torq_conformance.model.findings import Finding, Kind
from torq_conformance.model.history import History
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Connect, Idle

NAMES = ("FWD-6", "ORD-1")
TARGET = "my_relay {socket}"


EVERY = [Situation((number % 16, number // 16, *[0] * (len(dimensions()) - 2))) for number in range(48)]
"""All situations that there are in these tests."""


class StoppedError(Exception):
    """Somebody ends the marathon."""


def left(plan: Plan) -> list[tuple[Situation, ...]]:
    return [(each,) for each in EVERY if each not in plan.begun]


class Legs:
    """Stands in for judging: legs of no time that meet ten situations each, and fail as they are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, failing: Iterable[dict[str, int]] = ()) -> None:
        self.plans: list[Plan] = []
        self.met: list[Situation] = []
        self._failing, self._now = list(failing), 0.0
        monkeypatch.setattr("torq_conformance.judging.marathon.due", left)
        monkeypatch.setattr("torq_conformance.judging.marathon.time.monotonic", lambda: self._now)

    def __call__(self, plan: Plan, observer: Observer) -> list[Result]:
        if len(self.plans) == len(self._failing) > 0:
            raise StoppedError
        rates = self._failing[len(self.plans)] if self._failing else {}
        self.plans.append(plan)
        self._now += plan.time_budget
        played = [each for members in left(plan) for each in members][:10]
        self.met += played
        observer.has_met(Meeting(played=played))
        return [self._result(plan, each.id, rates) for each in plan.requirements]

    def _result(self, plan: Plan, name: str, rates: dict[str, int]) -> Result:
        (demand,) = (each for each in plan.requirements if each.id == name)
        result = Result(demand, Verdict.PASS, exercised=10)
        if name in rates:
            program = Program("signal", (Connect(0),) * rates[name])
            finding = Finding(Kind.LOST, "a frame", "nothing")
            result.verdict = Verdict.FAIL
            result.counterexample = Counterexample(name, program, [finding], History(), failures=10, runs=10)
        return result


class Told(Observer):
    def __init__(self) -> None:
        self.results: list[Result] = []
        self.meeting = Meeting()
        self.words: list[str] = []

    def has_met(self, meeting: Meeting) -> None:
        self.meeting = meeting

    def finished(self, result: Result) -> None:
        self.results.append(result)

    def ended_leg(self, words: str, results: object, meeting: object) -> None:
        self.words.append(words)


def plan_of(hours: float, seed: int = 5) -> Plan:
    return dataclasses.replace(plan_for(*NAMES, time_budget=hours * 3600, seed=seed), depth=3)


def test_legs_fill_the_time_and_no_situation_of_a_round_comes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, path, told, legs = plan_of(1), tmp_path / "state.json", Told(), Legs(monkeypatch)
    results = Marathon(plan, opened(path, plan, TARGET), path, told).run(legs)
    assert sum(each.time_budget for each in legs.plans) == 3600
    assert {each.time_budget for each in legs.plans} == {LEG_SECONDS}
    assert len({each.seed for each in legs.plans}) == len(legs.plans) == 12
    efforts = [(each.depth, each.max_examples) for each in legs.plans]
    assert efforts == [(2, plan.max_examples)] + [(3, plan.max_examples * EFFORT)] * 11
    state = msgspec.json.decode(path.read_bytes(), type=MarathonState)
    assert (state.rounds, state.round_began) == (2, 2 * len(EVERY))
    assert set(legs.met[: len(EVERY)]) == set(legs.met[len(EVERY) : 2 * len(EVERY)]) == set(EVERY)
    assert len(set(legs.met[2 * len(EVERY) :])) == len(legs.met) - 2 * len(EVERY) == 20
    assert [each.id for each in plan.requirements] == [each.requirement.id for each in told.results]
    assert [each.exercised for each in results] == [120, 120]
    assert told.meeting.played == legs.met
    assert len(told.words) == 12
    assert told.words[-1].startswith("12 legs in 60 min of 60 min, ")
    assert "2 whole rounds of all triples" in told.words[-1]


def test_a_stopped_marathon_goes_on_behind_its_last_whole_leg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, path, told = plan_of(1), tmp_path / "state.json", Told()
    first = Legs(monkeypatch, failing=[{}] * 3)
    with pytest.raises(StoppedError):
        Marathon(plan, opened(path, plan, TARGET), path, told).run(first)
    assert [each.exercised for each in told.results] == [30, 30]
    again = dataclasses.replace(plan, seed=77)  # a seed that nobody named is another each time
    state = opened(path, again, TARGET)
    rest, after = Legs(monkeypatch), Told()
    Marathon(again, state, path, after).run(rest)
    assert len(rest.plans) == 9
    assert not {each.seed for each in first.plans} & {each.seed for each in rest.plans}
    assert not set(rest.plans[0].begun) ^ set(first.met)
    assert after.meeting.played == first.met + rest.met
    assert [each.exercised for each in after.results] == [120, 120]
    over = Legs(monkeypatch)
    assert [each.exercised for each in Marathon(plan, opened(path, plan, TARGET), path, Told()).run(over)] == [120, 120]
    assert over.plans == []


def test_what_has_failed_is_judged_no_more_and_a_stop_shows_it_again_or_calls_it_flaky(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, path = plan_of(1), tmp_path / "state.json"
    legs = Legs(monkeypatch, failing=[{}, {"FWD-6": 3}, {}])
    with pytest.raises(StoppedError):
        Marathon(plan, opened(path, plan, TARGET), path, Told()).run(legs)
    assert [[each.id for each in leg.requirements] for leg in legs.plans] == [[*NAMES], [*NAMES], ["ORD-1"]]
    for rates, verdict in (({"FWD-6": 2}, Verdict.FAIL), ({}, Verdict.FLAKY)):
        told = Told()
        again = Legs(monkeypatch, failing=[rates])
        with pytest.raises(StoppedError):
            Marathon(plan, opened(path, plan, TARGET), path, told).run(again)
        assert again.plans[0].remembered["FWD-6"][0].steps
        assert [each.id for each in again.plans[0].requirements] == [*NAMES]
        assert [each.verdict for each in told.results] == [verdict, Verdict.PASS]
        assert told.results[0].counterexample is not None


def test_the_state_of_another_marathon_is_refused_and_left_alone(tmp_path: Path) -> None:
    plan, path = plan_of(1), tmp_path / "state.json"
    assert opened(path, plan, TARGET).seed == plan.seed
    before = path.read_bytes()
    assert opened(path, plan, TARGET).legs == 0
    for other, target in (
        (plan, "another {socket}"),
        (dataclasses.replace(plan, requirements=plan.requirements[:1]), TARGET),
        (dataclasses.replace(plan, domain="execution"), TARGET),
        (dataclasses.replace(plan, profile=msgspec.structs.replace(plan.profile, echo=False)), TARGET),
    ):
        with pytest.raises(UsageError, match=r"of another marathon: its .* is .*, not .*; name another file with --st"):
            opened(path, other, target)
    assert path.read_bytes() == before
    state = msgspec.json.decode(before, type=MarathonState)
    state.of["situations"] = "of another version"
    path.write_bytes(msgspec.json.encode(state))
    with pytest.raises(UsageError, match="its situations is 'of another version'"):
        opened(path, plan, TARGET)
    with pytest.raises(
        UsageError, match=r"cannot write .*/nowhere/state.json: No such file or directory; name another"
    ):
        opened(tmp_path / "nowhere" / "state.json", plan, TARGET)
    for content in (b"", b"{}", b'{"format": "torq-conformance marathon", "of": {}}', b"\xff"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"is no state of a marathon of this suite .*--state"):
            opened(path, plan, TARGET)


def test_a_leg_finds_what_a_relay_does_wrong(tmp_path: Path) -> None:
    plan = dataclasses.replace(plan_for("FWD-6", time_budget=60.0, shrink_seconds=0.5), depth=3)
    path, told = tmp_path / "state.json", Told()
    with relay(specimen("correct", "signal", "--mutant", "drop-header-only")) as target:
        judge = lambda plan, observer: judge_all(plan, target, observer)  # noqa: E731
        Marathon(plan, opened(path, plan, TARGET), path, told).run(judge)
    assert [each.verdict for each in told.results] == [Verdict.FAIL]
    assert [each.endswith(", 1 requirement failing") for each in told.words] == [True]


def test_programs_that_reached_something_new_are_handed_on_to_the_legs_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = box_in(tmp_path, "map")
    plan = dataclasses.replace(plan_of(1), grey_box=box)
    kept = Program("signal", (Connect(0), Idle(7)))

    class Keeping(Legs):
        def __call__(self, plan: Plan, observer: Observer) -> list[Result]:
            box.feedback().keep(Kept(kept, frozenset((1,))))
            observer.has_explored(Meeting(explored=5))
            return super().__call__(plan, observer)

    path, told = tmp_path / "state", Told()
    state = opened(path, plan, TARGET)
    legs = Keeping(monkeypatch)
    Marathon(plan, state, path, told).run(legs)
    assert {each.kept for each in legs.plans} == {()}  # one process of the run still has them
    assert told.meeting.explored == 5 * len(legs.plans)
    longer = dataclasses.replace(plan, time_budget=2 * plan.time_budget)
    again = Legs(monkeypatch)
    Marathon(longer, opened(path, longer, TARGET), path, told).run(again)
    assert [each.kept for each in again.plans] == [(kept,)] + [()] * (len(again.plans) - 1)
