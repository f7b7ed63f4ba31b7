"""The fixed programs: each is about its requirement, and a correct relay of every domain that it binds holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from spec_tests.conformance.judged_relays import relay, specimen
from spec_tests.conformance.program_strategies import DOMAINS, rules_of
from torq_conformance.generation.fixed_programs import FIXED_PROGRAMS, FixedProgram, fixed_programs
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.model.requirements import requirements
from torq_conformance.play.executor import Executor
from torq_conformance.play.target import SpawnedTarget

NEEDS_AN_OVERFLOW = {"ISO-2", "ISO-3", "ISO-4", "ISO-7"}
"""Requirements whose programs flood a queue: their tables do so first, a fixed program would only do it again."""


TAKEOVER = "{command} --takeover"


@pytest.fixture(scope="module")
def right_relays() -> Iterator[dict[str, SpawnedTarget]]:
    with ExitStack() as stack:
        yield {domain: stack.enter_context(relay(specimen("correct", domain), TAKEOVER)) for domain in DOMAINS}


def test_every_requirement_that_programs_judge_has_a_fixed_program() -> None:
    assert {each.requirement for each in FIXED_PROGRAMS} == set(SCENARIOS) - NEEDS_AN_OVERFLOW


def test_the_list_stands_in_the_order_of_the_requirements_with_a_title_each() -> None:
    order = list(requirements())
    places = [order.index(each.requirement) for each in FIXED_PROGRAMS]
    assert places == sorted(places)
    assert len({(each.requirement, each.title) for each in FIXED_PROGRAMS}) == len(FIXED_PROGRAMS)
    assert sum(len(fixed_programs(name)) for name in order) == len(FIXED_PROGRAMS)


@pytest.mark.parametrize("fixed", FIXED_PROGRAMS, ids=lambda fixed: f"{fixed.requirement}: {fixed.title}")
def test_a_correct_relay_of_every_domain_holds_it(right_relays: dict[str, SpawnedTarget], fixed: FixedProgram) -> None:
    scenario = SCENARIOS[fixed.requirement]
    for domain in DOMAINS:
        if requirements()[fixed.requirement].binds(domain):
            rules = rules_of(domain)
            program = fixed.program(rules)
            history = Executor(right_relays[domain], rules).play(program)
            assert scenario.exercised(program, history, rules)
            assert scenario.judge(history, rules) == []


@pytest.mark.parametrize("name", ["FRAME-1", "FRAME-2", "FWD-7", "DOM-1"])
def test_they_find_the_faults_of_the_first_generic_engine(name: str) -> None:
    rules = rules_of("signal")
    with relay(specimen("first-generic", "signal")) as target:
        executor = Executor(target, rules)
        played = (executor.play(each.program(rules)) for each in fixed_programs(name))
        assert any(SCENARIOS[name].judge(history, rules) for history in played)
