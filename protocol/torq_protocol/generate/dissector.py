"""The Wireshark dissector: tables from the schema in front of a body of Lua that reads them."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Final, TypeAlias

from construct import Construct

from ..constants import HEADER_SIZE, MAGIC, MAX_MESSAGE_SIZE, RelayDomain
from ..errors import ErrorKind
from ..names import TlvTypeNumber
from ..registry import REGISTRY
from ..schema import PAYLOADS, RECORDS, Header
from ..schema.layout import Row, number_type, rows_of
from ..schema.vocabulary import (
    AssetTypeNumber,
    Bounded,
    Closed,
    Fixed8,
    Marker,
    SourceNumber,
    TimestampNs,
    VenueNumber,
    bare,
)

DEFAULT_TCP_PORT: Final = 7411
_HEX_FIELDS: Final = ("magic", "checksum", "asset_id")
_OPEN_NAMES: Final = ((VenueNumber, "venue"), (AssetTypeNumber, "asset_type"), (SourceNumber, "source"))
_SENTENCES: Final = {
    ErrorKind.TRUNCATED_HEADER: "fewer than 32 bytes where a header was expected",
    ErrorKind.BAD_MAGIC: "no magic where a message should begin",
    ErrorKind.OVERSIZE: "the header announces more than the maximum message size",
    ErrorKind.BAD_DOMAIN: "the domain is not 1 to 4",
    ErrorKind.TRUNCATED_PAYLOAD: "fewer bytes than the header announces",
    ErrorKind.BAD_CHECKSUM: "the checksum is wrong",
    ErrorKind.TRUNCATED_TLV_HEADER: "the payload ends inside a TLV header",
    ErrorKind.TRUNCATED_TLV: "the payload ends inside a TLV value",
    ErrorKind.BAD_RESERVED_BYTE: "the reserved byte of an extended TLV header is not 0",
    ErrorKind.BAD_EXTENDED_TYPE: "the inner type of an extended TLV is 0 or 255",
    ErrorKind.BAD_TLV_SIZE: "the value has a size that its type does not allow",
    ErrorKind.BAD_VALUE: "a field holds what its type does not allow",
}
Lua: TypeAlias = "bool | int | str | list[Lua] | Mapping[int, Lua] | Mapping[str, Lua]"


def dissector() -> str:
    """The text of torq.lua."""
    body = pkgutil.get_data(__package__, "dissector_body.lua")
    assert body is not None, "the body is part of the package"
    lines = [
        "-- Wireshark dissector of Torq Protocol V2.",
        "-- Written by python -m torq_protocol.generate dissector. Do not edit: the protocol schema is the source.",
        "--",
        "-- Use: wireshark -X lua_script:torq.lua, or copy it to the personal Lua plugins folder.",
        f"-- TCP: port {DEFAULT_TCP_PORT} (preference torq_tcp.ports), and any port by its first bytes.",
        "-- Unix sockets: captures of link type USER0 (preference torq.user_dlt) whose packets hold whole messages.",
        "",
        f"local MAGIC, HEADER_SIZE, MAX_MESSAGE_SIZE = {MAGIC:#x}, {HEADER_SIZE}, {MAX_MESSAGE_SIZE}",
        f"local DEFAULT_TCP_PORT = {DEFAULT_TCP_PORT}",
        *_table("NAMES", _names()),
        *_table("ERRORS", {kind.label.replace("-", "_"): text for kind, text in _SENTENCES.items()}),
        *_table("SIZES", _sizes()),
        *_table("RECORDS", {name: _fields(RECORDS[name]) for name in ("InstrumentId", "OrderLevel")}),
        *_table("HEADER", _fields(Header)),
        *_table("PAYLOADS", {number: _payload(number, layout) for number, layout in PAYLOADS.items()}),
    ]
    return "\n".join(lines) + "\n" + body.decode()


def _names() -> Mapping[str, Lua]:
    """Names of numbers, by the kind of the number."""
    tables: dict[str, Lua] = {
        "domain": {int(domain): domain.name.lower().replace("_", " ") for domain in RelayDomain},
        "tlv_type": {number: tlv.name for number, tlv in REGISTRY.tlv_types.items()},
        "source": {number: source.name for number, source in REGISTRY.sources.items()},
        "venue": {number: venue.name for number, venue in REGISTRY.venues.items()},
        "asset_type": {number: asset.name for number, asset in REGISTRY.asset_types.items()},
    }
    for layout in PAYLOADS.values():
        for row in rows_of(layout):
            if isinstance(row.declared, Closed):
                each: type[IntEnum] = row.declared.enumeration
                tables[each.__name__] = {int(member): member.name.lower().replace("_", " ") for member in each}
    return tables


def _sizes() -> Mapping[int, Lua]:
    """Least and most bytes of the types that bind them; a layout binds where the registry does not."""
    sizes: dict[int, Lua] = {}
    for number, tlv in REGISTRY.tlv_types.items():
        if not tlv.size.variable:
            sizes[number] = [tlv.size.minimum, tlv.size.maximum]
        elif number in PAYLOADS:
            sizes[number] = [PAYLOADS[number].sizeof()] * 2
    return sizes


def _payload(number: int, layout: Construct) -> Lua:
    payload: dict[str, Lua] = {"filter": TlvTypeNumber(number).name.lower(), "fields": _fields(layout)}
    return payload


def _fields(layout: Construct) -> list[Lua]:
    """The fields to show: fillers and list counts are left to the bytes."""
    rows = list(rows_of(layout))
    counts = {row.name.removesuffix(".count"): row for row in rows if row.name.endswith(".count")}
    return [_field(row, counts) for row in rows if not row.filler and not row.name.endswith(".count")]


def _field(row: Row, counts: Mapping[str, Row]) -> Lua:
    field: dict[str, Lua] = {"name": row.name, "offset": row.offset, "type": _type(row)}
    if row.size is not None:
        field["size"] = row.size // row.repeat
    if row.repeat > 1:
        name = row.name.removesuffix(".elements")
        count = counts[name]
        field |= {"name": name, "repeat_count": row.repeat, "count_at": count.offset}
        field["least"] = count.declared.minimum
    if isinstance(row.declared, Closed):
        field |= {"names": row.declared.enumeration.__name__, "closed": True}
    elif isinstance(row.declared, Bounded) and row.type != "u256":
        field |= {"lowest": row.declared.minimum, "highest": row.declared.maximum}
    elif isinstance(row.declared, Marker):
        field["marker"] = row.declared.marker.decode()
    for declared, names in _OPEN_NAMES:
        if row.declared is declared:
            field["names"] = names
    if row.name == "relay_domain":
        field["names"] = "domain"
    field |= {key: True for key, holds in _marks(row) if holds}
    return field


def _marks(row: Row) -> Iterator[tuple[str, bool]]:
    yield "scale", row.declared is Fixed8
    yield "time", row.declared is TimestampNs
    yield "hex", row.name in _HEX_FIELDS


def _type(row: Row) -> str:
    if isinstance(row.declared, Bounded):
        return number_type(bare(row.declared)) or row.type
    return row.type if not row.type.startswith("bytes") else "bytes"


def _table(name: str, value: Lua) -> Iterator[str]:
    """A local table, one entry a line."""
    assert not isinstance(value, (bool, int, str))
    yield f"local {name} = {{"
    entries: Iterable[tuple[int | str | None, Lua]] = (
        value.items() if isinstance(value, Mapping) else ((None, each) for each in value)
    )
    for key, entry in entries:
        yield f"  {_key(key)}{_lua(entry)},"
    yield "}"


def _lua(value: Lua) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "{ " + ", ".join(map(_lua, value)) + " }"
    return "{ " + ", ".join(f"{_key(key)}{_lua(each)}" for key, each in value.items()) + " }"


def _key(key: int | str | None) -> str:
    if key is None:
        return ""
    return f"[{key}] = " if isinstance(key, int) else f"{key} = "
