# Written by python -m torq_protocol.generate kaitai. Do not edit: the protocol schema is the source.
meta:
  id: torq
  title: Torq Protocol V2, a stream of messages
  license: Apache-2.0
  ks-version: 0.11
  endian: le
doc: |
  Messages back to back (D15): a header of 32 bytes, then payload_size bytes of TLVs. A payload whose size is not that
  of its type is left as bytes. Checksums are not verified here; one of 0 was not computed (D9).
seq:
  - id: messages
    type: message
    repeat: eos
types:
  message:
    seq:
      - id: header
        type: header
      - id: payload
        type: tlvs
        size: header.payload_size
  tlvs:
    seq:
      - id: tlvs
        type: tlv
        repeat: eos
  tlv:
    seq:
      - id: form
        type: u1
      - id: extended
        type: extended_rest
        if: form == 255
      - id: standard_length
        type: u1
        if: form != 255
      - id: value
        size: length
        type:
          switch-on: layout
          cases:
            1: trade
            2: quote
            3: order_book
            10: pool_liquidity
            11: pool_swap
            12: pool_mint
            13: pool_burn
            14: pool_tick
            15: pool_state
            16: pool_sync
            17: quote_update
            18: gas_price
            19: state_invalidation_reason
            32: arbitrage_signal
            101: snapshot
            106: state_invalidation
            107: system_health
            108: trace_context
            110: recovery_request
            200: pool_info
            201: pool_cache_header
    instances:
      tlv_type:
        value: 'form == 255 ? extended.tlv_type : form'
      length:
        value: 'form == 255 ? extended.tlv_length : standard_length'
      layout:
        value: '((tlv_type == 1 and length == 40) or (tlv_type == 2 and length == 56) or (tlv_type == 3 and length == 2456) or (tlv_type == 10 and length == 208) or (tlv_type == 11 and length == 208) or (tlv_type == 12 and length == 208) or (tlv_type == 13 and length == 208) or (tlv_type == 14 and length == 64) or (tlv_type == 15 and length == 192) or (tlv_type == 16 and length == 160) or (tlv_type == 17 and length == 56) or (tlv_type == 18 and length == 32) or (tlv_type == 19 and length == 1) or (tlv_type == 32 and length == 170) or (tlv_type == 101 and length >= 32 and length <= 1024) or (tlv_type == 106 and length == 224) or (tlv_type == 107 and length == 48) or (tlv_type == 108 and length == 32) or (tlv_type == 110 and length == 24) or (tlv_type == 200 and length == 88) or (tlv_type == 201 and length == 64)) ? tlv_type : -1'
        doc: the type number if the size is one that its layout has, otherwise -1
  extended_rest:
    doc: The extended TLV header behind its marker.
    seq:
      - id: reserved
        type: u1
        valid: 0
      - id: tlv_type
        type: u1
        valid:
          min: 1
          max: 254
      - id: tlv_length
        type: u2
  header:
    seq:
      - id: magic
        contents: [0xef, 0xbe, 0xad, 0xde]
        doc: '0xDEADBEEF; on the wire EF BE AD DE'
      - id: relay_domain
        type: u1
        enum: relay_domain
        valid:
          in-enum: true
        doc: '1 market data, 2 signal, 3 execution, 4 system'
      - id: version
        type: u1
        doc: 'protocol version, 1'
      - id: source
        type: u1
        doc: 'sending service; unknown numbers are legal'
      - id: flags
        type: u1
        doc: 'free for the sender; no bit is given a meaning; default 0'
      - id: sequence
        type: u8
        doc: 'message counter, per source'
      - id: timestamp
        type: u8
        doc: 'creation time, ns since the Unix epoch'
      - id: payload_size
        type: u4
        valid:
          max: 1048544
        doc: 'bytes after the header, all TLV headers included'
      - id: checksum
        type: u4
        doc: 'CRC-32 of bytes 0 to 27 and 32 to the end; 0: not computed'
  trade:
    seq:
      - id: asset_id
        type: u8
        doc: 'from InstrumentId'
      - id: price
        type: s8
        doc: '1e-8'
      - id: volume
        type: s8
        doc: '1e-8'
      - id: execution_timestamp_ns
        type: u8
        doc: 'time of the trade at the exchange, ns'
      - id: venue_id
        type: u2
        doc: 'venue number'
      - id: asset_type
        type: u1
        doc: 'from InstrumentId'
      - id: reserved
        type: u1
        doc: 'from InstrumentId'
      - id: side
        type: u1
        enum: side
        valid:
          in-enum: true
        doc: '0 buy, 1 sell'
      - id: filler_37
        size: 3
  quote:
    seq:
      - id: asset_id
        type: u8
        doc: 'from InstrumentId'
      - id: bid_price
        type: s8
        doc: '1e-8'
      - id: bid_size
        type: s8
        doc: '1e-8'
      - id: ask_price
        type: s8
        doc: '1e-8'
      - id: ask_size
        type: s8
        doc: '1e-8'
      - id: quote_timestamp_ns
        type: u8
        doc: 'time of the quote at the exchange, ns'
      - id: venue_id
        type: u2
        doc: 'venue number'
      - id: asset_type
        type: u1
        doc: 'from InstrumentId'
      - id: reserved
        type: u1
        doc: 'from InstrumentId'
      - id: filler_52
        size: 4
  order_book:
    seq:
      - id: snapshot_timestamp_ns
        type: u8
        doc: 'time of the snapshot at the exchange, ns'
      - id: sequence
        type: u8
        doc: 'book sequence for gap detection'
      - id: precision_factor
        type: s8
        doc: 'divisor for price and size; 100 000 000 for exchanges'
      - id: asset_id
        type: u8
        doc: 'from InstrumentId'
      - id: venue_id
        type: u2
        doc: 'venue number'
      - id: asset_type
        type: u1
        doc: 'from InstrumentId'
      - id: reserved
        type: u1
        doc: 'from InstrumentId'
      - id: filler_36
        size: 4
      - id: bids_count
        type: u2
        valid:
          min: 0
          max: 50
        doc: 'elements in use, 0 to 50'
      - id: filler_42
        size: 6
      - id: bids
        type: order_level
        repeat: expr
        repeat-expr: 50
        doc: 'sorted from high to low price; slots beyond the count are zero'
      - id: asks_count
        type: u2
        valid:
          min: 0
          max: 50
        doc: 'elements in use, 0 to 50'
      - id: filler_1250
        size: 6
      - id: asks
        type: order_level
        repeat: expr
        repeat-expr: 50
        doc: 'sorted from low to high price; slots beyond the count are zero'
  pool_liquidity:
    seq:
      - id: timestamp_ns
        type: u8
        doc: 'ns'
      - id: filler_8
        size: 8
      - id: reserves_count
        type: u2
        valid:
          min: 1
          max: 8
        doc: 'elements in use, 1 to 8'
      - id: filler_18
        size: 6
      - id: filler_24
        size: 8
      - id: reserves
        type: u128
        repeat: expr
        repeat-expr: 8
        doc: 'token reserves, native; slots beyond the count are zero'
      - id: pool_address
        size: 20
        doc: 'pool contract'
      - id: filler_180
        size: 12
      - id: venue
        type: u2
        doc: 'venue number'
      - id: filler_194
        size: 6
      - id: filler_200
        size: 8
  pool_swap:
    seq:
      - id: amount_in
        type: u128
        doc: 'native units of the input token'
      - id: amount_out
        type: u128
        doc: 'native units of the output token'
      - id: liquidity_after
        type: u128
        doc: 'liquidity in range once the swap is done; V3'
      - id: timestamp_ns
        type: u8
        doc: 'ns'
      - id: block_number
        type: u8
        doc: 'block of the swap'
      - id: tick_after
        type: s4
        doc: 'resulting tick; V3'
      - id: venue
        type: u2
        doc: 'venue number'
      - id: amount_in_decimals
        type: u1
        doc: 'decimals of the input token'
      - id: amount_out_decimals
        type: u1
        doc: 'decimals of the output token'
      - id: filler_72
        size: 8
      - id: pool_address
        size: 20
        doc: 'pool contract'
      - id: filler_100
        size: 12
      - id: token_in_addr
        size: 20
        doc: 'input token'
      - id: filler_132
        size: 12
      - id: token_out_addr
        size: 20
        doc: 'output token'
      - id: filler_164
        size: 12
      - id: sqrt_price_x96_after
        type: u256
        doc: 'square root of the price times 2^96, in 32 bytes of which the high 16 are zero; 0 for V2'
  pool_mint:
    seq:
      - id: liquidity_delta
        type: u128
        doc: 'liquidity added, native'
      - id: amount0
        type: u128
        doc: 'token 0 moved, native'
      - id: amount1
        type: u128
        doc: 'token 1 moved, native'
      - id: timestamp_ns
        type: u8
        doc: 'ns'
      - id: tick_lower
        type: s4
        doc: 'lower tick, signed'
      - id: tick_upper
        type: s4
        doc: 'upper tick, signed'
      - id: venue
        type: u2
        doc: 'venue number'
      - id: token0_decimals
        type: u1
        doc: 'decimals of token 0'
      - id: token1_decimals
        type: u1
        doc: 'decimals of token 1'
      - id: filler_68
        size: 12
      - id: pool_address
        size: 20
        doc: 'pool contract'
      - id: filler_100
        size: 12
      - id: provider_addr
        size: 20
        doc: 'liquidity provider'
      - id: filler_132
        size: 12
      - id: token0_addr
        size: 20
        doc: 'token 0'
      - id: filler_164
        size: 12
      - id: token1_addr
        size: 20
        doc: 'token 1'
      - id: filler_196
        size: 12
  pool_burn:
    seq:
      - id: liquidity_delta
        type: u128
        doc: 'liquidity removed, native'
      - id: amount0
        type: u128
        doc: 'token 0 moved, native'
      - id: amount1
        type: u128
        doc: 'token 1 moved, native'
      - id: timestamp_ns
        type: u8
        doc: 'ns'
      - id: tick_lower
        type: s4
        doc: 'lower tick, signed'
      - id: tick_upper
        type: s4
        doc: 'upper tick, signed'
      - id: venue
        type: u2
        doc: 'venue number'
      - id: token0_decimals
        type: u1
        doc: 'decimals of token 0'
      - id: token1_decimals
        type: u1
        doc: 'decimals of token 1'
      - id: filler_68
        size: 12
      - id: pool_address
        size: 20
        doc: 'pool contract'
      - id: filler_100
        size: 12
      - id: provider_addr
        size: 20
        doc: 'liquidity provider'
      - id: filler_132
        size: 12
      - id: token0_addr
        size: 20
        doc: 'token 0'
      - id: filler_164
        size: 12
      - id: token1_addr
        size: 20
        doc: 'token 1'
      - id: filler_196
        size: 12
  pool_tick:
    seq:
      - id: liquidity_net
        type: s8
        doc: 'liquidity step at the tick'
      - id: price_sqrt
        type: u8
        doc: 'square root price, called X96 although 64 bits cannot hold that scale'
      - id: timestamp_ns
        type: u8
        doc: 'ns'
      - id: tick
        type: s4
        doc: 'the tick that was passed'
      - id: venue
        type: u2
        doc: 'venue number'
      - id: filler_30
        size: 2
      - id: pool_address
        size: 20
        doc: 'pool contract'
      - id: filler_52
        size: 12
  pool_state:
    seq:
      - id: reserve0
        type: u128
        doc: 'native; for V3 a derived virtual reserve'
      - id: reserve1
        type: u128
        doc: 'native; for V3 a derived virtual reserve'
      - id: sqrt_price_x96
        type: u128
        doc: 'square root price times 2^96, 0 for V2'
      - id: liquidity
        type: u128
        doc: 'liquidity in range, 0 for V2'
      - id: block_number
        type: u8
        doc: 'block this state holds for'
      - id: timestamp_ns
        type: u8
        doc: 'ns'
      - id: tick
        type: s4
        doc: 'tick at that block, 0 for V2'
      - id: fee_rate
        type: u4
        doc: 'basis points, 30 is 0.3 %'
      - id: venue
        type: u2
        doc: 'venue number'
      - id: pool_type
        type: u1
        enum: pool_protocol
        valid:
          in-enum: true
        doc: 'pool protocol'
      - id: token0_decimals
        type: u1
        doc: 'decimals of token 0'
      - id: token1_decimals
        type: u1
        doc: 'decimals of token 1'
      - id: filler_93
        size: 3
      - id: pool_address
        size: 20
        doc: 'pool contract'
      - id: filler_116
        size: 12
      - id: token0_addr
        size: 20
        doc: 'token 0'
      - id: filler_148
        size: 12
      - id: token1_addr
        size: 20
        doc: 'token 1'
      - id: filler_180
        size: 12
  pool_sync:
    seq:
      - id: reserve0
        type: u128
        doc: 'full reserve of token 0, native'
      - id: reserve1
        type: u128
        doc: 'full reserve of token 1, native'
      - id: timestamp_ns
        type: u8
        doc: 'ns'
      - id: block_number
        type: u8
        doc: 'block of the event'
      - id: venue
        type: u2
        doc: 'venue number'
      - id: token0_decimals
        type: u1
        doc: 'decimals of token 0'
      - id: token1_decimals
        type: u1
        doc: 'decimals of token 1'
      - id: filler_52
        size: 12
      - id: pool_address
        size: 20
        doc: 'pool contract'
      - id: filler_84
        size: 12
      - id: token0_addr
        size: 20
        doc: 'token 0'
      - id: filler_116
        size: 12
      - id: token1_addr
        size: 20
        doc: 'token 1'
      - id: filler_148
        size: 12
  quote_update:
    seq:
      - id: asset_id
        type: u8
        doc: 'from InstrumentId'
      - id: bid_price
        type: s8
        doc: '1e-8'
      - id: bid_size
        type: s8
        doc: '1e-8'
      - id: ask_price
        type: s8
        doc: '1e-8'
      - id: ask_size
        type: s8
        doc: '1e-8'
      - id: quote_timestamp_ns
        type: u8
        doc: 'time of the quote at the exchange, ns'
      - id: venue_id
        type: u2
        doc: 'venue number'
      - id: asset_type
        type: u1
        doc: 'from InstrumentId'
      - id: reserved
        type: u1
        doc: 'from InstrumentId'
      - id: filler_52
        size: 4
  gas_price:
    seq:
      - id: block_number
        type: u8
        doc: 'block the price holds for'
      - id: timestamp_ns
        type: u8
        doc: 'time of observation, ns'
      - id: gas_price_gwei
        type: u4
        doc: 'total price, gwei'
      - id: base_fee_gwei
        type: u4
        doc: 'base fee, gwei'
      - id: priority_fee_gwei
        type: u4
        doc: 'tip, gwei'
      - id: venue
        type: u2
        doc: 'EVM network id, 137 on Polygon; not a venue number'
      - id: filler_30
        size: 2
  state_invalidation_reason:
    seq:
      - id: reason
        type: u1
        enum: invalidation_reason
        valid:
          in-enum: true
        doc: '0 disconnection ... 5 recovery'
  arbitrage_signal:
    seq:
      - id: strategy_id
        type: u2
        doc: 'strategy number'
      - id: signal_id
        type: u8
        doc: 'signal number'
      - id: chain_id
        type: u4
        doc: 'EVM chain id'
      - id: source_pool
        size: 20
        doc: 'pool to take from'
      - id: target_pool
        size: 20
        doc: 'pool to give to'
      - id: source_venue
        type: u2
        doc: 'venue number'
      - id: target_venue
        type: u2
        doc: 'venue number'
      - id: token_in
        size: 20
        doc: 'input token'
      - id: token_out
        size: 20
        doc: 'output token'
      - id: expected_profit_usd_q8
        type: s8
        doc: 'USD, 1e-8'
      - id: required_capital_usd_q8
        type: s8
        doc: 'USD, 1e-8'
      - id: spread_bps
        type: u2
        doc: 'spread, basis points'
      - id: dex_fees_usd_q8
        type: s8
        doc: 'USD, 1e-8'
      - id: gas_cost_usd_q8
        type: s8
        doc: 'USD, 1e-8'
      - id: slippage_usd_q8
        type: s8
        doc: 'USD, 1e-8'
      - id: net_profit_usd_q8
        type: s8
        doc: 'USD, 1e-8; expected profit minus fees, gas and slippage'
      - id: slippage_tolerance_bps
        type: u2
        doc: 'basis points'
      - id: max_gas_price_gwei
        type: u4
        doc: 'gwei'
      - id: valid_until
        type: u4
        doc: 'expiry, Unix seconds'
      - id: priority
        type: u2
        doc: 'urgency, larger comes first'
      - id: filler_160
        size: 2
      - id: timestamp_ns
        type: u8
        doc: 'creation time, ns'
  snapshot:
    seq:
      - id: sequence
        type: u8
        doc: 'sequence the snapshot stands for'
      - id: timestamp
        type: u8
        doc: 'creation time, ns'
      - id: snapshot_id
        type: u4
        doc: 'snapshot number'
      - id: checksum
        type: u4
        doc: 'CRC-32 over the data before compression'
      - id: uncompressed_size
        type: u4
        doc: 'bytes after decompression'
      - id: tlv_type
        type: u1
        valid:
          min: 101
          max: 101
        doc: '101'
      - id: tlv_length
        type: u1
        valid:
          min: 32
          max: 32
        doc: '32, this header only'
      - id: compression_type
        type: u1
        enum: snapshot_compression
        valid:
          in-enum: true
        doc: '0 none, 1 zlib, 2 lz4, 3 zstd'
      - id: filler_31
        size: 1
      - id: data
        size-eos: true
        doc: 'the snapshot, compressed or not: a JSON object'
  state_invalidation:
    seq:
      - id: sequence
        type: u8
        doc: 'sequence number'
      - id: timestamp_ns
        type: u8
        doc: 'ns'
      - id: instruments_count
        type: u2
        valid:
          min: 1
          max: 16
        doc: 'elements in use, 1 to 16'
      - id: filler_18
        size: 6
      - id: instruments
        type: instrument_id
        repeat: expr
        repeat-expr: 16
        doc: 'affected instruments, 12 bytes each; slots beyond the count are zero'
      - id: venue
        type: u2
        doc: 'venue number'
      - id: reason
        type: u1
        enum: invalidation_reason
        valid:
          in-enum: true
        doc: '0 disconnection ... 5 recovery'
      - id: filler_219
        size: 5
  system_health:
    seq:
      - id: timestamp_ns
        type: u8
        doc: 'time of the check, ns'
      - id: connection_count
        type: u4
        doc: 'open connections'
      - id: message_rate_per_sec
        type: u4
        doc: 'messages per second'
      - id: last_error_code
        type: u4
        doc: '0 for none'
      - id: error_rate_per_thousand
        type: u2
        doc: 'errors per thousand messages'
      - id: latency_p95_us
        type: u2
        doc: '95th percentile latency, µs'
      - id: service_type
        type: u1
        doc: 'source number'
      - id: health_status
        type: u1
        enum: health_status
        valid:
          in-enum: true
        doc: '0 healthy, 1 degraded, 2 unhealthy, 3 unknown'
      - id: cpu_usage_pct
        type: u1
        valid:
          min: 0
          max: 100
        doc: '0 to 100'
      - id: memory_usage_pct
        type: u1
        valid:
          min: 0
          max: 100
        doc: '0 to 100'
      - id: filler_28
        size: 20
  trace_context:
    seq:
      - id: start_timestamp_ns
        type: u8
        doc: 'start of the trace, ns'
      - id: current_timestamp_ns
        type: u8
        doc: 'latest step, ns'
      - id: source_service
        type: u1
        doc: 'source number'
      - id: span_depth
        type: u1
        doc: 'starts at 0, one more per hop, stops at 255'
      - id: stage_flags
        type: u1
        doc: 'bit 0 collected, 1 relayed, 2 processed, 3 executed'
      - id: filler_19
        size: 1
      - id: filler_20
        size: 4
      - id: trace_id
        size: 8
        doc: 'trace number'
  recovery_request:
    seq:
      - id: last_sequence
        type: u8
        doc: 'last sequence received in order'
      - id: current_sequence
        type: u8
        doc: 'sequence of the message that showed the gap'
      - id: consumer_id
        type: u4
        doc: 'who asks'
      - id: request_type
        type: u4
        enum: recovery_request_type
        valid:
          in-enum: true
        doc: '1 retransmit, 2 snapshot'
  pool_info:
    seq:
      - id: discovered_at
        type: u8
        doc: 'Unix seconds'
      - id: last_seen
        type: u8
        doc: 'Unix seconds'
      - id: fee_tier
        type: u4
        valid:
          min: 0
          max: 10000
        doc: 'basis points, at most 10 000'
      - id: venue
        type: u2
        doc: 'venue number'
      - id: tlv_type
        type: u1
        valid:
          min: 200
          max: 200
        doc: '200'
      - id: tlv_length
        type: u1
        valid:
          min: 86
          max: 86
        doc: '86, the size less two'
      - id: token0_decimals
        type: u1
        valid:
          min: 0
          max: 30
        doc: 'at most 30'
      - id: token1_decimals
        type: u1
        valid:
          min: 0
          max: 30
        doc: 'at most 30'
      - id: pool_type
        type: u1
        enum: cache_pool_type
        valid:
          in-enum: true
        doc: 'cache pool type'
      - id: filler_27
        size: 1
      - id: pool_address
        size: 20
        doc: 'pool contract, no filler after it'
      - id: token0_address
        size: 20
        doc: 'token 0, no filler after it'
      - id: token1_address
        size: 20
        doc: 'token 1, no filler after it'
  pool_cache_header:
    seq:
      - id: chain_id
        type: u8
        doc: 'EVM chain id'
      - id: last_updated
        type: u8
        doc: 'Unix seconds'
      - id: filler_16
        size: 32
      - id: version
        type: u4
        valid:
          min: 1
          max: 1
        doc: '1'
      - id: pool_count
        type: u4
        doc: 'records in the file'
      - id: checksum
        type: u4
        doc: 'CRC-32 over the pool records'
      - id: magic
        contents: 'POOL'
        doc: 'the ASCII letters POOL; the magic is last'
  instrument_id:
    seq:
      - id: asset_id
        type: u8
        doc: 'meaning depends on the asset type'
      - id: venue
        type: u2
        doc: 'venue number'
      - id: asset_type
        type: u1
        doc: 'asset type number'
      - id: reserved
        type: u1
        doc: '0; 1 marks a three-token pool'
  order_level:
    seq:
      - id: price
        type: s8
        doc: '1e-8 for exchanges, native for DEX'
      - id: size
        type: s8
        doc: 'quantity, same scale rule'
      - id: order_count
        type: u4
        doc: 'orders at this level, 0 if the venue does not say'
      - id: filler_20
        size: 4
  snapshot_header:
    seq:
      - id: sequence
        type: u8
        doc: 'sequence the snapshot stands for'
      - id: timestamp
        type: u8
        doc: 'creation time, ns'
      - id: snapshot_id
        type: u4
        doc: 'snapshot number'
      - id: checksum
        type: u4
        doc: 'CRC-32 over the data before compression'
      - id: uncompressed_size
        type: u4
        doc: 'bytes after decompression'
      - id: tlv_type
        type: u1
        valid:
          min: 101
          max: 101
        doc: '101'
      - id: tlv_length
        type: u1
        valid:
          min: 32
          max: 32
        doc: '32, this header only'
      - id: compression_type
        type: u1
        enum: snapshot_compression
        valid:
          in-enum: true
        doc: '0 none, 1 zlib, 2 lz4, 3 zstd'
      - id: filler_31
        size: 1
  pool_cache_journal_entry:
    seq:
      - id: timestamp
        type: u8
        doc: 'Unix seconds'
      - id: pool_info
        type: pool_info
        doc: 'the 88-byte record above'
      - id: operation
        type: u1
        enum: journal_operation
        valid:
          in-enum: true
        doc: '1 add, 2 update, 3 delete'
      - id: filler_97
        size: 7
  u128:
    doc: A little-endian number of 128 bits.
    seq:
      - id: low
        type: u8
      - id: high
        type: u8
  u256:
    doc: A little-endian number of 256 bits, whose high half is zero.
    seq:
      - id: low
        type: u128
      - id: zero
        contents: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
enums:
  relay_domain:
    1: market_data
    2: signal
    3: execution
    4: system
  cache_pool_type:
    1: uniswap_v2
    2: uniswap_v3
    3: quickswap_v2
    4: quickswap_v3
    5: sushiswap_v2
    6: curve_v2
    7: balancer_v2
  health_status:
    0: healthy
    1: degraded
    2: unhealthy
    3: unknown
  invalidation_reason:
    0: disconnection
    1: authentication_failure
    2: rate_limited
    3: staleness
    4: maintenance
    5: recovery
  journal_operation:
    1: add
    2: update
    3: delete
  pool_protocol:
    0: uniswap_v2
    1: uniswap_v3
    2: sushiswap_v2
    3: quickswap_v3
    4: curve
    5: balancer
  recovery_request_type:
    1: retransmit
    2: snapshot
  side:
    0: buy
    1: sell
  snapshot_compression:
    0: none
    1: zlib
    2: lz4
    3: zstd
  tlv_type:
    1: trade
    2: quote
    3: order_book
    4: instrument_meta
    5: l2_snapshot
    6: l2_delta
    7: l2_reset
    8: price_update
    9: volume_update
    10: pool_liquidity
    11: pool_swap
    12: pool_mint
    13: pool_burn
    14: pool_tick
    15: pool_state
    16: pool_sync
    17: quote_update
    18: gas_price
    19: state_invalidation_reason
    20: signal_identity
    21: asset_correlation
    22: economics
    23: execution_addresses
    24: venue_metadata
    25: state_reference
    26: execution_control
    27: pool_addresses
    28: mev_bundle
    29: tertiary_venue
    30: risk_parameters
    31: performance_metrics
    32: arbitrage_signal
    40: order_request
    41: order_status
    42: fill
    43: order_cancel
    44: order_modify
    45: execution_report
    46: portfolio
    47: position
    48: balance
    49: trade_confirmation
    60: risk_decision
    61: position_update
    62: risk_alert
    63: collateral_update
    64: exposure_report
    65: portfolio_event
    66: risk_threshold
    67: flash_loan_result
    68: post_trade_analytics
    69: position_query
    70: risk_metrics
    71: circuit_breaker
    72: strategy_registration
    80: compliance_check
    81: audit_trail
    82: regulatory_report
    83: trade_breakdown
    84: settlement_instruction
    85: clearing_report
    86: margin_call
    87: custody_event
    88: venue_connectivity
    89: cross_venue_spread
    90: arbitrage_execution
    100: heartbeat
    101: snapshot
    102: error
    103: config_update
    104: service_discovery
    105: resource_usage
    106: state_invalidation
    107: system_health
    108: trace_context
    110: recovery_request
    111: recovery_response
    112: sequence_sync
    200: pool_info
    201: pool_cache_header
    202: proprietary_data
    203: custom_metrics
    204: experimental_signal
