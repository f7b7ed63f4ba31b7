"""Every payload that has a layout, declared: sections by domain, fields in wire order, offsets implied.

Facts:
- a payload has exactly the size of its declaration, whichever TLV form carries it (D6); only a Snapshot, a header in
  front of data, varies;
- "1e-8" is an integer count of hundred-millionths; "native" is the token's own smallest unit; timestamps are
  nanoseconds since the Unix epoch where a field says ns, and Unix seconds where it says so;
- a usual value is what a writer may leave out: 0 where only V3 pools have the field, for example;
- in most pool payloads an address fills a 32-byte slot: 20 bytes, then 12 of filler.
"""

from __future__ import annotations

from typing import Final

from construct import Bytes, Construct, GreedyBytes, Struct

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
from .vocabulary import (
    ADDRESS_FILLER,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    U128,
    U256,
    Address,
    AssetTypeNumber,
    Bounded,
    Closed,
    CompilerPadding,
    Filler,
    Fixed8,
    FixedList,
    Marker,
    SourceNumber,
    TimestampNs,
    Usual,
    VenueNumber,
    constant,
)

InstrumentId = "InstrumentId" / Struct(
    "asset_id" / U64 * "meaning depends on the asset type",
    "venue" / VenueNumber * "venue number",
    "asset_type" / AssetTypeNumber * "asset type number",
    "reserved" / U8 * "0; 1 marks a three-token pool",
)

OrderLevel = "OrderLevel" / Struct(
    "price" / I64 * "1e-8 for exchanges, native for DEX",
    "size" / I64 * "quantity, same scale rule",
    "order_count" / Usual(0, U32) * "orders at this level, 0 if the venue does not say",
    "reserved" / Filler(4) * "zero",
)

# Market data, 1 to 19

Trade = "Trade" / Struct(
    "asset_id" / U64 * "from InstrumentId",
    "price" / Fixed8 * "1e-8",
    "volume" / Fixed8 * "1e-8",
    "execution_timestamp_ns" / TimestampNs * "time of the trade at the exchange, ns",
    "venue_id" / VenueNumber * "venue number",
    "asset_type" / AssetTypeNumber * "from InstrumentId",
    "reserved" / Usual(0, U8) * "from InstrumentId",
    "side" / Closed(U8, Side) * "0 buy, 1 sell",
    "_padding" / Filler(3) * "zero",
)

_QUOTE = (
    "asset_id" / U64 * "from InstrumentId",
    "bid_price" / Fixed8 * "1e-8",
    "bid_size" / Fixed8 * "1e-8",
    "ask_price" / Fixed8 * "1e-8",
    "ask_size" / Fixed8 * "1e-8",
    "quote_timestamp_ns" / TimestampNs * "time of the quote at the exchange, ns",
    "venue_id" / VenueNumber * "venue number",
    "asset_type" / AssetTypeNumber * "from InstrumentId",
    "reserved" / Usual(0, U8) * "from InstrumentId",
    "_padding" / Filler(4) * "zero",
)
Quote = "Quote" / Struct(*_QUOTE)
QuoteUpdate = "QuoteUpdate" / Struct(*_QUOTE)

OrderBook = "OrderBook" / Struct(
    "snapshot_timestamp_ns" / TimestampNs * "time of the snapshot at the exchange, ns",
    "sequence" / U64 * "book sequence for gap detection",
    "precision_factor" / Usual(100_000_000, I64) * "divisor for price and size; 100 000 000 for exchanges",
    "asset_id" / U64 * "from InstrumentId",
    "venue_id" / VenueNumber * "venue number",
    "asset_type" / AssetTypeNumber * "from InstrumentId",
    "reserved" / Usual(0, U8) * "from InstrumentId",
    CompilerPadding(4),
    "bids" / FixedList(OrderLevel, 50) * "sorted from high to low price",
    "asks" / FixedList(OrderLevel, 50) * "sorted from low to high price",
)

PoolLiquidity = "PoolLiquidity" / Struct(
    "timestamp_ns" / TimestampNs * "ns",
    CompilerPadding(8),
    "reserves" / FixedList(U128, 8, least=1, gap=8) * "token reserves, native",
    "pool_address" / Address * "pool contract",
    "pool_address_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
    "venue" / VenueNumber * "venue number",
    "_padding" / Filler(6) * "zero",
    CompilerPadding(8),
)

PoolSwap = "PoolSwap" / Struct(
    "amount_in" / U128 * "native units of the input token",
    "amount_out" / U128 * "native units of the output token",
    "liquidity_after" / Usual(0, U128) * "liquidity in range once the swap is done; V3",
    "timestamp_ns" / TimestampNs * "ns",
    "block_number" / U64 * "block of the swap",
    "tick_after" / Usual(0, I32) * "resulting tick; V3",
    "venue" / VenueNumber * "venue number",
    "amount_in_decimals" / U8 * "decimals of the input token",
    "amount_out_decimals" / U8 * "decimals of the output token",
    "_padding" / Filler(8) * "zero",
    "pool_address" / Address * "pool contract",
    "pool_address_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
    "token_in_addr" / Address * "input token",
    "token_in_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
    "token_out_addr" / Address * "output token",
    "token_out_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
    "sqrt_price_x96_after"
    / Usual(0, Bounded(U256, 0, 2**128 - 1))
    * "square root of the price times 2^96, in 32 bytes of which the high 16 are zero; 0 for V2",
)

_MINT_OR_BURN = (
    "amount0" / U128 * "token 0 moved, native",
    "amount1" / U128 * "token 1 moved, native",
    "timestamp_ns" / TimestampNs * "ns",
    "tick_lower" / I32 * "lower tick, signed",
    "tick_upper" / I32 * "upper tick, signed",
    "venue" / VenueNumber * "venue number",
    "token0_decimals" / U8 * "decimals of token 0",
    "token1_decimals" / U8 * "decimals of token 1",
    "_padding" / Filler(12) * "zero",
    "pool_address" / Address * "pool contract",
    "pool_address_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
    "provider_addr" / Address * "liquidity provider",
    "provider_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
    "token0_addr" / Address * "token 0",
    "token0_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
    "token1_addr" / Address * "token 1",
    "token1_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
)
PoolMint = "PoolMint" / Struct("liquidity_delta" / U128 * "liquidity added, native", *_MINT_OR_BURN)
PoolBurn = "PoolBurn" / Struct("liquidity_delta" / U128 * "liquidity removed, native", *_MINT_OR_BURN)

PoolTick = "PoolTick" / Struct(
    "liquidity_net" / I64 * "liquidity step at the tick",
    "price_sqrt" / U64 * "square root price, called X96 although 64 bits cannot hold that scale",
    "timestamp_ns" / TimestampNs * "ns",
    "tick" / I32 * "the tick that was passed",
    "venue" / VenueNumber * "venue number",
    "_padding" / Filler(2) * "zero",
    "pool_address" / Address * "pool contract",
    "pool_address_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
)

PoolState = "PoolState" / Struct(
    "reserve0" / U128 * "native; for V3 a derived virtual reserve",
    "reserve1" / U128 * "native; for V3 a derived virtual reserve",
    "sqrt_price_x96" / Usual(0, U128) * "square root price times 2^96, 0 for V2",
    "liquidity" / Usual(0, U128) * "liquidity in range, 0 for V2",
    "block_number" / U64 * "block this state holds for",
    "timestamp_ns" / TimestampNs * "ns",
    "tick" / Usual(0, I32) * "tick at that block, 0 for V2",
    "fee_rate" / U32 * "basis points, 30 is 0.3 %",
    "venue" / VenueNumber * "venue number",
    "pool_type" / Closed(U8, PoolProtocol) * "pool protocol",
    "token0_decimals" / U8 * "decimals of token 0",
    "token1_decimals" / U8 * "decimals of token 1",
    "_padding" / Filler(3) * "zero",
    "pool_address" / Address * "pool contract",
    "pool_address_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
    "token0_addr" / Address * "token 0",
    "token0_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
    "token1_addr" / Address * "token 1",
    "token1_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
)

PoolSync = "PoolSync" / Struct(
    "reserve0" / U128 * "full reserve of token 0, native",
    "reserve1" / U128 * "full reserve of token 1, native",
    "timestamp_ns" / TimestampNs * "ns",
    "block_number" / U64 * "block of the event",
    "venue" / VenueNumber * "venue number",
    "token0_decimals" / U8 * "decimals of token 0",
    "token1_decimals" / U8 * "decimals of token 1",
    "_padding" / Filler(12) * "zero",
    "pool_address" / Address * "pool contract",
    "pool_address_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
    "token0_addr" / Address * "token 0",
    "token0_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
    "token1_addr" / Address * "token 1",
    "token1_padding" / Filler(ADDRESS_FILLER) * "zero fill after the address",
)

GasPrice = "GasPrice" / Struct(
    "block_number" / U64 * "block the price holds for",
    "timestamp_ns" / TimestampNs * "time of observation, ns",
    "gas_price_gwei" / U32 * "total price, gwei",
    "base_fee_gwei" / U32 * "base fee, gwei",
    "priority_fee_gwei" / U32 * "tip, gwei",
    "venue" / Usual(137, U16) * "EVM network id, 137 on Polygon; not a venue number",
    "reserved" / Filler(2) * "zero",
)

StateInvalidationReason = "StateInvalidationReason" / Struct(
    "reason" / Closed(U8, InvalidationReason) * "0 disconnection ... 5 recovery",
)

# Signal, 20 to 39

ArbitrageSignal = "ArbitrageSignal" / Struct(
    "strategy_id" / U16 * "strategy number",
    "signal_id" / U64 * "signal number",
    "chain_id" / U32 * "EVM chain id",
    "source_pool" / Address * "pool to take from",
    "target_pool" / Address * "pool to give to",
    "source_venue" / VenueNumber * "venue number",
    "target_venue" / VenueNumber * "venue number",
    "token_in" / Address * "input token",
    "token_out" / Address * "output token",
    "expected_profit_usd_q8" / Fixed8 * "USD, 1e-8",
    "required_capital_usd_q8" / Fixed8 * "USD, 1e-8",
    "spread_bps" / U16 * "spread, basis points",
    "dex_fees_usd_q8" / Fixed8 * "USD, 1e-8",
    "gas_cost_usd_q8" / Fixed8 * "USD, 1e-8",
    "slippage_usd_q8" / Fixed8 * "USD, 1e-8",
    "net_profit_usd_q8" / Fixed8 * "USD, 1e-8; expected profit minus fees, gas and slippage",
    "slippage_tolerance_bps" / U16 * "basis points",
    "max_gas_price_gwei" / U32 * "gwei",
    "valid_until" / U32 * "expiry, Unix seconds",
    "priority" / U16 * "urgency, larger comes first",
    "reserved" / Filler(2) * "zero",
    "timestamp_ns" / TimestampNs * "creation time, ns",
)

# System, 80 to 119

SnapshotHeader = "SnapshotHeader" / Struct(
    "sequence" / U64 * "sequence the snapshot stands for",
    "timestamp" / TimestampNs * "creation time, ns",
    "snapshot_id" / U32 * "snapshot number",
    "checksum" / U32 * "CRC-32 over the data before compression",
    "uncompressed_size" / U32 * "bytes after decompression",
    "tlv_type" / constant(U8, 101) * "101",
    "tlv_length" / constant(U8, 32) * "32, this header only",
    "compression_type"
    / Usual(SnapshotCompression.NONE, Closed(U8, SnapshotCompression))
    * "0 none, 1 zlib, 2 lz4, 3 zstd",
    "_padding" / Filler(1) * "zero",
)
Snapshot = "Snapshot" / Struct(
    "header" / SnapshotHeader,
    "data" / GreedyBytes * "the snapshot, compressed or not: a JSON object",
)

StateInvalidation = "StateInvalidation" / Struct(
    "sequence" / U64 * "sequence number",
    "timestamp_ns" / TimestampNs * "ns",
    "instruments" / FixedList(InstrumentId, 16, least=1) * "affected instruments, 12 bytes each",
    "venue" / VenueNumber * "venue number",
    "reason" / Closed(U8, InvalidationReason) * "0 disconnection ... 5 recovery",
    "_padding" / Filler(5) * "zero",
)

SystemHealth = "SystemHealth" / Struct(
    "timestamp_ns" / TimestampNs * "time of the check, ns",
    "connection_count" / U32 * "open connections",
    "message_rate_per_sec" / U32 * "messages per second",
    "last_error_code" / Usual(0, U32) * "0 for none",
    "error_rate_per_thousand" / U16 * "errors per thousand messages",
    "latency_p95_us" / U16 * "95th percentile latency, µs",
    "service_type" / SourceNumber * "source number",
    "health_status" / Closed(U8, HealthStatus) * "0 healthy, 1 degraded, 2 unhealthy, 3 unknown",
    "cpu_usage_pct" / Bounded(U8, 0, 100) * "0 to 100",
    "memory_usage_pct" / Bounded(U8, 0, 100) * "0 to 100",
    "reserved" / Filler(20) * "zero",
)

TraceContext = "TraceContext" / Struct(
    "start_timestamp_ns" / TimestampNs * "start of the trace, ns",
    "current_timestamp_ns" / TimestampNs * "latest step, ns",
    "source_service" / SourceNumber * "source number",
    "span_depth" / U8 * "starts at 0, one more per hop, stops at 255",
    "stage_flags" / U8 * "bit 0 collected, 1 relayed, 2 processed, 3 executed",
    "reserved" / Filler(1) * "zero",
    "_padding" / Filler(4) * "zero",
    "trace_id" / Bytes(8) * "trace number",
)

RecoveryRequest = "RecoveryRequest" / Struct(
    "last_sequence" / U64 * "last sequence received in order",
    "current_sequence" / U64 * "sequence of the message that showed the gap",
    "consumer_id" / U32 * "who asks",
    "request_type" / Closed(U32, RecoveryRequestType) * "1 retransmit, 2 snapshot",
)

# Vendor, 200 to 254, and the records of the pool cache file

PoolInfo = "PoolInfo" / Struct(
    "discovered_at" / U64 * "Unix seconds",
    "last_seen" / U64 * "Unix seconds",
    "fee_tier" / Bounded(U32, 0, 10_000) * "basis points, at most 10 000",
    "venue" / VenueNumber * "venue number",
    "tlv_type" / constant(U8, 200) * "200",
    "tlv_length" / constant(U8, 86) * "86, the size less two",
    "token0_decimals" / Bounded(U8, 0, 30) * "at most 30",
    "token1_decimals" / Bounded(U8, 0, 30) * "at most 30",
    "pool_type" / Closed(U8, CachePoolType) * "cache pool type",
    "_padding" / Filler(1) * "zero",
    "pool_address" / Address * "pool contract, no filler after it",
    "token0_address" / Address * "token 0, no filler after it",
    "token1_address" / Address * "token 1, no filler after it",
)

PoolCacheHeader = "PoolCacheHeader" / Struct(
    "chain_id" / U64 * "EVM chain id",
    "last_updated" / U64 * "Unix seconds",
    "reserved" / Filler(32) * "zero",
    "version" / constant(U32, 1) * "1",
    "pool_count" / U32 * "records in the file",
    "checksum" / U32 * "CRC-32 over the pool records",
    "magic" / Marker(b"POOL") * "the ASCII letters POOL; the magic is last",
)

PoolCacheJournalEntry = "PoolCacheJournalEntry" / Struct(
    "timestamp" / U64 * "Unix seconds",
    "pool_info" / PoolInfo * "the 88-byte record above",
    "operation" / Closed(U8, JournalOperation) * "1 add, 2 update, 3 delete",
    "_padding" / Filler(7) * "zero",
)

PAYLOADS: Final[dict[int, Construct]] = {
    1: Trade,
    2: Quote,
    3: OrderBook,
    10: PoolLiquidity,
    11: PoolSwap,
    12: PoolMint,
    13: PoolBurn,
    14: PoolTick,
    15: PoolState,
    16: PoolSync,
    17: QuoteUpdate,
    18: GasPrice,
    19: StateInvalidationReason,
    32: ArbitrageSignal,
    101: Snapshot,
    106: StateInvalidation,
    107: SystemHealth,
    108: TraceContext,
    110: RecoveryRequest,
    200: PoolInfo,
    201: PoolCacheHeader,
}
"""The declaration of every TLV type that has a layout, by type number."""

RECORDS: Final[dict[str, Construct]] = {
    record.name: record for record in (InstrumentId, OrderLevel, SnapshotHeader, PoolCacheJournalEntry)
}
"""Layouts that are parts of payloads or of files, by name."""
