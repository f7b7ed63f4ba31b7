"""The search for a program that shows one requirement broken: generate, confirm, shrink, stamp.

Facts:
- the search plays a failing program ten times more. Where it fails each time, one play of each simpler candidate is
  enough; else the measured rate says how many plays (at most 60) miss a real failure less than once in 1000;
- a large program that always fails is better than a small one that fails now and then: the search goes back to a
  larger program where the smallest no longer fails each time.
"""

from __future__ import annotations

import contextlib
import dataclasses

from ..errors import ImpededError
from ..generation.cells import features_of
from ..generation.fixed_programs import fixed_programs
from ..generation.minimise import simpler_programs
from ..generation.search import Clock, OutOfTime, Writer, plays_for, shrink
from ..impediments import unjudged
from ..model.findings import Finding
from ..model.history import History
from ..model.program import Program
from ..model.requirements import Requirement
from ..play.executor import Executor
from ..play.target import Target
from .plan import Observer, Plan
from .playing import played
from .scenarios import Scenario
from .verdict import Counterexample, Lack, Result, Verdict

CONFIRM_RUNS = 10
LEAST_CONFIRM_RUNS = 3
MAX_RUNS = 60
STEADY_RUNS = 2
STAMP_RUNS = 20
LEAST_STAMP_RUNS = 5
MISS_RATE = 0.001
FRESH_PLAYS = 2
"""Fresh relays on which a control must pass that has failed on a used one: it may fail by chance."""
MOST_FRESH_CONTROLS = 5
"""Failing controls of a search that are played on a fresh relay again: where so many fail, the others would too."""


class Search:
    """Looks for a program that shows one requirement broken."""

    def __init__(
        self,
        requirement: Requirement,
        scenario: Scenario,
        plan: Plan,
        target: Target,
        observer: Observer,
        clock: Clock,
        before: Result | None = None,
    ) -> None:
        self._requirement = requirement
        self._scenario = scenario
        self._plan = plan
        self._target = target
        self._observer = observer
        self._rules = target.known_to(plan.rules)
        self._executor = Executor(target, self._rules)
        self._clock = clock
        self._result = before or Result(requirement, Verdict.PASS)
        self._ever_smaller: list[Counterexample] = []
        self._runs_per_candidate = 1
        self._fresh_controls = 0

    def run(self) -> Result:
        """Search, then confirm what fails and make it smaller. Raises TargetError without a relay."""
        self.look()
        return self.settle() if self._result.counterexample is not None else self._result

    def look(self) -> Result:
        """Search on until the programs or the time are used up, or one fails, which nothing confirms yet."""
        result = self._result
        started = self._clock.now()
        stopped = ""
        result.lacks = Lack.NOTHING
        try:
            result.counterexample = self._writer().until_shown(self._look)
        except OutOfTime as ended:
            stopped = "; ".join(("the time budget ended the search", *ended.args))
            result.lacks = Lack.TIME
        except ImpededError as lack:
            stopped = unjudged(lack)
        if result.counterexample is None and (before := self._plan.shown.get(self._requirement.id)):
            result.failed_by(before)  # last: what programs show is smaller than what a situation has
        if result.counterexample is not None:
            result.verdict, result.reason = Verdict.FAIL, ""
            self._observer.failed(result.counterexample)
            if self._plan.first_failure_only:
                result.seen_once()
        elif result.exercised == 0:
            result.verdict = Verdict.UNKNOWN
            result.reason = "; ".join(filter(None, ("no program exercised it", stopped)))
            result.lacks = result.lacks if stopped else Lack.PROGRAMS
        else:
            quiet = "" if self._rules.forwards else "by silence, not by fences: the profile forwards nothing"
            result.verdict = Verdict.PASS
            result.reason = "; ".join(filter(None, (quiet, stopped)))
        result.seconds += self._clock.now() - started
        return result

    def settle(self) -> Result:
        """Confirm the failure that a look has found, and make its program smaller, in time of its own."""
        result = self._result
        first = result.counterexample
        if first is None or self._plan.first_failure_only:
            return result
        started = self._clock.now()
        first.failures = first.runs = 0
        best = result.counterexample = self._finished(first)
        result.verdict = Verdict.FAIL if best.deterministic else Verdict.FLAKY
        result.seconds += self._clock.now() - started
        return result

    def _begins(self) -> tuple[Program, ...]:
        """The programs before all others: what failed in other runs, and the fixed ones."""
        name = self._requirement.id
        fixed = (each.program(self._rules) for each in fixed_programs(name))
        return (*self._plan.remembered.get(name, ()), *fixed)

    def _writer(self) -> Writer:
        name, scenario = self._requirement.id, self._scenario
        tables = scenario.first(self._rules) if scenario.first else ()
        return Writer(
            name=name,
            features=scenario.features,
            rules=self._rules,
            steps=scenario.steps,
            count=scenario.random_programs(self._plan.max_examples, self._rules, beside_tables=bool(tables)),
            seed=self._plan.seed,
            first=(*self._begins(), *tables),
            tried=self._result.tried,
        )

    def _look(self, program: Program) -> Counterexample | None:
        """Play one program of the search."""
        self._clock.check()
        failing = self._play(program)
        self._result.tried += 1
        self._result.evidence.update(features_of(program))
        self._observer.played(self._requirement, self._result.evidence["programs"])
        return failing

    def _finished(self, first: Counterexample) -> Counterexample:
        """The smallest program of a failure, with the rate at which it fails."""
        self._ever_smaller.append(first)
        minimal = False
        try:
            self._measure(first.program)
            self._clock.allow(self._plan.shrink_seconds)
            _, minimal = shrink(first, simpler_programs, self._still_fails, self._clock)
            best = self._stamped()
        except ImpededError:  # what it showed before stands
            best = self._ever_smaller[-1]
            best.failures, best.runs = max(best.failures, 1), max(best.runs, 1)
        best.minimal, best.served_before = minimal, first.served_before
        return best

    def _play(self, program: Program) -> Counterexample | None:
        served_before = self._target.served
        history = self._history_of(program)
        exercised = self._scenario.exercised(program, history, self._rules)
        if not self._ever_smaller and exercised:
            self._result.exercised += 1
        findings = self._scenario.judge(history, self._rules) if exercised or history.crash else []
        if findings and (self._plan.excuses(history) or self._belongs_elsewhere(program, findings)):
            self._result.evidence["programs that failed for another reason"] += 1
            findings = []
        if not findings:
            return None
        return Counterexample(self._requirement.id, program, findings, history, served_before=served_before)

    def _belongs_elsewhere(self, program: Program, findings: list[Finding]) -> bool:
        """Whether the control of the program fails too: the same program without what the requirement is about.

        It may fail for what the program has left in the relay: so it is played on a fresh one too.
        """
        scenario = self._scenario
        if scenario.control is None or any(finding.kind in scenario.own for finding in findings):
            return False
        control = scenario.control(program)
        if not scenario.judge(self._history_of(control), self._rules):
            return False
        if not self._target.restartable or self._fresh_controls == MOST_FRESH_CONTROLS:
            return True
        self._fresh_controls += 1
        for _ in range(FRESH_PLAYS):
            self._executor.restart(patient=True)
            if scenario.judge(self._history_of(control), self._rules):
                return True
        return False

    def _history_of(self, program: Program) -> History:
        return played(program, self._executor, self._target, self._clock, feedback=self._plan.feedback)

    def _measure(self, program: Program) -> None:
        """Measure the rate of the first failure, which says how often each candidate is played."""
        failures = runs = 0
        with contextlib.suppress(OutOfTime):
            for _ in self._clock.runs(self._plan.confirm_seconds, LEAST_CONFIRM_RUNS, CONFIRM_RUNS):
                failures += self._play(program) is not None
                runs += 1
        self._runs_per_candidate = min(MAX_RUNS, plays_for((failures + 1) / (runs + 1), MISS_RATE))

    def _accept(self, counterexample: Counterexample) -> None:
        """Keep a failing program as the smallest so far, and drop the large history of the program before it."""
        if self._ever_smaller:
            self._ever_smaller[-1] = dataclasses.replace(self._ever_smaller[-1], history=History())
        self._ever_smaller.append(counterexample)
        self._observer.failed(counterexample)

    def _still_fails(self, program: Program) -> Counterexample | None:
        """How a candidate fails, played as often as the measured rate demands; None where it passes."""
        for _ in range(self._runs_per_candidate):
            self._clock.check()
            counterexample = self._play(program)
            if counterexample is not None:
                doubtful = self._runs_per_candidate == 1 and not counterexample.history.crash
                if doubtful and not self._keeps_failing(program):
                    return None
                self._accept(counterexample)
                return counterexample
        return None

    def _keeps_failing(self, program: Program) -> bool:
        """Whether a candidate fails each time, as the program does that it is to replace."""
        return all(self._play(program) is not None for _ in range(STEADY_RUNS))

    def _stamped(self) -> Counterexample:
        """The smallest program with its rate, or a larger program that fails at a higher rate."""
        stamped: list[Counterexample] = []
        back = 1
        while True:
            place = max(0, len(self._ever_smaller) - back)
            stamped.append(self._ever_smaller[place])
            self._stamp(stamped[-1])
            if stamped[-1].deterministic or self._runs_per_candidate > 1 or place == 0:
                break
            back *= 2
        best = max(stamped, key=lambda each: each.failures / max(each.runs, 1))
        if best.runs == 0:  # no play came to its end in time: the program failed once, when it was found
            best.failures = best.runs = 1
        return best

    def _stamp(self, best: Counterexample) -> None:
        """Play a program on a fresh relay, often enough to know the rate at which it fails."""
        if self._target.restartable:
            self._executor.restart(patient=True)
        with contextlib.suppress(OutOfTime):
            for _ in self._clock.runs(self._plan.confirm_seconds, LEAST_STAMP_RUNS, MAX_RUNS):
                again = self._play(best.program)
                best.runs += 1
                if again is not None:
                    best.failures += 1
                    best.findings, best.history = again.findings, again.history
                if best.deterministic and best.runs == STAMP_RUNS:
                    break
