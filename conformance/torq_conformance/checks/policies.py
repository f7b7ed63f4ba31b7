"""The check of every overflow policy that a relay can be told (ISO-3): the programs of the profile's own, once more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from ..generation.features.queues import sustained_overflow
from ..model.findings import Finding
from ..model.rules import Overflow
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
            for program in sustained_overflow(rules):
                for text in program.words():
                    bench.act(text)
                history = Executor(target, rules).play(program)
                bench.evidence["frames"] += len(history.sent)
                for oracle in (crashed, stuck, overflow_policy_broken):
                    yield from oracle(history, rules)
