"""Arbitrage signals (type 32).

Facts:
- dollars are i64 counts of 1e-8 (``_q8``); what is finer is cut off toward zero, as the original does;
- ``valid_until`` is in Unix seconds, the timestamp in nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ..constants import NANOSECONDS, U16_MAX
from ..fixed_point import decimal_of, units_of
from . import fields

LIFETIME_S = 300
"""Seconds that a signal built by :meth:`ArbitrageSignal.create` is valid."""


@dataclass(frozen=True, slots=True)
class ArbitrageRoute:
    """Where an arbitrage goes: from one pool and venue to another, and the tokens it trades; addresses of 20 bytes."""

    source_pool: bytes
    target_pool: bytes
    source_venue: int
    target_venue: int
    token_in: bytes
    token_out: bytes


@dataclass(frozen=True, slots=True)
class ArbitrageEconomics:
    """What an arbitrage should bring and cost, in dollars; the spread in basis points."""

    expected_profit: Decimal
    required_capital: Decimal
    dex_fees: Decimal
    gas_cost: Decimal
    slippage: Decimal
    spread_bps: int


class ArbitrageSignal(fields.ArbitrageSignal):
    """An opportunity between two pools, 170 bytes, packed. ``_q8`` fields are dollars in 1e-8."""

    __slots__ = ()

    @classmethod
    def create(cls, route: ArbitrageRoute, economics: ArbitrageEconomics, timestamp_ns: int) -> ArbitrageSignal:
        """A signal with the original's defaults.

        Strategy 21, the timestamp as signal id, chain 137, 50 basis points of slippage, at most 100 gwei, valid for
        300 s, a priority of ten times the spread; net profit is the expected one less fees, gas and slippage.
        """
        profit, capital, fees, gas, slippage = (
            units_of(dollars, truncate=True)
            for dollars in (
                economics.expected_profit,
                economics.required_capital,
                economics.dex_fees,
                economics.gas_cost,
                economics.slippage,
            )
        )
        return cls(
            strategy_id=21,
            signal_id=timestamp_ns,
            chain_id=137,
            source_pool=route.source_pool,
            target_pool=route.target_pool,
            source_venue=route.source_venue,
            target_venue=route.target_venue,
            token_in=route.token_in,
            token_out=route.token_out,
            expected_profit_usd_q8=profit,
            required_capital_usd_q8=capital,
            spread_bps=economics.spread_bps,
            dex_fees_usd_q8=fees,
            gas_cost_usd_q8=gas,
            slippage_usd_q8=slippage,
            net_profit_usd_q8=profit - fees - gas - slippage,
            slippage_tolerance_bps=50,
            max_gas_price_gwei=100,
            valid_until=timestamp_ns // NANOSECONDS + LIFETIME_S,
            priority=min(economics.spread_bps * 10, U16_MAX),
            timestamp_ns=timestamp_ns,
        )

    def is_valid_at(self, now_ns: int) -> bool:
        """Whether the second of ``now_ns`` is not later than ``valid_until``."""
        return now_ns // NANOSECONDS <= self.valid_until

    @property
    def expected_profit_usd(self) -> Decimal:
        """The profit before costs in dollars, exactly."""
        return decimal_of(self.expected_profit_usd_q8)

    @property
    def required_capital_usd(self) -> Decimal:
        """The capital in dollars, exactly."""
        return decimal_of(self.required_capital_usd_q8)

    @property
    def dex_fees_usd(self) -> Decimal:
        """The fees in dollars, exactly."""
        return decimal_of(self.dex_fees_usd_q8)

    @property
    def gas_cost_usd(self) -> Decimal:
        """The gas in dollars, exactly."""
        return decimal_of(self.gas_cost_usd_q8)

    @property
    def slippage_usd(self) -> Decimal:
        """The slippage in dollars, exactly."""
        return decimal_of(self.slippage_usd_q8)

    @property
    def net_profit_usd(self) -> Decimal:
        """The profit after costs in dollars, exactly."""
        return decimal_of(self.net_profit_usd_q8)
