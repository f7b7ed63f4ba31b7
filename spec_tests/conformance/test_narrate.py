"""Counterexamples in words: the contradiction is named, not only drawn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance import shown_runs
from spec_tests.conformance.histories import Chronicle
from spec_tests.conformance.program_strategies import programs
from torq_conformance.history import History
from torq_conformance.narrate import (
    contradictions,
    describe_steps,
    evidence,
    narrate,
    prose,
    stalled_to_the_end,
    upper_bound,
)
from torq_conformance.oracles import Finding, lost
from torq_conformance.profile import load_profile, rules_for
from torq_conformance.program import Close, Connect, Kill, Program, Resume, Stall, Step, connection_name
from torq_conformance.verdict import Counterexample, Verdict


def said(*findings: Finding) -> str:
    return prose(Counterexample("FWD-1", Program("signal", ()), list(findings), History()))


def test_ord_2_names_both_orders() -> None:
    words = prose(shown_runs.two_orders())
    assert words == (
        "C saw C1 before A0, B saw A0 before C1; yet one order of all frames at every receiver is required: "
        "both cannot hold."
    ) or words.startswith(("C saw C1 before A0, A saw A0 before C1", "C saw C1 before A0, B saw A0 before C1"))


def test_a_loss_names_receiver_frame_and_proof() -> None:
    assert prose(shown_runs.lost_frame()) == (
        "B never got A0, although a later fence of A arrived: what was sent before has come or never will."
    )


def said_of_losses(*receivers: str) -> str:
    """The prose of what the receivers lack, by the oracle itself: A sends twice, and nobody is fenced."""
    chronicle = Chronicle(rules_for(load_profile("reference"), "signal"))
    sent = [chronicle.sends(0), chronicle.sends(0)]
    for conn in range(3):
        if connection_name(conn) not in receivers:
            chronicle.gets(conn, *sent)
    findings = list(lost(chronicle.history, chronicle.rules))
    return prose(Counterexample("FWD-1", Program("signal", ()), findings, chronicle.history))


def test_a_relay_that_forwards_nothing_is_not_called_a_contradiction_of_fences() -> None:
    assert said_of_losses("B") == "B never got A0, nor anything that A sent after it; 1 more frame is lost as well."


def test_losses_of_one_frame_are_one_sentence() -> None:
    assert said_of_losses("B", "C").startswith("B and C never got A0, nor anything")


def test_a_leak_says_why_the_frame_had_to_be_refused() -> None:
    finding = Finding("leaked", "frame A1 nowhere, because its header names domain 1", "it came to B")
    assert said(finding) == "Frame A1 was to reach nobody, because its header names domain 1; yet it came to B."


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(("lost", "torn", "mixed", "leaked", "reordered", "closed", "crashed", "a kind of tomorrow")),
    expected=st.text(min_size=1, max_size=40),
    seen=st.text(min_size=1, max_size=40),
)
def test_every_finding_makes_a_sentence(kind: str, expected: str, seen: str) -> None:
    assert said(Finding(kind, expected, seen)).endswith(".")


def test_a_pass_says_what_it_rules_out() -> None:
    passed = next(result for result in shown_runs.results() if result.verdict is Verdict.PASS)
    assert evidence(passed) == "0 of 4 812 programs fail (below 0.062 % with 95 % confidence), 98 000 frames"


@given(count=st.integers(1, 100_000))
def test_the_bound_of_a_pass_is_the_rate_that_would_have_shown_in_19_of_20_such_runs(count: int) -> None:
    rate = upper_bound(count)
    assert 0 < rate < 1
    assert abs((1 - rate) ** count - 0.05) < 1e-9
    assert rate < upper_bound(max(count - 1, 0)) or count == 1


@settings(max_examples=60, deadline=None)
@given(program=programs())
def test_every_step_of_every_program_has_its_words(program: Program) -> None:
    steps = list(describe_steps(program))
    assert len(steps) == len(program.steps)
    assert all(step.strip() and "\n" not in step for step in steps)
    numbered = [line for line in narrate(program, History()) if line[:3].strip()]
    assert [line[5:] for line in numbered] == steps


def test_a_connection_that_is_kept_reads_as_a_sentence() -> None:
    finding = Finding("kept", "A to be closed after its framing error", "it stays connected")
    assert said(finding) == "Expected was A to be closed after its framing error, but it stays connected."


def test_iso_3_the_bound_of_the_queue_stands_beside_what_came() -> None:
    assert prose(shown_runs.newest_dropped()) == (
        "Expected was the newest frame A4 kept for B, and the oldest dropped past the bound of its queue (2 frames or "
        "67 108 864 bytes), but A4 was dropped: of 5 frames that were sent while B did not read 2 came, without the "
        "newest."
    )


@pytest.mark.parametrize("resumes", [False, True])
def test_who_stalls_to_the_end_is_said_to_read_again(resumes: bool) -> None:
    shown = shown_runs.newest_dropped(resumes=resumes)
    lines = list(narrate(shown.program, shown.history))
    assert ("     when all is sent, B reads again" in lines) is not resumes
    assert ("  5  B reads again" in lines) is resumes


@pytest.mark.parametrize(
    ("steps", "resumed"),
    [
        ((Stall(0), Stall(1)), [0, 1]),
        ((Stall(0), Resume(0), Stall(1)), [1]),
        ((Stall(0), Resume(0), Stall(0)), [0]),
        ((Stall(0), Close(0)), []),
        ((Stall(0), Kill()), []),
        ((Stall(0), Close(0), Connect(0)), []),
        ((), []),
    ],
)
def test_only_who_stands_and_was_not_resumed_reads_again_at_the_end(
    steps: tuple[Step, ...], resumed: list[int]
) -> None:
    assert stalled_to_the_end(Program("signal", (Connect(0), Connect(1), *steps))) == resumed


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_plainest_contradictions_come_first_and_the_rest_is_counted(count: int) -> None:
    findings = [Finding("lost", f"frame A{number}", "it never came") for number in range(count)]
    lines = list(contradictions(Counterexample("FWD-1", Program("signal", ()), findings, History())))
    assert lines[0].split() == ["lost", "expected", "frame", "A0;"]
    assert (f"and {count - 3} more" in lines[-1]) is (count > 3)
