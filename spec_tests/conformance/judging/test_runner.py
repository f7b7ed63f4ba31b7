"""Whole runs: the originals fail what is known of them, the reference relays nothing, each with its evidence."""

import re
import sys
from pathlib import Path

import msgspec
import pytest

from spec_tests.conformance.judged_relays import judged, plan_for, relay, specimen
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.checks import CHECKS, EXTRA_CHECKS
from torq_conformance.errors import UsageError
from torq_conformance.judging import runner
from torq_conformance.judging.plan import Observer, Plan
from torq_conformance.judging.runner import judge_all, replay
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.judging.verdict import Counterexample, Lack, Verdict
from torq_conformance.model.history import History
from torq_conformance.model.profile import load_profile, rules_for
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements, select
from torq_conformance.play.target import SpawnedTarget

FIRST_GENERIC = {"FRAME-1": 2, "DOM-1": 2, "FWD-7": 2, "VAL-1": 2}
"""Requirement, and the steps of the smallest program that shows it broken."""


@pytest.mark.parametrize(("requirement", "steps"), FIRST_GENERIC.items())
def test_the_first_generic_engine_fails_with_a_minimal_program(requirement: str, steps: int) -> None:
    with relay(specimen("first-generic", "signal")) as target:
        result = judged(target, plan_for(requirement, max_examples=40, shrink_seconds=10.0))[requirement]
    assert result.verdict is Verdict.FAIL
    assert result.counterexample is not None
    assert len(result.counterexample.program.steps) == steps
    assert result.counterexample.deterministic
    assert result.counterexample.findings


def test_the_legacy_market_data_relay_leaks_one_foreign_frame() -> None:
    with relay(specimen("legacy-market-data", "market_data")) as target:
        plan = plan_for("DOM-1", "FWD-1", "FWD-7", "ORD-2", domain="market_data", shrink_seconds=10.0)
        results = judged(target, plan)
    assert {name: result.verdict for name, result in results.items()} == {
        "DOM-1": Verdict.FAIL,
        "FWD-1": Verdict.PASS,
        "FWD-7": Verdict.PASS,
        "ORD-2": Verdict.PASS,
    }
    leak = results["DOM-1"].counterexample
    assert leak is not None
    assert len(leak.program.steps) == 2
    assert leak.findings[0].kind == "leaked"


@pytest.mark.parametrize(
    ("domain", "sections"),
    [
        ("market_data", ("FWD-1", "FRAME-1", "DOM", "VAL")),
        ("signal", ("FWD-1", "FRAME-1", "DOM", "VAL")),
        ("execution", ("FWD", "FRAME", "DOM", "VAL", "ORD", "CONN-1", "CONN-6", "CONN-7")),
    ],
)
def test_the_reference_relay_passes_everything(domain: str, sections: tuple[str, ...]) -> None:
    """Most of it where it looks at most; elsewhere what its domain makes different. `make demo` does all three."""
    names = [name for name in SCENARIOS if requirements()[name].binds(domain) and name.startswith(sections)]
    with relay(f"{domain}_relay --socket {{socket}}") as target:
        results = judged(target, plan_for(*names, domain=domain, max_examples=4))
    assert not {name: result.reason for name, result in results.items() if result.counterexample is not None}
    assert {result.verdict for result in results.values()} <= {Verdict.PASS, Verdict.UNKNOWN}


def test_a_random_loss_is_flaky_with_its_rate() -> None:
    with relay(specimen("correct", "signal", "--mutant drop-random-receiver --probability 0.3")) as target:
        result = judged(target, plan_for("FWD-1", max_examples=60, shrink_seconds=0.5))["FWD-1"]
    assert result.verdict in (Verdict.FLAKY, Verdict.FAIL)
    assert result.counterexample is not None
    assert 0 < result.counterexample.failures <= result.counterexample.runs
    assert re.fullmatch(r"\d+ programs? with \d+ connections?", result.counterexample.served_before)


def test_a_crash_fails_its_requirement_and_the_run_goes_on() -> None:
    with relay(specimen("correct", "signal", "--mutant crash-on-empty")) as target:
        results = judged(target, plan_for("FWD-6", "FWD-1", shrink_seconds=0.5))
    assert results["FWD-6"].verdict is Verdict.FAIL
    crash = results["FWD-6"].counterexample
    assert crash is not None
    assert crash.findings[0].kind == "crashed"
    assert results["FWD-1"].verdict is Verdict.PASS


def test_what_a_profile_does_not_promise_is_unsupported_with_its_reason() -> None:
    with relay(specimen("first-generic", "signal")) as target:
        result = judged(target, plan_for("FRAME-1", profile="first-generic"))["FRAME-1"]
    assert result.verdict is Verdict.UNSUPPORTED
    assert "not promised by profile first-generic" in result.reason


def test_a_fixed_check_that_would_end_behind_the_budget_is_not_begun_and_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(runner.LONG_CHECKS, "FWD-4", 1e6)
    monkeypatch.setitem(EXTRA_CHECKS, "FWD-4", lambda _: pytest.fail("it was begun"))
    with relay(specimen("correct", "signal")) as target:
        (result,) = judge_all(plan_for("FWD-4", max_examples=5), target, Observer())
    assert result.verdict is Verdict.PASS
    assert runner.NO_TIME_TO_CHECK in result.reason


def test_a_run_without_time_left_knows_nothing() -> None:
    with relay(specimen("correct", "signal")) as target:
        result = judged(target, plan_for("FWD-1", time_budget=0.0))["FWD-1"]
    assert result.verdict is Verdict.UNKNOWN
    assert "time budget" in result.reason
    assert result.lacks is Lack.TIME


class Recorder(Observer):
    """Keeps the programs that failed in the order in which they were found."""

    def __init__(self) -> None:
        self.weights: list[tuple[int, ...]] = []

    def failed(self, counterexample: Counterexample) -> None:
        self.weights.append(counterexample.program.weight)


def test_counterexamples_only_become_lighter() -> None:
    recorder = Recorder()
    with relay(specimen("first-generic", "signal")) as target:
        judge_all(plan_for("FRAME-1", max_examples=40, shrink_seconds=1.0), target, recorder)
    assert recorder.weights == sorted(recorder.weights, reverse=True)


@pytest.fixture(scope="module")
def leak() -> Program:
    return msgspec.json.decode(
        b'{"domain":"signal","steps":[{"type":"connect","conn":0},{"type":"write","conn":0,"items":'
        b'[{"type":"frame","domain":2},{"type":"frame","domain":1}]}],"version":1}',
        type=Program,
    )


def test_replay_counts_the_runs_that_fail(leak: Program) -> None:
    with relay(specimen("first-generic", "signal")) as bad:
        failures, shown = replay(leak, "DOM-1", rules_of("signal"), bad, 3)
        assert (failures, shown.runs, shown.findings[0].kind) == (3, 3, "leaked")
    with SpawnedTarget(specimen("correct", "signal")) as good:
        failures, shown = replay(leak, "DOM-1", rules_of("signal"), good, 3)
        assert (failures, shown.findings) == (0, [])
        assert isinstance(shown.history, History)


def test_every_requirement_but_figures_has_a_scenario_or_a_check() -> None:
    judged = set(SCENARIOS) | set(CHECKS)
    assert judged == {name for name, each in requirements().items() if each.level != "FIGURE"}
    assert set(EXTRA_CHECKS) <= set(SCENARIOS)


def test_selecting_by_section_and_id() -> None:
    assert {each.section for each in select(["ord"], [])} == {"ORD"}
    assert [each.id for each in select(["FWD-1", "dom-1"], [])] == ["FWD-1", "DOM-1"]
    assert "ORD-1" not in {each.id for each in select(["ORD"], ["ORD-1"])}
    with pytest.raises(UsageError, match="did you mean FRAME"):
        select(["FRAM"], [])


def test_plans_are_definite_for_their_domain() -> None:
    plan: Plan = plan_for("FWD-1", domain="execution")
    assert plan.rules.strict
    assert plan.rules.types == range(40, 80)


def test_fwd_4_a_relay_without_echo_fails_echo_alone() -> None:
    with relay(specimen("correct", "signal", "--no-echo")) as target:
        results = judged(target, plan_for("FWD-1", "FWD-4", "FRAME-1", max_examples=10))
    assert {name: result.verdict.value for name, result in results.items()} == {
        "FWD-1": "PASS",
        "FWD-4": "FAIL",
        "FRAME-1": "PASS",
    }
    assert "judged with echo off, as this relay has it" in results["FWD-1"].reason


@pytest.mark.parametrize("name", ["", "SIGNAL", "signals", "system"])
def test_a_domain_that_is_none_is_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match="use one of market_data, signal, execution"):
        rules_for(load_profile("reference"), name)


def test_a_check_tells_what_a_relay_that_does_not_start_again_printed(tmp_path: Path) -> None:
    script, specimens = tmp_path / "relay.sh", Path(sys.executable).with_name("torq-specimen")
    script.write_text(
        f"""#!/bin/sh
if mkdir {tmp_path}/started 2> /dev/null; then exec {specimens} correct --domain signal --socket "$1"; fi
echo cannot open the ledger; echo giving up; exit 4
""",
        "utf-8",
    )
    script.chmod(0o755)
    with relay(f"{script} {{socket}}") as target:
        result = judged(target, plan_for("CONN-4"))["CONN-4"]
    assert result.verdict is Verdict.FAIL
    shown = result.counterexample
    assert shown is not None
    assert [finding.kind for finding in shown.findings] == ["down"]
    assert "\n" not in shown.findings[0].seen
    assert shown.findings[0].seen.endswith("did not start: the relay exited with status 4")
    assert shown.history.remains == ["it printed 'cannot open the ledger'", "it printed 'giving up'"]
