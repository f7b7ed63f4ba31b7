"""Protocol V2 as an executable schema (construct): the source of truth of the project.

Read ``envelope.py`` (header, TLVs, message) and ``payloads.py`` (every payload) as the specification. The functions
here run it and raise the project's errors. construct is slow: clients use payload classes whose fields are generated
from this schema, and compiled paths that the tests hold to it. What they import imports this package only where a NumPy
dtype is asked for (:mod:`torq_protocol.payload_dtypes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ..errors import FieldValueError, TlvSizeError
from ..extras import Extra
from ..registry import REGISTRY, SizeRule

with Extra("inspect"):
    from construct import Construct, ConstructError, Container, ListContainer

    from .envelope import (
        ExtendedTlvHeader,
        Header,
        Message,
        SchemaMessage,
        SchemaTlv,
        StandardTlvHeader,
        Tlv,
        build_message,
        build_tlv,
        checksum_of,
        parse_header,
        parse_message,
    )
    from .payloads import PAYLOADS, RECORDS

FieldValue: TypeAlias = "int | bytes | list[FieldValue] | dict[str, FieldValue]"
"""What a field holds: numbers, bytes, and lists and records of them."""


def parse_payload(tlv_type: int, data: bytes) -> dict[str, FieldValue]:
    """The fields of one payload by name, fillers left out; offsets in errors count from the payload's start.

    :raises KeyError: the type has no layout
    :raises TlvSizeError: a size that the type does not allow (D6), offset 0
    :raises FieldValueError: a field that breaks its rule; the first in wire order
    """
    return parse_record(PAYLOADS[tlv_type], data, REGISTRY.tlv_types[tlv_type].size)


def build_payload(tlv_type: int, fields: Mapping[str, FieldValue]) -> bytes:
    """The bytes of a payload from its fields by name.

    :raises KeyError: the type has no layout
    :raises FieldValueError: a field is missing or does not fit
    """
    return build_record(PAYLOADS[tlv_type], fields)


def parse_record(record: Construct, data: bytes, size: SizeRule | None = None) -> dict[str, FieldValue]:
    """The fields of any layout of :data:`PAYLOADS` or :data:`RECORDS`; its size must be exact, or as ``size`` says."""
    rule = _size_rule(record, size)
    if not rule.allows(len(data)):
        raise TlvSizeError(
            f"{record.name}: {len(data)} bytes where {rule} are allowed", expected=str(rule), got=len(data)
        )
    value = _plain(record.parse(data))
    assert isinstance(value, dict)
    return value


def build_record(record: Construct, fields: Mapping[str, FieldValue]) -> bytes:
    """The bytes of any layout of :data:`PAYLOADS` or :data:`RECORDS` from its fields by name."""
    try:
        return bytes(record.build(dict(fields)))
    except (ConstructError, KeyError) as error:
        raise FieldValueError(f"{record.name}: {error}", got=dict(fields)) from error


def _size_rule(record: Construct, size: SizeRule | None) -> SizeRule:
    try:
        return SizeRule(record.sizeof(), record.sizeof())
    except ConstructError:
        assert size is not None, "a layout of varying size needs its rule"
        return size


def _plain(value: object) -> FieldValue:
    """construct's containers as plain dicts and lists, without fillers."""
    if isinstance(value, Container):
        return {str(name): _plain(part) for name, part in value.items() if name != "_io" and part is not None}
    if isinstance(value, (list, ListContainer)):
        return [_plain(part) for part in value]
    assert isinstance(value, (int, bytes)), value
    return value


__all__ = [
    "PAYLOADS",
    "RECORDS",
    "ExtendedTlvHeader",
    "FieldValue",
    "Header",
    "Message",
    "SchemaMessage",
    "SchemaTlv",
    "StandardTlvHeader",
    "Tlv",
    "build_message",
    "build_payload",
    "build_record",
    "build_tlv",
    "checksum_of",
    "parse_header",
    "parse_message",
    "parse_payload",
    "parse_record",
]
