"""Relays for the suite to judge in tests, each a process that a whole module shares."""

from collections.abc import Iterator
from contextlib import contextmanager

from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.judging.plan import Observer, Plan
from torq_conformance.judging.runner import judge_all
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.judging.verdict import Result
from torq_conformance.model.findings import Finding
from torq_conformance.model.history import History
from torq_conformance.model.profile import load_profile
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements
from torq_conformance.model.steps import Step
from torq_conformance.play.executor import Executor
from torq_conformance.play.target import SpawnedTarget, Target


@contextmanager
def relay(command: str, successor: str = "") -> Iterator[SpawnedTarget]:
    with SpawnedTarget(command, successor=successor) as target:
        yield target


def specimen(name: str, domain: str, *arguments: str) -> str:
    return " ".join(("torq-specimen", name, "--socket {socket} --domain", domain, *arguments))


def played(target: Target, *steps: Step, domain: str = "signal", profile: str = "reference") -> History:
    return Executor(target, rules_of(domain, profile)).play(Program(domain, steps))  # type: ignore[arg-type] # a literal


def found(requirement: str, history: History, domain: str = "signal", profile: str = "reference") -> list[Finding]:
    return SCENARIOS[requirement].judge(history, rules_of(domain, profile))


def plan_for(
    *names: str,
    domain: str = "signal",
    profile: str = "reference",
    max_examples: int = 10,
    seed: int = 5,
    time_budget: float = 600.0,
    shrink_seconds: float = 2.0,
    confirm_seconds: float = 2.0,
) -> Plan:
    known = requirements()
    return Plan(
        domain=domain,
        profile=load_profile(profile),
        requirements=[known[name] for name in names],
        max_examples=max_examples,
        seed=seed,
        time_budget=time_budget,
        shrink_seconds=shrink_seconds,
        confirm_seconds=confirm_seconds,
    )


def judged(target: SpawnedTarget, plan: Plan) -> dict[str, Result]:
    return {result.requirement.id: result for result in judge_all(plan, target, Observer())}
