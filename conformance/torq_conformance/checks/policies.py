"""The checks of what a relay does past bounds that it is told: each policy (ISO-3), all queues together (ISO-2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

import msgspec

from ..generation.features.queues import byte_bound_overflow, sustained_overflow
from ..model.findings import Finding
from ..model.program import Program
from ..model.rules import Overflow, Rules
from ..model.steps import Connect, HalfClose, Resume, Stall, Step, Sync
from ..oracles.isolation import overflow_policy_broken, unbounded
from ..oracles.traffic import Oracle, closed_unexpectedly, crashed, lost, stuck
from ..play.executor import Executor
from .bench import Bench, UnsupportedCheckError

QUEUE_BYTES = 2_000_000
"""The queue of a consumer, or of all together."""
AMPLE_BYTES = 64_000_000
"""The queue of a consumer where all together may hold less."""


def follows_each_policy(bench: Bench) -> Iterator[Finding]:
    """A consumer past its bound on a relay of each policy, where the profile says how a relay is told (ISO-3)."""
    policies: tuple[Overflow, ...] = get_args(Overflow)
    for policy in policies:
        try:
            told = bench.under({"overflow": policy, "queue_bytes": QUEUE_BYTES})
        except UnsupportedCheckError:
            return
        programs = _programs(told.rules, halves="CONN-7" not in bench.profile.not_promised)
        yield from _played(told, programs, (crashed, stuck, overflow_policy_broken, closed_unexpectedly))


def _played(bench: Bench, programs: Sequence[Program], oracles: Sequence[Oracle]) -> Iterator[Finding]:
    """What programs show on a fresh relay."""
    with bench.relay() as target:
        rules = target.known_to(bench.rules)
        for program in programs:
            for text in program.words():
                bench.act(text)
            history = Executor(target, rules).play(program)
            bench.evidence["frames"] += len(history.sent)
            for oracle in oracles:
                yield from oracle(history, rules)


def bounds_all_together(bench: Bench) -> Iterator[Finding]:
    """Consumers that do not read, past the bound of all queues together and far below that of one (ISO-2).

    Another reads and loses nothing. Nothing is played where the profile does not say how a relay is told the bound.
    """
    policies: tuple[Overflow, ...] = ("drop_oldest", "disconnect")
    for policy in policies:
        try:
            told = bench.under(
                {"overflow": policy, "queue_bytes": AMPLE_BYTES, "total_queue_bytes": QUEUE_BYTES},
            )
        except UnsupportedCheckError:
            return
        yield from _played(told, _two_stall(told.rules), (crashed, stuck, unbounded, lost, closed_unexpectedly))


def _two_stall(rules: Rules) -> tuple[Program, ...]:
    """The programs of one consumer that overflows, with a second that stalls beside it, and a third that reads."""
    return tuple(
        Program(program.domain, (Connect(2), Connect(3), *_stalling_too(program.steps), Resume(2), Sync()))
        for program in byte_bound_overflow(rules)
    )


def _stalling_too(steps: tuple[Step, ...]) -> Iterator[Step]:
    last = max(place for place, step in enumerate(steps) if isinstance(step, Stall))
    yield from (*steps[:last], Stall(2), *steps[last:])


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
