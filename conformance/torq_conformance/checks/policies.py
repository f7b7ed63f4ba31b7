"""The check of every overflow policy that a relay can be told (ISO-3): the programs of the profile's own, once more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import msgspec

from ..generation.features.queues import sustained_overflow
from ..model.findings import Finding
from ..model.program import Program
from ..model.rules import Overflow, Rules
from ..model.steps import HalfClose, Stall, Step
from ..oracles.isolation import overflow_policy_broken
from ..oracles.traffic import crashed, stuck
from ..play.executor import Executor
from .bench import Bench, UnsupportedCheckError

QUEUE_BYTES = 2_000_000
"""The queue of a consumer."""


def follows_each_policy(bench: Bench) -> Iterator[Finding]:
    """A consumer past its bound on a relay of each policy, where the profile says how a relay is told (ISO-3)."""
    policies: tuple[Overflow, ...] = get_args(Overflow)
    for policy in policies:
        try:
            told = bench.under({"overflow": policy, "queue_bytes": QUEUE_BYTES})
        except UnsupportedCheckError:
            return
        with told.relay() as target:
            rules = target.known_to(told.rules)
            for program in _programs(rules, halves="CONN-7" not in bench.profile.not_promised):
                for text in program.words():
                    bench.act(text)
                history = Executor(target, rules).play(program)
                bench.evidence["frames"] += len(history.sent)
                for oracle in (crashed, stuck, overflow_policy_broken):
                    yield from oracle(history, rules)


def _programs(rules: Rules, *, halves: bool) -> tuple[Program, ...]:
    """The programs of the profile's own policy, and the same for a consumer that has half-closed before it stalls."""
    programs = sustained_overflow(rules)
    if not halves:
        return programs
    return (*programs, *(msgspec.structs.replace(each, steps=_half_closed(each.steps)) for each in programs))


def _half_closed(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    last = max(place for place, step in enumerate(steps) if isinstance(step, Stall))
    stall = steps[last]
    assert isinstance(stall, Stall)
    return (*steps[:last], HalfClose(stall.conn), *steps[last:])
