"""How a payload's fields lie in its bytes: one ``struct`` format, the names of its columns, and the rules of a few.

Facts:
- ``x`` in a format is a filler: ``struct`` writes zero and ignores what it reads, which is the rule for padding;
- ``16s`` is a u128 and ``32s`` a u128 in 32 bytes, for neither of which ``struct`` has a code; other ``s`` are bytes;
- a rule refuses with the offset of its field, and the first field in wire order decides, as in the schema.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from operator import attrgetter
from typing import ClassVar, Final, TypeAlias

from ..errors import FieldValueError, TlvSizeError

Buffer: TypeAlias = bytes | bytearray | memoryview
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


class Column:
    """An integer that ``struct`` reads and writes by itself; the other columns refine it."""

    converts: ClassVar = False
    """Whether ``read`` and ``write`` do anything."""

    def __init__(self, layout: str, name: str, offset: int, lowest: int, highest: int) -> None:
        self.layout, self.name, self.offset = layout, name, offset
        self.lowest, self.highest = lowest, highest

    def read(self, value: object, at: int) -> object:
        """The field's value from what ``struct`` gave; ``at`` is where the payload begins, for errors."""
        return value

    def write(self, value: object) -> object:
        """What ``struct`` gets for the field's value."""
        return self.number(value)

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

    converts = True

    def read(self, value: object, at: int) -> object:
        return self.number(value, at)


class ConstantColumn(BoundedColumn):
    """An integer of one allowed value, which is no field of the payload's class."""


class EnumColumn(Column):
    """A number that must be a member of an enumeration."""

    converts = True

    def __init__(self, layout: str, name: str, offset: int, enumeration: type[IntEnum]) -> None:
        super().__init__(layout, name, offset, min(enumeration), max(enumeration))
        self.enumeration = enumeration
        self._members: Mapping[object, IntEnum] = {int(member): member for member in enumeration}

    def read(self, value: object, at: int) -> IntEnum:
        member = self._members.get(value)
        if member is None:
            expected = ", ".join(f"{int(each)} {each.name.lower()}" for each in self.enumeration)
            raise self.refusal(value, expected, at)
        return member

    def write(self, value: object) -> IntEnum:
        if type(value) is self.enumeration:
            return value
        try:
            return self.read(value, 0)
        except TypeError:  # not hashable
            raise self.refusal(value, self.enumeration.__name__) from None


class BytesColumn(Column):
    """A fixed number of bytes."""

    converts = True

    def __init__(self, layout: str, name: str, offset: int, size: int) -> None:
        super().__init__(layout, name, offset, 0, 0)
        self.size = size

    def write(self, value: object) -> bytes:
        if not isinstance(value, bytes) or len(value) != self.size:
            raise self.refusal(value, f"{self.size} bytes")
        return value


class WideColumn(Column):
    """A u128, in 16 bytes or at the front of 32."""

    converts = True

    def __init__(self, layout: str, name: str, offset: int, size: int) -> None:
        super().__init__(layout, name, offset, 0, (1 << 128) - 1)
        self.size = size

    def read(self, value: object, at: int) -> int:
        assert isinstance(value, bytes)
        return self.number(int.from_bytes(value, "little"), at)

    def write(self, value: object) -> bytes:
        return self.number(value).to_bytes(self.size, "little")


class Layout:
    """The bytes of a payload, or of the part of it that has a fixed form.

    ``rules`` names the columns that are more than a number or bytes: an enumeration, a (lowest, highest) pair, or an
    integer for a constant that readers check, writers fill in, and the payload's class leaves out. ``start`` is where
    the layout begins in its payload, for errors.
    """

    def __init__(
        self, name: str, wire: str, fields: str, *, start: int = 0, rules: Mapping[str, Rule] | None = None
    ) -> None:
        self.name, self.wire, self.start = name, wire, start
        self._names, self._rules = fields.split(), dict(rules or {})
        self._struct = struct.Struct(wire)
        self.size = self._struct.size
        self._columns = [
            self._column(column, code, size, start + offset)
            for column, (code, size, offset) in zip(self._names, _cells(wire), strict=True)
        ]
        self._converting = [(i, column) for i, column in enumerate(self._columns) if column.converts]
        self._constants = {i: c.lowest for i, c in enumerate(self._columns) if isinstance(c, ConstantColumn)}
        self.fields = tuple(c.name for c in self._columns if not isinstance(c, ConstantColumn))
        """The names of the payload's fields, in wire order."""
        self.enumerations = [(c.name, c.enumeration) for c in self._columns if isinstance(c, EnumColumn)]
        """The fields that hold members of an enumeration."""
        self.values_of: Callable[[object], Iterable[object]] = (
            attrgetter(*self.fields) if len(self.fields) > 1 else lambda payload: (getattr(payload, self.fields[0]),)
        )
        """The fields' values of a payload, in wire order."""

    def named(self, name: str) -> Layout:
        """The same layout under another name, for errors."""
        return Layout(name, self.wire, " ".join(self._names), start=self.start, rules=self._rules)

    def unpack(self, data: Buffer, at: int = 0) -> list[object]:
        """The fields' values in the order of :attr:`fields`; ``at`` is where the payload begins in its message.

        :raises TlvSizeError: another size than the layout's (D6)
        :raises FieldValueError: the first field that breaks its rule
        """
        if len(data) != self.size:
            raise wrong_size(self.name, str(self.size), len(data), at)
        try:
            values: list[object] = list(self._struct.unpack(data))
        except struct.error:  # a memoryview whose items are no bytes
            raise wrong_size(self.name, str(self.size), memoryview(data).nbytes, at) from None
        for index, column in self._converting:
            values[index] = column.read(values[index], at)
        if self._constants:
            return [value for index, value in enumerate(values) if index not in self._constants]
        return values

    def pack(self, values: Iterable[object]) -> bytes:
        """The bytes of the fields' values.

        :raises FieldValueError: the first field whose value does not fit
        """
        row = list(values)
        for index, constant in self._constants.items():
            row.insert(index, constant)
        try:
            for index, column in self._converting:
                row[index] = column.write(row[index])
            return self._struct.pack(*row)
        except (struct.error, FieldValueError):
            self._refuse(row)
            raise

    def _refuse(self, row: Sequence[object]) -> None:
        for column, value in zip(self._columns, row, strict=True):
            if not (isinstance(column, (WideColumn, BytesColumn)) and isinstance(value, bytes)):
                column.write(value)

    def _column(self, name: str, code: str, size: int, offset: int) -> Column:
        rule = self._rules.get(name)
        if isinstance(rule, type):
            return EnumColumn(self.name, name, offset, rule)
        if isinstance(rule, int):
            return ConstantColumn(self.name, name, offset, rule, rule)
        if rule is not None:
            return BoundedColumn(self.name, name, offset, *rule)
        if code == "s":
            return (WideColumn if size in (16, 32) else BytesColumn)(self.name, name, offset, size)
        return Column(self.name, name, offset, *_RANGES[code])


Rule: TypeAlias = "type[IntEnum] | tuple[int, int] | int"


class ListLayout:
    """A list of fixed capacity: u16 count, 6 filler bytes, ``gap`` more, then all slots, those beyond the count zero.

    ``element`` is the size of a slot in bytes.
    """

    def __init__(self, name: str, element: int, capacity: int, start: int, *, least: int = 0, gap: int = 0) -> None:
        self.name, self.element, self.capacity, self.start, self.least = name, element, capacity, start, least
        self._head = 8 + gap
        self.size = self._head + capacity * element

    def read(self, data: Buffer, at: int) -> list[bytes]:
        """The bytes of each element in use, from the whole payload's bytes.

        :raises FieldValueError: the count is below the least or above the capacity
        """
        count = int.from_bytes(data[self.start : self.start + 2], "little")
        self.check(count, at)
        first = self.start + self._head
        return [
            bytes(data[slot : slot + self.element]) for slot in range(first, first + count * self.element, self.element)
        ]

    def write(self, elements: Sequence[bytes]) -> bytes:
        """The bytes of the list."""
        count = len(elements).to_bytes(2, "little").ljust(self._head, b"\x00")
        return (count + b"".join(elements)).ljust(self.size, b"\x00")

    def slot(self, index: int) -> int:
        """Where an element lies in the payload."""
        return self.start + self._head + index * self.element

    def check(self, count: int, at: int = 0) -> None:
        """Refuse a count that the list does not allow."""
        if not self.least <= count <= self.capacity:
            where, expected = at + self.start, f"{self.least}..{self.capacity}"
            raise FieldValueError(
                f"{self.name} of {count} at offset {where}: use {expected}", offset=where, expected=expected, got=count
            )

    def check_elements(self, elements: Sequence[object], kind: type) -> None:
        """Refuse elements of another class, and a count that the list does not allow."""
        self.check(len(elements))
        for index, element in enumerate(elements):
            if not isinstance(element, kind):
                where = self.slot(index)
                raise FieldValueError(
                    f"{self.name}[{index}] {element!r} at offset {where}: use {kind.__name__}",
                    offset=where,
                    expected=kind.__name__,
                    got=element,
                )


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
