"""Field values as JSON, as vectors and ``torq-inspect`` show them."""

from __future__ import annotations

from typing import Final, TypeAlias

from construct import Construct

from . import FieldValue
from .layout import number_type
from .vocabulary import FixedList, bare

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"
_WIDE: Final = ("u64", "i64", "u128", "u256")


def to_json(declared: Construct, value: FieldValue) -> Json:
    """Field values as JSON: numbers of more than 32 bits as decimal strings, bytes as hex."""
    declared = bare(declared)
    if isinstance(declared, FixedList):
        assert isinstance(value, list)
        return [to_json(declared.element, each) for each in value]
    if isinstance(value, dict):
        parts = {part.name: part for part in declared.subcons if part.name}
        return {name: to_json(parts[name], each) for name, each in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    assert isinstance(value, int)
    return str(value) if number_type(declared) in _WIDE else value
