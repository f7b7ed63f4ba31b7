"""Every kind of step says of itself what others ask, and is played."""

import re
from collections import Counter
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance.program_strategies import programs
from torq_conformance.generation.cells import TALLIES, features_of
from torq_conformance.model import steps
from torq_conformance.model.program import Program
from torq_conformance.model.steps import ClientStep, Finish, Place, ProgramStep, Step, Write

PACKAGE = Path(steps.__file__).parents[1]
KINDS: tuple[type[ProgramStep], ...] = get_args(Step)
FEW = settings(max_examples=100, deadline=None)


def sources(room: str) -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted((PACKAGE / room).rglob("*.py")))


def test_every_kind_of_step_can_stand_in_a_program() -> None:
    written = {kind for kind in vars(steps).values() if isinstance(kind, type) and issubclass(kind, ProgramStep)} - {
        ProgramStep,
        ClientStep,
    }
    assert written == set(KINDS)
    assert len({kind.__struct_config__.tag for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_step_has_words_of_its_own_and_a_handler_in_the_play_room(kind: type[ProgramStep]) -> None:
    own = "does" if issubclass(kind, ClientStep) else "words"
    assert own in vars(kind) or vars(kind).get("said")
    assert re.search(rf"(case|\|) (steps\.)?{kind.__name__}\(", sources("play"))


@FEW
@given(programs())
def test_what_steps_say_agrees_with_what_they_send(program: Program) -> None:
    for place, step in program.placed():
        assert step.sends or not step.content
        assert step.sends is (step.drawn == "send")
        assert (step.connection is None) is (step.drawn == "note")
        assert step.weight.bytes <= sum(item.size for item in step.content)
        assert len(step.frames) == sum(number == place.position for _, number, _, _ in program.frames())
        assert step.labels(place)
        assert all(label and "\n" not in label for label in step.labels(place))


@FEW
@given(programs())
def test_places_count_the_frames_and_what_is_begun(program: Program) -> None:
    numbers = [number for number, _, _, _ in program.frames()]
    assert numbers == list(range(len(numbers)))
    for place, step in program.placed():
        assert place.number == sum(len(before.frames) for before in program.steps[: place.position])
        writes = [
            before
            for before in program.steps[: place.position]
            if isinstance(before, Write | Finish) and before.conn == step.connection
        ]
        last = writes[-1] if writes else None
        assert place.unsent == (last.whole - last.size if isinstance(last, Write) else 0)


@FEW
@given(programs())
def test_the_evidence_counts_what_steps_say(program: Program) -> None:
    counted = Counter(name for step in program.steps for name in step.tally())
    features = features_of(program)
    assert set(counted) <= set(TALLIES) <= set(features)
    assert all(features[name] == counted[name] for name in TALLIES)


@FEW
@given(st.data(), programs())
def test_a_step_survives_its_json_under_its_own_tag(data: st.DataObject, program: Program) -> None:
    step = data.draw(st.sampled_from(program.steps))
    text = msgspec.json.encode(step)
    assert msgspec.json.decode(text)["type"] == type(step).__struct_config__.tag
    assert msgspec.json.decode(text, type=Step) == step
    assert step.words(Place(0, 0, 0))
