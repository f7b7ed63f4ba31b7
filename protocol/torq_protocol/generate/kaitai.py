"""The Kaitai Struct declaration of the protocol, for the languages that its compiler serves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final

from construct import Construct

from ..constants import MAGIC_BYTES, MAX_MESSAGE_SIZE, RelayDomain
from ..names import TlvTypeNumber
from ..registry import REGISTRY
from ..schema import PAYLOADS, RECORDS, Header
from ..schema.layout import Row, number_type, rows_of
from ..schema.vocabulary import Bounded, Closed, Marker

_NUMBERS: Final = {
    "u8": "u1",
    "u16": "u2",
    "u32": "u4",
    "u64": "u8",
    "i32": "s4",
    "i64": "s8",
    "u128": "u128",
    "u256": "u256",
}
_HEAD: Final = """\
# Written by python -m torq_protocol.generate kaitai. Do not edit: the protocol schema is the source.
meta:
  id: torq
  title: Torq Protocol V2, a stream of messages
  license: Apache-2.0
  ks-version: 0.11
  endian: le
doc: |
  Messages back to back (D15): a header of 32 bytes, then payload_size bytes of TLVs. A payload whose size is not that
  of its type is left as bytes. Checksums are not verified here; one of 0 was not computed (D9).
seq:
  - id: messages
    type: message
    repeat: eos
"""
_ENVELOPE: Final = """\
  message:
    seq:
      - id: header
        type: header
      - id: payload
        type: tlvs
        size: header.payload_size
  tlvs:
    seq:
      - id: tlvs
        type: tlv
        repeat: eos
  tlv:
    seq:
      - id: form
        type: u1
      - id: extended
        type: extended_rest
        if: form == 255
      - id: standard_length
        type: u1
        if: form != 255
      - id: value
        size: length
        type:
          switch-on: layout
          cases:
{cases}
    instances:
      tlv_type:
        value: 'form == 255 ? extended.tlv_type : form'
      length:
        value: 'form == 255 ? extended.tlv_length : standard_length'
      layout:
        value: '{layout}'
        doc: the type number if the size is one that its layout has, otherwise -1
  extended_rest:
    doc: The extended TLV header behind its marker.
    seq:
      - id: reserved
        type: u1
        valid: 0
      - id: tlv_type
        type: u1
        valid:
          min: 1
          max: 254
      - id: tlv_length
        type: u2
"""
_WIDE: Final = """\
  u128:
    doc: A little-endian number of 128 bits.
    seq:
      - id: low
        type: u8
      - id: high
        type: u8
  u256:
    doc: A little-endian number of 256 bits, whose high half is zero.
    seq:
      - id: low
        type: u128
      - id: zero
        contents: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
"""


def kaitai() -> str:
    """The text of torq.ksy."""
    cases = "\n".join(f"            {number}: {_id(layout.name)}" for number, layout in PAYLOADS.items())
    layouts = " or ".join(f"(tlv_type == {number} and {_size_test(number)})" for number in PAYLOADS)
    lines = [_HEAD + "types:"]
    lines.append(_ENVELOPE.format(cases=cases, layout=f"({layouts}) ? tlv_type : -1").rstrip("\n"))
    lines += _type(Header)
    for layout in (*PAYLOADS.values(), *RECORDS.values()):
        lines += _type(layout)
    lines.append(_WIDE.rstrip("\n"))
    lines.append("enums:")
    lines += _enums()
    return "\n".join(lines) + "\n"


def _size_test(number: int) -> str:
    rule = REGISTRY.size_rule(number)
    if rule.variable:
        return f"length == {PAYLOADS[number].sizeof()}"
    return f"length == {rule.fixed}" if rule.fixed else f"length >= {rule.minimum} and length <= {rule.maximum}"


def _type(layout: Construct) -> Iterator[str]:
    yield f"  {_id(layout.name)}:"
    yield "    seq:"
    for row in rows_of(layout):
        yield from _field(row)


def _field(row: Row) -> Iterator[str]:
    name = _id(row.name.removesuffix(".elements").replace(".", "_"))
    if row.filler:
        yield f"      - id: filler_{row.offset}"
        yield f"        size: {row.size}"
        return
    yield f"      - id: {name}"
    yield from _kind(row)
    if row.repeat > 1:
        yield "        repeat: expr"
        yield f"        repeat-expr: {row.repeat}"
    if row.meaning:
        yield f"        doc: {_quoted(row.meaning)}"


def _kind(row: Row) -> Iterator[str]:
    declared = row.declared
    number = number_type(declared)
    if isinstance(declared, Marker):
        yield f"        contents: {_quoted(declared.marker.decode())}"
    elif row.name == "magic":
        yield f"        contents: [{', '.join(map(hex, MAGIC_BYTES))}]"
    elif number is not None:
        yield f"        type: {_NUMBERS.get(number, number)}"
    elif row.type.startswith("bytes"):
        yield f"        size: {row.size // row.repeat}" if row.size is not None else "        size-eos: true"
    else:
        yield f"        type: {_id(row.type)}"
    yield from _rule(row)


def _rule(row: Row) -> Iterator[str]:
    declared = row.declared
    if isinstance(declared, Closed):
        yield f"        enum: {_id(declared.enumeration.__name__)}"
        yield "        valid:"
        yield "          in-enum: true"
    elif isinstance(declared, Bounded) and row.type != "u256":
        yield "        valid:"
        yield f"          min: {declared.minimum}"
        yield f"          max: {declared.maximum}"
    elif row.name == "relay_domain":
        yield "        enum: relay_domain"
        yield "        valid:"
        yield "          in-enum: true"
    elif row.name == "payload_size":
        yield "        valid:"
        yield f"          max: {MAX_MESSAGE_SIZE - Header.sizeof()}"


def _enums() -> Iterator[str]:
    closed = {
        row.declared.enumeration
        for layout in (*PAYLOADS.values(), *RECORDS.values())
        for row in rows_of(layout)
        if isinstance(row.declared, Closed)
    }
    enumerations: Iterable[type[IntEnum]] = [RelayDomain, *sorted(closed, key=lambda each: each.__name__)]
    for each in enumerations:
        yield f"  {_id(each.__name__)}:"
        yield from (f"    {int(member)}: {member.name.lower()}" for member in each)
    yield "  tlv_type:"
    yield from (f"    {int(member)}: {member.name.lower()}" for member in TlvTypeNumber)


def _id(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
