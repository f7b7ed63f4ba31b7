"""The Kaitai Struct declaration: valid YAML, no loose ends, and every type as long as the schema says.

What Kaitai's own compiler makes of it is tested beside this, where that is installed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # ships no types

from torq_protocol.schema import PAYLOADS, RECORDS, Header
from torq_protocol.schema.layout import rows_of, size_of

DECLARED: dict[str, Any] = yaml.safe_load((Path(__file__).parents[3] / "docs" / "kaitai" / "torq.ksy").read_text())
TYPES: dict[str, Any] = DECLARED["types"]
BUILT_IN = {"u1": 1, "u2": 2, "u4": 4, "u8": 8, "s4": 4, "s8": 8}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def field_size(field: dict[str, Any]) -> int:
    """Bytes of one field, repetitions included."""
    if "contents" in field:
        return len(field["contents"])
    if "size" in field:
        size = int(field["size"])
    elif field["type"] in BUILT_IN:
        size = BUILT_IN[field["type"]]
    else:
        size = sum(field_size(part) for part in TYPES[field["type"]]["seq"])
    return size * int(field.get("repeat-expr", 1))


LAYOUTS = {snake(layout.name): layout for layout in (Header, *PAYLOADS.values(), *RECORDS.values())}


@pytest.mark.parametrize("name", [name for name, layout in LAYOUTS.items() if size_of(layout) is not None])
def test_every_field_lies_where_the_schema_says(name: str) -> None:
    offset, places = 0, []
    for field in TYPES[name]["seq"]:
        places.append((offset, field_size(field), field["id"].startswith("filler_")))
        offset += field_size(field)
    assert places == [(row.offset, row.size, row.filler) for row in rows_of(LAYOUTS[name])]
    assert offset == size_of(LAYOUTS[name])


def test_snapshots_end_with_all_that_is_left() -> None:
    *head, data = TYPES["snapshot"]["seq"]
    assert sum(field_size(field) for field in head) == 32
    assert data == {"id": "data", "size-eos": True, "doc": data["doc"]}


def test_every_name_is_legal_and_every_reference_has_its_declaration() -> None:
    enums = DECLARED["enums"]
    for name, declared in TYPES.items():
        ids = [field["id"] for field in declared["seq"]]
        assert len(ids) == len(set(ids)), name
        for field in declared["seq"]:
            assert re.fullmatch(r"[a-z][a-z0-9_]*", field["id"])
            assert field.get("enum") in {None, *enums}
            if isinstance(field.get("type"), str):
                assert field["type"] in {*BUILT_IN, *TYPES}
    cases = TYPES["tlv"]["seq"][-1]["type"]["cases"]
    assert cases == {number: snake(layout.name) for number, layout in PAYLOADS.items()}
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", value) for each in enums.values() for value in each.values())
