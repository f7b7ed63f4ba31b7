"""Strategies and conversions shared by the tests of schema, payload classes and generated artefacts."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from construct import Bytes, BytesInteger, Construct, FormatField, GreedyBytes, Struct
from hypothesis import strategies as st

from torq_protocol.payloads import Record
from torq_protocol.schema import FieldValue
from torq_protocol.schema.vocabulary import Bounded, Closed, Filler, FixedList, Marker, bare

CONSTANTS = {
    "SnapshotHeader": ("tlv_type", "tlv_length"),
    "PoolInfo": ("tlv_type", "tlv_length"),
    "PoolCacheHeader": ("version", "magic"),
}
"""Fields of the schema that the classes fill in by themselves."""


def values(declared: Construct) -> st.SearchStrategy[Any]:
    """Every value that a declaration of the schema allows, edges often."""
    declared = bare(declared)
    if isinstance(declared, Struct):
        return st.fixed_dictionaries(
            {part.name: values(part) for part in declared.subcons if part.name and not isinstance(bare(part), Filler)}
        )
    if isinstance(declared, Closed):
        return st.sampled_from(sorted(declared.allowed))
    if isinstance(declared, Bounded):
        return edges(declared.minimum, declared.maximum)
    if isinstance(declared, FixedList):
        least = bare(declared.subcon.subcons[0]).minimum
        return st.lists(
            values(declared.element), min_size=least, max_size=min(declared.capacity, least + 4)
        ) | st.lists(values(declared.element), min_size=declared.capacity, max_size=declared.capacity)
    if isinstance(declared, Marker):
        return st.just(declared.marker)
    if isinstance(declared, BytesInteger):
        return edges(0, 2 ** (8 * declared.length) - 1)
    if isinstance(declared, FormatField):
        bits = 8 * declared.sizeof()
        signed = declared.fmtstr[-1].islower()
        return edges(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else edges(0, 2**bits - 1)
    if isinstance(declared, Bytes):
        return st.binary(min_size=declared.sizeof(), max_size=declared.sizeof())
    assert declared is GreedyBytes, declared
    return st.binary(max_size=992)


def edges(lowest: int, highest: int) -> st.SearchStrategy[int]:
    """Integers between two bounds, often the bounds."""
    return st.sampled_from([lowest, highest]) | st.integers(lowest, highest)


def without_constants(layout: str, schema_fields: dict[str, FieldValue]) -> dict[str, FieldValue]:
    """The fields of the schema as the payload class names them."""
    plain: dict[str, FieldValue] = {}
    for name, value in schema_fields.items():
        if name in CONSTANTS.get(layout, ()):
            continue
        if layout == "Snapshot" and name == "header":
            assert isinstance(value, dict)
            plain |= without_constants("SnapshotHeader", value)
        elif name == "pool_info":
            assert isinstance(value, dict)
            plain[name] = without_constants("PoolInfo", value)
        else:
            plain[name] = value
    return plain


def fields_of(payload: Record) -> dict[str, FieldValue]:
    """The fields of a payload class as the schema writes them: numbers, bytes, lists, dicts."""
    return {field.name: _plain(getattr(payload, field.name)) for field in fields(payload)}  # type: ignore[arg-type]  # every payload class is a dataclass


def _plain(value: Any) -> FieldValue:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, bytes):
        return value
    return int(value)
