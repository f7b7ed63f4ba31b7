"""Trades, quotes, order books, gas prices, invalidation reasons (types 1, 2, 3, 17, 18, 19).

Facts:
- trade, quote and order book carry the four fields of an InstrumentId apart; ``instrument`` puts them together;
- an order book is sent whole, 50 slots a side, hence always in an extended TLV.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar, Self

from ..constants import U32_MAX
from ..enumerations import Side
from ..errors import FieldValueError
from ..fixed_point import UNIT, decimal_of, units_of
from ..instrument import InstrumentId
from . import fields
from .layout import Layout

_BASIS_POINTS = 10_000


class Trade(fields.Trade):
    """One trade at an exchange, 40 bytes. ``price`` and ``volume`` in 1e-8, time in ns."""

    __slots__ = ()

    @classmethod
    def from_decimal(
        cls, instrument: InstrumentId, price: Decimal, volume: Decimal, side: Side, execution_timestamp_ns: int
    ) -> Trade:
        """A trade of decimal price and volume, which must be whole numbers of 1e-8."""
        return cls(
            asset_id=instrument.asset_id,
            price=units_of(price),
            volume=units_of(volume),
            execution_timestamp_ns=execution_timestamp_ns,
            venue_id=instrument.venue,
            asset_type=instrument.asset_type,
            reserved=instrument.reserved,
            side=side,
        )

    @property
    def instrument(self) -> InstrumentId:
        """What was traded, and where."""
        return InstrumentId(self.asset_id, self.venue_id, self.asset_type, self.reserved)

    @property
    def price_decimal(self) -> Decimal:
        """The price, exactly."""
        return decimal_of(self.price)

    @property
    def volume_decimal(self) -> Decimal:
        """The volume, exactly."""
        return decimal_of(self.volume)


class QuoteFields(fields.Quote):
    """Best bid and ask of an instrument, 56 bytes: what Quote and QuoteUpdate have in common. Prices in 1e-8."""

    __slots__ = ()

    @classmethod
    def from_decimal(
        cls,
        instrument: InstrumentId,
        bid: tuple[Decimal, Decimal],
        ask: tuple[Decimal, Decimal],
        quote_timestamp_ns: int,
    ) -> Self:
        """A quote of decimal (price, size) pairs, which must be whole numbers of 1e-8."""
        of = instrument
        return cls(
            asset_id=of.asset_id,
            bid_price=units_of(bid[0]),
            bid_size=units_of(bid[1]),
            ask_price=units_of(ask[0]),
            ask_size=units_of(ask[1]),
            quote_timestamp_ns=quote_timestamp_ns,
            venue_id=of.venue,
            asset_type=of.asset_type,
            reserved=of.reserved,
        )

    @property
    def instrument(self) -> InstrumentId:
        """What is quoted, and where."""
        return InstrumentId(self.asset_id, self.venue_id, self.asset_type, self.reserved)

    @property
    def bid_price_decimal(self) -> Decimal:
        """The best bid, exactly."""
        return decimal_of(self.bid_price)

    @property
    def bid_size_decimal(self) -> Decimal:
        """What is bid for, exactly."""
        return decimal_of(self.bid_size)

    @property
    def ask_price_decimal(self) -> Decimal:
        """The best ask, exactly."""
        return decimal_of(self.ask_price)

    @property
    def ask_size_decimal(self) -> Decimal:
        """What is offered, exactly."""
        return decimal_of(self.ask_size)


class Quote(QuoteFields):
    """Best bid and ask, type 2."""

    __slots__ = ()


class QuoteUpdate(QuoteFields, fields.QuoteUpdate):
    """A change of the best bid and ask, type 17: the bytes of a Quote."""

    __slots__ = ()


class OrderLevel(fields.OrderLevel):
    """One price level of a book, 24 bytes, no payload of its own. Units are those of its book's precision factor."""

    __slots__ = ()

    @classmethod
    def from_decimal(
        cls, price: Decimal, size: Decimal, order_count: int = 0, *, precision_factor: int = UNIT
    ) -> OrderLevel:
        """A level of decimal price and size, which must be whole numbers of units."""
        places = _places(precision_factor)
        return cls(units_of(price, places), units_of(size, places), order_count)


@dataclass(frozen=True, slots=True, repr=False)
class OrderBook(fields.OrderBook):
    """A snapshot of a book, 2456 bytes. Bids from high to low price, asks from low to high, at most 50 each.

    Reading keeps books that break :meth:`is_valid`: whether to use one is the reader's choice.
    """

    LAYOUT: ClassVar[Layout] = fields.OrderBook.LAYOUT.holding(OrderLevel)

    bids: tuple[OrderLevel, ...] = ()
    asks: tuple[OrderLevel, ...] = ()

    @classmethod
    def build(
        cls,
        instrument: InstrumentId,
        bids: Iterable[OrderLevel],
        asks: Iterable[OrderLevel],
        *,
        sequence: int,
        snapshot_timestamp_ns: int,
        precision_factor: int = UNIT,
    ) -> OrderBook:
        """A book of any number of levels, best first; only the first 50 of a side are kept."""
        return cls(
            snapshot_timestamp_ns=snapshot_timestamp_ns,
            sequence=sequence,
            precision_factor=precision_factor,
            asset_id=instrument.asset_id,
            venue_id=instrument.venue,
            asset_type=instrument.asset_type,
            reserved=instrument.reserved,
            bids=tuple(bids)[: cls.CAPACITY],
            asks=tuple(asks)[: cls.CAPACITY],
        )

    def with_bid(self, level: OrderLevel) -> OrderBook:
        """The book with one more bid behind the others.

        :raises FieldValueError: 50 bids are there already
        """
        return replace(self, bids=(*self.bids, level))

    def with_ask(self, level: OrderLevel) -> OrderBook:
        """The book with one more ask behind the others.

        :raises FieldValueError: 50 asks are there already
        """
        return replace(self, asks=(*self.asks, level))

    @property
    def instrument(self) -> InstrumentId:
        """Whose book it is, and where."""
        return InstrumentId(self.asset_id, self.venue_id, self.asset_type, self.reserved)

    @property
    def is_valid(self) -> bool:
        """Bids not rising, asks not falling, all prices and sizes above zero, best ask not below best bid."""
        bids, asks = [level.price for level in self.bids], [level.price for level in self.asks]
        return (
            bids == sorted(bids, reverse=True)
            and asks == sorted(asks)
            and all(level.price > 0 and level.size > 0 for level in (*self.bids, *self.asks))
            and (not bids or not asks or asks[0] >= bids[0])
        )

    @property
    def spread_bps(self) -> int | None:
        """(ask − bid)·10000 / mid in whole basis points, toward zero; None when a side is empty or mid is not positive.

        mid is (bid + ask) / 2, toward zero.
        """
        if not self.bids or not self.asks:
            return None
        bid, ask = self.bids[0].price, self.asks[0].price
        mid = _toward_zero(bid + ask, 2)
        return _toward_zero((ask - bid) * _BASIS_POINTS, mid) if mid > 0 else None

    def decimal(self, units: int) -> Decimal:
        """A price or size of this book, exactly.

        :raises FieldValueError: the precision factor is no power of ten
        """
        return decimal_of(units, _places(self.precision_factor))


class GasPrice(fields.GasPrice):
    """Gas price of an EVM network at a block, 32 bytes. ``venue`` is the network id (137 on Polygon), in gwei."""

    __slots__ = ()

    @classmethod
    def from_fees(
        cls, block_number: int, timestamp_ns: int, base_fee_gwei: int, priority_fee_gwei: int, *, network: int = 137
    ) -> GasPrice:
        """The total is base + priority, stopping at the largest u32."""
        total = min(base_fee_gwei + priority_fee_gwei, U32_MAX)
        return cls(block_number, timestamp_ns, total, base_fee_gwei, priority_fee_gwei, network)


class StateInvalidationReason(fields.StateInvalidationReason):
    """Why state is no longer valid, 1 byte."""

    __slots__ = ()


def _toward_zero(numerator: int, denominator: int) -> int:
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator >= 0) == (denominator >= 0) else -quotient


def _places(precision_factor: int) -> int:
    digits = str(precision_factor)
    if digits[0] != "1" or digits.strip("0") != "1":
        raise FieldValueError(
            f"precision factor {precision_factor}: decimals need a power of ten",
            offset=fields.OrderBook.LAYOUT.offset("precision_factor"),
            expected="a power of ten",
            got=precision_factor,
        )
    return len(digits) - 1
