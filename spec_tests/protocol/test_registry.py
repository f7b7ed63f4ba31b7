"""The registry as data: complete, consistent, queryable, and equal to the enumerations."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import pytest

from torq_protocol.constants import RelayDomain
from torq_protocol.names import AssetType, SourceType, TlvTypeNumber, Venue
from torq_protocol.registry import ANY_SIZE, REGISTRY, SizeRule, Status


@pytest.mark.parametrize(
    ("enumeration", "entries"),
    [
        (TlvTypeNumber, {n: tlv.name for n, tlv in REGISTRY.tlv_types.items() if n != 255}),
        (SourceType, {n: source.name for n, source in REGISTRY.sources.items()}),
        (Venue, {n: venue.name for n, venue in REGISTRY.venues.items()}),
        (AssetType, {n: asset.name for n, asset in REGISTRY.asset_types.items()}),
    ],
)
def test_enumerations_hold_the_names_of_the_registry(enumeration: type[IntEnum], entries: Mapping[int, str]) -> None:
    members = {int(member): member.name.replace("_", "") for member in enumeration}
    assert members == {number: name.upper() for number, name in entries.items()}


def test_counts_of_the_registry() -> None:
    counted = tuple(
        map(len, (REGISTRY.tlv_types, REGISTRY.sources, REGISTRY.venues, REGISTRY.asset_types, REGISTRY.reserved))
    )
    assert counted == (84, 18, 58, 26, 7)


def test_look_up_by_number_and_by_name() -> None:
    assert REGISTRY.tlv_type(1) is REGISTRY.tlv_type("trade") is REGISTRY.tlv_type("Trade")
    assert REGISTRY.source("KrakenCollector").number == 2
    assert REGISTRY.venue(101).name == "Kraken"
    assert REGISTRY.asset_type("StableCoin").decimals == 6
    quickswap = REGISTRY.venue("QuickSwap")
    assert (quickswap.number, quickswap.chain_id, quickswap.blockchain) == (400, 137, "Polygon")
    assert REGISTRY.venue(201).chain_id is None
    assert not REGISTRY.asset_type("NFT").fungible
    for unknown in (3000, "no such"):
        with pytest.raises(LookupError, match=str(unknown)):
            REGISTRY.venue(unknown)


def test_d5_types_of_every_domain_lie_in_its_range_and_none_is_lost() -> None:
    by_domain = [tlv.number for domain in RelayDomain for tlv in REGISTRY.types_of(domain)]
    assert all(tlv.domain is domain for domain in RelayDomain for tlv in REGISTRY.types_of(domain))
    assert sorted(by_domain) == sorted(n for n in REGISTRY.tlv_types if n < 120)


@pytest.mark.parametrize(
    ("number", "domain"),
    [
        (0, None),
        (1, RelayDomain.MARKET_DATA),
        (19, RelayDomain.MARKET_DATA),
        (20, RelayDomain.SIGNAL),
        (39, RelayDomain.SIGNAL),
        (40, RelayDomain.EXECUTION),
        (79, RelayDomain.EXECUTION),
        (80, RelayDomain.SYSTEM),
        (119, RelayDomain.SYSTEM),
        (120, None),
        (200, None),
        (254, None),
        (255, None),
    ],
)
def test_d5_domain_edges(number: int, domain: RelayDomain | None) -> None:
    assert RelayDomain.of_type(number) is domain


def test_every_number_has_one_status() -> None:
    by_status = {status: REGISTRY.types_with(status) for status in Status}
    assert sorted(number for numbers in by_status.values() for number in numbers) == list(range(256))
    assert by_status[Status.MARKER] == (255,)
    assert by_status[Status.UNASSIGNED] == (0,)
    assert by_status[Status.VENDOR] == tuple(range(205, 255))
    reserved = [*range(33, 40), *range(50, 60), *range(73, 80), *range(91, 100), 109, *range(113, 200)]
    assert list(by_status[Status.RESERVED]) == reserved


def test_size_rules() -> None:
    assert REGISTRY.size_rule(1) == SizeRule(40, 40)
    assert REGISTRY.size_rule(30) == SizeRule(24, 512)
    assert REGISTRY.size_rule(199) is ANY_SIZE
    assert (str(SizeRule(40, 40)), str(SizeRule(24, 512))) == ("40", "24 to 512")
    assert [SizeRule(24, 512).allows(size) for size in (23, 24, 512, 513)] == [False, True, True, False]
    assert (REGISTRY.size_rule(4).variable, REGISTRY.size_rule(30).variable) == (True, False)
    assert dict(REGISTRY.fixed_sizes)[2] == 56


def test_d6_types_by_the_size_they_allow() -> None:
    of_170 = [tlv for tlv in REGISTRY.types_allowing(170) if not tlv.size.variable]
    assert 32 in [tlv.number for tlv in of_170]
    assert all(tlv.size.minimum <= 170 <= tlv.size.maximum for tlv in of_170)
    assert {tlv.number for tlv in REGISTRY.types_allowing(65_535)} == {
        number for number, tlv in REGISTRY.tlv_types.items() if tlv.size.variable
    }
    assert REGISTRY.types_allowing(65_536) == ()


def test_venues_of_a_chain() -> None:
    assert [venue.number for venue in REGISTRY.venues_on(137)] == [202, 400, 401, 402, 403, 404]
    for venue in REGISTRY.venues.values():
        if venue.blockchain is not None:
            assert REGISTRY.venue(venue.blockchain).chain_id == venue.chain_id
