"""A payload in a few words, for one line a message."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from itertools import islice

from ..errors import ProtocolError
from ..message import Message
from ..payloads import ArbitrageSignal, OrderBook, Payload, PoolSwap, Quote, QuoteUpdate, RawPayload, Trade, decode_tlv
from ..tlv import Tlv
from .fields import decimals, instrument_text, names_of, plain, type_text, venue_text

_FIELDS = 4
"""Fields shown of payloads without words of their own."""


def headline(message: Message) -> str:
    """The TLVs of a message, one after another."""
    return " | ".join(_tlv(tlv) for tlv in message.tlvs) or "(header only)"


def _tlv(tlv: Tlv) -> str:
    name = type_text(tlv.type)
    try:
        payload = decode_tlv(tlv)
    except ProtocolError as error:
        return f"{name} ({error.kind.label} at {error.offset})"
    return f"{name} {_words(payload)}".rstrip()


def _words(payload: Payload | RawPayload) -> str:
    match payload:
        case RawPayload():
            return f"{len(payload.value)} bytes"
        case Trade():
            side, volume, price = payload.side.name.lower(), payload.volume_decimal, payload.price_decimal
            return f"{instrument_text(payload.instrument)} {side} {plain(volume)} at {plain(price)}"
        case Quote() | QuoteUpdate():
            bid = f"{plain(payload.bid_size_decimal)} at {plain(payload.bid_price_decimal)}"
            ask = f"{plain(payload.ask_size_decimal)} at {plain(payload.ask_price_decimal)}"
            return f"{instrument_text(payload.instrument)} bid {bid}, ask {ask}"
        case OrderBook():
            return f"{instrument_text(payload.instrument)} {_best(payload)}"
        case PoolSwap():
            amounts = f"{plain(payload.amount_in_decimal)} in, {plain(payload.amount_out_decimal)} out"
            return f"{venue_text(payload.venue)} {amounts}, pool 0x{payload.pool_address.hex()}"
        case ArbitrageSignal():
            route = f"{venue_text(payload.source_venue)} to {venue_text(payload.target_venue)}"
            return f"signal {payload.signal_id}, {route}, net {plain(payload.net_profit_usd)} USD"
        case _:
            return ", ".join(islice(_first_fields(payload), _FIELDS))


def _best(book: OrderBook) -> str:
    exact = decimals(book)
    sides = []
    for side, levels in (("bids", book.bids), ("asks", book.asks)):
        best = exact.get(f"{side}[0].price")
        sides.append(f"{len(levels)} {side}" + (f" from {plain(best)}" if best is not None else ""))
    return ", ".join(sides)


def _first_fields(payload: Payload) -> Iterator[str]:
    exact = decimals(payload)
    for name in names_of(payload):
        if "timestamp" in name:
            continue
        value = getattr(payload, name)
        if isinstance(value, tuple):
            yield f"{len(value)} {name}"
        elif isinstance(value, bytes):
            yield f"{name} 0x{value[:20].hex()}{'...' if len(value) > 20 else ''}"
        elif isinstance(value, IntEnum):
            yield f"{name} {value.name.lower()}"
        else:
            yield f"{name} {plain(exact[name]) if name in exact else value}"
