"""The JSON Schema of the vector files (draft 2020-12)."""

from __future__ import annotations

from typing import Final

from ..errors import ErrorKind
from ..schema.as_json import Json

_HEX_STRING: Final[dict[str, Json]] = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
_HEX: Final[Json] = _HEX_STRING
_WIDE: Final[Json] = {"type": "string", "pattern": "^-?[0-9]+$", "description": "a number of more than 32 bits"}
_BYTE: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 255}
_U16: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 65535}
_U32: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 4294967295}
_TEXT: Final[Json] = {"type": "string", "minLength": 1}


def _record(required: dict[str, Json], optional: dict[str, Json] | None = None) -> Json:
    properties: dict[str, Json] = {**required, **(optional or {})}
    return {"type": "object", "required": [*required], "properties": properties, "additionalProperties": False}


def _list_of(item: Json) -> Json:
    return {"type": "array", "items": item, "minItems": 1}


_HEADER: Final = _record(
    {
        "magic": {"const": 0xDEADBEEF},
        "relay_domain": {"type": "integer", "minimum": 1, "maximum": 4},
        "version": _BYTE,
        "source": _BYTE,
        "flags": _BYTE,
        "sequence": _WIDE,
        "timestamp": _WIDE,
        "payload_size": _U32,
        "checksum": _U32,
    }
)
_FIELDS: Final[Json] = {
    "type": "object",
    "description": "numbers up to 32 bits as numbers, wider ones as decimal strings, bytes as hex, lists, records",
    "additionalProperties": {
        "anyOf": [
            {"type": "integer"},
            {"type": "string", "pattern": "^(-?[0-9]+|[0-9a-f]*)$"},
            {"type": "object", "$ref": "#/$defs/fields"},
            {"type": "array", "items": {"anyOf": [_WIDE, {"$ref": "#/$defs/fields"}]}},
        ]
    },
}
_TLV: Final = _record(
    {
        "type": {"type": "integer", "minimum": 0, "maximum": 254},
        "extended": {"type": "boolean"},
        "offset": {"type": "integer", "minimum": 34, "description": "of the value, from the start of the message"},
        "value": _HEX,
    },
    {"payload": _TEXT, "fields": {"$ref": "#/$defs/fields"}},
)
_MESSAGE: Final = _record(
    {"name": _TEXT, "about": _TEXT, "hex": _HEX, "header": _HEADER, "tlvs": {"type": "array", "items": _TLV}},
    {"rebuilt": {**_HEX_STRING, "description": "what a builder writes, where that differs from hex"}},
)
_MALFORMED: Final = _record(
    {
        "name": _TEXT,
        "about": _TEXT,
        "hex": _HEX,
        "check": {
            "enum": ["parser", "relay", "payload"],
            "description": "who refuses: any parser; a relay as described; whoever decodes the first TLV's payload",
        },
        "error": {"enum": [kind.label for kind in ErrorKind]},
        "offset": {"type": "integer", "minimum": 0, "description": "of what is wrong, from the start of the message"},
    },
    {
        "relay": _record(
            {
                "domain": {"type": "integer", "minimum": 1, "maximum": 4},
                "level": {"enum": ["performance", "reliability", "security"]},
                "zero_checksum": {
                    "enum": ["accept", "refuse"],
                    "description": "whether a checksum field of 0 passes as not computed",
                },
            }
        )
    },
)
_VALUES: Final[dict[str, Json]] = {
    "checksums": _list_of(_record({"data": _HEX, "crc32": _HEX})),
    "symbols": _list_of(_record({"symbol": _TEXT, "number": _HEX, "back": _TEXT})),
    "instruments": _list_of(
        _record(
            {
                "about": _TEXT,
                "asset_id": _HEX,
                "venue": _U16,
                "asset_type": _BYTE,
                "reserved": _BYTE,
                "hex": _HEX,
                "u64_key": _HEX,
                "u128_key": _HEX,
            }
        )
    ),
    "records": _list_of(_record({"record": _TEXT, "hex": _HEX, "fields": {"$ref": "#/$defs/fields"}})),
    "sizes": _list_of(_record({"type": _BYTE, "name": _TEXT, "minimum": _U16, "maximum": _U16})),
    "sources": _list_of(_record({"source": _BYTE, "name": _TEXT})),
}
_HEAD: Final[dict[str, Json]] = {"$schema": _TEXT, "format": {"const": 1}}

VECTOR_SCHEMA: Final[Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Test vectors of Torq Protocol V2",
    "$defs": {"fields": _FIELDS},
    "oneOf": [
        _record({**_HEAD, "kind": {"const": "messages"}, "vectors": _list_of(_MESSAGE)}),
        _record({**_HEAD, "kind": {"const": "malformed"}, "vectors": _list_of(_MALFORMED)}),
        _record({**_HEAD, "kind": {"const": "values"}, **_VALUES}),
    ],
}
