"""The registry of Protocol V2 as data: TLV types, sources, venues, asset types (D5, D6, D11, D12).

``registry.toml`` beside this file is the source; :data:`REGISTRY` is its typed, queryable form, and
:mod:`torq_protocol.names` holds the same numbers as enumerations for use in code.
"""

from __future__ import annotations

import pkgutil
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from .constants import EXTENDED_MARKER, MAX_EXTENDED_VALUE, RelayDomain

VENDOR_TYPES = range(200, EXTENDED_MARKER)
"""TLV types that vendors use as they like; no domain carries them (D5)."""


class Status(Enum):
    """What a TLV type number is."""

    IMPLEMENTED = "implemented"
    """Registered, with a name and a size rule."""
    RESERVED = "reserved"
    """Kept free, 120 to 199 included."""
    VENDOR = "vendor"
    """200 to 254 without a registered use."""
    MARKER = "marker"
    """255 announces an extended TLV and is never a type (D7)."""
    UNASSIGNED = "unassigned"
    """No rule names the number."""


@dataclass(frozen=True, slots=True)
class SizeRule:
    """Which value sizes, in bytes, a TLV type allows (D6)."""

    minimum: int
    maximum: int

    def __str__(self) -> str:
        return f"{self.minimum}" if self.minimum == self.maximum else f"{self.minimum} to {self.maximum}"

    @property
    def fixed(self) -> int | None:
        """The one size of a fixed-size type; None for the others."""
        return self.minimum if self.minimum == self.maximum else None

    @property
    def variable(self) -> bool:
        """Whether every size that an extended TLV can carry is allowed."""
        return (self.minimum, self.maximum) == (0, MAX_EXTENDED_VALUE)

    def allows(self, size: int) -> bool:
        """Whether a value may have this many bytes."""
        return self.minimum <= size <= self.maximum


ANY_SIZE = SizeRule(0, MAX_EXTENDED_VALUE)


@dataclass(frozen=True, slots=True)
class TlvType:
    """A registered TLV type number. ``block`` is the numeric block of the original registry, a label only."""

    number: int
    name: str
    block: str
    size: SizeRule
    status: Status

    @property
    def domain(self) -> RelayDomain | None:
        """The domain that carries the type; None for vendor numbers (D5)."""
        return RelayDomain.of_type(self.number)


@dataclass(frozen=True, slots=True)
class Source:
    """A service that sends messages: header byte 6 (D11)."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class VenueEntry:
    """A place of trade, or a chain; ``blockchain`` names the venue of the chain that a DeFi venue lives on (D12)."""

    number: int
    name: str
    chain_id: int | None
    blockchain: str | None


@dataclass(frozen=True, slots=True)
class AssetTypeEntry:
    """A kind of asset; ``decimals`` is the typical number of decimal places (D12)."""

    number: int
    name: str
    decimals: int

    @property
    def fungible(self) -> bool:
        """Whether one unit is as good as another: all but NFT."""
        return self.name != "NFT"


class _Entry(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def name(self) -> str: ...


E = TypeVar("E", bound=_Entry)


class Registry:
    """Everything that the registry file names: mappings by number, and look-ups by number or name."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self.tlv_types: Mapping[int, TlvType] = _by_number(_tlv_type(row) for row in tables["tlv"])
        self.sources: Mapping[int, Source] = _by_number(
            Source(row["number"], row["name"]) for row in tables["source_type"]
        )
        self.venues: Mapping[int, VenueEntry] = _by_number(
            VenueEntry(row["number"], row["name"], row.get("chain_id"), row.get("blockchain"))
            for row in tables["venue"]
        )
        self.asset_types: Mapping[int, AssetTypeEntry] = _by_number(
            AssetTypeEntry(row["number"], row["name"], row["decimals"]) for row in tables["asset_type"]
        )
        self.reserved = tuple(range(row["first"], row["last"] + 1) for row in tables["reserved_range"])

    @cached_property
    def source_numbers(self) -> frozenset[int]:
        """The source bytes that have a name."""
        return frozenset(self.sources)

    @cached_property
    def fixed_sizes(self) -> tuple[tuple[int, int], ...]:
        """(type, size in bytes) of every fixed-size type, by number."""
        return tuple(
            (number, tlv.size.fixed) for number, tlv in sorted(self.tlv_types.items()) if tlv.size.fixed is not None
        )

    def tlv_type(self, key: int | str) -> TlvType:
        """A TLV type by number or name (case does not count).

        :raises LookupError: nothing of this number or name is registered
        """
        return _look_up(self.tlv_types, key, "TLV type")

    def source(self, key: int | str) -> Source:
        """A source by number or name.

        :raises LookupError: as :meth:`tlv_type`
        """
        return _look_up(self.sources, key, "source")

    def venue(self, key: int | str) -> VenueEntry:
        """A venue by number or name.

        :raises LookupError: as :meth:`tlv_type`
        """
        return _look_up(self.venues, key, "venue")

    def asset_type(self, key: int | str) -> AssetTypeEntry:
        """An asset type by number or name.

        :raises LookupError: as :meth:`tlv_type`
        """
        return _look_up(self.asset_types, key, "asset type")

    def types_of(self, domain: RelayDomain) -> tuple[TlvType, ...]:
        """The registered types that a domain carries, by number (D5)."""
        return tuple(tlv for number, tlv in sorted(self.tlv_types.items()) if number in domain.type_range)

    def types_with(self, status: Status) -> tuple[int, ...]:
        """All numbers 0 to 255 of a status."""
        return tuple(number for number in range(256) if self.status_of(number) is status)

    def types_allowing(self, size: int) -> tuple[TlvType, ...]:
        """The registered types whose size rule allows a value of this many bytes, by number (D6)."""
        return tuple(tlv for _, tlv in sorted(self.tlv_types.items()) if tlv.size.allows(size))

    def venues_on(self, chain_id: int) -> tuple[VenueEntry, ...]:
        """The venues of an EVM chain, the chain itself included, by number."""
        return tuple(venue for _, venue in sorted(self.venues.items()) if venue.chain_id == chain_id)

    def status_of(self, number: int) -> Status:
        """What a TLV type number is, registered or not."""
        if number == EXTENDED_MARKER:
            return Status.MARKER
        if number in self.tlv_types:
            return self.tlv_types[number].status
        if any(number in numbers for numbers in self.reserved):
            return Status.RESERVED
        return Status.VENDOR if number in VENDOR_TYPES else Status.UNASSIGNED

    def size_rule(self, number: int) -> SizeRule:
        """The sizes that a TLV type allows; any size for numbers that are not registered (D6, D14)."""
        tlv = self.tlv_types.get(number)
        return ANY_SIZE if tlv is None else tlv.size


def _look_up(entries: Mapping[int, E], key: int | str, what: str) -> E:
    if isinstance(key, int):
        if key in entries:
            return entries[key]
    else:
        for entry in entries.values():
            if entry.name.casefold() == key.casefold():
                return entry
    raise LookupError(f"no {what} {key!r} in the registry")


def _by_number(entries: Iterable[E]) -> Mapping[int, E]:
    return MappingProxyType({entry.number: entry for entry in entries})


def _tlv_type(row: Mapping[str, Any]) -> TlvType:
    size = row["size"]
    if "fixed" in size:
        rule = SizeRule(size["fixed"], size["fixed"])
    elif "min" in size:
        rule = SizeRule(size["min"], size["max"])
    else:
        rule = ANY_SIZE
    return TlvType(row["number"], row["name"], row["range"], rule, Status(row["status"]))


def _load() -> Registry:
    data = pkgutil.get_data(__package__, "registry.toml")
    assert data is not None, "registry.toml is part of the package"
    return Registry(tomllib.loads(data.decode()))


REGISTRY = _load()
