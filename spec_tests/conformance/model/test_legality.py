"""What the suite itself states of the wire is what the test vectors and the registry say."""

import json
from pathlib import Path

import msgspec
import pytest

from torq_conformance.model.frames import SOURCES, Frame
from torq_conformance.model.legality import FIXED_SIZES, Defect, Fate, Reason, fate_of
from torq_conformance.model.profile import Profile, rules_for
from torq_conformance.model.rules import ZeroChecksum
from torq_protocol.registry import REGISTRY

VALUES = json.loads((Path(__file__).parents[3] / "docs" / "vectors" / "values.json").read_text())


def test_val_4_the_fixed_sizes_are_those_of_the_vectors_and_of_the_registry() -> None:
    sizes = {each["type"]: each["minimum"] for each in VALUES["sizes"] if each["minimum"] == each["maximum"]}
    assert dict(REGISTRY.fixed_sizes) == FIXED_SIZES == sizes


def test_val_4_the_sources_are_those_of_the_vectors_and_of_the_registry() -> None:
    assert REGISTRY.source_numbers == set(SOURCES) == {each["source"] for each in VALUES["sources"]}


def test_val_1_a_checksum_of_0_passes_where_the_profile_accepts_it() -> None:
    cases: tuple[tuple[str, ZeroChecksum | None, Fate], ...] = (
        ("signal", None, Fate.FORWARD),
        ("signal", "refuse", Fate.REFUSE),
        ("execution", None, Fate.REFUSE),
        ("execution", "accept", Fate.FORWARD),
        ("market_data", "refuse", Fate.FORWARD),
    )
    for domain, answer, fate in cases:
        rules = rules_for(Profile(name="zero", zero_checksum=answer), domain)
        frame = Frame(rules.number, checksum="zero")
        assert fate_of(frame, rules)[0] is fate, (domain, answer)
        checked = domain != "market_data"
        wrong = msgspec.structs.replace(frame, checksum="inverted")
        assert fate_of(wrong, rules)[0] is (Fate.REFUSE if checked else Fate.FORWARD)
        right = msgspec.structs.replace(frame, checksum="good")
        assert fate_of(right, rules)[0] is Fate.FORWARD


@pytest.mark.parametrize("defect", Defect)
def test_every_defect_has_its_words(defect: Defect) -> None:
    assert "{" not in str(Reason(defect, 1, 2, 3))
    assert len({str(Reason(each, 1, 2, 3)) for each in Defect}) == len(Defect)
