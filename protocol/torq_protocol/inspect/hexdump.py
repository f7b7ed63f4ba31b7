"""Bytes as hex, sixteen a line, each field of a message in a colour of its own, with the names of those that begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final

from ..message import Message
from ..registry import REGISTRY
from ..schema import PAYLOADS, ExtendedTlvHeader, Header, StandardTlvHeader
from ..schema.layout import rows_of
from ..tlv import Tlv
from .fields import type_text

_WIDTH: Final = 16
_COLOURS: Final = ("36", "33", "32", "35", "34", "31")
_FAULT: Final = "41;97"


@dataclass(frozen=True, slots=True)
class Span:
    """A field's place in a message."""

    start: int
    stop: int
    name: str


def spans(message: Message) -> list[Span]:
    """The fields of a message in order: those of the header, then of each TLV; fillers have no name."""
    found = [Span(row.offset, row.offset + (row.size or 0), row.name) for row in rows_of(Header) if row.offset < 32]
    for tlv in message.tlvs:
        found += _tlv_spans(tlv)
    return found


def _tlv_spans(tlv: Tlv) -> Iterator[Span]:
    name = type_text(tlv.type)
    for row in rows_of(ExtendedTlvHeader if tlv.extended else StandardTlvHeader):
        start = tlv.offset + row.offset
        if start < tlv.value_offset:
            yield Span(start, start + (row.size or 0), f"{name}:{row.name}")
    end = tlv.value_offset + tlv.size
    if tlv.type not in PAYLOADS or not REGISTRY.size_rule(tlv.type).allows(tlv.size):
        yield Span(tlv.value_offset, end, "value")
        return
    for row in rows_of(PAYLOADS[tlv.type]):
        start = tlv.value_offset + row.offset
        size = end - start if row.size is None else row.size // row.repeat
        for slot in range(row.repeat):
            yield Span(start + slot * size, start + (slot + 1) * size, "" if row.filler else row.name)


def hexdump(data: bytes, fields: Sequence[Span], *, first: int, colour: bool) -> Iterator[str]:
    """The lines of a message's bytes; ``first`` is the stream offset of byte 0."""
    paints = [""] * len(data)
    colours = cycle(_COLOURS)
    begin: dict[int, list[str]] = {}
    for span in fields:
        paint = "2"
        if span.name:
            paint = next(colours)
            begin.setdefault(span.start // _WIDTH, []).append(span.name)
        paints[span.start : span.stop] = [paint] * (span.stop - span.start)
    for start in range(0, len(data), _WIDTH):
        names = " ".join(begin.get(start // _WIDTH, ()))
        yield f"{_line(data, start, first, paints if colour else None)}  {names}".rstrip()


def dump_around(data: bytes, first: int, fault: int, *, colour: bool) -> Iterator[str]:
    """The lines of bytes around a fault, the byte at the stream offset ``fault`` marked."""
    paints = [""] * len(data)
    if first <= fault < first + len(data):
        paints[fault - first] = _FAULT
    for start in range(0, len(data), _WIDTH):
        yield _line(data, start, first, paints if colour else None)
        if start <= fault - first < min(start + _WIDTH, len(data)):
            yield " " * (10 + (fault - first - start) * 3) + "^^ here"
    if fault >= first + len(data):
        yield f"{first + len(data):08x}  the bytes end here"


def _line(data: bytes, start: int, first: int, paints: Sequence[str] | None) -> str:
    chunk = data[start : start + _WIDTH]
    cells = [f"{byte:02x}" for byte in chunk]
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in chunk)
    if paints is not None:
        own = paints[start : start + _WIDTH]
        cells = [f"\x1b[{paint}m{cell}\x1b[0m" if paint else cell for cell, paint in zip(cells, own, strict=True)]
    padding = "   " * (_WIDTH - len(chunk))
    return f"{first + start:08x}  {' '.join(cells)}{padding}  {text:<16}"
