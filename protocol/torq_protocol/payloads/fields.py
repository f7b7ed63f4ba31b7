"""The fields of every payload and their places: base classes, to which :mod:`torq_protocol.payloads` adds meaning.

Written by python -m torq_protocol.generate python. Do not edit: protocol/torq_protocol/schema is the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

from ..enumerations import (
    CachePoolType,
    HealthStatus,
    InvalidationReason,
    JournalOperation,
    PoolProtocol,
    RecoveryRequestType,
    Side,
    SnapshotCompression,
)
from ..instrument import InstrumentId
from ..names import AssetType, SourceType, Venue
from .layout import Layout, Slots
from .payload import Payload, Record


@dataclass(frozen=True, slots=True, repr=False)
class OrderLevel(Record):
    """No payload of its own: 24 bytes."""

    SIZE: ClassVar[int] = 24
    LAYOUT: ClassVar[Layout] = Layout(
        "OrderLevel",
        "<qqI4x",
        "price size order_count",
    )

    price: int
    """i64 at offset 0: 1e-8 for exchanges, native for DEX."""
    size: int
    """i64 at offset 8: quantity, same scale rule."""
    order_count: int = 0
    """u32 at offset 16: orders at this level, 0 if the venue does not say."""


@dataclass(frozen=True, slots=True, repr=False)
class Trade(Payload):
    """Type 1: 40 bytes."""

    TLV_TYPE: ClassVar[int] = 1
    SIZE: ClassVar[int] = 40
    LAYOUT: ClassVar[Layout] = Layout(
        "Trade",
        "<QqqQHBBB3x",
        "asset_id price volume execution_timestamp_ns venue_id asset_type reserved side",
        {"side": Side},
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"venue_id": Venue, "asset_type": AssetType}

    asset_id: int
    """u64 at offset 0: from InstrumentId."""
    price: int
    """i64 at offset 8: 1e-8."""
    volume: int
    """i64 at offset 16: 1e-8."""
    execution_timestamp_ns: int
    """u64 at offset 24: time of the trade at the exchange, ns."""
    venue_id: int
    """u16 at offset 32: venue number."""
    asset_type: int
    """u8 at offset 34: from InstrumentId."""
    reserved: int = field(default=0, kw_only=True)
    """u8 at offset 35: from InstrumentId."""
    side: Side
    """u8 at offset 36: 0 buy, 1 sell."""


@dataclass(frozen=True, slots=True, repr=False)
class Quote(Payload):
    """Type 2: 56 bytes."""

    TLV_TYPE: ClassVar[int] = 2
    SIZE: ClassVar[int] = 56
    LAYOUT: ClassVar[Layout] = Layout(
        "Quote",
        "<QqqqqQHBB4x",
        "asset_id bid_price bid_size ask_price ask_size quote_timestamp_ns venue_id asset_type reserved",
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"venue_id": Venue, "asset_type": AssetType}

    asset_id: int
    """u64 at offset 0: from InstrumentId."""
    bid_price: int
    """i64 at offset 8: 1e-8."""
    bid_size: int
    """i64 at offset 16: 1e-8."""
    ask_price: int
    """i64 at offset 24: 1e-8."""
    ask_size: int
    """i64 at offset 32: 1e-8."""
    quote_timestamp_ns: int
    """u64 at offset 40: time of the quote at the exchange, ns."""
    venue_id: int
    """u16 at offset 48: venue number."""
    asset_type: int
    """u8 at offset 50: from InstrumentId."""
    reserved: int = 0
    """u8 at offset 51: from InstrumentId."""


@dataclass(frozen=True, slots=True, repr=False)
class OrderBook(Payload):
    """Type 3: 2456 bytes."""

    TLV_TYPE: ClassVar[int] = 3
    SIZE: ClassVar[int] = 2456
    CAPACITY: ClassVar[int] = 50
    LAYOUT: ClassVar[Layout] = Layout(
        "OrderBook",
        "<QQqQHBB4x1208s1208s",
        "snapshot_timestamp_ns sequence precision_factor asset_id venue_id asset_type reserved bids asks",
        {"bids": Slots(OrderLevel, 50), "asks": Slots(OrderLevel, 50)},
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"venue_id": Venue, "asset_type": AssetType}

    snapshot_timestamp_ns: int
    """u64 at offset 0: time of the snapshot at the exchange, ns."""
    sequence: int
    """u64 at offset 8: book sequence for gap detection."""
    precision_factor: int = field(default=100_000_000, kw_only=True)
    """i64 at offset 16: divisor for price and size; 100 000 000 for exchanges."""
    asset_id: int
    """u64 at offset 24: from InstrumentId."""
    venue_id: int
    """u16 at offset 32: venue number."""
    asset_type: int
    """u8 at offset 34: from InstrumentId."""
    reserved: int = 0
    """u8 at offset 35: from InstrumentId."""
    bids: tuple[OrderLevel, ...] = ()
    """0 to 50 OrderLevel at offset 40: sorted from high to low price."""
    asks: tuple[OrderLevel, ...] = ()
    """0 to 50 OrderLevel at offset 1248: sorted from low to high price."""


@dataclass(frozen=True, slots=True, repr=False)
class PoolLiquidity(Payload):
    """Type 10: 208 bytes."""

    TLV_TYPE: ClassVar[int] = 10
    SIZE: ClassVar[int] = 208
    CAPACITY: ClassVar[int] = 8
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolLiquidity",
        "<Q8x144s20s12xH6x8x",
        "timestamp_ns reserves pool_address venue",
        {"reserves": Slots(int, 8, least=1, gap=8)},
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"venue": Venue}

    timestamp_ns: int
    """u64 at offset 0: ns."""
    reserves: tuple[int, ...]
    """1 to 8 u128 at offset 16: token reserves, native."""
    pool_address: bytes
    """bytes[20] at offset 160: pool contract."""
    venue: int
    """u16 at offset 192: venue number."""


@dataclass(frozen=True, slots=True, repr=False)
class PoolSwap(Payload):
    """Type 11: 208 bytes."""

    TLV_TYPE: ClassVar[int] = 11
    SIZE: ClassVar[int] = 208
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolSwap",
        "<16s16s16sQQiHBB8x20s12x20s12x20s12x32s",
        "amount_in amount_out liquidity_after timestamp_ns block_number tick_after venue amount_in_decimals "
        "amount_out_decimals pool_address token_in_addr token_out_addr sqrt_price_x96_after",
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"venue": Venue}

    amount_in: int
    """u128 at offset 0: native units of the input token."""
    amount_out: int
    """u128 at offset 16: native units of the output token."""
    liquidity_after: int = field(default=0, kw_only=True)
    """u128 at offset 32: liquidity in range once the swap is done; V3."""
    timestamp_ns: int
    """u64 at offset 48: ns."""
    block_number: int
    """u64 at offset 56: block of the swap."""
    tick_after: int = field(default=0, kw_only=True)
    """i32 at offset 64: resulting tick; V3."""
    venue: int
    """u16 at offset 68: venue number."""
    amount_in_decimals: int
    """u8 at offset 70: decimals of the input token."""
    amount_out_decimals: int
    """u8 at offset 71: decimals of the output token."""
    pool_address: bytes
    """bytes[20] at offset 80: pool contract."""
    token_in_addr: bytes
    """bytes[20] at offset 112: input token."""
    token_out_addr: bytes
    """bytes[20] at offset 144: output token."""
    sqrt_price_x96_after: int = 0
    """u256 at offset 176: square root of the price times 2^96, in 32 bytes of which the high 16 are zero; 0 for V2."""


@dataclass(frozen=True, slots=True, repr=False)
class PoolMint(Payload):
    """Type 12: 208 bytes."""

    TLV_TYPE: ClassVar[int] = 12
    SIZE: ClassVar[int] = 208
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolMint",
        "<16s16s16sQiiHBB12x20s12x20s12x20s12x20s12x",
        "liquidity_delta amount0 amount1 timestamp_ns tick_lower tick_upper venue token0_decimals token1_decimals "
        "pool_address provider_addr token0_addr token1_addr",
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"venue": Venue}

    liquidity_delta: int
    """u128 at offset 0: liquidity added, native."""
    amount0: int
    """u128 at offset 16: token 0 moved, native."""
    amount1: int
    """u128 at offset 32: token 1 moved, native."""
    timestamp_ns: int
    """u64 at offset 48: ns."""
    tick_lower: int
    """i32 at offset 56: lower tick, signed."""
    tick_upper: int
    """i32 at offset 60: upper tick, signed."""
    venue: int
    """u16 at offset 64: venue number."""
    token0_decimals: int
    """u8 at offset 66: decimals of token 0."""
    token1_decimals: int
    """u8 at offset 67: decimals of token 1."""
    pool_address: bytes
    """bytes[20] at offset 80: pool contract."""
    provider_addr: bytes
    """bytes[20] at offset 112: liquidity provider."""
    token0_addr: bytes
    """bytes[20] at offset 144: token 0."""
    token1_addr: bytes
    """bytes[20] at offset 176: token 1."""


class PoolBurn(PoolMint):
    """Type 13: the bytes of a PoolMint."""

    __slots__ = ()
    TLV_TYPE: ClassVar[int] = 13
    LAYOUT: ClassVar[Layout] = PoolMint.LAYOUT.named("PoolBurn")


@dataclass(frozen=True, slots=True, repr=False)
class PoolTick(Payload):
    """Type 14: 64 bytes."""

    TLV_TYPE: ClassVar[int] = 14
    SIZE: ClassVar[int] = 64
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolTick",
        "<qQQiH2x20s12x",
        "liquidity_net price_sqrt timestamp_ns tick venue pool_address",
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"venue": Venue}

    liquidity_net: int
    """i64 at offset 0: liquidity step at the tick."""
    price_sqrt: int
    """u64 at offset 8: square root price, called X96 although 64 bits cannot hold that scale."""
    timestamp_ns: int
    """u64 at offset 16: ns."""
    tick: int
    """i32 at offset 24: the tick that was passed."""
    venue: int
    """u16 at offset 28: venue number."""
    pool_address: bytes
    """bytes[20] at offset 32: pool contract."""


@dataclass(frozen=True, slots=True, repr=False)
class PoolState(Payload):
    """Type 15: 192 bytes."""

    TLV_TYPE: ClassVar[int] = 15
    SIZE: ClassVar[int] = 192
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolState",
        "<16s16s16s16sQQiIHBBB3x20s12x20s12x20s12x",
        "reserve0 reserve1 sqrt_price_x96 liquidity block_number timestamp_ns tick fee_rate venue pool_type "
        "token0_decimals token1_decimals pool_address token0_addr token1_addr",
        {"pool_type": PoolProtocol},
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"venue": Venue}

    reserve0: int
    """u128 at offset 0: native; for V3 a derived virtual reserve."""
    reserve1: int
    """u128 at offset 16: native; for V3 a derived virtual reserve."""
    sqrt_price_x96: int = field(default=0, kw_only=True)
    """u128 at offset 32: square root price times 2^96, 0 for V2."""
    liquidity: int = field(default=0, kw_only=True)
    """u128 at offset 48: liquidity in range, 0 for V2."""
    block_number: int
    """u64 at offset 64: block this state holds for."""
    timestamp_ns: int
    """u64 at offset 72: ns."""
    tick: int = field(default=0, kw_only=True)
    """i32 at offset 80: tick at that block, 0 for V2."""
    fee_rate: int
    """u32 at offset 84: basis points, 30 is 0.3 %."""
    venue: int
    """u16 at offset 88: venue number."""
    pool_type: PoolProtocol
    """u8 at offset 90: pool protocol."""
    token0_decimals: int
    """u8 at offset 91: decimals of token 0."""
    token1_decimals: int
    """u8 at offset 92: decimals of token 1."""
    pool_address: bytes
    """bytes[20] at offset 96: pool contract."""
    token0_addr: bytes
    """bytes[20] at offset 128: token 0."""
    token1_addr: bytes
    """bytes[20] at offset 160: token 1."""


@dataclass(frozen=True, slots=True, repr=False)
class PoolSync(Payload):
    """Type 16: 160 bytes."""

    TLV_TYPE: ClassVar[int] = 16
    SIZE: ClassVar[int] = 160
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolSync",
        "<16s16sQQHBB12x20s12x20s12x20s12x",
        "reserve0 reserve1 timestamp_ns block_number venue token0_decimals token1_decimals pool_address token0_addr "
        "token1_addr",
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"venue": Venue}

    reserve0: int
    """u128 at offset 0: full reserve of token 0, native."""
    reserve1: int
    """u128 at offset 16: full reserve of token 1, native."""
    timestamp_ns: int
    """u64 at offset 32: ns."""
    block_number: int
    """u64 at offset 40: block of the event."""
    venue: int
    """u16 at offset 48: venue number."""
    token0_decimals: int
    """u8 at offset 50: decimals of token 0."""
    token1_decimals: int
    """u8 at offset 51: decimals of token 1."""
    pool_address: bytes
    """bytes[20] at offset 64: pool contract."""
    token0_addr: bytes
    """bytes[20] at offset 96: token 0."""
    token1_addr: bytes
    """bytes[20] at offset 128: token 1."""


class QuoteUpdate(Quote):
    """Type 17: the bytes of a Quote."""

    __slots__ = ()
    TLV_TYPE: ClassVar[int] = 17
    LAYOUT: ClassVar[Layout] = Quote.LAYOUT.named("QuoteUpdate")


@dataclass(frozen=True, slots=True, repr=False)
class GasPrice(Payload):
    """Type 18: 32 bytes."""

    TLV_TYPE: ClassVar[int] = 18
    SIZE: ClassVar[int] = 32
    LAYOUT: ClassVar[Layout] = Layout(
        "GasPrice",
        "<QQIIIH2x",
        "block_number timestamp_ns gas_price_gwei base_fee_gwei priority_fee_gwei venue",
    )

    block_number: int
    """u64 at offset 0: block the price holds for."""
    timestamp_ns: int
    """u64 at offset 8: time of observation, ns."""
    gas_price_gwei: int
    """u32 at offset 16: total price, gwei."""
    base_fee_gwei: int
    """u32 at offset 20: base fee, gwei."""
    priority_fee_gwei: int
    """u32 at offset 24: tip, gwei."""
    venue: int = 137
    """u16 at offset 28: EVM network id, 137 on Polygon; not a venue number."""


@dataclass(frozen=True, slots=True, repr=False)
class StateInvalidationReason(Payload):
    """Type 19: 1 bytes."""

    TLV_TYPE: ClassVar[int] = 19
    SIZE: ClassVar[int] = 1
    LAYOUT: ClassVar[Layout] = Layout(
        "StateInvalidationReason",
        "<B",
        "reason",
        {"reason": InvalidationReason},
    )

    reason: InvalidationReason
    """u8 at offset 0: 0 disconnection ... 5 recovery."""


@dataclass(frozen=True, slots=True, repr=False)
class ArbitrageSignal(Payload):
    """Type 32: 170 bytes."""

    TLV_TYPE: ClassVar[int] = 32
    SIZE: ClassVar[int] = 170
    LAYOUT: ClassVar[Layout] = Layout(
        "ArbitrageSignal",
        "<HQI20s20sHH20s20sqqHqqqqHIIH2xQ",
        "strategy_id signal_id chain_id source_pool target_pool source_venue target_venue token_in token_out "
        "expected_profit_usd_q8 required_capital_usd_q8 spread_bps dex_fees_usd_q8 gas_cost_usd_q8 slippage_usd_q8 "
        "net_profit_usd_q8 slippage_tolerance_bps max_gas_price_gwei valid_until priority timestamp_ns",
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"source_venue": Venue, "target_venue": Venue}

    strategy_id: int
    """u16 at offset 0: strategy number."""
    signal_id: int
    """u64 at offset 2: signal number."""
    chain_id: int
    """u32 at offset 10: EVM chain id."""
    source_pool: bytes
    """bytes[20] at offset 14: pool to take from."""
    target_pool: bytes
    """bytes[20] at offset 34: pool to give to."""
    source_venue: int
    """u16 at offset 54: venue number."""
    target_venue: int
    """u16 at offset 56: venue number."""
    token_in: bytes
    """bytes[20] at offset 58: input token."""
    token_out: bytes
    """bytes[20] at offset 78: output token."""
    expected_profit_usd_q8: int
    """i64 at offset 98: USD, 1e-8."""
    required_capital_usd_q8: int
    """i64 at offset 106: USD, 1e-8."""
    spread_bps: int
    """u16 at offset 114: spread, basis points."""
    dex_fees_usd_q8: int
    """i64 at offset 116: USD, 1e-8."""
    gas_cost_usd_q8: int
    """i64 at offset 124: USD, 1e-8."""
    slippage_usd_q8: int
    """i64 at offset 132: USD, 1e-8."""
    net_profit_usd_q8: int
    """i64 at offset 140: USD, 1e-8; expected profit minus fees, gas and slippage."""
    slippage_tolerance_bps: int
    """u16 at offset 148: basis points."""
    max_gas_price_gwei: int
    """u32 at offset 150: gwei."""
    valid_until: int
    """u32 at offset 154: expiry, Unix seconds."""
    priority: int
    """u16 at offset 158: urgency, larger comes first."""
    timestamp_ns: int
    """u64 at offset 162: creation time, ns."""


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot(Payload):
    """Type 101: 32 to 1024 bytes."""

    TLV_TYPE: ClassVar[int] = 101
    SIZE: ClassVar[int] = 32
    LARGEST: ClassVar[int] = 1024
    LAYOUT: ClassVar[Layout] = Layout(
        "Snapshot",
        "<QQIIIBBB1x",
        "sequence timestamp snapshot_id checksum uncompressed_size tlv_type tlv_length compression_type",
        {"tlv_type": 101, "tlv_length": 32, "compression_type": SnapshotCompression},
    )

    sequence: int
    """u64 at offset 0: sequence the snapshot stands for."""
    timestamp: int
    """u64 at offset 8: creation time, ns."""
    snapshot_id: int
    """u32 at offset 16: snapshot number."""
    checksum: int
    """u32 at offset 20: CRC-32 over the data before compression."""
    uncompressed_size: int
    """u32 at offset 24: bytes after decompression."""
    compression_type: SnapshotCompression = SnapshotCompression.NONE
    """u8 at offset 30: 0 none, 1 zlib, 2 lz4, 3 zstd."""
    data: bytes = b""
    """bytes from offset 32: the snapshot, compressed or not: a JSON object."""


@dataclass(frozen=True, slots=True, repr=False)
class StateInvalidation(Payload):
    """Type 106: 224 bytes."""

    TLV_TYPE: ClassVar[int] = 106
    SIZE: ClassVar[int] = 224
    CAPACITY: ClassVar[int] = 16
    LAYOUT: ClassVar[Layout] = Layout(
        "StateInvalidation",
        "<QQ200sHB5x",
        "sequence timestamp_ns instruments venue reason",
        {"instruments": Slots(InstrumentId, 16, least=1), "reason": InvalidationReason},
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"venue": Venue}

    sequence: int
    """u64 at offset 0: sequence number."""
    timestamp_ns: int
    """u64 at offset 8: ns."""
    instruments: tuple[InstrumentId, ...]
    """1 to 16 InstrumentId at offset 16: affected instruments, 12 bytes each."""
    venue: int
    """u16 at offset 216: venue number."""
    reason: InvalidationReason
    """u8 at offset 218: 0 disconnection ... 5 recovery."""


@dataclass(frozen=True, slots=True, repr=False)
class SystemHealth(Payload):
    """Type 107: 48 bytes."""

    TLV_TYPE: ClassVar[int] = 107
    SIZE: ClassVar[int] = 48
    LAYOUT: ClassVar[Layout] = Layout(
        "SystemHealth",
        "<QIIIHHBBBB20x",
        "timestamp_ns connection_count message_rate_per_sec last_error_code error_rate_per_thousand latency_p95_us "
        "service_type health_status cpu_usage_pct memory_usage_pct",
        {"health_status": HealthStatus, "cpu_usage_pct": (0, 100), "memory_usage_pct": (0, 100)},
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"service_type": SourceType}

    timestamp_ns: int
    """u64 at offset 0: time of the check, ns."""
    connection_count: int
    """u32 at offset 8: open connections."""
    message_rate_per_sec: int
    """u32 at offset 12: messages per second."""
    last_error_code: int = field(default=0, kw_only=True)
    """u32 at offset 16: 0 for none."""
    error_rate_per_thousand: int
    """u16 at offset 20: errors per thousand messages."""
    latency_p95_us: int
    """u16 at offset 22: 95th percentile latency, µs."""
    service_type: int
    """u8 at offset 24: source number."""
    health_status: HealthStatus
    """u8 at offset 25: 0 healthy, 1 degraded, 2 unhealthy, 3 unknown."""
    cpu_usage_pct: int
    """u8 at offset 26: 0 to 100."""
    memory_usage_pct: int
    """u8 at offset 27: 0 to 100."""


@dataclass(frozen=True, slots=True, repr=False)
class TraceContext(Payload):
    """Type 108: 32 bytes."""

    TLV_TYPE: ClassVar[int] = 108
    SIZE: ClassVar[int] = 32
    LAYOUT: ClassVar[Layout] = Layout(
        "TraceContext",
        "<QQBBB1x4x8s",
        "start_timestamp_ns current_timestamp_ns source_service span_depth stage_flags trace_id",
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"source_service": SourceType}

    start_timestamp_ns: int
    """u64 at offset 0: start of the trace, ns."""
    current_timestamp_ns: int
    """u64 at offset 8: latest step, ns."""
    source_service: int
    """u8 at offset 16: source number."""
    span_depth: int
    """u8 at offset 17: starts at 0, one more per hop, stops at 255."""
    stage_flags: int
    """u8 at offset 18: bit 0 collected, 1 relayed, 2 processed, 3 executed."""
    trace_id: bytes
    """bytes[8] at offset 24: trace number."""


@dataclass(frozen=True, slots=True, repr=False)
class RecoveryRequest(Payload):
    """Type 110: 24 bytes."""

    TLV_TYPE: ClassVar[int] = 110
    SIZE: ClassVar[int] = 24
    LAYOUT: ClassVar[Layout] = Layout(
        "RecoveryRequest",
        "<QQII",
        "last_sequence current_sequence consumer_id request_type",
        {"request_type": RecoveryRequestType},
    )

    last_sequence: int
    """u64 at offset 0: last sequence received in order."""
    current_sequence: int
    """u64 at offset 8: sequence of the message that showed the gap."""
    consumer_id: int
    """u32 at offset 16: who asks."""
    request_type: RecoveryRequestType
    """u32 at offset 20: 1 retransmit, 2 snapshot."""


@dataclass(frozen=True, slots=True, repr=False)
class PoolInfo(Payload):
    """Type 200: 88 bytes."""

    TLV_TYPE: ClassVar[int] = 200
    SIZE: ClassVar[int] = 88
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolInfo",
        "<QQIHBBBBB1x20s20s20s",
        "discovered_at last_seen fee_tier venue tlv_type tlv_length token0_decimals token1_decimals pool_type "
        "pool_address token0_address token1_address",
        {
            "fee_tier": (0, 10000),
            "tlv_type": 200,
            "tlv_length": 86,
            "token0_decimals": (0, 30),
            "token1_decimals": (0, 30),
            "pool_type": CachePoolType,
        },
    )
    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {"venue": Venue}

    discovered_at: int
    """u64 at offset 0: Unix seconds."""
    last_seen: int
    """u64 at offset 8: Unix seconds."""
    fee_tier: int
    """u32 at offset 16: basis points, at most 10 000."""
    venue: int
    """u16 at offset 20: venue number."""
    token0_decimals: int
    """u8 at offset 24: at most 30."""
    token1_decimals: int
    """u8 at offset 25: at most 30."""
    pool_type: CachePoolType
    """u8 at offset 26: cache pool type."""
    pool_address: bytes
    """bytes[20] at offset 28: pool contract, no filler after it."""
    token0_address: bytes
    """bytes[20] at offset 48: token 0, no filler after it."""
    token1_address: bytes
    """bytes[20] at offset 68: token 1, no filler after it."""


@dataclass(frozen=True, slots=True, repr=False)
class PoolCacheHeader(Payload):
    """Type 201: 64 bytes."""

    TLV_TYPE: ClassVar[int] = 201
    SIZE: ClassVar[int] = 64
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolCacheHeader",
        "<QQ32xIIII",
        "chain_id last_updated version pool_count checksum magic",
        {"version": 1, "magic": 0x4C4F4F50},
    )

    chain_id: int
    """u64 at offset 0: EVM chain id."""
    last_updated: int
    """u64 at offset 8: Unix seconds."""
    pool_count: int
    """u32 at offset 52: records in the file."""
    checksum: int
    """u32 at offset 56: CRC-32 over the pool records."""


@dataclass(frozen=True, slots=True, repr=False)
class PoolCacheJournalEntry(Record):
    """No payload of its own: 104 bytes."""

    SIZE: ClassVar[int] = 104
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolCacheJournalEntry",
        "<Q88sB7x",
        "timestamp pool_info operation",
        {"pool_info": PoolInfo, "operation": JournalOperation},
    )

    timestamp: int
    """u64 at offset 0: Unix seconds."""
    pool_info: PoolInfo
    """PoolInfo at offset 8: the 88-byte record above."""
    operation: JournalOperation
    """u8 at offset 96: 1 add, 2 update, 3 delete."""
