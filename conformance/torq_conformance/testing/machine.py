"""Testing a relay from pytest: a state machine to extend with rules and oracles of your own, and what to check it with.

Facts:
- rules only append to the program; they never ask what the relay answered, or shrinking would be meaningless;
- an oracle is a function of a history and the rules of the profile, and yields findings; it must hold for every legal
  order of events, not for the one that was expected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from ..counting import failing_runs
from ..generation.machine import ProgramMachine
from ..judging.plan import Observer, Plan
from ..judging.runner import judge_all, judge_by_scenario
from ..judging.scenarios import Scenario
from ..judging.verdict import Counterexample, Result, Verdict
from ..model.history import History
from ..model.profile import Profile, rules_for
from ..model.program import Program
from ..model.requirements import Requirement, requirements
from ..model.rules import Rules
from ..model.steps import Step
from ..oracles import traffic as o
from ..play.executor import Executor
from ..play.target import Target
from ..reports.narrate import contradictions, narrate


class RelayStateMachine(ProgramMachine):
    """Base of your own machines: add features (Traffic, Joins ...), rules and ``oracles``.

    ``promise`` holds the rules of the profile, ``steps_per_program`` the length of a program. A rule appends steps with
    ``self.write(Write(...))``, ``self.connect()``, ``self.steps.append(Sync())`` and the like.
    """

    oracles: ClassVar[tuple[o.Oracle, ...]] = (o.lost, o.duplicated, o.altered, o.torn, o.reordered_within_sender)
    steps_per_program: ClassVar[int] = 10


class RelayAssertionError(AssertionError):
    """A relay that broke what a machine or a requirement demands; the message is the minimal program."""

    def __init__(self, result: Result) -> None:
        super().__init__(_describe(result))
        self.result = result


@dataclass(frozen=True, slots=True)
class RelayUnderTest:
    """A running relay, and what it promises: what the fixture ``relay_target`` gives to a test."""

    target: Target
    domain: str
    profile: Profile

    @property
    def rules(self) -> Rules:
        """The profile made definite for the domain: what oracles compare with."""
        return rules_for(self.profile, self.domain)

    def play(self, steps: Iterable[Step]) -> History:
        """Play one program and return what was seen."""
        return Executor(self.target, self.rules).play(Program(self.rules.domain, tuple(steps)))

    def check(
        self, machine: type[RelayStateMachine], *, max_examples: int = 50, seed: int = 0, seconds: float = 60.0
    ) -> Result:
        """Play programs of a machine. Raises RelayAssertionError with the minimal program of the first failure."""
        __tracebackhide__ = True
        name = machine.__name__
        demand = Requirement(
            id=name, level="MUST", text=(machine.__doc__ or name).partition("\n")[0], why="a test demands it"
        )
        scenario = Scenario((machine,), machine.oracles, steps=machine.steps_per_program)
        plan = self._plan([], max_examples, seed, seconds)
        return _raised(judge_by_scenario(demand, scenario, plan, self.target, Observer(), seconds))

    def hold_to(self, *names: str, max_examples: int = 50, seed: int = 0, seconds: float = 60.0) -> list[Result]:
        """Judge requirements of the specification. Raises RelayAssertionError for the first that does not hold."""
        __tracebackhide__ = True
        chosen = [requirements()[name] for name in names]
        plan = self._plan(chosen, max_examples, seed, seconds)
        return [_raised(result) for result in judge_all(plan, self.target, Observer())]

    def _plan(self, chosen: list[Requirement], max_examples: int, seed: int, seconds: float) -> Plan:
        return Plan(
            domain=self.domain,
            profile=self.profile,
            requirements=chosen,
            max_examples=max_examples,
            seed=seed,
            time_budget=seconds,
        )


def _raised(result: Result) -> Result:
    __tracebackhide__ = True
    if result.counterexample is not None or result.verdict is Verdict.UNKNOWN:
        raise RelayAssertionError(result)
    return result


def _describe(result: Result) -> str:
    shown: Counterexample | None = result.counterexample
    head = f"{result.verdict.value} {result.requirement.id}: {result.requirement.text}"
    if shown is None:
        return f"{head}\n{result.reason}"
    lines = (*narrate(shown.program, shown.history, shown.findings), *contradictions(shown))
    return "\n".join((head, *lines, f"     rate       {failing_runs(shown.failures, shown.runs, shown.served_before)}"))
