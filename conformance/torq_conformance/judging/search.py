"""The search for a program that shows one requirement broken: generate, confirm, shrink, stamp.

Facts:
- Hypothesis is told everything explicitly: under ``CI=1`` it would otherwise use the same seed every time and forget;
- a failure is played again ten times: always failing means deterministic, and one run per candidate is enough to
  shrink; otherwise a candidate is played as often as the measured rate demands (a real failure missed less than once
  in 1000), at most 60 times;
- a failing program is shrunk by us, within our own budget, and not by Hypothesis, which would need a failure that
  always shows, and knows nothing of what makes a program heavy;
- a small program that fails now and then is no better than a larger one that always does: where shrinking went too far,
  it is taken back.
"""

from __future__ import annotations

import dataclasses
import math
import time

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.stateful import run_state_machine_as_test

from ..errors import CutShortError, TargetError
from ..generation.cells import features_of
from ..generation.fixed_programs import fixed_programs
from ..generation.minimise import simpler_programs
from ..model.findings import Finding
from ..model.history import History
from ..model.program import Program
from ..model.requirements import Requirement
from ..play.executor import Executor
from ..play.target import Target
from .plan import Observer, Plan
from .scenarios import Scenario
from .verdict import Counterexample, Lack, Result, Verdict

CONFIRM_RUNS = 10
LEAST_CONFIRM_RUNS = 3
MAX_RUNS = 60
STEADY_RUNS = 2
STAMP_RUNS = 20
LEAST_STAMP_RUNS = 5
MISS_RATE = 0.001


class _OutOfTime(BaseException):
    """Ends a search at once; no exception that Hypothesis would take for a failure of the program."""


class _Found(_OutOfTime):
    """Ends a search because it has found, and shrunk, what it looked for."""


class Search:
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
        self._rules = target.known_to(plan.rules)
        self._executor = Executor(target, self._rules)
        self._deadline = time.monotonic() + seconds
        self._result = Result(requirement, Verdict.PASS)
        self._executor.deadline = self._deadline
        self._ever_smaller: list[Counterexample] = []
        self._runs_per_candidate = 1
        self._shrink_deadline = math.inf
        self._shrunk_to_the_end = True
        self._first_seen_after = ""

    def run(self) -> Result:
        """Search until the programs or the time are used up, or one fails. Raises TargetError without a relay."""
        result = self._result
        started = time.monotonic()
        stopped = ""
        try:
            fixed = (each.program(self._rules) for each in fixed_programs(self._requirement.id))
            tables = self._scenario.first(self._rules) if self._scenario.first else ()
            for program in (*self._plan.remembered.get(self._requirement.id, ()), *fixed, *tables):
                self._candidate(program)
            self._generate()
        except _Found:
            pass
        except _OutOfTime as ended:
            stopped = "; ".join(("the time budget ended the search", *ended.args))
            result.lacks = Lack.TIME
        if self._ever_smaller:
            best = self._ever_smaller[0] if self._plan.first_failure_only else self._stamped()
            best.minimal = self._shrunk_to_the_end
            result.counterexample = best
            result.verdict = Verdict.FAIL if best.deterministic else Verdict.FLAKY
        elif result.exercised == 0:
            result.verdict = Verdict.UNKNOWN
            result.reason = "; ".join(filter(None, ("no program exercised it", stopped)))
            result.lacks = result.lacks if stopped else Lack.PROGRAMS
        else:
            quiet = "" if self._rules.forwards else "by silence, not by fences: the profile forwards nothing"
            result.reason = "; ".join(filter(None, (quiet, stopped)))
        result.seconds = time.monotonic() - started
        return result

    def _generate(self) -> None:
        machine = hypothesis.seed(self._seed())(
            type(
                f"Programs_{self._requirement.id.replace('-', '_')}",
                self._scenario.features,
                {"promise": self._rules, "play": staticmethod(self._candidate)},
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
            self._ever_smaller.append(counterexample)
            counterexample.failures = counterexample.runs = 1
            raise _Found
        if counterexample is not None:
            self._found(counterexample)
            self._minimise()
            raise _Found

    def _play(self, program: Program) -> Counterexample | None:
        served_before = self._target.served
        history = self._history_of(program)
        exercised = self._scenario.exercised(program, history, self._rules)
        if not self._ever_smaller and exercised:
            self._result.exercised += 1
        findings = self._scenario.judge(history, self._rules) if exercised or history.crash else []
        if findings and self._belongs_elsewhere(program, findings):
            self._result.evidence["programs that failed for another reason"] += 1
            findings = []
        if not findings:
            return None
        return Counterexample(self._requirement.id, program, findings, history, served_before=served_before)

    def _belongs_elsewhere(self, program: Program, findings: list[Finding]) -> bool:
        """Whether the program fails without what the requirement is about as well."""
        scenario = self._scenario
        if scenario.control is None or any(finding.kind in scenario.own for finding in findings):
            return False
        return bool(scenario.judge(self._history_of(scenario.control(program)), self._rules))

    def _history_of(self, program: Program) -> History:
        """Play a program; a relay that it ends is started again. Raises TargetError where that cannot be."""
        try:
            history = self._executor.play(program)
        except CutShortError as error:
            raise _OutOfTime(str(error)) from None
        except TargetError as error:
            if not self._target.restartable:
                raise
            history = History(crash=str(error))
        if history.crash or self._target.crash():
            history.crash = history.crash or self._target.crash()
            self._executor.restart(patient=False)
        return history

    def _note(self, program: Program) -> None:
        self._result.evidence.update(features_of(program))
        self._observer.played(self._requirement, self._result.evidence["programs"])

    def _found(self, counterexample: Counterexample) -> None:
        """The first failure: measure how often it shows, and set the effort of shrinking by that."""
        self._accept(counterexample)
        self._executor.deadline = math.inf
        self._first_seen_after = counterexample.served_before
        failures = runs = 0
        until = time.monotonic() + self._plan.confirm_seconds
        while runs < CONFIRM_RUNS and (runs < LEAST_CONFIRM_RUNS or time.monotonic() < until):
            runs += 1
            failures += self._play(counterexample.program) is not None
        rate = (failures + 1) / (runs + 1)
        if rate < 1:
            self._runs_per_candidate = min(MAX_RUNS, math.ceil(math.log(MISS_RATE) / math.log(1 - rate)))

    def _accept(self, counterexample: Counterexample) -> None:
        """Take a failing program for the smallest so far; of those before it the histories, which are large, go."""
        if self._ever_smaller:
            self._ever_smaller[-1] = dataclasses.replace(self._ever_smaller[-1], history=History())
        self._ever_smaller.append(counterexample)
        self._observer.failed(counterexample)

    def _fails(self, program: Program) -> bool:
        """Whether a candidate fails in as many runs as the measured rate demands; the smallest is remembered."""
        for _ in range(self._runs_per_candidate):
            counterexample = self._play(program)
            if counterexample is not None:
                doubtful = self._runs_per_candidate == 1 and not counterexample.history.crash
                if doubtful and not self._keeps_failing(program):
                    return False
                if program.weight <= self._ever_smaller[-1].program.weight:
                    self._accept(counterexample)
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
        while progress:
            progress = False
            for candidate in simpler_programs(self._ever_smaller[-1].program):
                if time.monotonic() > self._shrink_deadline:
                    self._shrunk_to_the_end = False
                    return
                if self._fails(candidate):
                    progress = True
                    break

    def _stamped(self) -> Counterexample:
        """The smallest program with its rate; a larger one, where that fails more surely."""
        stamped: list[Counterexample] = []
        back = 1
        while True:
            place = max(0, len(self._ever_smaller) - back)
            stamped.append(self._stamp(self._ever_smaller[place]))
            if stamped[-1].deterministic or self._runs_per_candidate > 1 or place == 0:
                return max(stamped, key=lambda each: each.failures / each.runs)
            back *= 2

    def _stamp(self, best: Counterexample) -> Counterexample:
        """Play a program on a fresh relay, often enough to say how often it fails."""
        best.served_before = self._first_seen_after
        if self._target.restartable:
            self._executor.restart(patient=True)
        until = time.monotonic() + self._plan.confirm_seconds
        while best.runs < LEAST_STAMP_RUNS or time.monotonic() < until:
            if best.runs >= (STAMP_RUNS if best.deterministic else MAX_RUNS):
                break
            best.runs += 1
            again = self._play(best.program)
            if again is not None:
                best.failures += 1
                best.findings, best.history = again.findings, again.history
        return best
