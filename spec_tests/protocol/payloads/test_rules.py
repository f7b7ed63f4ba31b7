"""What the payload classes do beyond bytes: decimals, constructors, book rules, capacity, recovery, traces."""

from __future__ import annotations

import copy
import pickle
import zlib
from array import array
from dataclasses import MISSING, FrozenInstanceError, fields, replace
from decimal import Decimal, localcontext
from enum import IntEnum
from fractions import Fraction
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torq_protocol.enumerations import (
    CachePoolType,
    HealthStatus,
    InvalidationReason,
    JournalOperation,
    PoolProtocol,
    RecoveryRequestType,
    Side,
    SnapshotCompression,
    TraceStage,
)
from torq_protocol.errors import FieldValueError, TlvSizeError
from torq_protocol.fixed_point import decimal_of, units_of
from torq_protocol.generate.examples import example
from torq_protocol.instrument import InstrumentId
from torq_protocol.names import AssetType, SourceType, Venue
from torq_protocol.payloads import (
    PAYLOAD_CLASSES,
    ArbitrageEconomics,
    ArbitrageRoute,
    ArbitrageSignal,
    GasPrice,
    OrderBook,
    OrderLevel,
    Payload,
    PoolBurn,
    PoolCacheJournalEntry,
    PoolInfo,
    PoolLiquidity,
    PoolMint,
    PoolState,
    PoolSwap,
    PoolSync,
    PoolTick,
    Quote,
    QuoteUpdate,
    RecoveryRequest,
    Snapshot,
    StateInvalidation,
    SystemHealth,
    TraceContext,
    Trade,
    decode_payload,
)
from torq_protocol.schema import PAYLOADS, RECORDS, FieldValue, build_payload
from torq_protocol.schema.vocabulary import bare, usual_value

BTC = InstrumentId.coin(Venue.KRAKEN, "BTC")
WORKED_TRADE = "000000000043544280d3049d1a0400004e61bc000000000000002a36fe9c97176500330001000000"
NOW = 1_700_000_000_000_000_000
POOL, TOKEN_A, TOKEN_B = bytes(range(20)), bytes(range(20, 40)), bytes(range(40, 60))


def test_worked_trade_from_decimals() -> None:
    trade = Trade.from_decimal(BTC, Decimal("45123.50"), Decimal("0.12345678"), Side.SELL, NOW)
    assert trade.to_bytes().hex() == WORKED_TRADE
    assert Trade.from_bytes(bytes.fromhex(WORKED_TRADE)) == trade
    assert (trade.price_decimal, trade.volume_decimal) == (Decimal("45123.5"), Decimal("0.12345678"))
    assert trade.instrument == BTC
    assert trade.side is Side.SELL


def test_payloads_are_frozen_slotted_and_hashable() -> None:
    trade = Trade.from_bytes(bytes.fromhex(WORKED_TRADE))
    with pytest.raises(FrozenInstanceError):
        trade.price = 1  # type: ignore[misc]  # that it is refused is the point
    assert not hasattr(trade, "__dict__")
    assert len({trade, Trade.from_bytes(trade.to_bytes()), replace(trade, price=1)}) == 2


@pytest.mark.parametrize("number", sorted(PAYLOAD_CLASSES))
def test_payloads_survive_pickle_and_copy(number: int) -> None:
    payload = decode_payload(number, build_payload(number, example_fields(number)))
    assert pickle.loads(pickle.dumps(payload)) == copy.deepcopy(payload) == payload


def example_fields(number: int) -> dict[str, FieldValue]:
    fields = example(PAYLOADS[number], "ascending")
    assert isinstance(fields, dict)
    return fields


@pytest.mark.parametrize("number", sorted(PAYLOAD_CLASSES))
def test_integers_of_numpy_become_plain_ones(number: int) -> None:
    payload: Any = decode_payload(number, build_payload(number, example_fields(number)))
    given = {each.name: getattr(payload, each.name) for each in fields(payload)}
    again = replace(payload, **{name: np.uint64(each) for name, each in given.items() if fits_64_bits(each)})
    assert again == payload
    assert again.to_bytes() == payload.to_bytes()
    assert not [name for name in given if isinstance(getattr(again, name), np.generic)]


@pytest.mark.parametrize("payload_class", PAYLOAD_CLASSES.values(), ids=lambda each: each.__name__)
def test_types_of_the_fields_are_known_when_the_program_runs(payload_class: type[Payload]) -> None:
    """As libraries ask that make values from annotations; the classes' fields are declared in another module."""
    hints = get_type_hints(payload_class)
    assert {each.name for each in fields(payload_class)} <= set(hints)  # type: ignore[arg-type]  # it is a dataclass


def test_fields_that_hold_records_have_the_classes_that_clients_know() -> None:
    assert get_type_hints(OrderBook)["bids"] == tuple[OrderLevel, ...]
    assert get_type_hints(PoolCacheJournalEntry)["pool_info"] is PoolInfo
    assert get_type_hints(StateInvalidation)["instruments"] == tuple[InstrumentId, ...]


@pytest.mark.parametrize("wrong", [5, None])
def test_what_is_no_list_is_refused_with_its_place_and_after_what_stands_before_it(wrong: Any) -> None:
    with pytest.raises(FieldValueError, match=r"OrderBook\.asks .* at offset 1248: use a list"):
        OrderBook(1, 2, 4, 5, 6, 7, asks=wrong)
    with pytest.raises(FieldValueError, match=r"OrderBook\.sequence -1 at offset 8"):
        OrderBook(1, -1, 4, 5, 6, 7, asks=wrong)


def test_a_list_may_be_given_as_anything_that_can_be_gone_through_once() -> None:
    levels = [OrderLevel(price, 1) for price in (3, 2, 1)]
    book = OrderBook(1, 2, 4, 5, 6, 7, bids=iter(levels))  # type: ignore[arg-type]  # laxer than it says
    assert book.bids == tuple(levels)
    assert OrderBook.from_bytes(book.to_bytes()) == book


def test_of_two_wrong_fields_the_first_is_named() -> None:
    with pytest.raises(FieldValueError, match=r"PoolTick\.venue 65536 at offset 28"):
        PoolTick(1, 2, 3, 4, 65_536, b"short")
    with pytest.raises(FieldValueError, match=r"PoolTick\.pool_address '73686f7274' at offset 32: use 20 bytes"):
        PoolTick(1, 2, 3, 4, 5, b"short")


def fits_64_bits(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**64


def test_reserves_of_numpy_become_plain_ones() -> None:
    numbers: Any = np.array([7, 1], np.uint64)
    assert PoolLiquidity(1, numbers, bytes(20), 3) == PoolLiquidity(1, (7, 1), bytes(20), 3)
    assert PoolLiquidity(1, numbers, bytes(20), 3).to_bytes()[32:34] == b"\x07\x00"


def test_a_view_of_wider_items_is_refused_by_its_bytes() -> None:
    with pytest.raises(TlvSizeError) as refused:
        Trade.from_bytes(memoryview(array("Q", bytes(320))))
    assert refused.value.got == 320


def test_a_journal_entry_refuses_what_is_no_pool() -> None:
    pool = PoolInfo.from_bytes(build_payload(200, example_fields(200)))
    entry = PoolCacheJournalEntry(1, pool, 3)  # type: ignore[arg-type]  # a number becomes the member
    assert entry.operation is JournalOperation.DELETE
    with pytest.raises(FieldValueError) as refused:
        PoolCacheJournalEntry(1, pool.to_bytes(), JournalOperation.ADD)  # type: ignore[arg-type]  # what is tested
    assert refused.value.offset == 8


def test_an_enumeration_given_as_number_becomes_its_member_or_is_refused() -> None:
    trade = Trade.from_bytes(bytes.fromhex(WORKED_TRADE))
    assert replace(trade, side=0).side is Side.BUY  # type: ignore[arg-type]  # numbers come from untyped callers
    with pytest.raises(FieldValueError) as refused:
        replace(trade, side=2)  # type: ignore[arg-type]  # as above
    assert (refused.value.offset, refused.value.got) == (36, 2)
    assert refused.value.expected == "0 buy, 1 sell"


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**130), 2**130), st.integers(0, 30), st.integers(1, 40))
def test_decimals_are_exact_whatever_the_context(units: int, places: int, precision: int) -> None:
    with localcontext(prec=precision):
        decimal = decimal_of(units, places)
        assert units_of(decimal, places) == units
    assert Fraction(decimal) * 10**places == units


@settings(max_examples=200, deadline=None)
@given(st.decimals(allow_nan=True, allow_infinity=True) | st.text(alphabet="0123456789.eE+-_ naif", max_size=12))
def test_units_of_anything_is_a_whole_number_or_a_protocol_error(value: Decimal | str) -> None:
    try:
        units = units_of(value)
    except FieldValueError:
        return
    assert decimal_of(units) == Decimal(value)


def test_floats_fractions_of_a_unit_and_absurd_exponents_are_refused() -> None:
    wrong: object
    for wrong in (1.5, "0.000000001", "1e999999999", "NaN", "Infinity", "abc", None, "9" * 200):
        with pytest.raises(FieldValueError):
            units_of(wrong)  # type: ignore[arg-type]  # that a float is refused is the point
    assert units_of("0.000000019", truncate=True) == 1
    assert units_of("-0.000000019", truncate=True) == -1
    assert units_of("1e-999999", truncate=True) == 0
    assert units_of(3) == 300_000_000


def test_places_to_the_left_of_the_point_are_exact_too() -> None:
    assert decimal_of(-5, -3) == -5000


def test_quotes_of_both_types_have_the_same_bytes() -> None:
    bid, ask = (Decimal("1.5"), Decimal(2)), (Decimal("1.6"), Decimal(3))
    quote, update = Quote.from_decimal(BTC, bid, ask, NOW), QuoteUpdate.from_decimal(BTC, bid, ask, NOW)
    assert quote.to_bytes() == update.to_bytes()
    assert len(quote.to_bytes()) == 56
    assert (quote.TLV_TYPE, update.TLV_TYPE) == (2, 17)
    assert len({quote, update}) == 2, "equal bytes, different types"
    assert (quote.bid_price_decimal, quote.bid_size_decimal) == bid
    assert (quote.ask_price_decimal, quote.ask_size_decimal) == ask
    assert quote.instrument == BTC


def book(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> OrderBook:
    """A book of (price, size) pairs."""
    return OrderBook.build(
        BTC,
        [OrderLevel(*level) for level in bids],
        [OrderLevel(*level) for level in asks],
        sequence=1,
        snapshot_timestamp_ns=NOW,
    )


@pytest.mark.parametrize(
    ("bids", "asks", "valid"),
    [
        ([], [], True),
        ([(10, 1), (10, 1), (9, 1)], [(10, 1), (11, 1), (11, 1)], True),
        ([(9, 1), (10, 1)], [], False),
        ([], [(11, 1), (10, 1)], False),
        ([(11, 1)], [(10, 1)], False),
        ([(0, 1)], [], False),
        ([(1, 0)], [], False),
        ([], [(1, -1)], False),
        ([(-1, 1)], [], False),
    ],
)
def test_order_book_validity(bids: list[tuple[int, int]], asks: list[tuple[int, int]], valid: bool) -> None:
    assert book(bids, asks).is_valid is valid


@pytest.mark.parametrize(
    ("bid", "ask", "spread"),
    [(100, 101, 100), (99, 101, 200), (100, 100, 0), (101, 100, -100), (7, 20, 10000), (-5, 5, None), (-9, 2, None)],
)
def test_spread_in_basis_points_divides_toward_zero(bid: int, ask: int, spread: int | None) -> None:
    assert book([(bid, 1)], [(ask, 1)]).spread_bps == spread
    assert book([(bid, 1)], []).spread_bps is None
    assert book([], [(ask, 1)]).spread_bps is None


def test_a_book_keeps_the_first_fifty_levels_and_refuses_one_more() -> None:
    full = book([(100 - n, 1) for n in range(60)], [(100 + n, 1) for n in range(60)])
    assert (len(full.bids), len(full.asks)) == (50, 50)
    assert full.bids[-1].price == 51
    for add, offset in ((full.with_bid, 40), (full.with_ask, 1248)):
        with pytest.raises(FieldValueError) as refused:
            add(OrderLevel(1, 1))
        assert (refused.value.offset, refused.value.expected, refused.value.got) == (offset, "0..50", 51)
    assert len(full.to_bytes()) == 2456
    small = book([(10, 1)], []).with_ask(OrderLevel(11, 2, 3)).with_bid(OrderLevel(9, 1))
    assert [level.price for level in (*small.bids, *small.asks)] == [10, 9, 11]


def test_a_book_read_from_bytes_refuses_counts_above_fifty() -> None:
    wire = bytearray(book([(10, 1)], [(11, 1)]).to_bytes())
    for offset in (40, 1248):
        damaged = wire[:offset] + b"\x33\x00" + wire[offset + 2 :]
        with pytest.raises(FieldValueError) as refused:
            OrderBook.from_bytes(damaged, at=37)
        assert (refused.value.offset, refused.value.got) == (37 + offset, 51)


def test_book_decimals_follow_the_precision_factor() -> None:
    level = OrderLevel.from_decimal(Decimal("1.25"), Decimal(2), 7, precision_factor=100)
    assert level == OrderLevel(125, 200, 7)
    assert replace(book([], []), precision_factor=100).decimal(125) == Decimal("1.25")
    assert book([], []).instrument == BTC
    for factor in (0, -10, 3, 20, 101):
        with pytest.raises(FieldValueError, match="power of ten"):
            replace(book([], []), precision_factor=factor).decimal(1)


def test_gas_price_totals_stop_at_the_largest_u32() -> None:
    assert GasPrice.from_fees(1, NOW, 30, 5) == GasPrice(1, NOW, 35, 30, 5, 137)
    assert GasPrice.from_fees(1, NOW, 2**32 - 1, 5, network=1).gas_price_gwei == 2**32 - 1


@pytest.mark.parametrize("count", [0, 9])
def test_pool_liquidity_refuses_no_reserves_and_more_than_eight(count: int) -> None:
    with pytest.raises(FieldValueError) as refused:
        PoolLiquidity(NOW, (1,) * count, POOL, Venue.UNISWAP_V3)
    assert (refused.value.offset, refused.value.expected) == (16, "1..8")
    wire = bytearray(PoolLiquidity(NOW, (1,) * 8, POOL, 301).to_bytes())
    wire[16] = count
    with pytest.raises(FieldValueError):
        PoolLiquidity.from_bytes(wire)


@pytest.mark.parametrize("count", [0, 17])
def test_state_invalidation_refuses_no_instruments_and_more_than_sixteen(count: int) -> None:
    with pytest.raises(FieldValueError) as refused:
        StateInvalidation(1, NOW, (BTC,) * count, Venue.KRAKEN, InvalidationReason.RECOVERY)
    assert (refused.value.offset, refused.value.expected) == (16, "1..16")


def test_pool_amounts_are_decimals_of_their_token() -> None:
    swap = PoolSwap(1_500_000, 2 * 10**18, NOW, 1, 301, 6, 18, POOL, TOKEN_A, TOKEN_B, 2**96, tick_after=-5)
    assert (swap.amount_in_decimal, swap.amount_out_decimal) == (Decimal("1.5"), Decimal(2))
    assert swap.to_bytes()[176:] == (2**96).to_bytes(16, "little") + bytes(16)
    wire = bytearray(swap.to_bytes())
    wire[192] = 1
    with pytest.raises(FieldValueError) as refused:
        PoolSwap.from_bytes(wire)
    assert refused.value.offset == 176
    state = PoolState(5 * 10**17, 10**6, 1, NOW, 30, 300, PoolProtocol.CURVE, 18, 6, POOL, TOKEN_A, TOKEN_B)
    assert (state.reserve0_decimal, state.reserve1_decimal) == (Decimal("0.5"), Decimal(1))
    sync = PoolSync(5 * 10**17, 10**6, NOW, 1, 300, 18, 6, POOL, TOKEN_A, TOKEN_B)
    assert (sync.reserve0_decimal, sync.reserve1_decimal) == (Decimal("0.5"), Decimal(1))
    mint = PoolMint(1, 15, 2**128 - 1, NOW, -10, 10, 301, 1, 38, POOL, TOKEN_A, TOKEN_A, TOKEN_B)
    assert (mint.amount0_decimal, mint.amount1_decimal) == (
        Decimal("1.5"),
        Decimal("3.40282366920938463463374607431768211455"),
    )


def test_a_burn_is_no_mint_although_their_bytes_are_alike() -> None:
    burn = PoolBurn.from_bytes(bytes(208))
    assert not isinstance(burn, PoolMint)
    assert burn.to_bytes() == PoolMint.from_bytes(bytes(208)).to_bytes()


def test_arbitrage_signals_have_the_originals_defaults() -> None:
    route = ArbitrageRoute(POOL, POOL, Venue.QUICKSWAP, Venue.SUSHISWAP_POLYGON, TOKEN_A, TOKEN_B)
    fees, gas, slippage = Decimal("1.5"), Decimal("0.25"), Decimal("0.1")
    economics = ArbitrageEconomics(Decimal("12.345678999"), Decimal(1000), fees, gas, slippage, spread_bps=35)
    signal = ArbitrageSignal.create(route, economics, NOW + 999_999_999)
    assert (signal.strategy_id, signal.signal_id, signal.chain_id) == (21, NOW + 999_999_999, 137)
    assert (signal.slippage_tolerance_bps, signal.max_gas_price_gwei, signal.priority) == (50, 100, 350)
    assert signal.expected_profit_usd == Decimal("12.34567899"), "cut off toward zero"
    assert signal.net_profit_usd == Decimal("10.49567899")
    assert signal.required_capital_usd == 1000
    assert (signal.dex_fees_usd, signal.gas_cost_usd, signal.slippage_usd) == (fees, gas, slippage)
    assert signal.valid_until == 1_700_000_300
    assert signal.is_valid_at(1_700_000_300_999_999_999)
    assert not signal.is_valid_at(1_700_000_301_000_000_000)
    assert ArbitrageSignal.create(route, replace(economics, spread_bps=9000), NOW).priority == 65_535
    assert len(signal.to_bytes()) == 170


def test_snapshots_check_size_and_checksum_of_their_content() -> None:
    data = b'{"version": 1}'
    plain = Snapshot.of_data(data, sequence=7, timestamp=NOW, snapshot_id=3)
    assert Snapshot.from_bytes(plain.to_bytes()).content() == data
    packed = replace(plain, compression_type=SnapshotCompression.ZLIB, data=zlib.compress(data))
    assert Snapshot.from_bytes(packed.to_bytes()).content() == data
    for wrong, offset in (
        (replace(plain, checksum=1), 20),
        (replace(plain, uncompressed_size=1), 24),
        (replace(packed, uncompressed_size=1), 24),
        (replace(plain, compression_type=SnapshotCompression.LZ4), 30),
        (replace(plain, compression_type=SnapshotCompression.ZLIB), 32),
    ):
        with pytest.raises(FieldValueError) as refused:
            wrong.content()
        assert refused.value.offset == offset
    with pytest.raises(TlvSizeError):
        Snapshot.of_data(bytes(993), sequence=1, timestamp=1, snapshot_id=1)


def test_a_small_zlib_snapshot_cannot_fill_the_memory() -> None:
    bomb = zlib.compress(bytes(500_000), 9)
    assert len(bomb) < 992
    snapshot = Snapshot(1, NOW, 1, 0, 10, SnapshotCompression.ZLIB, bomb)
    with pytest.raises(FieldValueError, match="11 bytes of content, 10 announced"):
        snapshot.content()


def test_traces_grow_by_hops_and_stop_at_depth_255() -> None:
    trace = TraceContext.start(SourceType.KRAKEN_COLLECTOR, NOW)
    assert (trace.span_depth, trace.trace_id) == (0, NOW.to_bytes(8, "little"))
    relayed = trace.hop(SourceType.MARKET_DATA_RELAY, NOW + 5, TraceStage.RELAYED)
    assert (relayed.start_timestamp_ns, relayed.current_timestamp_ns) == (NOW, NOW + 5)
    assert (relayed.span_depth, relayed.stages) == (1, TraceStage.COLLECTED | TraceStage.RELAYED)
    assert replace(trace, span_depth=255).hop(1, NOW, TraceStage.EXECUTED).span_depth == 255
    kept = TraceContext.from_bytes(replace(trace, stage_flags=0xF0).to_bytes())
    assert kept.stage_flags == 0xF0, "bits without a name are kept"
    with pytest.raises(FieldValueError, match="start_timestamp_ns"):
        TraceContext.start(1, 2**64)


@pytest.mark.parametrize(
    ("last", "current", "wanted"),
    [
        (5, 104, RecoveryRequestType.RETRANSMIT),
        (5, 105, RecoveryRequestType.SNAPSHOT),
        (9, 3, RecoveryRequestType.RETRANSMIT),
    ],
)
def test_recovery_asks_for_a_snapshot_from_a_gap_of_100(last: int, current: int, wanted: RecoveryRequestType) -> None:
    request = RecoveryRequest.for_gap(8, last, current)
    assert request == RecoveryRequest(last, current, 8, wanted)
    assert request.to_bytes()[20:] == int(wanted).to_bytes(4, "little")


def test_bounds_of_pool_info_and_health() -> None:
    info = PoolInfo(1, 2, 10_000, 400, 30, 30, CachePoolType.CURVE_V2, POOL, TOKEN_A, TOKEN_B)
    assert info.to_bytes()[22:24] == bytes([200, 86])
    for field, value, offset in (("fee_tier", 10_001, 16), ("token0_decimals", 31, 24), ("token1_decimals", 31, 25)):
        with pytest.raises(FieldValueError) as refused:
            replace(info, **{field: value})  # type: ignore[arg-type]  # the fields are numbers
        assert refused.value.offset == offset
    with pytest.raises(FieldValueError) as refused:
        SystemHealth(NOW, 1, 1, 0, 0, 80, HealthStatus.HEALTHY, 101, 0)
    assert (refused.value.offset, refused.value.expected) == (26, "0..100")


NAMES: tuple[type[IntEnum], ...] = (
    AssetType,
    CachePoolType,
    HealthStatus,
    InvalidationReason,
    PoolProtocol,
    RecoveryRequestType,
    Side,
    SnapshotCompression,
    SourceType,
    Venue,
)


@pytest.mark.parametrize("number", PAYLOADS)
def test_a_payload_is_shown_as_the_call_that_makes_it(number: int) -> None:
    shown: tuple[type, ...] = (*NAMES, *PAYLOAD_CLASSES.values(), InstrumentId, OrderLevel)
    named = {each.__name__: each for each in shown}
    for style in ("lowest", "ascending", "highest"):
        value = example(PAYLOADS[number], style)
        payload = decode_payload(number, build_payload(number, value))  # type: ignore[arg-type]  # a record
        assert eval(repr(payload), dict(named)) == payload


def test_numbers_of_the_registry_are_shown_by_name_and_others_as_they_are() -> None:
    trade = Trade(asset_id=1, price=2, volume=3, execution_timestamp_ns=4, venue_id=101, asset_type=9, side=Side.SELL)
    assert (
        repr(Trade.from_bytes(trade.to_bytes()))
        == repr(trade)
        == (
            "Trade(asset_id=1, price=2, volume=3, execution_timestamp_ns=4, venue_id=Venue.KRAKEN, asset_type=9, "
            "reserved=0, side=Side.SELL)"
        )
    )


def test_a_payload_s_usual_values_are_those_that_the_schema_declares() -> None:
    classes = {each.__name__: each for each in (*PAYLOAD_CLASSES.values(), OrderLevel)}
    for declared in (*PAYLOADS.values(), RECORDS["OrderLevel"]):
        parts = {part.name: part for part in bare(declared).subcons}
        if "header" in parts:
            parts |= {part.name: part for part in bare(parts["header"]).subcons}
        for each in fields(classes[declared.name]):
            usual = usual_value(parts[each.name])
            if usual is not None:
                assert each.default == usual, f"{declared.name}.{each.name}"
            elif each.default is not MISSING:
                assert each.default in ((), b""), f"{declared.name}.{each.name}"
