"""The schema as rows: what lies where, for tables, diagrams, dissectors and vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from construct import Array, BytesInteger, Construct, FormatField, Renamed, SizeofError, Struct

from .vocabulary import Bounded, Closed, CompilerPadding, Filler, FixedList, bare

_NUMBER_TYPES: Final = {"B": "u8", "H": "u16", "L": "u32", "l": "i32", "Q": "u64", "q": "i64"}


@dataclass(frozen=True, slots=True)
class Row:
    """One field: ``size`` is None for data that fills the rest; ``repeat`` counts the slots of a list's elements."""

    offset: int
    size: int | None
    name: str
    type: str
    meaning: str
    declared: Construct
    repeat: int = 1

    @property
    def filler(self) -> bool:
        """Whether the bytes mean nothing: written zero, ignored when read."""
        return isinstance(self.declared, Filler)

    @property
    def compiler_padding(self) -> bool:
        """Whether the bytes have no name either."""
        return isinstance(self.declared, CompilerPadding)


def rows_of(record: Construct, offset: int = 0, prefix: str = "") -> Iterator[Row]:
    """The fields of a declaration in wire order; lists give count, filler and elements, nested records their own."""
    for part in bare(record).subcons:
        declared, name, size = bare(part), f"{prefix}{part.name or ''}", _size(part)
        if isinstance(declared, FixedList):
            *head, elements = rows_of(declared.subcon, offset, f"{name}.")
            yield from head
            yield replace(elements, meaning=f"{part.docs}; {elements.meaning}")
        elif part.name == "header" and isinstance(declared, Struct):
            yield from rows_of(declared, offset, prefix)
        else:
            element, repeat = _element(part)
            type_name = _type_name(element, size if repeat == 1 else _size(element))
            if isinstance(declared, CompilerPadding):
                yield Row(offset, size, "", type_name, "compiler padding: write zero, ignore on read", declared)
            else:
                yield Row(offset, size, name, type_name, str(part.docs), bare(element), repeat)
        offset += size or 0


def number_type(declared: Construct) -> str | None:
    """u8 to u256, i32, i64: the type of a number's bytes; None for what is no number."""
    declared = bare(declared)
    while isinstance(declared, (Closed, Bounded)):
        declared = bare(declared.subcon)
    if isinstance(declared, FormatField):
        return _NUMBER_TYPES[declared.fmtstr[-1]]
    if isinstance(declared, BytesInteger):
        return f"u{8 * declared.length}"
    return None


def size_of(record: Construct) -> int | None:
    """Bytes of a declaration; None if they vary."""
    return _size(record)


def record_name(declared: Construct) -> str | None:
    """The name that a record was declared with, whatever the fields that hold it are called; None for what is none."""
    name = None
    while isinstance(declared, Renamed):
        name, declared = str(declared.name), declared.subcon
    return name if isinstance(declared, Struct) else None


def _element(part: Construct) -> tuple[Construct, int]:
    declared = bare(part)
    return (declared.subcon, int(declared.count)) if isinstance(declared, Array) else (part, 1)


def _type_name(declared: Construct, size: int | None) -> str:
    if isinstance(bare(declared), CompilerPadding):
        return "–"
    name = number_type(declared) or record_name(declared)
    if name is not None:
        return name
    return "bytes" if size is None else f"bytes[{size}]"


def _size(part: Construct) -> int | None:
    try:
        return int(part.sizeof())
    except SizeofError:
        return None
