"""Runs the scenarios: generates programs, plays and judges them, confirms failures, shrinks, and gives verdicts.

Facts:
- Hypothesis is told everything explicitly: under ``CI=1`` it would otherwise use the same seed every time and forget;
- a failure is played again ten times: always failing means deterministic, and one run per candidate is enough to
  shrink; otherwise a candidate is played as often as the measured rate demands (a real failure missed less than once
  in 1000), at most 60 times;
- a failing program is shrunk by us, within our own budget, and not by Hypothesis, which would need a failure that
  always shows, and knows nothing of what makes a program heavy.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.stateful import run_state_machine_as_test

from .checks import CHECKS, EXTRA_CHECKS, Bench, Check, UnsupportedCheckError
from .errors import TargetError, UsageError
from .executor import Executor
from .history import History
from .minimise import simpler_programs
from .oracles import Finding, Oracle, unserved
from .profile import Profile, Rules, rules_for
from .program import Act, Program
from .requirements import Requirement
from .scenarios import SCENARIOS, UNJUDGED, Scenario, features_of
from .target import Target

CONFIRM_RUNS = 10
MAX_RUNS = 60
STEADY_RUNS = 2
STAMP_RUNS = 20
STAMP_SECONDS = 3.0
SHRINK_SECONDS = 4.0
"""Seconds for taking away from a failing program what the failure does not need."""
MISS_RATE = 0.001
CHECK_RUNS = 5
CHECK_SECONDS = 10.0
"""How often a failing check is done again, and within what time."""


class Verdict(Enum):
    """What is known about a requirement after a run."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    FLAKY = "FLAKY"
    UNKNOWN = "UNKNOWN"
    UNSUPPORTED = "UNSUPPORTED"
    EXPECTED_FAIL = "EXPECTED-FAIL"
    UNEXPECTED_PASS = "UNEXPECTED-PASS"  # noqa: S105 - a verdict, not a password


@dataclass(slots=True)
class Counterexample:
    """The smallest failing program found, what it shows, and how often it does."""

    requirement: str
    program: Program
    findings: list[Finding]
    history: History
    failures: int = 0
    runs: int = 0

    @property
    def deterministic(self) -> bool:
        """Whether every run of it failed."""
        return self.failures == self.runs


@dataclass(slots=True)
class Result:
    """The verdict on one requirement with its evidence."""

    requirement: Requirement
    verdict: Verdict
    reason: str = ""
    exercised: int = 0
    evidence: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    counterexample: Counterexample | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does: the domain and profile it judges by, and how much it may cost.

    ``remembered`` are programs by requirement that failed in other runs: they are played before new ones.
    """

    domain: str
    profile: Profile
    rules: Rules
    requirements: tuple[Requirement, ...]
    max_examples: int
    seed: int
    time_budget: float
    shrink_seconds: float = SHRINK_SECONDS
    first_failure_only: bool = False
    remembered: Mapping[str, tuple[Program, ...]] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        *,
        domain: str,
        profile: Profile,
        requirements: list[Requirement],
        max_examples: int,
        seed: int,
        time_budget: float,
        shrink_seconds: float = SHRINK_SECONDS,
        first_failure_only: bool = False,
    ) -> Plan:
        """A plan with the profile made definite for the domain; times in seconds.

        ``first_failure_only`` leaves a failure as it was first seen, neither confirmed nor shrunk.
        """
        rules = rules_for(profile, domain)  # type: ignore[arg-type] # the CLI offers only the three names
        return cls(
            domain,
            profile,
            rules,
            tuple(requirements),
            max_examples,
            seed,
            time_budget,
            shrink_seconds,
            first_failure_only,
        )


class Observer:
    """Is told how a run goes. The methods do nothing; a progress display overrides what it shows."""

    def started(self, requirement: Requirement) -> None:
        """A requirement is about to be judged."""

    def played(self, requirement: Requirement, count: int) -> None:
        """One more program was played."""

    def failed(self, counterexample: Counterexample) -> None:
        """A failing program was found, or a smaller one."""

    def finished(self, result: Result) -> None:
        """A requirement has its verdict."""


class _OutOfTime(BaseException):
    """Ends a search at once; no exception that Hypothesis would take for a failure of the program."""


class _Found(_OutOfTime):
    """Ends a search because it has found, and shrunk, what it looked for."""


def judge_all(plan: Plan, target: Target, observer: Observer) -> list[Result]:
    """Judge every requirement of the plan, one after the other, none hiding another."""
    started = time.monotonic()
    results: list[Result] = []
    silent = ""
    for index, requirement in enumerate(plan.requirements):
        left = plan.time_budget - (time.monotonic() - started)
        share = left / (len(plan.requirements) - index)
        observer.started(requirement)
        if silent and unserved not in _oracles(requirement):
            result = Result(requirement, Verdict.UNKNOWN, f"the relay serves no connection ({silent})")
        else:
            result = _judge(requirement, plan, target, observer, max(share * 2, 0.0) if left > 0 else 0.0)
        if result.counterexample is not None and result.counterexample.findings[0].kind == "unserved":
            silent = requirement.id
        observer.finished(result)
        results.append(result)
    return results


def _oracles(requirement: Requirement) -> tuple[Oracle, ...]:
    return SCENARIOS[requirement.id].oracles if requirement.id in SCENARIOS else ()


def _judge(requirement: Requirement, plan: Plan, target: Target, observer: Observer, seconds: float) -> Result:
    unsupported = _unsupported(requirement, plan, target)
    if unsupported:
        return Result(requirement, Verdict.UNSUPPORTED, unsupported)
    if requirement.id not in SCENARIOS and requirement.id not in CHECKS:
        return Result(requirement, Verdict.UNKNOWN, "no program of this version exercises it")
    if seconds <= 0:
        return Result(requirement, Verdict.UNKNOWN, "the time budget was used up")
    if requirement.id in CHECKS:
        return judge_by_check(requirement, CHECKS[requirement.id], plan, target)
    result = _judge_by_programs(requirement, plan, target, observer, seconds)
    if result.verdict is Verdict.PASS and requirement.id in EXTRA_CHECKS and target.revivable:
        extra = judge_by_check(requirement, EXTRA_CHECKS[requirement.id], plan, target)
        extra.exercised += result.exercised
        extra.evidence.update(result.evidence)
        return extra
    return result


def _judge_by_programs(
    requirement: Requirement, plan: Plan, target: Target, observer: Observer, seconds: float
) -> Result:
    return judge_by_scenario(requirement, SCENARIOS[requirement.id], plan, target, observer, seconds)


def judge_by_scenario(
    requirement: Requirement, scenario: Scenario, plan: Plan, target: Target, observer: Observer, seconds: float
) -> Result:
    """Judge one requirement, of the specification or of your own, by programs of a scenario for some seconds."""
    return _Search(requirement, scenario, plan, target, observer, seconds).run()


def _unsupported(requirement: Requirement, plan: Plan, target: Target) -> str:
    if requirement.id in plan.profile.not_promised:
        return f"not promised by profile {plan.profile.name}: {plan.profile.not_promised[requirement.id]}"
    if not requirement.binds(plan.domain):
        return f"binds {' and '.join(requirement.domains)} only"
    spawned = SCENARIOS[requirement.id].spawned if requirement.id in SCENARIOS else requirement.id in CHECKS
    if spawned and not target.revivable:
        return "needs a relay that the suite starts itself, on a Unix socket (--exec 'CMD {socket}')"
    return UNJUDGED.get(
        requirement.id, "figures are measured by the benchmarks" if requirement.level == "FIGURE" else ""
    )


def judge_by_check(requirement: Requirement, check: Check, plan: Plan, target: Target) -> Result:
    """The verdict of a fixed check, on relays that it starts itself; one that fails is done again to learn its rate."""
    started = time.monotonic()
    result = Result(requirement, Verdict.PASS)
    runs = failures = 0
    until = started + CHECK_SECONDS
    most = 1 if plan.first_failure_only else CHECK_RUNS
    while runs == 0 or (failures and runs < most and time.monotonic() < until):
        bench = Bench(target.description, plan.profile, plan.rules)
        try:
            with bench:
                findings = list(check(bench))
        except UnsupportedCheckError as reason:
            result.verdict, result.reason = Verdict.UNSUPPORTED, str(reason)
            return result
        except TargetError as error:
            findings = [Finding("unserved", "the relay to start and to serve", str(error))]
        runs += 1
        result.evidence.update(bench.evidence)
        result.evidence["programs"] += 1
        if findings:
            failures += 1
            program = Program(plan.rules.domain, tuple(map(Act, bench.acts)))
            result.counterexample = Counterexample(requirement.id, program, findings, History())
        if runs == 1 and not failures:
            break
    result.exercised = runs
    if result.counterexample is not None:
        result.counterexample.runs, result.counterexample.failures = runs, failures
        result.verdict = Verdict.FAIL if failures == runs else Verdict.FLAKY
    result.seconds = time.monotonic() - started
    return result


class _Search:
    """Looks for a program that shows one requirement broken."""

    def __init__(
        self,
        requirement: Requirement,
        scenario: Scenario,
        plan: Plan,
        target: Target,
        observer: Observer,
        seconds: float,
    ) -> None:
        self._requirement = requirement
        self._scenario = scenario
        self._plan = plan
        self._target = target
        self._observer = observer
        self._executor = Executor(target, plan.rules)
        self._deadline = time.monotonic() + seconds
        self._result = Result(requirement, Verdict.PASS)
        self._best: Counterexample | None = None
        self._runs_per_candidate = 1
        self._shrink_deadline = math.inf

    def run(self) -> Result:
        result = self._result
        started = time.monotonic()
        stopped = ""
        try:
            first = self._scenario.first(self._plan.rules) if self._scenario.first else ()
            for program in (*self._plan.remembered.get(self._requirement.id, ()), *first):
                self._candidate(program)
            self._generate()
        except _Found:
            pass
        except _OutOfTime:
            stopped = "; the time budget ended the search"
        if self._best is not None:
            if not self._plan.first_failure_only:
                self._stamp(self._best)
            result.counterexample = self._best
            result.verdict = Verdict.FAIL if self._best.deterministic else Verdict.FLAKY
        elif result.exercised == 0:
            result.verdict = Verdict.UNKNOWN
            result.reason = "no program exercised it" + stopped
        else:
            result.reason = stopped.removeprefix("; ")
        result.seconds = time.monotonic() - started
        return result

    def _generate(self) -> None:
        machine = hypothesis.seed(self._seed())(
            type(
                f"Programs_{self._requirement.id.replace('-', '_')}",
                self._scenario.features,
                {"promise": self._plan.rules, "play": staticmethod(self._candidate)},
            )
        )
        run_state_machine_as_test(
            machine,
            settings=hypothesis.settings(
                max_examples=math.ceil(self._plan.max_examples / self._scenario.cost),
                stateful_step_count=self._scenario.steps,
                database=None,
                deadline=None,
                derandomize=False,
                print_blob=False,
                phases=(Phase.generate,),
                verbosity=Verbosity.quiet,
                suppress_health_check=list(HealthCheck),
            ),
        )

    def _seed(self) -> int:
        return self._plan.seed * 1000 + sum(map(ord, self._requirement.id))

    def _candidate(self, program: Program) -> None:
        """Play one program of the search; ends the search when it shows the requirement broken."""
        if time.monotonic() > self._deadline:
            raise _OutOfTime
        counterexample = self._play(program)
        self._note(program)
        if counterexample is not None and self._plan.first_failure_only:
            self._best = counterexample
            counterexample.failures = counterexample.runs = 1
            raise _Found
        if counterexample is not None:
            self._found(counterexample)
            self._minimise()
            raise _Found

    def _play(self, program: Program) -> Counterexample | None:
        try:
            history = self._executor.play(program)
        except TargetError as error:
            if not self._target.restartable:
                raise
            history = History(crash=str(error))
        if history.crash or self._target.crash():
            history.crash = history.crash or self._target.crash()
            self._target.restart()
            self._executor = Executor(self._target, self._plan.rules)
        exercised = self._scenario.exercised(program, history)
        if self._best is None and exercised:
            self._result.exercised += 1
        findings = self._scenario.judge(history, self._plan.rules) if exercised or history.crash else []
        if findings and self._belongs_elsewhere(program, findings):
            self._result.evidence["programs that failed for another reason"] += 1
            findings = []
        return Counterexample(self._requirement.id, program, findings, history) if findings else None

    def _belongs_elsewhere(self, program: Program, findings: list[Finding]) -> bool:
        """Whether the program fails without what the requirement is about as well."""
        scenario = self._scenario
        if scenario.control is None or any(finding.kind in scenario.own for finding in findings):
            return False
        history = self._executor.play(scenario.control(program))
        return bool(scenario.judge(history, self._plan.rules))

    def _note(self, program: Program) -> None:
        self._result.evidence.update(features_of(program))
        self._observer.played(self._requirement, self._result.evidence["programs"])

    def _found(self, counterexample: Counterexample) -> None:
        """The first failure: measure how often it shows, and set the effort of shrinking by that."""
        self._best = counterexample
        self._observer.failed(counterexample)
        failures = runs = 0
        until = time.monotonic() + STAMP_SECONDS
        while runs < CONFIRM_RUNS and (runs < 3 or time.monotonic() < until):
            runs += 1
            failures += self._play(counterexample.program) is not None
        rate = (failures + 1) / (runs + 1)
        if rate < 1:
            self._runs_per_candidate = min(MAX_RUNS, math.ceil(math.log(MISS_RATE) / math.log(1 - rate)))

    def _fails(self, program: Program) -> bool:
        """Whether a candidate fails in as many runs as the measured rate demands; the smallest is remembered."""
        for _ in range(self._runs_per_candidate):
            counterexample = self._play(program)
            if counterexample is not None:
                if self._runs_per_candidate == 1 and not self._keeps_failing(program):
                    return False
                if self._best is None or program.weight <= self._best.program.weight:
                    self._best = counterexample
                    self._observer.failed(counterexample)
                return True
            if time.monotonic() > self._shrink_deadline:
                break
        return False

    def _keeps_failing(self, program: Program) -> bool:
        """Whether a candidate is as deterministic as the failure that it is to stand for."""
        return all(self._play(program) is not None for _ in range(STEADY_RUNS))

    def _minimise(self) -> None:
        """Take away from the program what the failure does not need, until nothing can be taken away."""
        self._shrink_deadline = time.monotonic() + self._plan.shrink_seconds
        progress = True
        while progress and self._best is not None:
            progress = False
            for candidate in simpler_programs(self._best.program):
                if time.monotonic() > self._shrink_deadline:
                    return
                if self._fails(candidate):
                    progress = True
                    break

    def _stamp(self, best: Counterexample) -> None:
        """Play the final program on a fresh relay, often enough to say how often it fails."""
        best = self._best or best
        if self._target.restartable:
            self._target.restart()
            self._executor = Executor(self._target, self._plan.rules)
        until = time.monotonic() + STAMP_SECONDS
        while best.runs < 5 or time.monotonic() < until:
            if best.runs >= (STAMP_RUNS if best.deterministic else MAX_RUNS):
                break
            best.runs += 1
            again = self._play(best.program)
            if again is not None:
                best.failures += 1
                best.findings, best.history = again.findings, again.history


def replay(program: Program, requirement: str, rules: Rules, target: Target, runs: int) -> tuple[int, Counterexample]:
    """Play a stored program ``runs`` times: how many runs failed, and what the last failing one (or run) showed."""
    if requirement in CHECKS:
        raise UsageError(f"{requirement} is judged by a fixed check: run torq-conformance --section {requirement}")
    executor = Executor(target, rules)
    scenario = SCENARIOS[requirement]
    failures = 0
    shown: Counterexample | None = None
    for _ in range(runs):
        history = executor.play(program)
        if history.crash and target.restartable:
            target.restart()
            executor = Executor(target, rules)
        findings = scenario.judge(history, rules)
        if findings or shown is None:
            shown = Counterexample(requirement, program, findings, history)
        failures += bool(findings)
    if shown is None:
        raise ValueError("replay needs at least one run")
    shown.failures, shown.runs = failures, runs
    return failures, shown
