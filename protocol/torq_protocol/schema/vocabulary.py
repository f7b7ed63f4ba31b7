"""The words of the schema: number types, fillers, value rules and fixed-capacity lists, as construct declarations.

Facts:
- everything is little-endian (D1);
- a filler is written as zero and ignored when read, whether the compiler made it (``CompilerPadding``) or the struct
  names it (``Filler``): the original never looks at either, and never sets the first kind;
- a rule refuses with the project's error, whose offset is the first byte of the refused field.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import IO, Any, Final

from construct import (
    Adapter,
    Array,
    Bytes,
    BytesInteger,
    Construct,
    Container,
    FormatField,
    Int8ul,
    Int16ul,
    Int32sl,
    Int32ul,
    Int64sl,
    Int64ul,
    Padded,
    Pass,
    Renamed,
    Struct,
    Subconstruct,
)

from ..errors import FieldValueError, ProtocolError

U8: Final = Int8ul
U16: Final = Int16ul
U32: Final = Int32ul
U64: Final = Int64ul
I32: Final = Int32sl
I64: Final = Int64sl
U128: Final = BytesInteger(16, swapped=True)
U256: Final = BytesInteger(32, swapped=True)
Fixed8: Final = FormatField("<", "q")
"""An i64 count of hundred-millionths."""
TimestampNs: Final = FormatField("<", "Q")
"""A u64 of nanoseconds since the Unix epoch."""
VenueNumber: Final = FormatField("<", "H")
AssetTypeNumber: Final = FormatField("<", "B")
SourceNumber: Final = FormatField("<", "B")
"""Numbers of the registry: open, an unknown one is legal (D11, D12)."""
Address: Final = Bytes(20)
"""An Ethereum-style address: 20 bytes in the order they are written in hex."""

ADDRESS_FILLER: Final = 12
"""Zero bytes behind an address that lies in a 32-byte slot."""

# construct ships no types: its classes are Any for mypy, which strict mode lets nobody subclass silently.


class Filler(Padded):  # type: ignore[misc]  # construct is untyped
    """Bytes that a struct names but that mean nothing: written zero, ignored when read."""

    def __init__(self, size: int) -> None:
        super().__init__(size, Pass)


class CompilerPadding(Filler):
    """A gap that alignment leaves between fields: written zero, ignored when read."""


class Closed(Subconstruct):  # type: ignore[misc]  # construct is untyped
    """A number that must be a value of an enumeration."""

    def __init__(self, subcon: Construct, enumeration: type[IntEnum]) -> None:
        super().__init__(subcon)
        self.enumeration = enumeration
        self.allowed = frozenset(int(member) for member in enumeration)

    def _parse(self, stream: IO[bytes], context: Container, path: str) -> int:
        offset = stream.tell()
        return self._checked(self.subcon._parsereport(stream, context, path), offset)

    def _build(self, obj: int, stream: IO[bytes], context: Container, path: str) -> int:
        built: int = self.subcon._build(self._checked(obj, stream.tell()), stream, context, path)
        return built

    def _checked(self, value: int, offset: int) -> int:
        if value not in self.allowed:
            expected = ", ".join(f"{int(member)} {member.name.lower()}" for member in self.enumeration)
            raise FieldValueError(
                f"{self.enumeration.__name__} {value} at offset {offset}: use {expected}",
                offset=offset,
                expected=expected,
                got=value,
            )
        return value


class Bounded(Subconstruct):  # type: ignore[misc]  # construct is untyped
    """A number between two bounds, both included; equal bounds make a constant."""

    def __init__(self, subcon: Construct, minimum: int, maximum: int) -> None:
        super().__init__(subcon)
        self.minimum, self.maximum = minimum, maximum

    def _parse(self, stream: IO[bytes], context: Container, path: str) -> int:
        offset = stream.tell()
        return self._checked(self.subcon._parsereport(stream, context, path), offset)

    def _build(self, obj: int, stream: IO[bytes], context: Container, path: str) -> int:
        built: int = self.subcon._build(self._checked(obj, stream.tell()), stream, context, path)
        return built

    def _checked(self, value: int, offset: int) -> int:
        if not self.minimum <= value <= self.maximum:
            expected = f"{self.minimum}..{self.maximum}" if self.minimum != self.maximum else str(self.minimum)
            raise FieldValueError(
                f"value {value} at offset {offset}: use {expected}", offset=offset, expected=expected, got=value
            )
        return value


class Marker(Subconstruct):  # type: ignore[misc]  # construct is untyped
    """Fixed bytes that identify a record; filled in when building."""

    def __init__(self, marker: bytes) -> None:
        super().__init__(Bytes(len(marker)))
        self.flagbuildnone = True
        self.marker = marker

    def _parse(self, stream: IO[bytes], context: Container, path: str) -> bytes:
        offset = stream.tell()
        return self._checked(self.subcon._parsereport(stream, context, path), offset)

    def _build(self, obj: bytes | None, stream: IO[bytes], context: Container, path: str) -> bytes:
        marker = self._checked(self.marker if obj is None else obj, stream.tell())
        self.subcon._build(marker, stream, context, path)
        return marker

    def _checked(self, value: bytes, offset: int) -> bytes:
        if value != self.marker:
            raise FieldValueError(
                f"{value!r} at offset {offset}: use {self.marker!r}", offset=offset, expected=self.marker, got=value
            )
        return value


class Usual(Renamed):  # type: ignore[misc]  # construct is untyped
    """A field of any form with the value that it has unless a writer says otherwise; readers take what stands there."""

    def __init__(self, value: int, form: Construct) -> None:
        super().__init__(form)
        self.value = value


def usual_value(declared: Construct) -> int | None:
    """The value that a field has where nothing else is said; None where there is none."""
    while isinstance(declared, Renamed):
        if isinstance(declared, Usual):
            return declared.value
        declared = declared.subcon
    return None


def bare(declared: Construct) -> Construct:
    """A declaration without its name and comment."""
    while isinstance(declared, Renamed):
        declared = declared.subcon
    return declared


def constant(subcon: Construct, value: int) -> Bounded:
    """A number that has one allowed value."""
    return Bounded(subcon, value, value)


class FixedList(Adapter):  # type: ignore[misc]  # construct is untyped
    """A list of fixed capacity: u16 count, 6 filler bytes, then all slots, those beyond the count zero.

    Slots beyond the count are written zero and ignored when read. A count below ``least`` or above the capacity is
    refused at the offset of the count. ``gap`` is the compiler padding in front of elements aligned to 16 bytes.
    """

    def __init__(self, element: Construct, capacity: int, *, least: int = 0, gap: int = 0) -> None:
        self.element, self.capacity, self.gap = element, capacity, gap
        gap_field = (CompilerPadding(gap),) if gap else ()
        super().__init__(
            Struct(
                "count" / Bounded(U16, least, capacity) * f"elements in use, {least} to {capacity}",
                "_padding" / Filler(6) * "zero",
                *gap_field,
                "elements" / Array(capacity, element) * "slots beyond the count are zero",
            )
        )

    def _decode(self, obj: Container, context: Container, path: str) -> list[Any]:
        elements: list[Any] = list(obj.elements[: obj.count])
        return elements

    def _encode(self, obj: list[Any], context: Container, path: str) -> dict[str, object]:
        empty = self.element.parse(bytes(self.element.sizeof()))
        return {"count": len(obj), "elements": [*obj, *[empty] * (self.capacity - len(obj))]}


class Rule(Construct):  # type: ignore[misc]  # construct is untyped
    """No bytes: a sentence of the specification that must hold at this place of the declaration, or the error.

    ``holds`` and ``at`` (the offset of what is wrong) get construct's context.
    """

    def __init__(
        self,
        error: type[ProtocolError],
        sentence: str,
        *,
        at: Callable[[Container], int],
        holds: Callable[[Container], bool],
    ) -> None:
        super().__init__()
        self.error, self.sentence, self.at, self.holds = error, sentence, at, holds

    def _parse(self, stream: IO[bytes], context: Container, path: str) -> None:
        if not self.holds(context):
            offset = self.at(context)
            raise self.error(f"offset {offset}: {self.sentence}", offset=offset, expected=self.sentence)


class UntilEnd(Subconstruct):  # type: ignore[misc]  # construct is untyped
    """As many of one thing as fill the bytes that are left."""

    def _parse(self, stream: IO[bytes], context: Container, path: str) -> list[Any]:
        found: list[Any] = []
        while stream.read(1):
            stream.seek(-1, 1)
            found.append(self.subcon._parsereport(stream, context, path))
        return found
