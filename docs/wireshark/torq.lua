-- Wireshark dissector of Torq Protocol V2.
-- Written by python -m torq_protocol.generate dissector. Do not edit: the protocol schema is the source.
--
-- Use: wireshark -X lua_script:torq.lua, or copy it to the personal Lua plugins folder.
-- TCP: port 7411 (preference torq_tcp.ports), and any port by its first bytes.
-- Unix sockets: captures of link type USER0 (preference torq.user_dlt) whose packets hold whole messages.

local MAGIC, HEADER_SIZE, MAX_MESSAGE_SIZE = 0xdeadbeef, 32, 1048576
local DEFAULT_TCP_PORT = 7411
local NAMES = {
  domain = { [1] = "market data", [2] = "signal", [3] = "execution", [4] = "system" },
  tlv_type = { [1] = "Trade", [2] = "Quote", [3] = "OrderBook", [4] = "InstrumentMeta", [5] = "L2Snapshot", [6] = "L2Delta", [7] = "L2Reset", [8] = "PriceUpdate", [9] = "VolumeUpdate", [10] = "PoolLiquidity", [11] = "PoolSwap", [12] = "PoolMint", [13] = "PoolBurn", [14] = "PoolTick", [15] = "PoolState", [16] = "PoolSync", [17] = "QuoteUpdate", [18] = "GasPrice", [19] = "StateInvalidationReason", [20] = "SignalIdentity", [21] = "AssetCorrelation", [22] = "Economics", [23] = "ExecutionAddresses", [24] = "VenueMetadata", [25] = "StateReference", [26] = "ExecutionControl", [27] = "PoolAddresses", [28] = "MEVBundle", [29] = "TertiaryVenue", [30] = "RiskParameters", [31] = "PerformanceMetrics", [32] = "ArbitrageSignal", [40] = "OrderRequest", [41] = "OrderStatus", [42] = "Fill", [43] = "OrderCancel", [44] = "OrderModify", [45] = "ExecutionReport", [46] = "Portfolio", [47] = "Position", [48] = "Balance", [49] = "TradeConfirmation", [60] = "RiskDecision", [61] = "PositionUpdate", [62] = "RiskAlert", [63] = "CollateralUpdate", [64] = "ExposureReport", [65] = "PortfolioEvent", [66] = "RiskThreshold", [67] = "FlashLoanResult", [68] = "PostTradeAnalytics", [69] = "PositionQuery", [70] = "RiskMetrics", [71] = "CircuitBreaker", [72] = "StrategyRegistration", [80] = "ComplianceCheck", [81] = "AuditTrail", [82] = "RegulatoryReport", [83] = "TradeBreakdown", [84] = "SettlementInstruction", [85] = "ClearingReport", [86] = "MarginCall", [87] = "CustodyEvent", [88] = "VenueConnectivity", [89] = "CrossVenueSpread", [90] = "ArbitrageExecution", [100] = "Heartbeat", [101] = "Snapshot", [102] = "Error", [103] = "ConfigUpdate", [104] = "ServiceDiscovery", [105] = "ResourceUsage", [106] = "StateInvalidation", [107] = "SystemHealth", [108] = "TraceContext", [110] = "RecoveryRequest", [111] = "RecoveryResponse", [112] = "SequenceSync", [200] = "PoolInfo", [201] = "PoolCacheHeader", [202] = "ProprietaryData", [203] = "CustomMetrics", [204] = "ExperimentalSignal", [255] = "ExtendedTLV" },
  source = { [1] = "BinanceCollector", [2] = "KrakenCollector", [3] = "CoinbaseCollector", [4] = "PolygonCollector", [5] = "GeminiCollector", [20] = "ArbitrageStrategy", [21] = "MarketMaker", [22] = "TrendFollower", [23] = "KrakenSignalStrategy", [40] = "PortfolioManager", [41] = "RiskManager", [42] = "ExecutionEngine", [60] = "Dashboard", [61] = "MetricsCollector", [62] = "StateManager", [80] = "MarketDataRelay", [81] = "SignalRelay", [82] = "ExecutionRelay" },
  venue = { [0] = "Generic", [1] = "NYSE", [2] = "NASDAQ", [3] = "LSE", [4] = "TSE", [5] = "HKEX", [100] = "Binance", [101] = "Kraken", [102] = "Coinbase", [103] = "Huobi", [104] = "OKEx", [105] = "FTX", [106] = "Bybit", [107] = "KuCoin", [108] = "Gemini", [200] = "Ethereum", [201] = "Bitcoin", [202] = "Polygon", [203] = "BinanceSmartChain", [204] = "Avalanche", [205] = "Fantom", [206] = "Arbitrum", [207] = "Optimism", [208] = "Solana", [209] = "Cardano", [210] = "Polkadot", [211] = "Cosmos", [300] = "UniswapV2", [301] = "UniswapV3", [302] = "SushiSwap", [303] = "Curve", [304] = "Balancer", [305] = "Aave", [306] = "Compound", [307] = "MakerDAO", [308] = "Yearn", [309] = "Synthetix", [310] = "DYdX", [400] = "QuickSwap", [401] = "SushiSwapPolygon", [402] = "CurvePolygon", [403] = "AavePolygon", [404] = "BalancerPolygon", [500] = "PancakeSwap", [501] = "VenusProtocol", [600] = "UniswapV3Arbitrum", [601] = "SushiSwapArbitrum", [602] = "CurveArbitrum", [700] = "Deribit", [701] = "BybitDerivatives", [702] = "OpynProtocol", [703] = "Hegic", [800] = "COMEX", [801] = "CME", [802] = "ICE", [803] = "ForexCom", [65000] = "TestVenue", [65001] = "MockExchange" },
  asset_type = { [1] = "Stock", [2] = "Bond", [3] = "ETF", [4] = "Commodity", [5] = "Currency", [6] = "Index", [50] = "Token", [51] = "Coin", [52] = "NFT", [53] = "StableCoin", [54] = "WrappedToken", [100] = "Pool", [101] = "LPToken", [102] = "YieldToken", [103] = "SyntheticAsset", [104] = "DerivativeToken", [105] = "GovernanceToken", [150] = "Option", [151] = "Future", [152] = "Swap", [153] = "Forward", [154] = "CDS", [200] = "StructuredNote", [201] = "ConvertibleBond", [250] = "TestAsset", [251] = "MockAsset" },
  Side = { [0] = "buy", [1] = "sell" },
  PoolProtocol = { [0] = "uniswap v2", [1] = "uniswap v3", [2] = "sushiswap v2", [3] = "quickswap v3", [4] = "curve", [5] = "balancer" },
  InvalidationReason = { [0] = "disconnection", [1] = "authentication failure", [2] = "rate limited", [3] = "staleness", [4] = "maintenance", [5] = "recovery" },
  SnapshotCompression = { [0] = "none", [1] = "zlib", [2] = "lz4", [3] = "zstd" },
  HealthStatus = { [0] = "healthy", [1] = "degraded", [2] = "unhealthy", [3] = "unknown" },
  RecoveryRequestType = { [1] = "retransmit", [2] = "snapshot" },
  CachePoolType = { [1] = "uniswap v2", [2] = "uniswap v3", [3] = "quickswap v2", [4] = "quickswap v3", [5] = "sushiswap v2", [6] = "curve v2", [7] = "balancer v2" },
}
local ERRORS = {
  truncated_header = "fewer than 32 bytes where a header was expected",
  bad_magic = "no magic where a message should begin",
  oversize = "the header announces more than the maximum message size",
  bad_domain = "the domain is not 1 to 4",
  truncated_payload = "fewer bytes than the header announces",
  bad_checksum = "the checksum is wrong",
  truncated_tlv_header = "the payload ends inside a TLV header",
  truncated_tlv = "the payload ends inside a TLV value",
  bad_reserved_byte = "the reserved byte of an extended TLV header is not 0",
  bad_extended_type = "the inner type of an extended TLV is 0 or 255",
  bad_tlv_size = "the value has a size that its type does not allow",
  bad_value = "a field holds what its type does not allow",
}
local SIZES = {
  [1] = { 40, 40 },
  [2] = { 56, 56 },
  [3] = { 2456, 2456 },
  [10] = { 208, 208 },
  [11] = { 208, 208 },
  [12] = { 208, 208 },
  [13] = { 208, 208 },
  [14] = { 64, 64 },
  [15] = { 192, 192 },
  [16] = { 160, 160 },
  [17] = { 56, 56 },
  [18] = { 32, 32 },
  [19] = { 1, 1 },
  [20] = { 16, 16 },
  [21] = { 24, 24 },
  [22] = { 32, 32 },
  [23] = { 84, 84 },
  [24] = { 12, 12 },
  [25] = { 24, 24 },
  [26] = { 16, 16 },
  [27] = { 44, 44 },
  [28] = { 40, 40 },
  [29] = { 24, 24 },
  [30] = { 24, 512 },
  [31] = { 32, 1024 },
  [32] = { 170, 170 },
  [40] = { 32, 32 },
  [41] = { 24, 24 },
  [42] = { 32, 32 },
  [43] = { 16, 16 },
  [44] = { 24, 24 },
  [45] = { 48, 48 },
  [46] = { 32, 2048 },
  [47] = { 24, 512 },
  [48] = { 16, 256 },
  [49] = { 32, 256 },
  [60] = { 32, 32 },
  [61] = { 40, 512 },
  [62] = { 24, 256 },
  [63] = { 48, 48 },
  [64] = { 32, 1024 },
  [65] = { 32, 512 },
  [66] = { 40, 40 },
  [67] = { 48, 256 },
  [68] = { 64, 512 },
  [69] = { 32, 32 },
  [70] = { 48, 1024 },
  [71] = { 24, 24 },
  [72] = { 32, 256 },
  [80] = { 32, 512 },
  [81] = { 48, 2048 },
  [82] = { 64, 4096 },
  [83] = { 48, 1024 },
  [84] = { 40, 512 },
  [85] = { 32, 512 },
  [86] = { 48, 48 },
  [87] = { 40, 256 },
  [88] = { 32, 32 },
  [89] = { 40, 40 },
  [90] = { 48, 256 },
  [100] = { 16, 16 },
  [101] = { 32, 1024 },
  [102] = { 16, 512 },
  [103] = { 20, 2048 },
  [104] = { 24, 512 },
  [105] = { 64, 64 },
  [106] = { 224, 224 },
  [107] = { 48, 48 },
  [108] = { 32, 32 },
  [110] = { 24, 24 },
  [111] = { 20, 1024 },
  [112] = { 16, 256 },
  [200] = { 88, 88 },
  [201] = { 64, 64 },
}
local RECORDS = {
  InstrumentId = { { name = "asset_id", offset = 0, type = "u64", size = 8, hex = true }, { name = "venue", offset = 8, type = "u16", size = 2, names = "venue" }, { name = "asset_type", offset = 10, type = "u8", size = 1, names = "asset_type" }, { name = "reserved", offset = 11, type = "u8", size = 1 } },
  OrderLevel = { { name = "price", offset = 0, type = "i64", size = 8 }, { name = "size", offset = 8, type = "i64", size = 8 }, { name = "order_count", offset = 16, type = "u32", size = 4 } },
}
local HEADER = {
  { name = "magic", offset = 0, type = "u32", size = 4, hex = true },
  { name = "relay_domain", offset = 4, type = "u8", size = 1, names = "domain" },
  { name = "version", offset = 5, type = "u8", size = 1 },
  { name = "source", offset = 6, type = "u8", size = 1, names = "source" },
  { name = "flags", offset = 7, type = "u8", size = 1 },
  { name = "sequence", offset = 8, type = "u64", size = 8 },
  { name = "timestamp", offset = 16, type = "u64", size = 8, time = true },
  { name = "payload_size", offset = 24, type = "u32", size = 4 },
  { name = "checksum", offset = 28, type = "u32", size = 4, hex = true },
}
local PAYLOADS = {
  [1] = { filter = "trade", fields = { { name = "asset_id", offset = 0, type = "u64", size = 8, hex = true }, { name = "price", offset = 8, type = "i64", size = 8, scale = true }, { name = "volume", offset = 16, type = "i64", size = 8, scale = true }, { name = "execution_timestamp_ns", offset = 24, type = "u64", size = 8, time = true }, { name = "venue_id", offset = 32, type = "u16", size = 2, names = "venue" }, { name = "asset_type", offset = 34, type = "u8", size = 1, names = "asset_type" }, { name = "reserved", offset = 35, type = "u8", size = 1 }, { name = "side", offset = 36, type = "u8", size = 1, names = "Side", closed = true } } },
  [2] = { filter = "quote", fields = { { name = "asset_id", offset = 0, type = "u64", size = 8, hex = true }, { name = "bid_price", offset = 8, type = "i64", size = 8, scale = true }, { name = "bid_size", offset = 16, type = "i64", size = 8, scale = true }, { name = "ask_price", offset = 24, type = "i64", size = 8, scale = true }, { name = "ask_size", offset = 32, type = "i64", size = 8, scale = true }, { name = "quote_timestamp_ns", offset = 40, type = "u64", size = 8, time = true }, { name = "venue_id", offset = 48, type = "u16", size = 2, names = "venue" }, { name = "asset_type", offset = 50, type = "u8", size = 1, names = "asset_type" }, { name = "reserved", offset = 51, type = "u8", size = 1 } } },
  [3] = { filter = "order_book", fields = { { name = "snapshot_timestamp_ns", offset = 0, type = "u64", size = 8, time = true }, { name = "sequence", offset = 8, type = "u64", size = 8 }, { name = "precision_factor", offset = 16, type = "i64", size = 8 }, { name = "asset_id", offset = 24, type = "u64", size = 8, hex = true }, { name = "venue_id", offset = 32, type = "u16", size = 2, names = "venue" }, { name = "asset_type", offset = 34, type = "u8", size = 1, names = "asset_type" }, { name = "reserved", offset = 35, type = "u8", size = 1 }, { name = "bids", offset = 48, type = "OrderLevel", size = 24, repeat_count = 50, count_at = 40, least = 0 }, { name = "asks", offset = 1256, type = "OrderLevel", size = 24, repeat_count = 50, count_at = 1248, least = 0 } } },
  [10] = { filter = "pool_liquidity", fields = { { name = "timestamp_ns", offset = 0, type = "u64", size = 8, time = true }, { name = "reserves", offset = 32, type = "u128", size = 16, repeat_count = 8, count_at = 16, least = 1 }, { name = "pool_address", offset = 160, type = "bytes", size = 20 }, { name = "venue", offset = 192, type = "u16", size = 2, names = "venue" } } },
  [11] = { filter = "pool_swap", fields = { { name = "amount_in", offset = 0, type = "u128", size = 16 }, { name = "amount_out", offset = 16, type = "u128", size = 16 }, { name = "liquidity_after", offset = 32, type = "u128", size = 16 }, { name = "timestamp_ns", offset = 48, type = "u64", size = 8, time = true }, { name = "block_number", offset = 56, type = "u64", size = 8 }, { name = "tick_after", offset = 64, type = "i32", size = 4 }, { name = "venue", offset = 68, type = "u16", size = 2, names = "venue" }, { name = "amount_in_decimals", offset = 70, type = "u8", size = 1 }, { name = "amount_out_decimals", offset = 71, type = "u8", size = 1 }, { name = "pool_address", offset = 80, type = "bytes", size = 20 }, { name = "token_in_addr", offset = 112, type = "bytes", size = 20 }, { name = "token_out_addr", offset = 144, type = "bytes", size = 20 }, { name = "sqrt_price_x96_after", offset = 176, type = "u256", size = 32 } } },
  [12] = { filter = "pool_mint", fields = { { name = "liquidity_delta", offset = 0, type = "u128", size = 16 }, { name = "amount0", offset = 16, type = "u128", size = 16 }, { name = "amount1", offset = 32, type = "u128", size = 16 }, { name = "timestamp_ns", offset = 48, type = "u64", size = 8, time = true }, { name = "tick_lower", offset = 56, type = "i32", size = 4 }, { name = "tick_upper", offset = 60, type = "i32", size = 4 }, { name = "venue", offset = 64, type = "u16", size = 2, names = "venue" }, { name = "token0_decimals", offset = 66, type = "u8", size = 1 }, { name = "token1_decimals", offset = 67, type = "u8", size = 1 }, { name = "pool_address", offset = 80, type = "bytes", size = 20 }, { name = "provider_addr", offset = 112, type = "bytes", size = 20 }, { name = "token0_addr", offset = 144, type = "bytes", size = 20 }, { name = "token1_addr", offset = 176, type = "bytes", size = 20 } } },
  [13] = { filter = "pool_burn", fields = { { name = "liquidity_delta", offset = 0, type = "u128", size = 16 }, { name = "amount0", offset = 16, type = "u128", size = 16 }, { name = "amount1", offset = 32, type = "u128", size = 16 }, { name = "timestamp_ns", offset = 48, type = "u64", size = 8, time = true }, { name = "tick_lower", offset = 56, type = "i32", size = 4 }, { name = "tick_upper", offset = 60, type = "i32", size = 4 }, { name = "venue", offset = 64, type = "u16", size = 2, names = "venue" }, { name = "token0_decimals", offset = 66, type = "u8", size = 1 }, { name = "token1_decimals", offset = 67, type = "u8", size = 1 }, { name = "pool_address", offset = 80, type = "bytes", size = 20 }, { name = "provider_addr", offset = 112, type = "bytes", size = 20 }, { name = "token0_addr", offset = 144, type = "bytes", size = 20 }, { name = "token1_addr", offset = 176, type = "bytes", size = 20 } } },
  [14] = { filter = "pool_tick", fields = { { name = "liquidity_net", offset = 0, type = "i64", size = 8 }, { name = "price_sqrt", offset = 8, type = "u64", size = 8 }, { name = "timestamp_ns", offset = 16, type = "u64", size = 8, time = true }, { name = "tick", offset = 24, type = "i32", size = 4 }, { name = "venue", offset = 28, type = "u16", size = 2, names = "venue" }, { name = "pool_address", offset = 32, type = "bytes", size = 20 } } },
  [15] = { filter = "pool_state", fields = { { name = "reserve0", offset = 0, type = "u128", size = 16 }, { name = "reserve1", offset = 16, type = "u128", size = 16 }, { name = "sqrt_price_x96", offset = 32, type = "u128", size = 16 }, { name = "liquidity", offset = 48, type = "u128", size = 16 }, { name = "block_number", offset = 64, type = "u64", size = 8 }, { name = "timestamp_ns", offset = 72, type = "u64", size = 8, time = true }, { name = "tick", offset = 80, type = "i32", size = 4 }, { name = "fee_rate", offset = 84, type = "u32", size = 4 }, { name = "venue", offset = 88, type = "u16", size = 2, names = "venue" }, { name = "pool_type", offset = 90, type = "u8", size = 1, names = "PoolProtocol", closed = true }, { name = "token0_decimals", offset = 91, type = "u8", size = 1 }, { name = "token1_decimals", offset = 92, type = "u8", size = 1 }, { name = "pool_address", offset = 96, type = "bytes", size = 20 }, { name = "token0_addr", offset = 128, type = "bytes", size = 20 }, { name = "token1_addr", offset = 160, type = "bytes", size = 20 } } },
  [16] = { filter = "pool_sync", fields = { { name = "reserve0", offset = 0, type = "u128", size = 16 }, { name = "reserve1", offset = 16, type = "u128", size = 16 }, { name = "timestamp_ns", offset = 32, type = "u64", size = 8, time = true }, { name = "block_number", offset = 40, type = "u64", size = 8 }, { name = "venue", offset = 48, type = "u16", size = 2, names = "venue" }, { name = "token0_decimals", offset = 50, type = "u8", size = 1 }, { name = "token1_decimals", offset = 51, type = "u8", size = 1 }, { name = "pool_address", offset = 64, type = "bytes", size = 20 }, { name = "token0_addr", offset = 96, type = "bytes", size = 20 }, { name = "token1_addr", offset = 128, type = "bytes", size = 20 } } },
  [17] = { filter = "quote_update", fields = { { name = "asset_id", offset = 0, type = "u64", size = 8, hex = true }, { name = "bid_price", offset = 8, type = "i64", size = 8, scale = true }, { name = "bid_size", offset = 16, type = "i64", size = 8, scale = true }, { name = "ask_price", offset = 24, type = "i64", size = 8, scale = true }, { name = "ask_size", offset = 32, type = "i64", size = 8, scale = true }, { name = "quote_timestamp_ns", offset = 40, type = "u64", size = 8, time = true }, { name = "venue_id", offset = 48, type = "u16", size = 2, names = "venue" }, { name = "asset_type", offset = 50, type = "u8", size = 1, names = "asset_type" }, { name = "reserved", offset = 51, type = "u8", size = 1 } } },
  [18] = { filter = "gas_price", fields = { { name = "block_number", offset = 0, type = "u64", size = 8 }, { name = "timestamp_ns", offset = 8, type = "u64", size = 8, time = true }, { name = "gas_price_gwei", offset = 16, type = "u32", size = 4 }, { name = "base_fee_gwei", offset = 20, type = "u32", size = 4 }, { name = "priority_fee_gwei", offset = 24, type = "u32", size = 4 }, { name = "venue", offset = 28, type = "u16", size = 2 } } },
  [19] = { filter = "state_invalidation_reason", fields = { { name = "reason", offset = 0, type = "u8", size = 1, names = "InvalidationReason", closed = true } } },
  [32] = { filter = "arbitrage_signal", fields = { { name = "strategy_id", offset = 0, type = "u16", size = 2 }, { name = "signal_id", offset = 2, type = "u64", size = 8 }, { name = "chain_id", offset = 10, type = "u32", size = 4 }, { name = "source_pool", offset = 14, type = "bytes", size = 20 }, { name = "target_pool", offset = 34, type = "bytes", size = 20 }, { name = "source_venue", offset = 54, type = "u16", size = 2, names = "venue" }, { name = "target_venue", offset = 56, type = "u16", size = 2, names = "venue" }, { name = "token_in", offset = 58, type = "bytes", size = 20 }, { name = "token_out", offset = 78, type = "bytes", size = 20 }, { name = "expected_profit_usd_q8", offset = 98, type = "i64", size = 8, scale = true }, { name = "required_capital_usd_q8", offset = 106, type = "i64", size = 8, scale = true }, { name = "spread_bps", offset = 114, type = "u16", size = 2 }, { name = "dex_fees_usd_q8", offset = 116, type = "i64", size = 8, scale = true }, { name = "gas_cost_usd_q8", offset = 124, type = "i64", size = 8, scale = true }, { name = "slippage_usd_q8", offset = 132, type = "i64", size = 8, scale = true }, { name = "net_profit_usd_q8", offset = 140, type = "i64", size = 8, scale = true }, { name = "slippage_tolerance_bps", offset = 148, type = "u16", size = 2 }, { name = "max_gas_price_gwei", offset = 150, type = "u32", size = 4 }, { name = "valid_until", offset = 154, type = "u32", size = 4 }, { name = "priority", offset = 158, type = "u16", size = 2 }, { name = "timestamp_ns", offset = 162, type = "u64", size = 8, time = true } } },
  [101] = { filter = "snapshot", fields = { { name = "sequence", offset = 0, type = "u64", size = 8 }, { name = "timestamp", offset = 8, type = "u64", size = 8, time = true }, { name = "snapshot_id", offset = 16, type = "u32", size = 4 }, { name = "checksum", offset = 20, type = "u32", size = 4, hex = true }, { name = "uncompressed_size", offset = 24, type = "u32", size = 4 }, { name = "tlv_type", offset = 28, type = "u8", size = 1, lowest = 101, highest = 101 }, { name = "tlv_length", offset = 29, type = "u8", size = 1, lowest = 32, highest = 32 }, { name = "compression_type", offset = 30, type = "u8", size = 1, names = "SnapshotCompression", closed = true }, { name = "data", offset = 32, type = "bytes" } } },
  [106] = { filter = "state_invalidation", fields = { { name = "sequence", offset = 0, type = "u64", size = 8 }, { name = "timestamp_ns", offset = 8, type = "u64", size = 8, time = true }, { name = "instruments", offset = 24, type = "InstrumentId", size = 12, repeat_count = 16, count_at = 16, least = 1 }, { name = "venue", offset = 216, type = "u16", size = 2, names = "venue" }, { name = "reason", offset = 218, type = "u8", size = 1, names = "InvalidationReason", closed = true } } },
  [107] = { filter = "system_health", fields = { { name = "timestamp_ns", offset = 0, type = "u64", size = 8, time = true }, { name = "connection_count", offset = 8, type = "u32", size = 4 }, { name = "message_rate_per_sec", offset = 12, type = "u32", size = 4 }, { name = "last_error_code", offset = 16, type = "u32", size = 4 }, { name = "error_rate_per_thousand", offset = 20, type = "u16", size = 2 }, { name = "latency_p95_us", offset = 22, type = "u16", size = 2 }, { name = "service_type", offset = 24, type = "u8", size = 1, names = "source" }, { name = "health_status", offset = 25, type = "u8", size = 1, names = "HealthStatus", closed = true }, { name = "cpu_usage_pct", offset = 26, type = "u8", size = 1, lowest = 0, highest = 100 }, { name = "memory_usage_pct", offset = 27, type = "u8", size = 1, lowest = 0, highest = 100 } } },
  [108] = { filter = "trace_context", fields = { { name = "start_timestamp_ns", offset = 0, type = "u64", size = 8, time = true }, { name = "current_timestamp_ns", offset = 8, type = "u64", size = 8, time = true }, { name = "source_service", offset = 16, type = "u8", size = 1, names = "source" }, { name = "span_depth", offset = 17, type = "u8", size = 1 }, { name = "stage_flags", offset = 18, type = "u8", size = 1 }, { name = "trace_id", offset = 24, type = "bytes", size = 8 } } },
  [110] = { filter = "recovery_request", fields = { { name = "last_sequence", offset = 0, type = "u64", size = 8 }, { name = "current_sequence", offset = 8, type = "u64", size = 8 }, { name = "consumer_id", offset = 16, type = "u32", size = 4 }, { name = "request_type", offset = 20, type = "u32", size = 4, names = "RecoveryRequestType", closed = true } } },
  [200] = { filter = "pool_info", fields = { { name = "discovered_at", offset = 0, type = "u64", size = 8 }, { name = "last_seen", offset = 8, type = "u64", size = 8 }, { name = "fee_tier", offset = 16, type = "u32", size = 4, lowest = 0, highest = 10000 }, { name = "venue", offset = 20, type = "u16", size = 2, names = "venue" }, { name = "tlv_type", offset = 22, type = "u8", size = 1, lowest = 200, highest = 200 }, { name = "tlv_length", offset = 23, type = "u8", size = 1, lowest = 86, highest = 86 }, { name = "token0_decimals", offset = 24, type = "u8", size = 1, lowest = 0, highest = 30 }, { name = "token1_decimals", offset = 25, type = "u8", size = 1, lowest = 0, highest = 30 }, { name = "pool_type", offset = 26, type = "u8", size = 1, names = "CachePoolType", closed = true }, { name = "pool_address", offset = 28, type = "bytes", size = 20 }, { name = "token0_address", offset = 48, type = "bytes", size = 20 }, { name = "token1_address", offset = 68, type = "bytes", size = 20 } } },
  [201] = { filter = "pool_cache_header", fields = { { name = "chain_id", offset = 0, type = "u64", size = 8 }, { name = "last_updated", offset = 8, type = "u64", size = 8 }, { name = "version", offset = 48, type = "u32", size = 4, lowest = 1, highest = 1 }, { name = "pool_count", offset = 52, type = "u32", size = 4 }, { name = "checksum", offset = 56, type = "u32", size = 4, hex = true }, { name = "magic", offset = 60, type = "bytes", size = 4, marker = "POOL", hex = true } } },
}

-- What follows is the same whatever the tables above say.

local torq = Proto("torq", "Torq Protocol V2")
local torq_tcp = Proto("torq_tcp", "Torq Protocol V2 over TCP")

torq.prefs.verify = Pref.bool("Verify checksums", true, "A checksum of 0 was not computed and is never wrong (D9)")
torq.prefs.max_size = Pref.uint("Maximum message size", MAX_MESSAGE_SIZE, "Bytes, header included (D10)")
torq.prefs.user_dlt = Pref.uint("User DLT", 0, "Captures of Unix sockets: link type USER0 to USER15; 16 for none")
torq_tcp.prefs.ports = Pref.range("TCP ports", tostring(DEFAULT_TCP_PORT), "Ports that carry the protocol", 65535)

-- Fields and errors

local fields, experts = {}, {}

local makers = {
  u8 = ProtoField.uint8, u16 = ProtoField.uint16, u32 = ProtoField.uint32, u64 = ProtoField.uint64,
  i32 = ProtoField.int32, i64 = ProtoField.int64,
}

local function declare(prefix, field)
  local abbreviation = prefix .. "." .. field.name
  local maker = makers[field.type]
  if maker then
    local names = field.names and NAMES[field.names] or nil
    field.proto = maker(abbreviation, field.name, field.hex and base.HEX or base.DEC, names)
  elseif field.type == "u128" or field.type == "u256" then
    field.proto = ProtoField.string(abbreviation, field.name)
  elseif RECORDS[field.type] then
    field.proto = ProtoField.none(abbreviation, field.name)
    field.parts = {}
    for index, part in ipairs(RECORDS[field.type]) do
      local copy = {}
      for key, value in pairs(part) do copy[key] = value end
      field.parts[index] = copy
      declare(abbreviation, copy)
    end
  else
    field.proto = ProtoField.bytes(abbreviation, field.name)
  end
  fields[#fields + 1] = field.proto
end

for _, field in ipairs(HEADER) do declare("torq", field) end
for _, payload in pairs(PAYLOADS) do
  for _, field in ipairs(payload.fields) do declare("torq." .. payload.filter, field) end
end
local tlv_type = ProtoField.uint8("torq.tlv.type", "type", base.DEC, NAMES.tlv_type)
local tlv_length = ProtoField.uint16("torq.tlv.length", "length", base.DEC)
local tlv_extended = ProtoField.bool("torq.tlv.extended", "extended form")
local tlv_value = ProtoField.bytes("torq.tlv.value", "value")
for _, field in ipairs({ tlv_type, tlv_length, tlv_extended, tlv_value }) do fields[#fields + 1] = field end
torq.fields = fields

for kind, sentence in pairs(ERRORS) do
  local group = kind == "bad_checksum" and expert.group.CHECKSUM or expert.group.MALFORMED
  experts[kind] = ProtoExpert.new("torq.error." .. kind, sentence, group, expert.severity.ERROR)
end
local all_experts = {}
for _, each in pairs(experts) do all_experts[#all_experts + 1] = each end
torq.experts = all_experts

-- Numbers

local bxor, band, rshift
if bit then
  bxor, band, rshift = bit.bxor, bit.band, bit.rshift
elseif bit32 then
  bxor, band, rshift = bit32.bxor, bit32.band, bit32.rshift
else
  local source = "return function(a, b) return a ~ b end, function(a, b) return a & b end, "
    .. "function(a, n) return (a & 0xffffffff) >> n end"
  bxor, band, rshift = load(source)()
end

local crc_table = {}
for byte = 0, 255 do
  local crc = byte
  for _ = 1, 8 do
    if band(crc, 1) == 1 then crc = bxor(rshift(crc, 1), 0xEDB88320) else crc = rshift(crc, 1) end
  end
  crc_table[byte] = crc
end

-- CRC-32 of bytes 0 to 27 and 32 to the end (D9).
local function checksum_of(bytes)
  local crc = 0xFFFFFFFF
  for index = 1, #bytes do
    if index <= 28 or index > 32 then
      crc = bxor(rshift(crc, 8), crc_table[band(bxor(crc, bytes:byte(index)), 255)])
    end
  end
  return bxor(crc, 0xFFFFFFFF) % 0x100000000
end

-- Little-endian bytes as a decimal number of any length.
local function decimal_of(bytes)
  local digits = { 0 }
  for index = #bytes, 1, -1 do
    local carry = bytes:byte(index)
    for place = 1, #digits do
      local value = digits[place] * 256 + carry
      digits[place] = value % 10000000
      carry = math.floor(value / 10000000)
    end
    while carry > 0 do
      digits[#digits + 1] = carry % 10000000
      carry = math.floor(carry / 10000000)
    end
  end
  local text = string.format("%d", digits[#digits])
  for place = #digits - 1, 1, -1 do text = text .. string.format("%07d", digits[place]) end
  return text
end

-- "4512350000000" units of 1e-8 as "45123.50000000".
local function fixed_8(units)
  local sign, digits = units:match("^(-?)(%d+)$")
  digits = string.rep("0", 9 - #digits) .. digits
  return sign .. digits:sub(1, -9) .. "." .. digits:sub(-8)
end

local function time_of(nanoseconds)
  local seconds = nanoseconds / UInt64(1000000000)
  local rest = nanoseconds % UInt64(1000000000)
  return os.date("!%Y-%m-%d %H:%M:%S", seconds:tonumber()) .. string.format(".%09d UTC", rest:tonumber())
end

-- Adding fields to the tree

local add_fields

local function add_field(tree, payload, field)
  if field.repeat_count then
    local count = payload(field.count_at, 2):le_uint()
    if count < field.least or count > field.repeat_count then
      tree:add_proto_expert_info(experts.bad_value, "a count of " .. count)
      return
    end
    for index = 0, count - 1 do
      local slot = payload(field.offset + index * field.size, field.size)
      if field.parts then
        local item = tree:add(field.proto, slot)
        item:set_text(field.name .. "[" .. index .. "]")
        add_fields(item, slot:tvb(), field.parts)
      else
        tree:add(field.proto, slot, decimal_of(slot:raw()))
      end
    end
    return
  end
  local range = field.size and payload(field.offset, field.size) or nil
  if not range then
    if payload:len() > field.offset then tree:add(field.proto, payload(field.offset)) end
  elseif field.type == "u128" or field.type == "u256" then
    local item = tree:add(field.proto, range, decimal_of(range:raw()))
    if range:len() > 16 and range:raw():sub(17):find("[^%z]") then
      item:add_proto_expert_info(experts.bad_value, field.name .. " of more than 128 bits")
    end
  elseif makers[field.type] then
    local item = tree:add_le(field.proto, range)
    if field.scale then item:append_text(" (" .. fixed_8(tostring(range:le_int64())) .. ")") end
    if field.time then item:append_text(" (" .. time_of(range:le_uint64()) .. ")") end
    if field.closed and not NAMES[field.names][range:le_uint()] then
      item:add_proto_expert_info(experts.bad_value, field.name .. " " .. range:le_uint())
    end
    if field.highest and (range:le_uint() < field.lowest or range:le_uint() > field.highest) then
      item:add_proto_expert_info(experts.bad_value, field.name .. " " .. range:le_uint())
    end
    return item
  else
    local item = tree:add(field.proto, range)
    if field.marker and range:raw() ~= field.marker then
      item:add_proto_expert_info(experts.bad_value, field.name .. " is not " .. field.marker)
    end
  end
end

add_fields = function(tree, payload, list)
  for _, field in ipairs(list) do add_field(tree, payload, field) end
end

-- TLVs

local function add_payload(tree, payload, number)
  local known = PAYLOADS[number]
  local sizes = SIZES[number]
  if sizes and (payload:len() < sizes[1] or payload:len() > sizes[2]) then
    tree:add_proto_expert_info(experts.bad_tlv_size, payload:len() .. " bytes, " .. sizes[1] .. " to " .. sizes[2])
    if payload:len() > 0 then tree:add(tlv_value, payload()) end
  elseif known then
    add_fields(tree, payload, known.fields)
  elseif payload:len() > 0 then
    tree:add(tlv_value, payload())
  end
end

-- One TLV; returns the offset behind it, or nil and the kind of its fault.
local function add_tlv(tvb, tree, offset, names)
  local left = tvb:len() - offset
  local extended = tvb(offset, 1):uint() == 255
  local head = extended and 5 or 2
  if left < head then return nil, "truncated_tlv_header" end
  if extended and tvb(offset + 1, 1):uint() ~= 0 then return nil, "bad_reserved_byte" end
  local type_range = tvb(offset + (extended and 2 or 0), 1)
  local number = type_range:uint()
  if extended and (number == 0 or number == 255) then return nil, "bad_extended_type" end
  local length_range = extended and tvb(offset + 3, 2) or tvb(offset + 1, 1)
  local length = length_range:le_uint()
  if length > left - head then return nil, "truncated_tlv" end
  local name = NAMES.tlv_type[number] or "type"
  names[#names + 1] = NAMES.tlv_type[number] or ("type " .. number)
  local item = tree:add(torq, tvb(offset, head + length), name .. " (" .. number .. "), " .. length .. " bytes")
  item:add(tlv_type, type_range)
  item:add_le(tlv_length, length_range)
  item:add(tlv_extended, tvb(offset, 1), extended)
  if length > 0 then
    add_payload(item, tvb(offset + head, length):tvb(), number)
  elseif SIZES[number] and SIZES[number][1] > 0 then
    item:add_proto_expert_info(experts.bad_tlv_size, "no bytes")
  end
  return offset + head + length
end

-- Messages

-- One whole message.
local function add_message(tvb, pinfo, tree)
  pinfo.cols.protocol = "Torq"
  local domain, source = tvb(4, 1):uint(), tvb(6, 1):uint()
  local item = tree:add(torq, tvb(), "Torq Protocol V2, sequence " .. tostring(tvb(8, 8):le_uint64()))
  local stored = tvb(28, 4):le_uint()
  for _, field in ipairs(HEADER) do
    local shown = add_field(item, tvb, field)
    if field.name == "checksum" and stored == 0 then shown:append_text(" (not computed)") end
  end
  if domain < 1 or domain > 4 then item:add_proto_expert_info(experts.bad_domain) end
  if torq.prefs.verify and stored ~= 0 then
    local computed = checksum_of(tvb():raw())
    if computed ~= stored then
      item:add_proto_expert_info(experts.bad_checksum, string.format("the checksum is not 0x%08x", computed))
    end
  end
  local names, offset, fault = {}, HEADER_SIZE, nil
  while offset and offset < tvb:len() do
    local start = offset
    offset, fault = add_tlv(tvb, item, offset, names)
    if fault then item:add_proto_expert_info(experts[fault], ERRORS[fault] .. ", offset " .. start) end
  end
  local info = (NAMES.domain[domain] or ("domain " .. domain)) .. " #" .. tostring(tvb(8, 8):le_uint64()) .. " from "
    .. (NAMES.source[source] or ("source " .. source)) .. ": "
    .. (#names > 0 and table.concat(names, ", ") or "no TLVs") .. (fault and " [malformed]" or "")
  if tostring(pinfo.cols.info):find("^Torq") or tostring(pinfo.cols.info):find(" from ") then
    pinfo.cols.info:append("; " .. info)
  else
    pinfo.cols.info = info
  end
  return tvb:len()
end

local function starts_message(tvb, offset)
  return tvb:len() - offset >= 4 and tvb(offset, 4):le_uint() == MAGIC
end

-- Bytes that begin no message: all that is left cannot be cut into messages.
local function add_refused(tvb, pinfo, tree, kind)
  pinfo.cols.protocol = "Torq"
  pinfo.cols.info:append(" [" .. ERRORS[kind] .. "]")
  tree:add(torq, tvb(), "Torq Protocol V2, no message"):add_proto_expert_info(experts[kind])
  return tvb:len()
end

-- The size of the message at an offset, or nil and why there is none.
local function message_size(tvb, offset)
  if not starts_message(tvb, offset) then return nil, "bad_magic" end
  local size = HEADER_SIZE + tvb(offset + 24, 4):le_uint()
  if size > torq.prefs.max_size then return nil, "oversize" end
  return size
end

-- A packet of one or more messages: Unix socket captures.
function torq.dissector(tvb, pinfo, tree)
  pinfo.cols.info:clear()
  local offset = 0
  while offset < tvb:len() do
    local rest = tvb(offset):tvb()
    if rest:len() < HEADER_SIZE then return offset + add_refused(rest, pinfo, tree, "truncated_header") end
    local size, fault = message_size(rest, 0)
    if not size then return offset + add_refused(rest, pinfo, tree, fault) end
    if size > rest:len() then return offset + add_refused(rest, pinfo, tree, "truncated_payload") end
    add_message(rest(0, size):tvb(), pinfo, tree)
    offset = offset + size
  end
  return offset
end

-- TCP: messages are put together from segments.
local function dissect_stream(tvb, pinfo, tree)
  pinfo.cols.info:clear()
  dissect_tcp_pdus(tvb, tree, HEADER_SIZE, function(buffer, _, offset)
    return message_size(buffer, offset) or (buffer:len() - offset)
  end, function(buffer, info, parent)
    local size, fault = message_size(buffer, 0)
    if not size then return add_refused(buffer, info, parent, fault) end
    return add_message(buffer, info, parent)
  end)
  return tvb:len()
end

torq_tcp.dissector = dissect_stream

-- A call through the protocol would take away the right to ask for more segments, so the function is called itself.
torq_tcp:register_heuristic("tcp", function(tvb, pinfo, tree)
  if tvb:len() < HEADER_SIZE or not starts_message(tvb, 0) then return false end
  pinfo.conversation = torq_tcp
  dissect_stream(tvb, pinfo, tree)
  return true
end)

-- Where it is used

local tcp_table, link_table = DissectorTable.get("tcp.port"), DissectorTable.get("wtap_encap")
local link_types = wtap_encaps or wtap
local ports, link

local function register_ports()
  if ports then tcp_table:remove(ports, torq_tcp) end
  ports = torq_tcp.prefs.ports
  tcp_table:add(ports, torq_tcp)
end

local function register_link()
  if link then link_table:remove(link, torq) end
  link = torq.prefs.user_dlt < 16 and link_types["USER" .. torq.prefs.user_dlt] or nil
  if link then link_table:add(link, torq) end
end

torq_tcp.prefs_changed = register_ports
torq.prefs_changed = register_link
register_ports()
register_link()
