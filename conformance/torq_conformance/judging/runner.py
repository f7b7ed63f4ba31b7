"""Judges the requirements of a plan, each by programs or by a fixed check: none hides another."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import msgspec

from ..checks import CHECKS, EXTRA_CHECKS, Bench, Check, UnsupportedCheckError
from ..errors import CutShortError, ImpededError, TargetError, UsageError
from ..generation.search import Clock
from ..generation.situations.dimensions import Situation
from ..impediments import told, unjudged
from ..model.findings import Finding, Kind
from ..model.history import History
from ..model.program import Program
from ..model.requirements import Requirement
from ..model.rules import Rules
from ..model.steps import Act
from ..oracles.traffic import unserved
from ..play.limit import Limit
from ..play.target import Target
from .exploring import EXPLORED_FOR_EACH, Exploration
from .meeting import Encounter, due
from .plan import Observer, Plan
from .replaying import Case, replays
from .scenarios import SCENARIOS, Scenario
from .search import Search
from .survey import ECHO, Survey, survey
from .verdict import ENDED, Counterexample, Lack, Meeting, Result, Verdict

CHECK_RUNS = 5
CHECK_SECONDS = 10.0
"""How often a failing check is repeated at most, and the seconds in which a repetition may begin."""
LEAST_LOOK_SECONDS = 0.5
LEAST_ROUND_SECONDS = 1.0
"""Seconds that must be left for another round of what lacks time."""
BREADTH = 1 / 3
"""The share of the time budget within which every requirement is tried."""
MEETING = {2: 1 / 7, 3: 2 / 3}
"""The share of it in which the relay meets situations, by the depth of the run."""
EXPLORING = 1 / 3
"""The share of it in which programs are played for what they reach in the relay, where it tells."""
LONG_CHECKS = {
    "ISO-7": 11.0,
    "ISO-3": 6.5,
    "LIFE-1": 6.0,
    "RES-3": 6.0,
    "ISO-2": 5.5,
    "RES-4": 3.5,
    "LIFE-3": 3.0,
    "LIFE-4": 3.0,
    "FRAME-5": 1.7,
    "ISO-8": 1.5,
    "LIFE-5": 1.5,
    "CONN-8": 1.2,
    "CONN-10": 1.2,
    "RES-2": 1.2,
}
"""Seconds that fixed checks take on a right relay. One that has begun is not cut short."""
CHECK_COST = 0.4
"""The same of every other check."""
MEETING_FOR_ONE = 1 / 2
"""The share for situations where a run is asked about one requirement."""
NO_TIME_TO_CHECK = "no time was left for its fixed check"
PROGRAM_COST = 0.05
"""Seconds of an ordinary program."""


def judge_all(plan: Plan, target: Target, observer: Observer) -> list[Result]:
    """Judge every requirement of the plan, none hiding another, breadth before depth.

    First the relay meets situations. Each requirement is tried within the first third of the time, the cheapest first.
    Then failures are confirmed and made smaller, and what lacked time goes on, as long as there is time. A requirement
    alone is tried before the relay meets situations: its own programs show soonest what it is about. Where the relay
    tells what it reaches, programs are played for that when every requirement was tried.
    """
    started = time.monotonic()
    end = started + plan.time_budget
    judge = Judge(plan, target, observer, end)
    alone = len(plan.requirements) == 1
    if not alone:
        judge = judge.after(_met(judge, plan, observer))
    found: dict[str, Result] = {}
    order = sorted(plan.requirements, key=lambda each: (not judge.ends_at(each), cost_of_a_look(each, plan.rules)))
    for index, requirement in enumerate(order):
        share = look_seconds(plan, started, len(order) - index)
        observer.started(requirement)
        found[requirement.id] = result = judge.look(requirement, share)
        if alone and result.counterexample is None:
            _fail_by(_met(judge, plan, observer), result, plan, observer)
        if plan.ended_by(result):
            found[requirement.id] = judge.go_on(result, end - time.monotonic()) if result.open else result
            return _ended(plan, found, requirement, observer)
        if not (result.open or plan.explores):
            observer.finished(result)
    if plan.explores:
        _explore(judge, list(found.values()), plan, observer)
    waiting = sorted((each for each in found.values() if each.open), key=lambda each: each.counterexample is None)
    while waiting and end - time.monotonic() > LEAST_ROUND_SECONDS:
        for index, result in enumerate(waiting):
            left = end - time.monotonic()
            found[result.requirement.id] = result = judge.go_on(result, left / (len(waiting) - index))
            if not result.open:
                observer.finished(result)
        waiting = [found[each.requirement.id] for each in waiting if found[each.requirement.id].open]
    for result in waiting:
        result.seen_once()
        observer.finished(result)
    return [found[requirement.id] for requirement in plan.requirements]


def _ended(plan: Plan, found: dict[str, Result], by: Requirement, observer: Observer) -> list[Result]:
    """What is known when a failure ends the run. Those that are not open were told before, unless programs explore."""
    for requirement in plan.requirements:
        known = requirement.id in found and not (found[requirement.id].open or plan.explores)
        result = found.setdefault(requirement.id, Result(requirement, Verdict.UNKNOWN, ENDED))
        if not known or requirement is by:
            result.seen_once()
            observer.finished(result)
    return [found[requirement.id] for requirement in plan.requirements]


def _met(judge: Judge, plan: Plan, observer: Observer) -> Meeting:
    """What all situations of a plan have shown, in their share of the time."""
    meeting = judge.meet(meeting_share(plan) * plan.time_budget, due(plan))
    observer.has_met(meeting)
    return meeting


def _explore(judge: Judge, looked: list[Result], plan: Plan, observer: Observer) -> None:
    """Play programs for what they reach; what they show fails requirements whose own programs showed nothing.

    A result that is not open then is told, whatever ends this.
    """
    try:
        meeting = judge.explore(exploring_seconds(plan), plan.max_examples * EXPLORED_FOR_EACH)
        observer.has_explored(meeting)
        for result in looked:
            if result.counterexample is None:
                _fail_by(meeting, result, plan, observer)
    finally:
        for result in looked:
            if not result.open:
                observer.finished(result)


def _fail_by(meeting: Meeting, result: Result, plan: Plan, observer: Observer) -> None:
    """Take what other programs have shown of a requirement that its own programs have shown to hold."""
    shown = meeting.shown.get(result.requirement.id)
    if shown is None:
        return
    result.failed_by(shown)
    observer.failed(shown)
    if plan.first_failure_only:
        result.seen_once()


def meeting_share(plan: Plan) -> float:
    """The share of the time budget in which the relay meets situations."""
    share = MEETING[plan.depth] if len(plan.requirements) > 1 else MEETING_FOR_ONE
    return min(share, (1.0 - EXPLORING) / 2) if plan.explores else share


def exploring_seconds(plan: Plan) -> float:
    """The time in which programs are played for what they reach."""
    return EXPLORING * plan.time_budget


def look_seconds(plan: Plan, started: float, looks: float) -> float:
    """The time of one of so many looks that are left. A requirement alone leaves time to situations only."""
    share = BREADTH if len(plan.requirements) > 1 else 1.0 - meeting_share(plan) - EXPLORING * plan.explores
    left = started + plan.time_budget * share - time.monotonic()
    return max(left / looks, LEAST_LOOK_SECONDS)


def cost_of_a_look(requirement: Requirement, rules: Rules) -> float:
    """About how many seconds it takes to try a requirement."""
    scenario = SCENARIOS.get(requirement.id)
    if scenario is None:
        return LONG_CHECKS.get(requirement.id, CHECK_COST) if requirement.id in CHECKS else 0.0
    return scenario.cost_under(rules) * PROGRAM_COST


class Judge:
    """Judges single requirements on one relay, until the moment ``end``. What it has ``seen`` is looked at once."""

    def __init__(self, plan: Plan, target: Target, observer: Observer, end: float, seen: Survey | None = None) -> None:
        self._plan, self._target, self._observer, self._end = plan, target, observer, end
        has_programs = any(each.id in SCENARIOS for each in plan.requirements)
        seen = self._seen = seen or (survey(plan.rules, target) if has_programs else Survey())
        self._fair = dataclasses.replace(
            plan, profile=msgspec.structs.replace(plan.profile, echo=seen.fair(plan.rules).echo)
        )

    def meet(self, seconds: float, programs: Sequence[Sequence[Situation]]) -> Meeting:
        """Let the relay meet the situations of some programs, for some seconds."""
        if not self._seen.serves or not programs:
            return Meeting()
        clock = Clock(
            seconds, end=min(self._end, time.monotonic() + seconds)
        )  # a play ends with it, whatever it waits for
        return Encounter(self._plan, self._target, clock, self._fair.rules).meet(programs, self._observer)

    def explore(self, seconds: float, most: int, part: int = 0) -> Meeting:
        """Play programs for what they reach in the relay, for some seconds, so many at most."""
        if not self._seen.serves or (feedback := self._plan.feedback) is None:
            return Meeting()
        clock = Clock(seconds, end=min(self._end, time.monotonic() + seconds))
        rules, observer = self._fair.rules, self._observer
        return Exploration(self._plan, self._target, clock, rules, feedback, observer, part).explore(most)

    def after(self, meeting: Meeting) -> Judge:
        """One that knows what situations have shown."""
        plan = dataclasses.replace(self._plan, shown=meeting.shown)
        return Judge(plan, self._target, self._observer, self._end, self._seen)

    def ends_at(self, requirement: Requirement) -> bool:
        """Whether situations have shown a failure that ends the run."""
        return requirement.id in self._plan.shown and requirement.id in self._plan.ends_at

    def look(self, requirement: Requirement, seconds: float) -> Result:
        """Try a requirement for some seconds. A failure that it shows is open: nothing has confirmed it."""
        if not self._seen.serves and _needs_service(requirement):
            return Result(requirement, Verdict.UNKNOWN, "the relay serves no connection")
        plan = self._chosen(requirement)
        if unsupported := _unsupported(requirement, plan, self._target):
            return Result(requirement, Verdict.UNSUPPORTED, unsupported)
        if requirement.id not in SCENARIOS and requirement.id not in CHECKS:
            return Result(requirement, Verdict.UNKNOWN, "no program of this version exercises it")
        if self._left < cost_of_a_look(requirement, plan.rules) * (requirement.id in CHECKS) or self._left <= 0:
            return Result(requirement, Verdict.UNKNOWN, "the time budget was used up", lacks=Lack.TIME)
        if requirement.id in CHECKS:
            return look_by_check(requirement, CHECKS[requirement.id], plan, self._target)
        result = self._search(plan, seconds, Result(requirement, Verdict.PASS, given=seconds)).look()
        return self._heard(self._with_extra(result, plan))

    def go_on(self, before: Result, seconds: float) -> Result:
        """Confirm the failure of a look and make it smaller, or go on with a look that was cut short."""
        requirement, shown = before.requirement, before.counterexample
        if shown is None and before.tried == 0 and requirement.id in CHECKS:
            return self.look(requirement, seconds)
        plan = self._chosen(requirement)
        if shown is None:
            tried, given = before.tried, before.given
            result = self._search(plan, seconds, before).look()
            result.stalled, result.given = result.tried == tried and seconds <= given, seconds
            return self._heard(self._with_extra(result, plan))
        if shown.program.in_words or not shown.program.steps:
            check = CHECKS.get(requirement.id) or EXTRA_CHECKS[requirement.id]
            return settle_by_check(before, check, plan, self._target, min(seconds, CHECK_SECONDS, self._left))
        plan = dataclasses.replace(
            plan,
            confirm_seconds=min(plan.confirm_seconds, seconds / 4),  # once for the failure, once for what it shrinks to
            shrink_seconds=min(plan.shrink_seconds, seconds / 2),
        )
        return self._heard(self._search(plan, seconds, before).settle())

    @property
    def _left(self) -> float:
        return self._end - time.monotonic()

    def _chosen(self, requirement: Requirement) -> Plan:
        return self._plan if requirement.id == ECHO else self._fair

    def _search(self, plan: Plan, seconds: float, before: Result) -> Search:
        clock = Clock(seconds, end=self._end)
        name = before.requirement.id
        return Search(before.requirement, SCENARIOS[name], plan, self._target, self._observer, clock, before)

    def _with_extra(self, result: Result, plan: Plan) -> Result:
        """The result with what the fixed check of the same requirement shows, once."""
        name = result.requirement.id
        wanted = result.verdict is Verdict.PASS and name in EXTRA_CHECKS and self._target.revivable
        if not wanted or result.checked:
            return result
        if self._left < LONG_CHECKS.get(name, CHECK_COST):
            if NO_TIME_TO_CHECK not in result.reason:
                result.reason = "; ".join(filter(None, (result.reason, NO_TIME_TO_CHECK)))
            return result
        extra = look_by_check(result.requirement, EXTRA_CHECKS[name], plan, self._target)
        extra.exercised += result.exercised
        extra.seconds += result.seconds
        extra.evidence.update(result.evidence)
        extra.tried, extra.lacks, extra.checked = result.tried, result.lacks, True
        extra.given, extra.stalled = result.given, result.stalled
        return extra

    def _heard(self, result: Result) -> Result:
        """The result with the echo that it was judged by, where that is not the profile's."""
        rules = self._fair.rules
        if result.requirement.id != ECHO and rules != self._plan.rules and result.verdict is not Verdict.UNSUPPORTED:
            heard = f"judged with echo {'on' if rules.echo else 'off'}, as this relay has it ({ECHO})"
            if heard not in result.reason:
                result.reason = "; ".join(filter(None, (result.reason, heard)))
        return result


def _needs_service(requirement: Requirement) -> bool:
    """Whether a relay must serve its clients for this verdict: other requirements fail one that serves none."""
    scenario = SCENARIOS.get(requirement.id)
    return scenario is not None and (unserved not in scenario.oracles or scenario.control is not None)


def judge_by_scenario(
    requirement: Requirement, scenario: Scenario, plan: Plan, target: Target, observer: Observer, seconds: float
) -> Result:
    """Judge one requirement, of the specification or of your own, by programs of a scenario for some seconds."""
    return Search(requirement, scenario, plan, target, observer, Clock(seconds)).run()


def _unsupported(requirement: Requirement, plan: Plan, target: Target) -> str:
    if requirement.id in plan.profile.not_promised:
        return f"not promised by profile {plan.profile.name}: {plan.profile.not_promised[requirement.id]}"
    if not requirement.binds(plan.domain):
        return f"binds {' and '.join(requirement.domains)} only"
    spawned = SCENARIOS[requirement.id].spawned if requirement.id in SCENARIOS else requirement.id in CHECKS
    if spawned and not target.revivable:
        return "needs a relay that the suite starts itself, on a Unix socket (--exec 'CMD {socket}')"
    if requirement.id in SCENARIOS and SCENARIOS[requirement.id].replaced and not target.replaceable:
        return "needs a command that starts a successor (--exec-successor 'CMD {socket}', or successor in the profile)"
    if requirement.id in SCENARIOS and (unfit := SCENARIOS[requirement.id].unfit_for(plan.rules)):
        return unfit
    return "figures are measured by the benchmarks" if requirement.level == "FIGURE" else ""


def look_by_check(
    requirement: Requirement, check: Check, plan: Plan, target: Target, limit: Limit | None = None
) -> Result:
    """What one run of a fixed check shows, which starts its own relays; UNKNOWN where its ``limit`` cuts it short."""
    result = _run_check(Result(requirement, Verdict.PASS), check, plan, target, limit or Limit())
    if plan.first_failure_only:
        result.seen_once()
    return result


def settle_by_check(before: Result, check: Check, plan: Plan, target: Target, seconds: float) -> Result:
    """Repeat a failing check to learn its rate, as often as it begins and ends within some seconds."""
    shown = before.counterexample
    if shown is None:
        return before
    until, each = time.monotonic() + seconds, before.seconds
    result = before
    runs = failures = 1
    while runs < CHECK_RUNS and time.monotonic() + each < until:
        again = _run_check(Result(before.requirement, Verdict.PASS), check, plan, target, Limit())
        if again.exercised == 0:
            break
        runs += 1
        result.evidence.update(again.evidence)
        result.exercised += 1
        result.seconds += again.seconds
        if again.counterexample is not None:
            failures += 1
            shown = again.counterexample
    shown.runs, shown.failures = runs, failures
    result.counterexample = shown
    result.verdict = Verdict.FAIL if failures == runs else Verdict.FLAKY
    return result


def _run_check(result: Result, check: Check, plan: Plan, target: Target, limit: Limit) -> Result:
    started = time.monotonic()
    bench = Bench(
        target.description, plan.profile, plan.rules, target.timing, environment=target.environment, limit=limit
    )
    try:
        findings, remains = _findings_of(check, bench)
        if findings and bench.stand_ins:
            raise ImpededError(bench.stand_ins[-1])
    except UnsupportedCheckError as reason:
        result.verdict, result.reason = Verdict.UNSUPPORTED, str(reason)
        return result
    except ImpededError as lack:
        result.verdict, result.reason = Verdict.UNKNOWN, unjudged(lack)
        return result
    except CutShortError:
        result.verdict, result.reason = Verdict.UNKNOWN, NO_TIME_TO_CHECK
        return result
    result.exercised += 1
    result.reason = "; ".join(bench.left_out)
    result.evidence.update(bench.evidence)
    result.evidence["programs"] += 1
    if findings:
        program = Program(plan.rules.domain, tuple(map(Act, bench.acts)))
        result.verdict = Verdict.FAIL
        result.counterexample = Counterexample(result.requirement.id, program, findings, History(remains=remains))
    result.seconds = time.monotonic() - started
    return result


def _findings_of(check: Check, bench: Bench) -> tuple[list[Finding], list[str]]:
    """The findings of a check; for a relay that does not start or serve, its last output too."""
    try:
        with bench, told("to judge this"):
            return list(check(bench)), []
    except TargetError as error:
        return (
            [Finding(Kind.DOWN, "the relay to start and to serve", error.what)],
            [f"it printed {line.strip()!r}" for line in error.output],
        )


def replay(
    program: Program, requirement: str, rules: Rules, target: Target, runs: int, *, started: bool = True
) -> tuple[int, Counterexample]:
    """Play a stored program ``runs`` times: how many runs failed, and what the last failing one (or run) showed.

    ``started`` says that it was found on a relay which the suite had started.

    Raises UsageError for a fixed check and for steps that the target cannot play, TargetError when the relay serves
    nobody: that it shows no failure is no pass.
    """
    if requirement in CHECKS:
        raise UsageError(f"{requirement} is judged by a fixed check: run torq-conformance --section {requirement}")
    case = Case(requirement, program, rules, SCENARIOS[requirement].judges, started)
    failures = 0
    shown: Counterexample | None = None
    for history, findings in replays(case, target, runs):
        if findings or shown is None:
            shown = Counterexample(requirement, program, findings, history)
        failures += bool(findings)
    if shown is None:
        raise ValueError("replay needs at least one run")
    shown.failures, shown.runs = failures, runs
    return failures, shown
