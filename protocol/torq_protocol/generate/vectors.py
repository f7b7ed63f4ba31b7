"""Test vectors: messages with everything that is in them, and bytes that must be refused, with error and offset.

Facts:
- numbers of more than 32 bits are decimal strings, since many JSON readers keep 53 bits; the others are numbers;
- bytes are lower-case hex; field names and order are the schema's, fillers left out;
- all vectors come from the schema and follow from it alone, so the files change when the protocol does;
- each vector is one line: a search shows it whole, a difference is a line for each vector that changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final
from zlib import crc32

from ..constants import EXTENDED_MARKER, RelayDomain
from ..instrument import InstrumentId, symbol_to_u64, u64_to_symbol
from ..names import AssetType, TlvTypeNumber, Venue
from ..registry import REGISTRY, TlvType
from ..schema import (
    PAYLOADS,
    RECORDS,
    build_message,
    build_payload,
    build_record,
    build_tlv,
    parse_message,
    parse_payload,
)
from ..schema.as_json import Json, to_json
from .examples import example
from .malformed import malformed_vectors
from .vector_schema import VECTOR_SCHEMA

TIMESTAMP: Final = 1_700_000_000_000_000_000
WORKED_TRADE: Final = bytes.fromhex("000000000043544280d3049d1a0400004e61bc000000000000002a36fe9c97176500330001000000")


def vector_files() -> dict[str, str]:
    """The files below docs/vectors, by path."""
    head: dict[str, Json] = {"$schema": "schema.json", "format": 1}
    return {
        "vectors/messages.json": _lines(head | {"kind": "messages", "vectors": list(_messages())}),
        "vectors/malformed.json": _lines(head | {"kind": "malformed", "vectors": malformed_vectors()}),
        "vectors/values.json": _lines(head | {"kind": "values", **_worked_values()}),
        "vectors/schema.json": json.dumps(VECTOR_SCHEMA, indent=1, ensure_ascii=False) + "\n",
    }


def _lines(members: dict[str, Json]) -> str:
    """An object as JSON: a line for each member, and one for each element of a member that is a list."""
    written = []
    for name, value in members.items():
        elements = ",\n  ".join(map(_line, value)) if isinstance(value, list) else None
        written.append(f" {_line(name)}: " + (_line(value) if elements is None else f"[\n  {elements}\n ]"))
    return "{\n" + ",\n".join(written) + "\n}\n"


def _line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _messages() -> Iterator[Json]:
    yield _vector("header-only", "No TLVs: a valid message (D8).", b"")
    yield _vector(
        "worked-trade", "The worked Trade: BTC on Kraken, 45123.50, 0.12345678, sell.", build_tlv(1, WORKED_TRADE)
    )
    for tlv in REGISTRY.tlv_types.values():
        if tlv.number in PAYLOADS:
            yield from _typed(tlv)
        elif tlv.number != EXTENDED_MARKER:
            yield _raw(tlv)
    yield from _forms()


def _typed(tlv: TlvType) -> Iterator[Json]:
    for style, about in (
        ("ascending", "Each number's bytes count up from its offset plus one, as far as its rules allow."),
        ("lowest", "Every field as low as it may be, lists as short as they may be."),
        ("highest", "Every field as high as it may be, lists full."),
    ):
        payload = _example_tlv(tlv.number, style)
        yield _vector(f"{tlv.name}-{style}", f"{tlv.name}. {about}", payload, domain=_domain(tlv))


def _example_tlv(number: int, style: str) -> bytes:
    fields = example(PAYLOADS[number], style)
    assert isinstance(fields, dict)
    return build_tlv(number, build_payload(number, fields))


def _raw(tlv: TlvType) -> Json:
    size = tlv.size.minimum
    value = bytes((index + 1) % 256 for index in range(size))
    about = f"{tlv.name} has a number and the size rule {tlv.size}, but no layout: kept as bytes."
    return _vector(f"{tlv.name}-raw", about, build_tlv(tlv.number, value), domain=_domain(tlv))


def _forms() -> Iterator[Json]:
    short = build_tlv(1, WORKED_TRADE, extended=True)
    yield _vector(
        "extended-short",
        "The extended form of a short value is valid; a builder writes the standard form (D7).",
        short,
        rebuilt=build_tlv(1, WORKED_TRADE),
    )
    for size in (0, 255):
        yield _vector(f"standard-{size}", f"A value of {size} bytes in standard form.", build_tlv(205, bytes(size)))
    yield _vector("extended-256", "The shortest value that needs the extended form.", build_tlv(205, bytes(256)))
    yield _vector("unknown-type", "A type that is not registered is kept (D14).", build_tlv(150, b"\x01\x02\x03"))
    yield _vector("type-zero", "Type 0 in standard form is unassigned, not malformed.", build_tlv(0, b""))
    several = build_tlv(1, WORKED_TRADE) + build_tlv(254, b"") + build_tlv(1, WORKED_TRADE)
    yield _vector("three-tlvs", "TLVs stand back to back; the same type may come twice.", several)
    filled = WORKED_TRADE[:37] + b"\xaa\xbb\xcc"
    yield _vector(
        "filler-not-zero",
        "Fillers are ignored when read and written zero.",
        build_tlv(1, filled),
        rebuilt=build_tlv(1, WORKED_TRADE),
    )
    yield _vector("unknown-source", "Source bytes without a name are legal (D11).", b"", source=255)
    yield _vector(
        "other-version", "A parser does not look at the version; relays at security level do.", b"", version=2
    )
    signal = _example_tlv(TlvTypeNumber.ARBITRAGE_SIGNAL, "ascending")
    yield _vector(
        "checksum-not-computed",
        "A checksum field of 0 says that none was computed, as in every ArbitrageSignal of the original (D9).",
        signal,
        domain=RelayDomain.SIGNAL,
        rebuilt=signal,
        checksum=0,
    )
    yield _vector(
        "checksum-right-zero",
        "The CRC-32 of these bytes is 0: right for whoever refuses a checksum that was not computed, too (D9).",
        build_tlv(205, bytes.fromhex("c51668bc")),
    )


def _vector(
    name: str, about: str, payload: bytes, *, domain: int = 1, rebuilt: bytes | None = None, **header: int
) -> Json:
    fields = {"relay_domain": domain, "sequence": 1, "timestamp": TIMESTAMP} | header
    frame = build_message(payload, **fields)
    parsed = parse_message(frame)
    vector: dict[str, Json] = {
        "name": name,
        "about": about,
        "hex": frame.hex(),
        "header": {
            key: str(value) if key in ("sequence", "timestamp") else value for key, value in parsed.header.items()
        },
        "tlvs": [_tlv(tlv.tlv_type, tlv.value, extended=tlv.extended, offset=tlv.offset) for tlv in parsed.tlvs],
    }
    if rebuilt is not None:
        computed = {name: value for name, value in fields.items() if name != "checksum"}
        vector["rebuilt"] = build_message(rebuilt, **computed).hex()
    return vector


def _tlv(number: int, value: bytes, *, extended: bool, offset: int) -> Json:
    tlv: dict[str, Json] = {"type": number, "extended": extended, "offset": offset, "value": value.hex()}
    if number in PAYLOADS:
        tlv["payload"] = PAYLOADS[number].name
        tlv["fields"] = to_json(PAYLOADS[number], parse_payload(number, value))
    return tlv


def _domain(tlv: TlvType) -> int:
    return tlv.domain or RelayDomain.MARKET_DATA


def _worked_values() -> dict[str, Json]:
    symbols = ("BTC", "AAPL", "BTC-USD", "BTCUSDT", "VERYLONGSYMBOL")
    usdc = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
    token = InstrumentId.ethereum_token(usdc)
    others = [
        InstrumentId(number, Venue.ETHEREUM, AssetType.TOKEN) for number in (0xC02AAA39B223FE8D, 0x6B175474E89094C4)
    ]
    made = {
        "coin BTC on Kraken": InstrumentId.coin(Venue.KRAKEN, "BTC"),
        "coin ETH on Kraken (the u64 key of BTC)": InstrumentId.coin(Venue.KRAKEN, "ETH"),
        "stock AAPL on NASDAQ": InstrumentId.stock(Venue.NASDAQ, "AAPL"),
        f"Ethereum token {usdc}": token,
        "Uniswap V3 pool of asset ids a0b86991c6218b36 and c02aaa39b223fe8d": InstrumentId.pool(
            Venue.UNISWAP_V3, token, others[0]
        ),
        "Curve pool of those two and 6b175474e89094c4": InstrumentId.triangular_pool(Venue.CURVE, token, *others),
        "option BTC, strike 50000, expiry 20241225, call, on Deribit": InstrumentId.option(
            Venue.DERIBIT, "BTC", 50_000, 20_241_225, call=True
        ),
        "option BTCUSDT, strike 50000, expiry 1000, put, on Deribit": InstrumentId.option(
            Venue.DERIBIT, "BTCUSDT", 50_000, 1000, call=False
        ),
    }
    return {
        "checksums": [{"data": b"123456789".hex(), "crc32": f"{crc32(b'123456789'):08x}"}],
        "symbols": [
            {"symbol": symbol, "number": f"{symbol_to_u64(symbol):016x}", "back": u64_to_symbol(symbol_to_u64(symbol))}
            for symbol in symbols
        ],
        "instruments": [_instrument(about, instrument) for about, instrument in made.items()],
        "records": [_record(name) for name in RECORDS],
        "sizes": [
            {"type": tlv.number, "name": tlv.name, "minimum": tlv.size.minimum, "maximum": tlv.size.maximum}
            for tlv in REGISTRY.tlv_types.values()
            if tlv.number != EXTENDED_MARKER
        ],
        "sources": [{"source": source.number, "name": source.name} for source in REGISTRY.sources.values()],
    }


def _instrument(about: str, instrument: InstrumentId) -> Json:
    return {
        "about": about,
        "asset_id": f"{instrument.asset_id:016x}",
        "venue": instrument.venue,
        "asset_type": instrument.asset_type,
        "reserved": instrument.reserved,
        "hex": instrument.to_bytes().hex(),
        "u64_key": f"{instrument.u64_key:016x}",
        "u128_key": f"{instrument.u128_key:032x}",
    }


def _record(name: str) -> Json:
    """A record that is part of payloads or files, with ascending bytes."""
    declared = RECORDS[name]
    fields = example(declared, "ascending")
    assert isinstance(fields, dict)
    return {"record": name, "hex": build_record(declared, fields).hex(), "fields": to_json(declared, fields)}
