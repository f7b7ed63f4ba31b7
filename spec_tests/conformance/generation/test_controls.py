"""Programs without what a requirement is about, and what they say of relays that fail for another reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_tests.conformance.judged_relays import judged, plan_for, relay, specimen
from spec_tests.conformance.program_strategies import rules_of, sent_frames
from torq_conformance.errors import CutShortError
from torq_conformance.generation import controls
from torq_conformance.generation import features as f
from torq_conformance.generation.fixed_programs import fixed_programs
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.judging.verdict import Lack, Verdict
from torq_conformance.model.frames import Frame, Tlv
from torq_conformance.model.history import History
from torq_conformance.model.legality import Fate, fates_of
from torq_conformance.model.program import Program
from torq_conformance.model.steps import (
    Close,
    Connect,
    FailedTakeover,
    Freeze,
    Resume,
    Sip,
    Stall,
    Takeover,
    Thaw,
    Write,
)
from torq_conformance.play.executor import Executor


@pytest.mark.parametrize("name", ["DOM-1", "DOM-2", "VAL-1", "VAL-3"])
def test_what_fails_with_valid_frames_too_is_no_matter_of_refusing(name: str) -> None:
    with relay(specimen("correct", "signal", "--mutant", "coalesced-rest-lost")) as target:
        result = judged(target, plan_for(name, max_examples=3))[name]
    assert result.verdict is Verdict.PASS
    assert result.evidence["programs that failed for another reason"]


def test_a_relay_that_loses_large_frames_does_not_lose_them_for_their_tlvs() -> None:
    with relay(specimen("first-generic", "signal")) as target:
        result = judged(target, plan_for("FWD-8", max_examples=3))["FWD-8"]
    assert result.verdict is Verdict.PASS
    assert result.evidence["programs that failed for another reason"]


def test_a_program_made_valid_has_the_same_writes_and_is_forwarded_whole() -> None:
    rules = rules_of("signal")
    for program in f.foreign_domain_values(rules):
        valid = controls.only_valid_frames(program)
        assert {fate for fate, _ in fates_of(valid, rules).values()} == {Fate.FORWARD}
        assert [frame.size for frame in sent_frames(valid)] == [frame.size for frame in sent_frames(program)]


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=5))
def test_frames_in_standard_tlvs_are_valid_as_large_and_of_no_extended_tlv(sizes: list[int]) -> None:
    rules = rules_of("signal")
    frame = Frame(rules.number, tuple(Tlv(min(rules.types), size) for size in sizes))
    plain = controls.in_standard_tlvs(Program(rules.domain, (Connect(0), Write(0, (frame,)))))
    (other,) = sent_frames(plain)
    assert other.size == frame.size
    assert all(tlv.encoded_size == tlv.size + 2 for tlv in other.tlvs)
    assert {fate for fate, _ in fates_of(plain, rules).values()} == {Fate.FORWARD}


@pytest.mark.parametrize("name", ["ISO-1", "ISO-5"])
def test_where_everybody_reads_the_same_frames_are_sent_and_nobody_stalls(name: str) -> None:
    first = SCENARIOS[name].first
    assert first
    for program in first(rules_of("signal")):
        control = controls.without_stalls(program)
        assert sent_frames(control) == sent_frames(program)
        assert not any(isinstance(step, Stall | Sip | Resume) for step in control.steps)
        assert all(step.reads for step in control.steps if isinstance(step, Connect))


def test_where_nobody_leaves_the_same_frames_are_sent() -> None:
    first = SCENARIOS["CONN-6"].first
    assert first
    for program in first(rules_of("signal")):
        control = controls.without_disconnects(program)
        assert sent_frames(control) == sent_frames(program)
        assert any(isinstance(step, Close) for step in program.steps)
        assert not any(isinstance(step, Close) for step in control.steps)


@pytest.mark.parametrize("requirement", ["LIFE-3", "LIFE-4"])
def test_where_nobody_is_replaced_the_same_frames_are_sent_while_nobody_serves(requirement: str) -> None:
    for fixed in fixed_programs(requirement):
        program = fixed.program(rules_of("signal"))
        control = controls.without_takeovers(program)
        assert sent_frames(control) == sent_frames(program)
        assert not any(isinstance(step, Takeover | FailedTakeover) for step in control.steps)
        halted = sum(step == Takeover(halted=True) for step in program.steps)
        assert sum(isinstance(step, Freeze) for step in control.steps) == halted


def test_each_in_its_own_write_the_same_frames_are_sent_and_no_read_takes_two() -> None:
    first = SCENARIOS["FRAME-2"].first
    assert first
    for program in first(rules_of("signal")):
        control = controls.one_frame_per_write(program)
        assert sent_frames(control) == sent_frames(program)
        assert all(len(step.items) == 1 for step in control.steps if isinstance(step, Write))
        assert not any(isinstance(step, Freeze | Thaw) for step in control.steps)


def test_a_control_that_the_time_cuts_short_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    play = Executor.play

    def played(executor: Executor, program: Program) -> History:
        if any(len(frame.tlvs) > 1 and frame.tlvs[0] == Tlv(frame.tlvs[0].type, 255) for frame in sent_frames(program)):
            raise CutShortError("the time was over")
        return play(executor, program)

    monkeypatch.setattr(Executor, "play", played)
    with relay(specimen("first-generic", "signal")) as target:
        result = judged(target, plan_for("FWD-8", max_examples=1))["FWD-8"]
    assert result.counterexample is None
    assert "the time budget ended the search" in result.reason
    assert result.lacks is Lack.TIME
