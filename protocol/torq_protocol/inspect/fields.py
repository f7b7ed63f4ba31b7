"""The fields of a payload with what they mean: names from the registry, decimals exactly, times, symbols."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Final

from ..constants import NANOSECONDS, RelayDomain
from ..fixed_point import decimal_of
from ..instrument import InstrumentId, u64_to_symbol
from ..names import AssetType
from ..payloads import OrderBook, Payload, RawPayload
from ..registry import REGISTRY
from ..schema import PAYLOADS, parse_payload
from ..schema.as_json import Json, to_json

_MOST_PLACES: Final = 36
_SYMBOLIC: Final = (AssetType.STOCK, AssetType.BOND, AssetType.COIN)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ``value`` as on the wire, ``meaning`` beside it, or nothing."""

    name: str
    value: str
    meaning: str


def plain(number: Decimal) -> str:
    """A decimal exactly, without an exponent unless it has more places than any token."""
    exponent = number.as_tuple().exponent
    return str(number) if isinstance(exponent, int) and exponent < -_MOST_PLACES else format(number, "f")


def time_text(nanoseconds: int) -> str:
    """A time in UTC to the nanosecond."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def domain_text(number: int) -> str:
    """A domain's name, or its number."""
    return RelayDomain(number).name.lower() if number in tuple(RelayDomain) else str(number)


def source_text(number: int) -> str:
    """A source's name, or its number."""
    return REGISTRY.sources[number].name if number in REGISTRY.sources else f"source {number}"


def type_text(number: int) -> str:
    """A TLV type's name, or its number."""
    return REGISTRY.tlv_types[number].name if number in REGISTRY.tlv_types else f"type {number}"


def venue_text(number: int) -> str:
    """A venue's name, or its number."""
    return REGISTRY.venues[number].name if number in REGISTRY.venues else f"venue {number}"


def instrument_text(instrument: InstrumentId) -> str:
    """What is traded, and where: its symbol if it has one that can be printed."""
    symbol = _symbol(instrument.asset_id) if instrument.asset_type in _SYMBOLIC else ""
    return f"{symbol or hex(instrument.asset_id)}@{venue_text(instrument.venue)}"


def names_of(payload: Payload) -> tuple[str, ...]:
    """The names of a payload's fields, in wire order."""
    fields = dataclass_fields(payload)  # type: ignore[arg-type]  # every payload class is a dataclass, their base none
    return tuple(field.name for field in fields)


def decimals(payload: Payload | RawPayload) -> dict[str, Decimal]:
    """The exact decimal values of fixed-point fields, by field; ``bids[0].price`` in lists."""
    if isinstance(payload, RawPayload):
        return {}
    found: dict[str, Decimal] = {}
    for name in names_of(payload):
        for view in (f"{name}_decimal", name.removesuffix("_q8")):
            value = getattr(payload, view, None)
            if isinstance(value, Decimal):
                found[name] = value
    if isinstance(payload, OrderBook):
        found |= _levels(payload)
    return found


def fields_json(tlv_type: int, value: bytes) -> Json:
    """The fields of a type that has a layout, as in the test vectors: wide numbers as text, bytes as hex."""
    return to_json(PAYLOADS[tlv_type], parse_payload(tlv_type, value))


def fields_of(payload: Payload, value: bytes) -> Iterator[Field]:
    """Every field of a payload, lists element by element."""
    exact = decimals(payload)
    for name, text in _flat(fields_json(payload.tlv_type, value)):
        meaning = plain(exact[name]) if name in exact else _meaning(payload, name, text)
        yield Field(name, text, meaning)


def _flat(value: Json, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(each, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _flat(each, f"{name}[{index}]")
    else:
        yield name, str(value)


def _meaning(payload: Payload, name: str, text: str) -> str:
    """What a number stands for."""
    member = getattr(payload, name, None)
    if isinstance(member, IntEnum):
        return member.name.lower()
    last = name.rpartition(".")[2]
    if not text.isdigit():
        return ""
    number = int(text)
    if last.endswith("_ns"):
        return time_text(number)
    if last in ("venue", "venue_id", "source_venue", "target_venue"):
        return venue_text(number)
    if last == "asset_type":
        return REGISTRY.asset_types[number].name if number in REGISTRY.asset_types else ""
    if last in ("service_type", "source_service"):
        return source_text(number)
    return _symbol(number) if last == "asset_id" else ""


def _symbol(number: int) -> str:
    """The symbol in an asset id, if it is one that can be printed."""
    symbol = u64_to_symbol(number)
    return symbol if symbol.isascii() and symbol.isprintable() else ""


def _levels(book: OrderBook) -> dict[str, Decimal]:
    """Prices and sizes of a book whose precision is a power of ten; others have no exact decimal."""
    places = len(str(book.precision_factor)) - 1
    if book.precision_factor != 10**places:
        return {}
    return {
        f"{side}[{index}].{name}": decimal_of(getattr(level, name), places)
        for side, levels in (("bids", book.bids), ("asks", book.asks))
        for index, level in enumerate(levels)
        for name in ("price", "size")
    }
