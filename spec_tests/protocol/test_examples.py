"""docs/messages.md lists what there is."""

from __future__ import annotations

from pathlib import Path

from torq_protocol.errors import ErrorKind

PAGE = Path(__file__).parents[2] / "docs" / "messages.md"


def test_the_page_lists_every_kind_of_fault_in_the_order_of_the_parser() -> None:
    listed = [line.split("`")[1] for line in PAGE.read_text().splitlines() if line.startswith("|") and "`" in line]
    kinds = [kind.label for kind in ErrorKind if kind is not ErrorKind.BAD_VALUE]
    in_table = [name for name in listed if name in kinds]
    assert sorted(in_table) == sorted(kinds)
    whole_message = in_table[: in_table.index("truncated-tlv-header")]
    assert whole_message == [kind for kind in kinds if kind in whole_message]
