"""InstrumentId against layouts and worked values, and what its two keys keep (D13)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torq_protocol.errors import FieldValueError, ProtocolError, TlvSizeError
from torq_protocol.instrument import InstrumentId, address_to_u64, symbol_to_u64, u64_to_symbol
from torq_protocol.names import AssetType, Venue
from torq_protocol.schema import RECORDS, build_record, parse_record

USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"

ids = st.builds(
    InstrumentId,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**16 - 1),
    st.integers(0, 255),
    st.integers(0, 255),
)


@pytest.mark.parametrize(
    ("symbol", "number", "back"),
    [
        ("BTC", 0x4254430000000000, "BTC"),
        ("AAPL", 0x4141504C00000000, "AAPL"),
        ("BTC-USD", 0x4254432D55534400, "BTC-USD"),
        ("BTCUSDT", 0x4254435553445400, "BTCUSDT"),
        ("VERYLONGSYMBOL", 0x564552594C4F4E47, "VERYLONG"),
        ("", 0, ""),
        ("1234567é", 0x31323334353637C3, "1234567\ufffd"),
        ("A\0B", 0x4100420000000000, "A"),
    ],
)
def test_worked_symbols(symbol: str, number: int, back: str) -> None:
    assert symbol_to_u64(symbol) == number
    assert u64_to_symbol(number) == back


def test_worked_coin_on_kraken() -> None:
    btc, eth = InstrumentId.coin(Venue.KRAKEN, "BTC"), InstrumentId.coin(Venue.KRAKEN, "ETH")
    assert btc.to_bytes().hex() == "000000000043544265003300"
    assert btc.u64_key == eth.u64_key == 0x0065330000000000
    assert btc.u128_key == 0x006533004254430000000000
    assert btc.u128_key != eth.u128_key


def test_worked_ethereum_token() -> None:
    token = InstrumentId.ethereum_token(USDC)
    assert token.asset_id == 0xA0B86991C6218B36
    assert token.u64_key == 0x00C83291C6218B36
    assert token.u128_key == 0x00C83200A0B86991C6218B36


def test_worked_pools() -> None:
    a, b, c = (
        InstrumentId(number, Venue.ETHEREUM, AssetType.TOKEN)
        for number in (0xA0B86991C6218B36, 0xC02AAA39B223FE8D, 0x6B175474E89094C4)
    )
    pool = InstrumentId.pool(Venue.UNISWAP_V3, a, b)
    assert pool == InstrumentId.pool(Venue.UNISWAP_V3, b, a)
    assert (pool.asset_id, pool.asset_type, pool.reserved) == (0x367F72E0B033DA17, 100, 0)
    three = InstrumentId.triangular_pool(Venue.CURVE, a, b, c)
    assert three == InstrumentId.triangular_pool(Venue.CURVE, c, a, b)
    assert (three.asset_id, three.asset_type, three.reserved) == (0x643CE71003E040DF, 100, 1)
    share = InstrumentId.lp_token(Venue.UNISWAP_V3, pool)
    assert (share.asset_id, share.asset_type, share.reserved) == (pool.asset_id, 101, 0)


def test_worked_options() -> None:
    call = InstrumentId.option(Venue.DERIBIT, "BTC", 50000, 20241225, call=True)
    assert (call.asset_id, call.asset_type) == (0x0000C3504DB49800, 150)
    put = InstrumentId.option(Venue.DERIBIT, "BTCUSDT", 50000, 1000, call=False)
    assert put.asset_id == 0x0000C350003E8400


def test_chains_and_kinds_of_the_constructors() -> None:
    assert [
        (made.venue, made.asset_type)
        for made in (
            InstrumentId.ethereum_token(USDC),
            InstrumentId.polygon_token(USDC),
            InstrumentId.bsc_token(USDC),
            InstrumentId.arbitrum_token(USDC),
            InstrumentId.stock(Venue.NASDAQ, "AAPL"),
            InstrumentId.bond(Venue.NYSE, "T10"),
            InstrumentId.coin(Venue.BINANCE, "BTC"),
        )
    ] == [(200, 50), (202, 50), (203, 50), (206, 50), (2, 1), (1, 2), (100, 51)]


def test_only_the_first_sixteen_hex_digits_of_an_address_are_read() -> None:
    assert address_to_u64(USDC[2:18].upper() + "z" * 24) == 0xA0B86991C6218B36
    assert address_to_u64(USDC[2:]) == address_to_u64(USDC)


@pytest.mark.parametrize("address", ["", "0x", USDC[:-1], USDC + "0", "0X" + USDC[2:], "0x0x" + USDC[4:], "z" * 40])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(FieldValueError, match="40 hex digits"):
        address_to_u64(address)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789abcdef_+ xé\u0660", min_size=38, max_size=42))
def test_arbitrary_addresses_give_a_number_or_a_protocol_error(address: str) -> None:
    try:
        number = address_to_u64(address)
    except ProtocolError:
        return
    assert number == int.from_bytes(bytes.fromhex(address.removeprefix("0x")[:16]), "big")


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_symbol_number_that_is_no_u64_is_refused(number: int) -> None:
    with pytest.raises(FieldValueError, match="symbol number"):
        u64_to_symbol(number)


def test_a_symbol_without_utf_8_form_is_refused() -> None:
    with pytest.raises(FieldValueError, match="UTF-8"):
        symbol_to_u64("\ud800")


@settings(max_examples=200, deadline=None)
@given(ids)
def test_bytes_and_u128_key_are_lossless(instrument: InstrumentId) -> None:
    assert InstrumentId.from_bytes(instrument.to_bytes()) == instrument
    assert InstrumentId.from_u128_key(instrument.u128_key) == instrument
    fields = parse_record(RECORDS["InstrumentId"], instrument.to_bytes())
    assert fields == {name: getattr(instrument, name) for name in ("asset_id", "venue", "asset_type", "reserved")}
    assert build_record(RECORDS["InstrumentId"], fields) == instrument.to_bytes()


@settings(max_examples=300, deadline=None)
@given(ids, ids, st.booleans())
def test_d13_u64_keys_collide_exactly_when_what_they_keep_is_equal(
    one: InstrumentId, other: InstrumentId, same_low_bits: bool
) -> None:
    if same_low_bits:
        mixed = other.asset_id & ~((1 << 40) - 1) | one.asset_id & ((1 << 40) - 1)
        other = InstrumentId(mixed, one.venue, one.asset_type, other.reserved)
    kept = [(each.venue, each.asset_type, each.asset_id % 2**40) for each in (one, other)]
    assert (one.u64_key == other.u64_key) == (kept[0] == kept[1])
    back = InstrumentId.from_u64_key(one.u64_key)
    assert (back.venue, back.asset_type, back.asset_id, back.reserved) == (*kept[0], 0)
    assert (one.u128_key == other.u128_key) == (one == other)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="ABCDXYZ", min_size=1, max_size=3), min_size=2, max_size=5))
def test_d13_all_symbols_of_up_to_three_bytes_share_one_u64_key(symbols: list[str]) -> None:
    assert len({InstrumentId.coin(Venue.KRAKEN, symbol).u64_key for symbol in symbols}) == 1


@pytest.mark.parametrize(
    ("fields", "offset"),
    [((-1, 0, 0, 0), 0), ((2**64, 0, 0, 0), 0), ((0, 2**16, 0, 0), 8), ((0, 0, 256, 0), 10), ((0, 0, 0, -1), 11)],
)
def test_a_field_that_does_not_fit_names_its_offset(fields: tuple[int, int, int, int], offset: int) -> None:
    with pytest.raises(FieldValueError) as refused:
        InstrumentId(*fields)
    assert refused.value.offset == offset


def test_other_sizes_and_high_key_bits_are_refused() -> None:
    with pytest.raises(TlvSizeError):
        InstrumentId.from_bytes(bytes(20))
    with pytest.raises(FieldValueError, match="127 to 96"):
        InstrumentId.from_u128_key(1 << 96)
    with pytest.raises(FieldValueError):
        InstrumentId.from_u64_key(1 << 64)


def test_pairing_needs_fungible_assets_one_venue_and_different_ids() -> None:
    btc, eth = InstrumentId.coin(Venue.KRAKEN, "BTC"), InstrumentId.coin(Venue.KRAKEN, "ETH")
    assert btc.pairs_with(eth)
    assert not btc.pairs_with(btc)
    assert not btc.pairs_with(InstrumentId.coin(Venue.BINANCE, "ETH"))
    assert not btc.pairs_with(InstrumentId(7, Venue.KRAKEN, AssetType.NFT))
    assert not InstrumentId(7, Venue.KRAKEN, AssetType.NFT).pairs_with(btc)
    assert btc.pairs_with(InstrumentId(7, Venue.KRAKEN, 99)), "an unknown type counts as fungible"


@pytest.mark.parametrize("make", [InstrumentId.coin, InstrumentId.stock, InstrumentId.bond])
@pytest.mark.parametrize("symbol", ["BITCOINLONG", "", "\0", "BTC\0", "\0BTC", "123456789", "€€€"])
def test_a_symbol_that_would_stand_for_another_one_is_refused_unless_cutting_is_asked_for(
    make: Callable[..., InstrumentId], symbol: str
) -> None:
    with pytest.raises(FieldValueError, match="use 1 to 8 bytes of UTF-8 without NUL"):
        make(Venue.KRAKEN, symbol)
    assert make(Venue.KRAKEN, symbol, truncate=True).asset_id == symbol_to_u64(symbol)
    with pytest.raises(TypeError, match="use text"):
        make(Venue.KRAKEN, 5)


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8))
def test_symbols_that_are_taken_differ_as_their_ids_do(one: str, other: str) -> None:
    try:
        ids = [InstrumentId.coin(Venue.KRAKEN, symbol) for symbol in (one, other)]
    except FieldValueError:
        return
    assert (ids[0] == ids[1]) == (one == other)
    assert [each.symbol for each in ids] == [one, other]


@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**16 - 1) | st.sampled_from(Venue),
    st.sampled_from(AssetType),
    st.integers(0, 255),
)
def test_an_id_is_shown_as_python_writes_it_with_the_names_of_its_numbers(
    asset_id: int, venue: int, asset_type: int, reserved: int
) -> None:
    instrument = InstrumentId(asset_id, venue, asset_type, reserved)
    assert eval(repr(instrument)) == instrument
    assert (f"Venue.{venue.name}" in repr(instrument)) if isinstance(venue, Venue) else True
