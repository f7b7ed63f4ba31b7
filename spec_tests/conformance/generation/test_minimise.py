"""Simpler programs: always lighter or equally light, always playable, and in the end a smallest one."""

from collections.abc import Callable
from itertools import islice

import pytest
from hypothesis import given, settings

from spec_tests.conformance.program_strategies import programs
from torq_conformance.generation.minimise import simpler_programs
from torq_conformance.model.frames import Frame, Tlv
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Close, Connect, Sync, Write


@settings(max_examples=60, deadline=None)
@given(programs())
def test_no_candidate_is_heavier_and_none_is_the_program_itself(program: Program) -> None:
    for candidate in islice(simpler_programs(program), 200):
        assert candidate.weight <= program.weight
        assert candidate != program
        assert candidate.domain == program.domain


@settings(max_examples=60, deadline=None)
@given(programs())
def test_every_candidate_opens_the_connections_that_it_uses_first(program: Program) -> None:
    for candidate in islice(simpler_programs(program), 200):
        opened = set()
        for step in candidate.steps:
            if isinstance(step, Connect):
                opened.add(step.conn)
            assert getattr(step, "conn", None) in {None, *opened}


@settings(max_examples=30, deadline=None)
@given(programs())
def test_no_candidate_is_offered_twice(program: Program) -> None:
    candidates = list(islice(simpler_programs(program), 200))
    assert len(set(candidates)) == len(candidates)


def smallest(program: Program, fails: Callable[[Program], bool]) -> Program:
    """What taking the first candidate that still fails, again and again, ends with."""
    for _ in range(10_000):
        following = next((each for each in simpler_programs(program) if fails(each)), None)
        if following is None:
            return program
        program = following
    raise AssertionError("minimising does not end")


BIG = Program(
    "signal",
    (
        Connect(0),
        Connect(1),
        Connect(2),
        Write(1, (Frame(2, (Tlv(30, 300), Tlv(31, 8))), Frame(1, (Tlv(30, 40),), flags=9)), cuts=(3, 40, 99)),
        Sync(),
        Write(2, (Frame(2, (Tlv(30, 8),)),), every=3),
        Close(2, reset=True),
        Write(1, (Frame(2, (Tlv(33, 1000),)),) * 5),
    ),
)


def test_a_leak_shrinks_to_one_connection_and_one_empty_frame() -> None:
    def leaks(program: Program) -> bool:
        return any(frame.domain == 1 for _, _, _, frame in program.frames())

    assert smallest(BIG, leaks) == Program("signal", (Connect(0), Write(0, (Frame(1),))))


def test_a_cut_shrinks_to_one_cut_at_the_first_byte() -> None:
    def cut(program: Program) -> bool:
        return any(len(step.pieces()) > 1 for step in program.steps if isinstance(step, Write))

    found = smallest(BIG, cut)
    assert len(found.steps) == 2
    assert isinstance(write := found.steps[1], Write)
    assert len(write.pieces()) == 2


@pytest.mark.parametrize("least", [1, 9, 255, 1_000, 4_095, 40_000, 65_535])
def test_a_threshold_of_size_is_found_in_a_few_attempts(least: int) -> None:
    attempts = 0

    def fails(program: Program) -> bool:
        nonlocal attempts
        attempts += 1
        return any(tlv.size >= least for _, _, _, frame in program.frames() for tlv in frame.tlvs)

    found = smallest(Program("signal", (Connect(0), Write(0, (Frame(2, (Tlv(30, 65_535, extended=True),)),)))), fails)
    assert [tlv.size for _, _, _, frame in found.frames() for tlv in frame.tlvs] == [least]
    assert attempts < 200


def test_a_fault_in_what_is_sent_after_a_reset_keeps_the_close_but_not_the_reset() -> None:
    def close_then_write(program: Program) -> bool:
        kinds = [type(step) for step in program.steps]
        return Close in kinds and Write in kinds[kinds.index(Close) :]

    found = smallest(BIG, close_then_write)
    assert [type(step) for step in found.steps] == [Connect, Connect, Close, Write]
    assert Close(1) in found.steps or Close(0) in found.steps
