"""``torq_bench suite``: how many programs a second the conformance suite writes and plays, and what bounds it.

Facts:
- writing a program is Hypothesis' work: a machine whose rules do nothing is measured beside it, and is the floor;
- playing is the sockets' work: a few system calls and one turn of the relay for each step;
- both are measured in one process against one reference relay; ``--workers`` of the suite runs several such.
"""

from __future__ import annotations

import statistics
import time

import click
import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from torq_conformance.generation.search import Writer
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.model.profile import load_profile, rules_for
from torq_conformance.model.program import Program
from torq_conformance.play.executor import Executor
from torq_conformance.play.target import SpawnedTarget

from .fanout import DOMAINS

REQUIREMENTS = ("FWD-2", "FWD-3", "FRAME-1", "DOM-1", "CONN-7")


class Idle(RuleBasedStateMachine):
    """Rules that draw one number and do nothing: what Hypothesis itself takes."""

    @rule(pick=st.integers(0, 11))
    def first(self, pick: int) -> None:
        """Draw."""

    @rule(pick=st.integers(0, 11))
    def second(self, pick: int) -> None:
        """Draw."""


def settings(programs: int, steps: int) -> hypothesis.settings:
    """What the suite tells Hypothesis, for so many programs of so many rules."""
    return hypothesis.settings(
        max_examples=programs,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )


@click.command()
@click.option("--domain", type=click.Choice(DOMAINS), default="signal", show_default=True, help="Domain of the relay.")
@click.option("--programs", type=click.IntRange(1), default=300, show_default=True, help="Programs a requirement.")
@click.option("--steps", type=click.IntRange(1), default=20, show_default=True, help="Rules that write one program.")
def suite(domain: str, programs: int, steps: int) -> None:
    """Programs a second of the conformance suite, in one process, against the reference relay."""
    rules = rules_for(load_profile("reference"), domain)
    begun = time.perf_counter()
    run_state_machine_as_test(Idle, settings=settings(programs, steps))
    floor = (time.perf_counter() - begun) / programs
    click.echo(
        f"floor     {floor * 1000:5.2f} ms to write a program whose {steps} rules do nothing ({1 / floor:.0f}/s)"
    )
    totals: list[float] = []
    with SpawnedTarget(f"{domain}_relay --socket {{socket}}") as target:
        executor = Executor(target, rules)
        for name in REQUIREMENTS:
            written: list[Program] = []
            begun = time.perf_counter()
            Writer(name, SCENARIOS[name].features, rules, steps, programs, seed=0).until_shown(written.append)
            wrote = time.perf_counter()
            for program in written:
                executor.play(program)
            writing, playing = (wrote - begun) / len(written), (time.perf_counter() - wrote) / len(written)
            totals.append(writing + playing)
            length = sum(len(program.steps) for program in written) / len(written)
            click.echo(
                f"{name:<9} {writing * 1000:5.2f} ms to write and {playing * 1000:5.2f} ms to play {length:4.1f} steps"
                f"  ({1 / totals[-1]:.0f} programs/s)"
            )
    click.echo(f"median    {1 / statistics.median(totals):.0f} programs/s in one process")
