"""Liquidity pools on EVM chains (types 10 to 16).

Facts:
- amounts and reserves are the token's own smallest units; the decimals that a payload carries make them decimals;
- ``pool_address`` and its like are 20 bytes in the order they are written in hex; the rest of their slot is filler.
"""

from __future__ import annotations

from decimal import Decimal

from ..fixed_point import decimal_of
from . import fields


class PoolLiquidity(fields.PoolLiquidity):
    """The reserves of a pool of 1 to 8 tokens, 208 bytes, native units."""

    __slots__ = ()


class PoolSwap(fields.PoolSwap):
    """One swap, 208 bytes. ``liquidity_after``, ``tick_after`` and the price are V3's; a u128 price is times 2^96."""

    __slots__ = ()

    @property
    def amount_in_decimal(self) -> Decimal:
        """What went in, in whole tokens, exactly."""
        return decimal_of(self.amount_in, self.amount_in_decimals)

    @property
    def amount_out_decimal(self) -> Decimal:
        """What came out, in whole tokens, exactly."""
        return decimal_of(self.amount_out, self.amount_out_decimals)


class LiquidityChange(fields.PoolMint):
    """Liquidity that a provider adds or removes between two ticks, 208 bytes: what PoolMint and PoolBurn share."""

    __slots__ = ()

    @property
    def amount0_decimal(self) -> Decimal:
        """What moved of token 0, in whole tokens, exactly."""
        return decimal_of(self.amount0, self.token0_decimals)

    @property
    def amount1_decimal(self) -> Decimal:
        """What moved of token 1, in whole tokens, exactly."""
        return decimal_of(self.amount1, self.token1_decimals)


class PoolMint(LiquidityChange):
    """Liquidity added, type 12."""

    __slots__ = ()


class PoolBurn(LiquidityChange, fields.PoolBurn):
    """Liquidity removed, type 13."""

    __slots__ = ()


class PoolTick(fields.PoolTick):
    """A tick that was passed, 64 bytes. ``price_sqrt`` is what the collector sends: a constant."""

    __slots__ = ()


class PoolState(fields.PoolState):
    """The state of a pool at a block, 192 bytes. ``fee_rate`` in basis points; price, liquidity and tick 0 for V2."""

    __slots__ = ()

    @property
    def reserve0_decimal(self) -> Decimal:
        """The reserve of token 0 in whole tokens, exactly."""
        return decimal_of(self.reserve0, self.token0_decimals)

    @property
    def reserve1_decimal(self) -> Decimal:
        """The reserve of token 1 in whole tokens, exactly."""
        return decimal_of(self.reserve1, self.token1_decimals)


class PoolSync(fields.PoolSync):
    """The reserves of a V2 pool after an event, 160 bytes, native units."""

    __slots__ = ()

    @property
    def reserve0_decimal(self) -> Decimal:
        """The reserve of token 0 in whole tokens, exactly."""
        return decimal_of(self.reserve0, self.token0_decimals)

    @property
    def reserve1_decimal(self) -> Decimal:
        """The reserve of token 1 in whole tokens, exactly."""
        return decimal_of(self.reserve1, self.token1_decimals)
