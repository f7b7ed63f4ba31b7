"""The registry of Protocol V2 as data: TLV types, sources, venues, asset types (D5, D6, D11, D12).

``registry.toml`` beside this file is the source; :data:`REGISTRY` is its typed, queryable form.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

from .constants import RelayDomain


@dataclass(frozen=True, slots=True)
class SizeRule:
    """Which value sizes, in bytes, a TLV type allows (D6)."""

    minimum: int
    maximum: int

    @property
    def fixed(self) -> int | None:
        """The one size of a fixed-size type; None for the others."""
        return self.minimum if self.minimum == self.maximum else None

    def __str__(self) -> str:
        return f"{self.minimum}" if self.minimum == self.maximum else f"{self.minimum} to {self.maximum}"

    def allows(self, size: int) -> bool:
        """Whether a value may have this many bytes."""
        return self.minimum <= size <= self.maximum


@dataclass(frozen=True, slots=True)
class TlvType:
    """A registered TLV type number."""

    number: int
    name: str
    block: str
    size: SizeRule
    status: str

    @property
    def domain(self) -> RelayDomain | None:
        """The domain that carries the type; None for vendor numbers (D5)."""
        return RelayDomain.of_type(self.number)


@dataclass(frozen=True, slots=True)
class Source:
    """A service that sends messages: header byte 6 (D11)."""

    number: int
    name: str


class Registry:
    """Everything that the registry file names."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self.tlv_types = {row["number"]: _tlv_type(row) for row in tables["tlv"]}
        self.sources = {row["number"]: Source(row["number"], row["name"]) for row in tables["source_type"]}

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


def _tlv_type(row: Mapping[str, Any]) -> TlvType:
    size = row["size"]
    if "fixed" in size:
        rule = SizeRule(size["fixed"], size["fixed"])
    elif "min" in size:
        rule = SizeRule(size["min"], size["max"])
    else:
        rule = SizeRule(0, 65_535)
    return TlvType(row["number"], row["name"], row["range"], rule, row["status"])


def _load() -> Registry:
    with resources.files(__package__).joinpath("registry.toml").open("rb") as file:
        return Registry(tomllib.load(file))


REGISTRY = _load()
