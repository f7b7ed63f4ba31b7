"""Variations of programs: playable, affordable, of frames whose fate is known; sweeps and parts do what they say."""

from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance.program_strategies import DOMAINS, programs, rules_of
from torq_conformance.generation.variations import (
    MOST_BYTES,
    MOST_CONNECTIONS,
    MOST_STEPS,
    Variations,
    is_legible,
    numbered,
    parts,
    plainest,
    sweeps,
)
from torq_conformance.model.frames import Frame, Raw, encode_frame
from torq_conformance.model.legality import Fate, fate_of
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Connect, Finish, Freeze, Kill, Thaw, Write

RULES = rules_of("signal")


@settings(max_examples=60, deadline=None)
@given(programs(), programs(), st.integers(0, 2**32))
def test_a_varied_program_is_one_that_can_be_played_and_judged(program: Program, other: Program, seed: int) -> None:
    variations = Variations(RULES, seed)
    for _ in range(5):
        varied = variations.varied(program, other)
        opened: set[int | None] = {None}
        unframed: set[int | None] = set()
        for step in varied.steps:
            if isinstance(step, Connect):
                opened.add(step.conn)
            assert step.connection in opened
            if step.sends and not isinstance(step, Finish):
                assert step.connection not in unframed
                if any(isinstance(item, Raw) or item.claim is not None for item in step.content):
                    unframed.add(step.connection)
        assert len(varied.steps) <= MOST_STEPS + 1
        assert len(opened) <= MOST_CONNECTIONS + 1
        assert sum(step.weight.bytes for step in varied.steps) <= MOST_BYTES
        faults = [type(step) for step in varied.steps if isinstance(step, Freeze | Thaw | Kill)]
        assert faults[-1:] != [Freeze]  # a relay that is stopped goes on


@pytest.mark.parametrize("domain", DOMAINS)
def test_each_sweep_has_every_value_at_one_place_of_the_frame(domain: str) -> None:
    rules = rules_of(domain)
    found = list(sweeps(plainest(rules), rules))
    headers: set[int] = set()
    for program in found:
        frames = [frame for _, _, _, frame in program.frames()]
        assert len(set(frames)) == len(frames) >= 255
        encoded = [encode_frame(frame, conn=0, number=0, sequence=1)[:28] for frame in frames]
        places = {place for one, two in pairwise(encoded) for place in range(24) if one[place] != two[place]}
        assert len(places) <= 1
        headers |= places
    assert headers == set(range(4, 24))  # every byte behind the magic and before the size of the payload


@settings(max_examples=60, deadline=None)
@given(programs())
def test_sequences_that_are_written_down_are_those_that_would_be_sent(program: Program) -> None:
    written = {number: frame for number, _, _, frame in numbered(program).frames()}
    for number, step, conn, frame in program.frames():
        if isinstance(program.steps[step], Write):
            assert written[number].sequence is not None
            sent = [
                encode_frame(each, conn=conn, number=number, sequence=number + 1) for each in (frame, written[number])
            ]
            assert sent[0] == sent[1]


@settings(max_examples=60, deadline=None)
@given(programs())
def test_every_part_is_lighter(program: Program) -> None:
    for part in islice(parts(program), 100):
        assert part.weight < program.weight


def test_bytes_that_hold_a_whole_frame_under_another_name_are_not_legible() -> None:
    frame = encode_frame(Frame(2), conn=0, number=0, sequence=1)
    assert not is_legible(Program("signal", (Connect(0), Write(0, (Raw((frame + b"x").hex()),)))), RULES)
    assert is_legible(Program("signal", (Connect(0), Write(0, (Raw(frame[:-1].hex()),)))), RULES)


def test_a_sweep_is_of_a_frame_that_is_forwarded() -> None:
    foreign = Program("signal", (Connect(0), Write(0, (Frame(3),))))
    assert fate_of(Frame(3), RULES)[0] is Fate.REFUSE
    assert not list(sweeps(foreign, RULES))
