"""Judges the requirements of a plan, each by programs or by a fixed check: none hides another."""

from __future__ import annotations

import dataclasses
import time

import msgspec

from ..checks import CHECKS, EXTRA_CHECKS, Bench, Check, UnsupportedCheckError
from ..errors import ImpededError, TargetError, UsageError
from ..generation.search import Clock
from ..impediments import told, unjudged
from ..model.findings import Finding, Kind
from ..model.history import History
from ..model.program import Program
from ..model.requirements import Requirement
from ..model.rules import Rules
from ..model.steps import Act
from ..oracles.traffic import unserved
from ..play.target import Target
from .plan import Observer, Plan
from .replaying import Case, replays
from .scenarios import SCENARIOS, UNJUDGED, Scenario
from .search import Search
from .survey import ECHO, Survey, survey
from .verdict import Counterexample, Lack, Result, Verdict

CHECK_RUNS = 5
CHECK_SECONDS = 10.0
"""How often a failing check is repeated at most, and the seconds in which a repetition may begin."""


def judge_all(plan: Plan, target: Target, observer: Observer) -> list[Result]:
    """Judge every requirement of the plan, one after the other, none hiding another."""
    started = time.monotonic()
    results: list[Result] = []
    seen = survey(plan.rules, target) if any(each.id in SCENARIOS for each in plan.requirements) else Survey()
    fair = dataclasses.replace(plan, profile=msgspec.structs.replace(plan.profile, echo=seen.fair(plan.rules).echo))
    for index, requirement in enumerate(plan.requirements):
        left = plan.time_budget - (time.monotonic() - started)
        share = left / (len(plan.requirements) - index)
        observer.started(requirement)
        if not seen.serves and _needs_service(requirement):
            result = Result(requirement, Verdict.UNKNOWN, "the relay serves no connection")
        else:
            chosen = plan if requirement.id == ECHO else fair
            result = _judge(requirement, chosen, target, observer, max(share * 2, 0.0) if left > 0 else 0.0)
            if chosen.rules != plan.rules and requirement.id in SCENARIOS and result.verdict is not Verdict.UNSUPPORTED:
                heard = f"echo {'on' if fair.rules.echo else 'off'}, as this relay has it ({ECHO})"
                result.reason = "; ".join(filter(None, (result.reason, f"judged with {heard}")))
        observer.finished(result)
        results.append(result)
    return results


def _needs_service(requirement: Requirement) -> bool:
    """Whether a relay must serve its clients for this verdict: other requirements fail one that serves none."""
    scenario = SCENARIOS.get(requirement.id)
    return scenario is not None and (unserved not in scenario.oracles or scenario.control is not None)


def _judge(requirement: Requirement, plan: Plan, target: Target, observer: Observer, seconds: float) -> Result:
    unsupported = _unsupported(requirement, plan, target)
    if unsupported:
        return Result(requirement, Verdict.UNSUPPORTED, unsupported)
    if requirement.id not in SCENARIOS and requirement.id not in CHECKS:
        return Result(requirement, Verdict.UNKNOWN, "no program of this version exercises it")
    if seconds <= 0:
        return Result(requirement, Verdict.UNKNOWN, "the time budget was used up", lacks=Lack.TIME)
    if requirement.id in CHECKS:
        return judge_by_check(requirement, CHECKS[requirement.id], plan, target)
    result = judge_by_scenario(requirement, SCENARIOS[requirement.id], plan, target, observer, seconds)
    if result.verdict is Verdict.PASS and requirement.id in EXTRA_CHECKS and target.revivable:
        extra = judge_by_check(requirement, EXTRA_CHECKS[requirement.id], plan, target)
        extra.exercised += result.exercised
        extra.evidence.update(result.evidence)
        return extra
    return result


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
    if requirement.id in SCENARIOS and (unfit := SCENARIOS[requirement.id].unfit_for(plan.rules)):
        return unfit
    return UNJUDGED.get(
        requirement.id, "figures are measured by the benchmarks" if requirement.level == "FIGURE" else ""
    )


def judge_by_check(requirement: Requirement, check: Check, plan: Plan, target: Target) -> Result:
    """The verdict of a fixed check, which starts its own relays. A failing check is repeated to learn its rate."""
    started = time.monotonic()
    result = Result(requirement, Verdict.PASS)
    runs = failures = 0
    until = started + CHECK_SECONDS
    most = 1 if plan.first_failure_only else CHECK_RUNS
    while runs == 0 or (failures and runs < most and time.monotonic() < until):
        bench = Bench(target.description, plan.profile, plan.rules, target.timing)
        try:
            findings, remains = _findings_of(check, bench)
            if findings and bench.stand_ins:
                raise ImpededError(bench.stand_ins[-1])
        except UnsupportedCheckError as reason:
            result.verdict, result.reason = Verdict.UNSUPPORTED, str(reason)
            return result
        except ImpededError as lack:
            if result.counterexample is None:
                result.verdict, result.reason = Verdict.UNKNOWN, unjudged(lack)
                return result
            break
        runs += 1
        result.reason = "; ".join(bench.left_out)
        result.evidence.update(bench.evidence)
        result.evidence["programs"] += 1
        if findings:
            failures += 1
            program = Program(plan.rules.domain, tuple(map(Act, bench.acts)))
            result.counterexample = Counterexample(requirement.id, program, findings, History(remains=remains))
    result.exercised = runs
    if result.counterexample is not None:
        result.counterexample.runs, result.counterexample.failures = runs, failures
        result.verdict = Verdict.FAIL if failures == runs else Verdict.FLAKY
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
