"""What all payload classes share: values that are valid once they exist, and their way from and to bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from types import MemberDescriptorType
from typing import ClassVar, Self

from ..arguments import Buffer, octets, whole
from ..constants import MAX_EXTENDED_VALUE
from ..enumerations import named
from ..errors import FieldValueError
from .layout import Layout


class Record:
    """Fields with a place in bytes: the payload of a TLV, a part of one, or a record of a file.

    Classes are frozen dataclasses with slots; a value that does not fit its field is refused when it is given, so that
    :meth:`to_bytes` cannot fail. Padding is written zero and ignored when read.
    """

    __slots__ = ()
    LAYOUT: ClassVar[Layout]
    SIZE: ClassVar[int]
    """Bytes of the record; of a Snapshot, of the header in front of its data."""
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {}
    """Which enumerations name the numbers of open fields (D11, D12)."""
    _PUT: ClassVar[tuple[Callable[[Record, object], None], ...]] = ()

    def __init_subclass__(cls) -> None:
        # Setting a slot through its descriptor costs half of setting it by name, and a frozen class allows it.
        # A dataclass with slots is created twice: the first time there are none.
        fields = cls.LAYOUT.fields if hasattr(cls, "LAYOUT") else ()
        descriptors = [getattr(cls, name, None) for name in fields]
        if all(isinstance(each, MemberDescriptorType) for each in descriptors):
            cls._PUT = tuple(each.__set__ for each in descriptors if isinstance(each, MemberDescriptorType))

    @classmethod
    def from_bytes(cls, data: Buffer, *, at: int = 0) -> Self:
        """The record in exactly these bytes; ``at`` is where they begin in their message, for the offsets of errors.

        :raises TlvSizeError: another size than the type's (D6)
        :raises FieldValueError: the first field that its type does not allow, with offset, expected and got
        """
        return cls._of(cls.LAYOUT.unpack(data, at))

    def to_bytes(self) -> bytes:
        """The record's bytes; for a payload, the TLV's value without its header."""
        return self.LAYOUT.pack(self.LAYOUT.values_of(self))

    def __repr__(self) -> str:
        """The call that makes it, numbers of the registry by their names."""
        names = [each.name for each in fields(self)]  # type: ignore[arg-type]  # subclasses are dataclasses
        return f"{type(self).__name__}({', '.join(f'{name}={self._shown(name)}' for name in names)})"

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if isinstance(value, IntEnum):
            return f"{type(value).__name__}.{value.name}"
        return named(self.NAMED[name], value) if name in self.NAMED else repr(value)

    def __post_init__(self) -> None:
        # What only stands for an integer (NumPy's, as a row of a table has them) becomes one.
        layout = self.LAYOUT
        for name in layout.lists:
            given = getattr(self, name)
            if type(given) is not tuple and isinstance(given, Iterable):
                object.__setattr__(self, name, tuple(given))
        for name, value in layout.kept(layout.values_of(self)):
            object.__setattr__(self, name, value)

    @classmethod
    def _of(cls, values: Sequence[object]) -> Self:
        """An instance of the values of its layout, which are known to be valid."""
        self = object.__new__(cls)
        for put, value in zip(cls._PUT, values):  # noqa: B905 - a layout gives as many values as it has fields
            put(self, value)
        return self


class Payload(Record):
    """A typed payload: the fields of a TLV's value."""

    __slots__ = ()
    TLV_TYPE: ClassVar[int]
    """The type number (D5)."""

    @property
    def tlv_type(self) -> int:
        """The type number, as :class:`RawPayload` has it too."""
        return self.TLV_TYPE


@dataclass(frozen=True, slots=True)
class RawPayload:
    """A TLV value whose type has no layout here, kept as its bytes (D14).

    :raises FieldValueError: a type outside 0 to 254 or more than 65 535 bytes
    """

    tlv_type: int
    value: bytes

    def __post_init__(self) -> None:
        if type(self.tlv_type) is not int:
            object.__setattr__(self, "tlv_type", whole(self.tlv_type, "TLV type"))
        if type(self.value) is not bytes:
            object.__setattr__(self, "value", octets(self.value))
        if not 0 <= self.tlv_type <= 254:
            raise FieldValueError(f"TLV type {self.tlv_type}: use 0 to 254", expected="0..254", got=self.tlv_type)
        size = len(self.value)
        if size > MAX_EXTENDED_VALUE:
            raise FieldValueError(
                f"TLV value of {size} bytes: use up to {MAX_EXTENDED_VALUE}",
                expected=f"0..{MAX_EXTENDED_VALUE}",
                got=size,
            )

    @classmethod
    def from_bytes(cls, tlv_type: int, data: Buffer) -> RawPayload:
        """The value as it is."""
        return cls(tlv_type, octets(data))

    def to_bytes(self) -> bytes:
        """The value as it was."""
        return self.value
