"""The generated pages: complete, drawn right, and linked to what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from construct import Bytes, Struct

from torq_domains.execution import ExecutionLogic
from torq_domains.market_data import MarketDataLogic
from torq_domains.signal import SignalLogic
from torq_protocol.errors import ErrorKind
from torq_protocol.generate.diagram import byte_diagram
from torq_protocol.generate.levels import DEFAULT_LEVELS
from torq_protocol.policy import ValidationLevel
from torq_protocol.registry import REGISTRY
from torq_protocol.schema import PAYLOADS, RECORDS, ExtendedTlvHeader, Header, StandardTlvHeader
from torq_protocol.schema.layout import rows_of, size_of
from torq_protocol.schema.vocabulary import U8, U16, Filler

SPEC = Path(__file__).parents[3] / "docs" / "spec"
PAGES = {path.name: path.read_text() for path in SPEC.glob("*.md")}
LAYOUTS = [Header, StandardTlvHeader, ExtendedTlvHeader, *PAYLOADS.values(), *RECORDS.values()]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: str(layout.name))
def test_rows_cover_every_byte_once(layout: Struct) -> None:
    offset = 0
    for row in rows_of(layout):
        assert row.offset == offset
        offset += row.size or 0
    assert offset == (size_of(layout) or 32)


def test_every_layout_every_type_and_every_check_has_its_row() -> None:
    for number, layout in PAYLOADS.items():
        assert f"## {number} {layout.name}\n" in PAGES["payloads.md"]
        for row in rows_of(layout):
            if not row.compiler_padding:
                assert f"| {row.offset} | {row.size or 'rest'} |" in PAGES["payloads.md"]
    for number, tlv in REGISTRY.tlv_types.items():
        assert f"| {number} | {tlv.name} |" in PAGES["registry.md"]
    for kind in ErrorKind:
        assert f"| `{kind.label}` |" in PAGES["envelope.md"]
    for decision in range(1, 18):
        assert f"| D{decision} |" in PAGES["wire.md"]


def test_the_levels_printed_are_those_of_the_domains() -> None:
    domains = (MarketDataLogic(), SignalLogic(), ExecutionLogic())
    assert {logic.domain: logic.level for logic in domains} == DEFAULT_LEVELS
    assert set(DEFAULT_LEVELS.values()) == set(ValidationLevel), "every level is explained"
    for logic in domains:
        row = f"| **{logic.level.value}** | {logic.name.replace('_', ' ')} |"
        assert row in PAGES["envelope.md"]


def test_links_between_pages_lead_somewhere() -> None:
    headings = {name: {slug(text) for text in re.findall(r"^#+ (.*)$", page, re.M)} for name, page in PAGES.items()}
    links = [(name, *link) for name, page in PAGES.items() for link in re.findall(r"\]\(([\w.]*)(#[\w-]+)?\)", page)]
    assert len(links) > 20
    for name, page, anchor in links:
        assert (page or name) in PAGES, (name, page)
        assert not anchor or anchor[1:] in headings[page or name], (name, page, anchor)


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_a_diagram_draws_fields_over_lines_and_leaves_out_the_middle_of_long_ones() -> None:
    record = Struct("first" / U16, "address" / Bytes(12), "_" / Filler(1), "last" / U8, "long" / Bytes(40), "end" / U8)
    assert byte_diagram(list(rows_of(record))) == (
        "           0        1        2        3        4        5        6        7\n"
        "      +--------+--------+--------+--------+--------+--------+--------+--------+\n"
        "    0 |      first      |                       address                       |\n"
        "      +--------+--------+                                   +--------+--------+\n"
        "    8 |                                                     |   0    |  last  |\n"
        "      +--------+--------+--------+--------+--------+--------+--------+--------+\n"
        "   16 |                         long ... 40 bytes ...                         |\n"
        "      +--------+--------+--------+--------+--------+--------+--------+--------+\n"
        "   56 |  end   |\n"
        "      +--------+\n"
    )
