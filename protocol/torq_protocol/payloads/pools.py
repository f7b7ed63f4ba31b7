"""Liquidity pools on EVM chains (types 10 to 16).

Facts:
- amounts and reserves are the token's own smallest units; the decimals that a payload carries make them decimals;
- ``pool_address`` and its like are 20 bytes in the order they are written in hex; the rest of their slot is filler.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Self

from ..enumerations import PoolProtocol
from ..fixed_point import decimal_of
from .layout import Buffer, Layout, ListLayout, WideColumn, wrong_size
from .payload import Payload, Record


@dataclass(frozen=True, slots=True)
class PoolLiquidity(Payload):
    """The reserves of a pool of 1 to 8 tokens, 208 bytes, native units."""

    TLV_TYPE: ClassVar[int] = 10
    LAYOUT: ClassVar[Layout] = Layout("PoolLiquidity", "<Q", "timestamp_ns")
    RESERVES: ClassVar[ListLayout] = ListLayout("PoolLiquidity.reserves", 16, 8, 16, least=1, gap=8)
    POOL: ClassVar[Layout] = Layout("PoolLiquidity", "<20s12xH6x8x", "pool_address venue", start=160)
    SIZE: ClassVar[int] = 208

    timestamp_ns: int
    reserves: tuple[int, ...]
    pool_address: bytes
    venue: int

    def __post_init__(self) -> None:
        Record.__post_init__(self)
        reserves = tuple(
            WideColumn("PoolLiquidity", f"reserves[{place}]", self.RESERVES.slot(place), 16).number(reserve)
            for place, reserve in enumerate(self.reserves)
        )
        self.RESERVES.check(len(reserves))
        object.__setattr__(self, "reserves", reserves)
        self._adopt(self.POOL)

    @classmethod
    def from_bytes(cls, data: Buffer, *, at: int = 0) -> Self:
        """As :meth:`Record.from_bytes`; a count outside 1 to 8 is refused at its offset."""
        if len(data) != cls.SIZE:
            raise wrong_size("PoolLiquidity", str(cls.SIZE), len(data), at)
        head = cls.LAYOUT.unpack(data[: cls.LAYOUT.size], at)
        reserves = tuple(int.from_bytes(each, "little") for each in cls.RESERVES.read(data, at))
        pool, venue = cls.POOL.unpack(data[cls.POOL.start :], at)
        return cls._of(head, ("reserves", reserves), ("pool_address", pool), ("venue", venue))

    def to_bytes(self) -> bytes:
        """The 208 bytes, unused slots zero."""
        reserves = self.RESERVES.write([reserve.to_bytes(16, "little") for reserve in self.reserves])
        head = self.LAYOUT.pack((self.timestamp_ns,)).ljust(self.RESERVES.start, b"\x00")
        return head + reserves + self.POOL.pack((self.pool_address, self.venue))


@dataclass(frozen=True, slots=True)
class PoolSwap(Payload):
    """One swap, 208 bytes. ``liquidity_after``, ``tick_after`` and the price are V3's; a u128 price is times 2^96."""

    TLV_TYPE: ClassVar[int] = 11
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolSwap",
        "<16s16s16sQQiHBB8x20s12x20s12x20s12x32s",
        "amount_in amount_out liquidity_after timestamp_ns block_number tick_after venue amount_in_decimals "
        "amount_out_decimals pool_address token_in_addr token_out_addr sqrt_price_x96_after",
    )

    amount_in: int
    amount_out: int
    liquidity_after: int
    timestamp_ns: int
    block_number: int
    tick_after: int
    venue: int
    amount_in_decimals: int
    amount_out_decimals: int
    pool_address: bytes
    token_in_addr: bytes
    token_out_addr: bytes
    sqrt_price_x96_after: int = 0

    @property
    def amount_in_decimal(self) -> Decimal:
        """What went in, in whole tokens, exactly."""
        return decimal_of(self.amount_in, self.amount_in_decimals)

    @property
    def amount_out_decimal(self) -> Decimal:
        """What came out, in whole tokens, exactly."""
        return decimal_of(self.amount_out, self.amount_out_decimals)


@dataclass(frozen=True, slots=True)
class LiquidityChange(Payload):
    """Liquidity that a provider adds or removes between two ticks, 208 bytes: what PoolMint and PoolBurn share."""

    LAYOUT: ClassVar[Layout] = Layout(
        "PoolMint",
        "<16s16s16sQiiHBB12x20s12x20s12x20s12x20s12x",
        "liquidity_delta amount0 amount1 timestamp_ns tick_lower tick_upper venue token0_decimals token1_decimals "
        "pool_address provider_addr token0_addr token1_addr",
    )

    liquidity_delta: int
    amount0: int
    amount1: int
    timestamp_ns: int
    tick_lower: int
    tick_upper: int
    venue: int
    token0_decimals: int
    token1_decimals: int
    pool_address: bytes
    provider_addr: bytes
    token0_addr: bytes
    token1_addr: bytes

    @property
    def amount0_decimal(self) -> Decimal:
        """What moved of token 0, in whole tokens, exactly."""
        return decimal_of(self.amount0, self.token0_decimals)

    @property
    def amount1_decimal(self) -> Decimal:
        """What moved of token 1, in whole tokens, exactly."""
        return decimal_of(self.amount1, self.token1_decimals)


@dataclass(frozen=True, slots=True)
class PoolMint(LiquidityChange):
    """Liquidity added, type 12."""

    TLV_TYPE: ClassVar[int] = 12


@dataclass(frozen=True, slots=True)
class PoolBurn(LiquidityChange):
    """Liquidity removed, type 13."""

    TLV_TYPE: ClassVar[int] = 13
    LAYOUT: ClassVar[Layout] = LiquidityChange.LAYOUT.named("PoolBurn")


@dataclass(frozen=True, slots=True)
class PoolTick(Payload):
    """A tick that was passed, 64 bytes. ``price_sqrt`` is what the collector sends: a constant."""

    TLV_TYPE: ClassVar[int] = 14
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolTick", "<qQQiH2x20s12x", "liquidity_net price_sqrt timestamp_ns tick venue pool_address"
    )

    liquidity_net: int
    price_sqrt: int
    timestamp_ns: int
    tick: int
    venue: int
    pool_address: bytes


@dataclass(frozen=True, slots=True)
class PoolState(Payload):
    """The state of a pool at a block, 192 bytes. ``fee_rate`` in basis points; price, liquidity and tick 0 for V2."""

    TLV_TYPE: ClassVar[int] = 15
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolState",
        "<16s16s16s16sQQiIHBBB3x20s12x20s12x20s12x",
        "reserve0 reserve1 sqrt_price_x96 liquidity block_number timestamp_ns tick fee_rate venue pool_type "
        "token0_decimals token1_decimals pool_address token0_addr token1_addr",
        rules={"pool_type": PoolProtocol},
    )

    reserve0: int
    reserve1: int
    sqrt_price_x96: int
    liquidity: int
    block_number: int
    timestamp_ns: int
    tick: int
    fee_rate: int
    venue: int
    pool_type: PoolProtocol
    token0_decimals: int
    token1_decimals: int
    pool_address: bytes
    token0_addr: bytes
    token1_addr: bytes

    @property
    def reserve0_decimal(self) -> Decimal:
        """The reserve of token 0 in whole tokens, exactly."""
        return decimal_of(self.reserve0, self.token0_decimals)

    @property
    def reserve1_decimal(self) -> Decimal:
        """The reserve of token 1 in whole tokens, exactly."""
        return decimal_of(self.reserve1, self.token1_decimals)


@dataclass(frozen=True, slots=True)
class PoolSync(Payload):
    """The reserves of a V2 pool after an event, 160 bytes, native units."""

    TLV_TYPE: ClassVar[int] = 16
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolSync",
        "<16s16sQQHBB12x20s12x20s12x20s12x",
        "reserve0 reserve1 timestamp_ns block_number venue token0_decimals token1_decimals pool_address token0_addr "
        "token1_addr",
    )

    reserve0: int
    reserve1: int
    timestamp_ns: int
    block_number: int
    venue: int
    token0_decimals: int
    token1_decimals: int
    pool_address: bytes
    token0_addr: bytes
    token1_addr: bytes

    @property
    def reserve0_decimal(self) -> Decimal:
        """The reserve of token 0 in whole tokens, exactly."""
        return decimal_of(self.reserve0, self.token0_decimals)

    @property
    def reserve1_decimal(self) -> Decimal:
        """The reserve of token 1 in whole tokens, exactly."""
        return decimal_of(self.reserve1, self.token1_decimals)
