"""A relay that nobody here has written: ``ncat --broker``, a hub of bytes over TCP without echo."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from torq_conformance.judging.plan import Observer, Plan
from torq_conformance.judging.runner import judge_all
from torq_conformance.judging.verdict import Verdict
from torq_conformance.model.profile import load_profile
from torq_conformance.model.requirements import requirements
from torq_conformance.play.target import SpawnedTarget

pytestmark = pytest.mark.skipif(
    shutil.which("ncat") is None, reason="ncat is not installed (Debian package ncat): no third-party relay to judge"
)
COMMAND = "ncat -l --broker -k 127.0.0.1 {port}"


def _judge(profile: str, *names: str) -> dict[str, Verdict]:
    plan = Plan(
        domain="signal",
        profile=load_profile(profile),
        requirements=[requirements()[name] for name in names],
        max_examples=6,
        seed=7,
        time_budget=120.0,
    )
    with SpawnedTarget(COMMAND) as target:
        return {result.requirement.id: result.verdict for result in judge_all(plan, target, Observer())}


def test_a_hub_of_bytes_holds_what_its_profile_promises() -> None:
    names = ("FWD-1", "FWD-3", "FWD-4", "FWD-6", "FRAME-1", "ORD-1")
    assert _judge("pass-through", *names) == dict.fromkeys(names, Verdict.PASS)


def test_a_hub_of_bytes_is_no_relay() -> None:
    assert _judge("reference", "DOM-1") == {"DOM-1": Verdict.FAIL}


def test_a_hub_that_waits_for_its_slowest_client_is_seen_to_do_so() -> None:
    """Behind the buffers of TCP, which hold megabytes before anything shows."""
    promised = load_profile("pass-through")
    kept = {name: why for name, why in promised.not_promised.items() if not name.startswith("ISO")}
    profile = msgspec.structs.replace(promised, not_promised=kept)
    plan = Plan(
        domain="signal",
        profile=profile,
        requirements=[requirements()["ISO-1"]],
        max_examples=6,
        seed=7,
        time_budget=60.0,
        first_failure_only=True,
    )
    with SpawnedTarget(COMMAND) as target:
        (result,) = judge_all(plan, target, Observer())
    assert result.verdict is Verdict.FAIL


def test_the_documented_profile_is_the_one_that_is_judged() -> None:
    page = Path(__file__).parents[3] / "docs" / "third_party.md"
    assert COMMAND in page.read_text("utf-8")
