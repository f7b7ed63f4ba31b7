"""What the suite itself states of the wire is what the test vectors and the registry say."""

import json
from pathlib import Path

import pytest

from torq_conformance.model.frames import SOURCES
from torq_conformance.model.legality import FIXED_SIZES, Defect, Reason
from torq_protocol.registry import REGISTRY

VALUES = json.loads((Path(__file__).parents[3] / "docs" / "vectors" / "values.json").read_text())


def test_val_4_the_fixed_sizes_are_those_of_the_vectors_and_of_the_registry() -> None:
    sizes = {each["type"]: each["minimum"] for each in VALUES["sizes"] if each["minimum"] == each["maximum"]}
    assert dict(REGISTRY.fixed_sizes) == FIXED_SIZES == sizes


def test_val_4_the_sources_are_those_of_the_vectors_and_of_the_registry() -> None:
    assert REGISTRY.source_numbers == set(SOURCES) == {each["source"] for each in VALUES["sources"]}


@pytest.mark.parametrize("defect", Defect)
def test_every_defect_has_its_words(defect: Defect) -> None:
    assert "{" not in str(Reason(defect, 1, 2, 3))
    assert len({str(Reason(each, 1, 2, 3)) for each in Defect}) == len(Defect)
