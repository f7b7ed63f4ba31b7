"""How a payload's fields lie in its bytes: one ``struct`` format, the names of its columns, and the rules of a few.

Facts:
- ``x`` in a format is a filler: ``struct`` writes zero and ignores what it reads, which is the rule for padding;
- ``16s`` is a u128 and ``32s`` a u128 in 32 bytes, for neither of which ``struct`` has a code; other ``s`` are bytes,
  or the place of a list or of another record, as a rule says;
- a rule refuses with the offset of its field, and the first field in wire order decides, as in the schema.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from operator import attrgetter, index
from typing import Any, Final, Protocol, Self, TypeAlias

from ..arguments import Buffer, octets
from ..errors import FieldValueError, TlvSizeError

_TOKEN: Final = re.compile(r"(\d*)([xbBhHiIqQs])")
_RANGES: Final = {
    code: (-(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1) if signed else (0, (1 << (8 * size)) - 1)
    for code, size, signed in (
        ("B", 1, False),
        ("H", 2, False),
        ("I", 4, False),
        ("i", 4, True),
        ("Q", 8, False),
        ("q", 8, True),
    )
}
_WIDE: Final = (16, 32)
_LIST_HEAD: Final = 8
"""Bytes of a list's count and its filler."""


class Element(Protocol):
    """What a slot of a list holds, if it is no number."""

    @classmethod
    def from_bytes(cls, data: bytes, /) -> Self: ...
    def to_bytes(self) -> bytes: ...


class Part(Protocol):
    """A record inside another; ``at`` is where it begins, for the offsets of errors."""

    @classmethod
    def from_bytes(cls, data: bytes, /, *, at: int) -> Self: ...
    def to_bytes(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Slots:
    """A list of fixed capacity: u16 count, 6 filler bytes, ``gap`` more, then all slots, those beyond the count zero.

    ``element`` is the class of what a slot holds, ``int`` for a u128.
    """

    element: type[Element] | type[int]
    capacity: int
    least: int = 0
    gap: int = 0


class Column:
    """An integer that ``struct`` reads, checks and writes by itself; the other columns refine it."""

    kind: type | tuple[type, ...] = int
    """What a payload keeps as it is given."""

    def __init__(self, layout: str, name: str, offset: int, lowest: int = 0, highest: int = 0) -> None:
        self.layout, self.name, self.offset = layout, name, offset
        self.lowest, self.highest = lowest, highest

    def read(self, value: object, at: int) -> object:
        """The field's value from what ``struct`` gave; ``at`` is where the payload begins, for errors."""
        return value

    def check(self, value: object) -> object:
        """What ``struct`` may judge in place of the field's value.

        :raises FieldValueError: the column does not allow the value
        """
        return self.number(value)

    def keep(self, value: object) -> object:
        """A checked value in the form that a payload keeps."""
        return index(value)  # type: ignore[arg-type]  # it was checked

    def write(self, value: object) -> object:
        """What ``struct`` gets for a kept value."""
        return value

    def number(self, value: object, at: int = 0) -> int:
        """The value if it is an integer of the column's range."""
        try:
            number = value.__index__()  # type: ignore[attr-defined]  # what has none is refused below
        except AttributeError:
            raise self.refusal(value, "an integer", at) from None
        if not self.lowest <= number <= self.highest:
            raise self.refusal(value, f"{self.lowest}..{self.highest}", at)
        assert isinstance(number, int)
        return number

    def refusal(self, value: object, expected: str, at: int = 0) -> FieldValueError:
        """The error for a value that the column does not allow."""
        got = value.hex() if isinstance(value, bytes) else value
        where = at + self.offset
        return FieldValueError(
            f"{self.layout}.{self.name} {got!r} at offset {where}: use {expected}",
            offset=where,
            expected=expected,
            got=value,
        )


class BoundedColumn(Column):
    """An integer with narrower bounds than its width."""

    def read(self, value: object, at: int) -> object:
        return self.number(value, at)

    def check(self, value: object) -> object:
        return self.number(value)


class ConstantColumn(BoundedColumn):
    """An integer of one allowed value, which is no field of the payload's class."""


class EnumColumn(Column):
    """A number that must be a member of an enumeration."""

    def __init__(self, layout: str, name: str, offset: int, enumeration: type[IntEnum]) -> None:
        super().__init__(layout, name, offset, min(enumeration), max(enumeration))
        self.kind = self.enumeration = enumeration
        self._members: Mapping[object, IntEnum] = {int(member): member for member in enumeration}

    def read(self, value: object, at: int) -> IntEnum:
        member = self._members.get(value)
        if member is None:
            expected = ", ".join(f"{int(each)} {each.name.lower()}" for each in self.enumeration)
            raise self.refusal(value, expected, at)
        return member

    def check(self, value: object) -> IntEnum:
        if type(value) is self.enumeration:
            return value
        try:
            return self.read(value, 0)
        except TypeError:  # not hashable
            raise self.refusal(value, self.enumeration.__name__) from None

    def keep(self, value: object) -> IntEnum:
        return self.read(value, 0)


class BytesColumn(Column):
    """A fixed number of bytes."""

    kind = bytes

    def __init__(self, layout: str, name: str, offset: int, size: int) -> None:
        super().__init__(layout, name, offset)
        self.size = size

    def check(self, value: object) -> bytes:
        if not isinstance(value, bytes) or len(value) != self.size:
            raise self.refusal(value, f"{self.size} bytes")
        return value


class WideColumn(Column):
    """A u128, in 16 bytes or at the front of 32."""

    def __init__(self, layout: str, name: str, offset: int, size: int) -> None:
        super().__init__(layout, name, offset, 0, (1 << 128) - 1)
        self.size = size

    def read(self, value: object, at: int) -> int:
        assert isinstance(value, bytes)
        return self.number(int.from_bytes(value, "little"), at)

    def check(self, value: object) -> bytes:
        self.number(value)
        return b""

    def write(self, value: object) -> bytes:
        assert isinstance(value, int)
        return value.to_bytes(self.size, "little")


class PartColumn(Column):
    """Another record."""

    def __init__(self, layout: str, name: str, offset: int, part: type[Part]) -> None:
        super().__init__(layout, name, offset)
        self.kind = self.part = part

    def read(self, value: object, at: int) -> Part:
        assert isinstance(value, bytes)
        return self.part.from_bytes(value, at=at + self.offset)

    def check(self, value: object) -> bytes:
        if not isinstance(value, self.kind):
            raise self.refusal(value, self.part.__name__)
        return b""

    def write(self, value: object) -> bytes:
        assert isinstance(value, self.part)
        return value.to_bytes()


class ListColumn(Column):
    """A list of records, kept as a tuple."""

    kind: type | tuple[type, ...] = tuple
    element: type

    def __init__(self, layout: str, name: str, offset: int, slots: Slots, size: int) -> None:
        super().__init__(layout, name, offset, slots.least, slots.capacity)
        self.element = slots.element
        self._first = _LIST_HEAD + slots.gap
        self._width = (size - self._first) // slots.capacity

    def read(self, value: object, at: int) -> tuple[object, ...]:
        assert isinstance(value, bytes)
        count = int.from_bytes(value[:2], "little")
        self._check_count(count, at)
        first, width = self._first, self._width
        slots = [value[start : start + width] for start in range(first, first + count * width, width)]
        return tuple(self._read_all(slots))

    def check(self, value: object) -> bytes:
        if not isinstance(value, tuple):
            raise self.refusal(value, "a list")
        self._check_count(len(value))
        self._check_elements(value)
        return b""

    def write(self, value: object) -> bytes:
        assert isinstance(value, tuple)
        head = len(value).to_bytes(2, "little").ljust(self._first, b"\x00")
        return head + b"".join(self._write_all(value))

    def _read_all(self, slots: Iterable[bytes]) -> Iterable[object]:
        return map(self.element.from_bytes, slots)  # type: ignore[attr-defined]  # it is an Element

    def _write_all(self, elements: tuple[Any, ...]) -> list[bytes]:
        return [element.to_bytes() for element in elements]

    def _check_elements(self, elements: Iterable[object]) -> None:
        kind = self.element
        for place, element in enumerate(elements):
            if not isinstance(element, kind):
                raise self._slot(place).refusal(element, kind.__name__)

    def _slot(self, place: int) -> WideColumn:
        """A slot as a column of its own, for what is wrong with its element."""
        offset = self.offset + self._first + place * self._width
        return WideColumn(self.layout, f"{self.name}[{place}]", offset, self._width)

    def _check_count(self, count: int, at: int = 0) -> None:
        if not self.lowest <= count <= self.highest:
            where, expected = at + self.offset, f"{self.lowest}..{self.highest}"
            raise FieldValueError(
                f"{self.layout}.{self.name} of {count} at offset {where}: use {expected}",
                offset=where,
                expected=expected,
                got=count,
            )


class WideListColumn(ListColumn):
    """A list of u128."""

    kind = ()

    def keep(self, value: object) -> tuple[int, ...]:
        assert isinstance(value, tuple)
        return tuple(map(index, value))

    def _read_all(self, slots: Iterable[bytes]) -> Iterable[object]:
        return [int.from_bytes(slot, "little") for slot in slots]

    def _write_all(self, elements: tuple[Any, ...]) -> list[bytes]:
        return [element.to_bytes(self._width, "little") for element in elements]

    def _check_elements(self, elements: Iterable[object]) -> None:
        for place, element in enumerate(elements):
            self._slot(place).number(element)


Rule: TypeAlias = "type[IntEnum] | tuple[int, int] | int | Slots | type[Part]"


class Layout:
    """The bytes of a payload, or of the part of it that has a fixed form.

    ``rules`` names the columns that are more than a number or bytes: an enumeration, a (lowest, highest) pair, a list,
    another record, or an integer for a constant: readers check it, writers fill it in, no payload has it as a field.
    """

    def __init__(self, name: str, wire: str, columns: str, rules: Mapping[str, Rule] | None = None) -> None:
        self.name, self._wire, self._names, self._rules = name, wire, columns, dict(rules or {})
        self._struct = struct.Struct(wire)
        self.size = self._struct.size
        cells = zip(columns.split(), _cells(wire), strict=True)
        self._columns = [self._column(column, *cell) for column, cell in cells]
        self._constants = {i: c.lowest for i, c in enumerate(self._columns) if isinstance(c, ConstantColumn)}
        self._readers = [(i, c.read) for i, c in enumerate(self._columns) if type(c).read is not Column.read]
        self._checkers = [(i, c.check) for i, c in enumerate(self._columns) if type(c).check is not Column.check]
        self._writers = [(i, c.write) for i, c in enumerate(self._columns) if type(c).write is not Column.write]
        self._fields = [c for c in self._columns if not isinstance(c, ConstantColumn)]
        self._keepers = [(column.name, column.kind, column.keep) for column in self._fields]
        self.fields = tuple(column.name for column in self._fields)
        """The names of the payload's fields, in wire order."""
        self.lists = tuple(column.name for column in self._fields if isinstance(column, ListColumn))
        """The fields that hold lists."""
        self.values_of: Callable[[object], Sequence[object]] = (
            attrgetter(*self.fields) if len(self.fields) > 1 else lambda payload: (getattr(payload, self.fields[0]),)
        )
        """The fields' values of a payload, in wire order."""

    def named(self, name: str) -> Layout:
        """The same layout under another name, for errors."""
        return Layout(name, self._wire, self._names, self._rules)

    def holding(self, part: type) -> Layout:
        """The same layout, whose lists and records are read as ``part`` where its base class stands."""
        return Layout(
            self.name, self._wire, self._names, {name: _held(rule, part) for name, rule in self._rules.items()}
        )

    def offset(self, name: str) -> int:
        """Where a field lies, bytes from the start of the payload."""
        return next(column.offset for column in self._fields if column.name == name)

    def unpack(self, data: Buffer, at: int = 0) -> list[object]:
        """The fields' values in the order of :attr:`fields`; ``at`` is where the payload begins in its message.

        :raises TlvSizeError: another size than the layout's (D6)
        :raises FieldValueError: the first field that breaks its rule
        """
        raw = data if isinstance(data, bytes) else octets(data)
        if len(raw) != self.size:
            raise wrong_size(self.name, str(self.size), len(raw), at)
        values: list[object] = list(self._struct.unpack(raw))
        for place, read in self._readers:
            values[place] = read(values[place], at)
        if self._constants:
            return [value for place, value in enumerate(values) if place not in self._constants]
        return values

    def kept(self, values: Sequence[object]) -> list[tuple[str, object]]:
        """(field, value) of the values that a payload keeps in another form than it was given them.

        :raises FieldValueError: the first field whose value does not fit
        """
        row = self._row(values) if self._constants else list(values)
        try:
            for place, check in self._checkers:
                row[place] = check(row[place])
            self._struct.pack(*row)
        except (struct.error, FieldValueError):
            for column, value in zip(self._columns, self._row(values), strict=True):
                column.check(value)
            raise
        return [
            (name, keep(value))
            for (name, kind, keep), value in zip(self._keepers, values, strict=True)
            if not isinstance(value, kind)
        ]

    def pack(self, values: Sequence[object]) -> bytes:
        """The bytes of the values that a payload keeps."""
        row = self._row(values) if self._constants else list(values)
        for place, write in self._writers:
            row[place] = write(row[place])
        return self._struct.pack(*row)

    def _row(self, values: Sequence[object]) -> list[object]:
        row = list(values)
        for place, constant in self._constants.items():
            row.insert(place, constant)
        return row

    def _column(self, name: str, code: str, size: int, offset: int) -> Column:
        match self._rules.get(name):
            case int(constant):
                return ConstantColumn(self.name, name, offset, constant, constant)
            case (lowest, highest):
                return BoundedColumn(self.name, name, offset, lowest, highest)
            case Slots() as slots:
                return (WideListColumn if slots.element is int else ListColumn)(self.name, name, offset, slots, size)
            case None if code == "s":
                return (WideColumn if size in _WIDE else BytesColumn)(self.name, name, offset, size)
            case None:
                return Column(self.name, name, offset, *_RANGES[code])
            case rule if issubclass(rule, IntEnum):
                return EnumColumn(self.name, name, offset, rule)
            case part:
                return PartColumn(self.name, name, offset, part)


def _held(rule: Rule, part: type) -> Rule:
    if isinstance(rule, Slots):
        return replace(rule, element=part) if issubclass(part, rule.element) else rule
    return part if isinstance(rule, type) and issubclass(part, rule) else rule


def wrong_size(name: str, expected: str, got: int, at: int = 0) -> TlvSizeError:
    """The error for a payload of a size that its type does not allow (D6)."""
    return TlvSizeError(f"{name}: {got} bytes where {expected} are allowed", offset=at, expected=expected, got=got)


def _cells(wire: str) -> Iterable[tuple[str, int, int]]:
    """(code, size, offset) of everything in a format but fillers."""
    offset = 0
    for count, code in _TOKEN.findall(wire):
        width = struct.calcsize("<" + code)
        repeat = 1 if code == "s" else int(count or 1)
        size = int(count) if code == "s" else width
        for _ in range(repeat):
            if code != "x":
                yield code, size, offset
            offset += size
