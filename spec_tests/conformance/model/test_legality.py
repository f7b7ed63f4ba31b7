"""What the suite itself states of the wire is what the test vectors and the registry say."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import torq_protocol.registry
from torq_conformance.model.legality import FIXED_SIZES, SOURCES, Defect, Reason

VECTORS = Path(__file__).parents[3] / "docs" / "vectors"


def vectors() -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = json.loads((VECTORS / "messages.json").read_text())["vectors"]
    return read


def test_val_4_the_sizes_and_sources_of_the_suite_are_those_of_the_registry() -> None:
    registry = torq_protocol.registry.REGISTRY
    assert dict(registry.fixed_sizes) == FIXED_SIZES
    assert registry.source_numbers == SOURCES


def test_val_4_every_fixed_size_is_that_of_a_test_vector() -> None:
    sizes: defaultdict[int, set[int]] = defaultdict(set)
    for tlv in (tlv for vector in vectors() for tlv in vector["tlvs"]):
        sizes[tlv["type"]].add(len(tlv["value"]) // 2)
    assert {number: sizes[number] for number in FIXED_SIZES} == {number: {size} for number, size in FIXED_SIZES.items()}


@pytest.mark.parametrize("defect", Defect)
def test_every_defect_has_its_words(defect: Defect) -> None:
    assert "{" not in str(Reason(defect, 1, 2, 3))
    assert len({str(Reason(each, 1, 2, 3)) for each in Defect}) == len(Defect)
