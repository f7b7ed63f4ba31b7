"""The accounts of a relay that is replaced: those that never come to rest do not hold up the suite."""

import itertools
from types import SimpleNamespace
from typing import cast

from torq_conformance.checks.bench import Bench
from torq_conformance.checks.succession import _Accounts
from torq_conformance.model.findings import Kind
from torq_conformance.model.profile import load_profile
from torq_conformance.play.target import SpawnedTarget

PROFILE = load_profile("torq")


def test_a_relay_that_counts_for_ever_is_told_of_and_not_waited_for() -> None:
    numbers = itertools.count()
    samples = SimpleNamespace(total=lambda _: next(numbers))
    bench = SimpleNamespace(
        profile=PROFILE,
        timing=SimpleNamespace(prompt_seconds=0.05),
        counters=lambda _: (PROFILE.metrics, samples),
    )
    accounts = _Accounts(cast(Bench, bench), cast(SpawnedTarget, None))
    assert {finding.kind for finding in accounts.continued("after a takeover")} == {Kind.MISCOUNTED}
