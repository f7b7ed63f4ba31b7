"""Byte diagrams: eight bytes a line, drawn in text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ..schema.layout import Row

_BYTES: Final = 8
_CELL: Final = 9
_MARGIN: Final = 6
_TALLEST: Final = 3
"""Lines that a field may fill before its middle is left out."""


class _Line:
    """Eight bytes: the field that each belongs to (None behind the end), and the offset of the first."""

    def __init__(self, offset: int, owners: list[int | None], *, cut: int = 0) -> None:
        self.offset, self.owners, self.cut = offset, owners, cut


def byte_diagram(rows: Sequence[Row]) -> str:
    """The fields of a layout as boxes, offsets at the left, byte numbers on top; long fields are cut short."""
    lines = list(_lines(rows))
    drawn = [" " * (_MARGIN + 1) + "".join(f"{byte:^{_CELL}}" for byte in range(_BYTES)).rstrip()]
    above: list[int | None] = [None] * _BYTES
    labelled: set[int] = set()
    for line in lines:
        drawn.append(_border(above, line.owners))
        drawn.append(_content(line, rows, labelled))
        above = line.owners
    drawn.append(_border(above, [None] * _BYTES))
    return "\n".join(drawn) + "\n"


def _lines(rows: Sequence[Row]) -> Iterator[_Line]:
    owners: list[int | None] = []
    for index, row in enumerate(rows):
        owners += [index] * (row.size if row.size is not None else _BYTES)
    owners += [None] * (-len(owners) % _BYTES)
    offset = 0
    while offset < len(owners):
        line = owners[offset : offset + _BYTES]
        run = _whole_lines_of(owners, offset)
        if run > _TALLEST:
            skipped = (run - 1) * _BYTES
            yield _Line(offset, line, cut=skipped + _BYTES)
            offset += skipped + _BYTES
        else:
            yield _Line(offset, line)
            offset += _BYTES


def _whole_lines_of(owners: list[int | None], offset: int) -> int:
    """How many lines from here belong to one field entirely."""
    run = 0
    while owners[offset : offset + _BYTES] == [owners[offset]] * _BYTES:
        if run and owners[offset] != owners[offset - 1]:
            break
        run += 1
        offset += _BYTES
        if offset >= len(owners):
            break
    return run


def _border(above: list[int | None], below: list[int | None]) -> str:
    """The line between two lines: nothing where a field goes on."""
    drawn = []
    for byte in range(_BYTES):
        outside = above[byte] is None and below[byte] is None
        goes_on = above[byte] == below[byte]
        drawn.append(" " * (_CELL - 1) if outside or goes_on else "-" * (_CELL - 1))
    corners = [_corner(above, below, byte) for byte in range(_BYTES + 1)]
    return (" " * _MARGIN + "".join(corner + part for corner, part in zip(corners, [*drawn, ""], strict=True))).rstrip()


def _corner(above: list[int | None], below: list[int | None], byte: int) -> str:
    left = (above[byte - 1], below[byte - 1]) if byte else (None, None)
    right = (above[byte], below[byte]) if byte < _BYTES else (None, None)
    if {*left, *right} == {None}:
        return " "
    if left[0] == left[1] and right[0] == right[1]:
        return " " if left == right else "|"
    return "+"


def _content(line: _Line, rows: Sequence[Row], labelled: set[int]) -> str:
    drawn = f"{line.offset:>{_MARGIN - 1}} "
    byte = 0
    while byte < _BYTES:
        owner = line.owners[byte]
        span = 1
        while byte + span < _BYTES and line.owners[byte + span] == owner:
            span += 1
        width = span * _CELL - 1
        if owner is None:
            drawn += ("|" if byte and line.owners[byte - 1] is not None else " ") + " " * width
        else:
            drawn += "|" + _label(rows[owner], owner, labelled, line.cut, width)
        byte += span
    return (drawn + ("|" if line.owners[-1] is not None else "")).rstrip()


def _label(row: Row, owner: int, labelled: set[int], cut: int, width: int) -> str:
    text = "" if owner in labelled else ("(padding)" if row.filler else row.name)
    labelled.add(owner)
    if row.filler and len(text) > width:
        text = "0"
    if cut:
        text = f"{text} ... {cut} bytes ..." if text else f"... {cut} bytes ..."
    return f"{text if len(text) <= width else text[: width - 1] + '…':^{width}}"
