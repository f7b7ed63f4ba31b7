"""Example values of any declaration of the schema."""

from __future__ import annotations

from typing import Final

from construct import Array, Construct, GreedyBytes, Struct

from ..schema import FieldValue
from ..schema.layout import number_type
from ..schema.vocabulary import Bounded, Closed, Filler, FixedList, Marker, bare

_DATA_SIZES: Final = {"lowest": 0, "highest": 992}


def example(declared: Construct, style: str, offset: int = 0) -> FieldValue:
    """A value of a declaration; ``offset`` is where it lies, so that ascending bytes tell their place."""
    declared = bare(declared)
    if isinstance(declared, Closed):
        return min(declared.allowed) if style == "lowest" else max(declared.allowed)
    if isinstance(declared, Bounded):
        wanted = _number(number_type(declared), style, offset)
        return max(declared.minimum, min(wanted, declared.maximum))
    if isinstance(declared, Marker):
        return bytes(declared.marker)
    if isinstance(declared, FixedList):
        return _listexample(declared, style, offset)
    if isinstance(declared, Struct):
        return _record_example(declared, style, offset)
    kind = number_type(declared)
    if kind is not None:
        return _number(kind, style, offset)
    size = _DATA_SIZES.get(style, 5) if declared is GreedyBytes else declared.sizeof()
    return _pattern(size, style, offset)


def _listexample(declared: FixedList, style: str, offset: int) -> list[FieldValue]:
    array = next(bare(part) for part in declared.subcon.subcons if isinstance(bare(part), Array))
    first = offset + declared.sizeof() - array.sizeof()
    least = bare(declared.subcon.subcons[0]).minimum
    count = {"lowest": least, "highest": declared.capacity}.get(style, 3)
    size = declared.element.sizeof()
    return [example(declared.element, style, first + index * size) for index in range(count)]


def _record_example(declared: Struct, style: str, offset: int) -> dict[str, FieldValue]:
    fields: dict[str, FieldValue] = {}
    for part in declared.subcons:
        if not isinstance(bare(part), Filler):
            fields[part.name] = example(part, style, offset)
        offset += 0 if bare(part) is GreedyBytes else part.sizeof()
    return fields


def _number(kind: str | None, style: str, offset: int) -> int:
    assert kind is not None
    bits, signed = int(kind[1:]), kind[0] == "i"
    if style == "lowest":
        return -(1 << (bits - 1)) if signed else 0
    if style == "highest":
        return (1 << (bits - signed)) - 1
    return int.from_bytes(_pattern(bits // 8, style, offset), "little", signed=signed)


def _pattern(size: int, style: str, offset: int) -> bytes:
    if style == "ascending":
        return bytes((offset + index + 1) % 256 for index in range(size))
    return (b"\x00" if style == "lowest" else b"\xff") * size
