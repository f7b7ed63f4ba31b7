"""Typed payloads: one class for every TLV type that has a layout, and :class:`RawPayload` for the others."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ..arguments import Buffer, octets, whole
from ..registry import REGISTRY
from ..tlv import Tlv
from .layout import wrong_size
from .market_data import (
    GasPrice,
    OrderBook,
    OrderLevel,
    Quote,
    QuoteFields,
    QuoteUpdate,
    StateInvalidationReason,
    Trade,
)
from .payload import Payload, RawPayload, Record
from .pool_cache import PoolCacheHeader, PoolCacheJournalEntry, PoolInfo
from .pools import LiquidityChange, PoolBurn, PoolLiquidity, PoolMint, PoolState, PoolSwap, PoolSync, PoolTick
from .signal import ArbitrageEconomics, ArbitrageRoute, ArbitrageSignal
from .system import RecoveryRequest, Snapshot, StateInvalidation, SystemHealth, TraceContext

PAYLOAD_CLASSES: Final[Mapping[int, type[Payload]]] = MappingProxyType(
    {
        each.TLV_TYPE: each
        for each in (
            Trade,
            Quote,
            OrderBook,
            PoolLiquidity,
            PoolSwap,
            PoolMint,
            PoolBurn,
            PoolTick,
            PoolState,
            PoolSync,
            QuoteUpdate,
            GasPrice,
            StateInvalidationReason,
            ArbitrageSignal,
            Snapshot,
            StateInvalidation,
            SystemHealth,
            TraceContext,
            RecoveryRequest,
            PoolInfo,
            PoolCacheHeader,
        )
    }
)
"""The class of every TLV type that has a layout, by type number."""


def decode_payload(tlv_type: int, data: Buffer, *, at: int = 0) -> Payload | RawPayload:
    """The typed payload of a TLV value; types without a layout come back raw, with their bytes (D14).

    ``at`` is where the value begins in its message, for the offsets of errors.

    :raises TlvSizeError: a size that the registry does not allow for the type (D6)
    :raises FieldValueError: a field that its type does not allow
    """
    tlv_type, data = whole(tlv_type, "TLV type"), octets(data)
    payload_class = PAYLOAD_CLASSES.get(tlv_type)
    if payload_class is not None:
        return payload_class.from_bytes(data, at=at)
    rule = REGISTRY.size_rule(tlv_type)
    if not rule.allows(len(data)):
        raise wrong_size(REGISTRY.tlv_types[tlv_type].name, str(rule), len(data), at)
    return RawPayload.from_bytes(tlv_type, data)


def decode_tlv(tlv: Tlv) -> Payload | RawPayload:
    """The payload of a TLV of a parsed message; errors as :func:`decode_payload`, offsets from the message's start."""
    return decode_payload(tlv.type, tlv.value, at=tlv.value_offset)


__all__ = [
    "PAYLOAD_CLASSES",
    "ArbitrageEconomics",
    "ArbitrageRoute",
    "ArbitrageSignal",
    "Buffer",
    "GasPrice",
    "LiquidityChange",
    "OrderBook",
    "OrderLevel",
    "Payload",
    "PoolBurn",
    "PoolCacheHeader",
    "PoolCacheJournalEntry",
    "PoolInfo",
    "PoolLiquidity",
    "PoolMint",
    "PoolState",
    "PoolSwap",
    "PoolSync",
    "PoolTick",
    "Quote",
    "QuoteFields",
    "QuoteUpdate",
    "RawPayload",
    "Record",
    "RecoveryRequest",
    "Snapshot",
    "StateInvalidation",
    "StateInvalidationReason",
    "SystemHealth",
    "TraceContext",
    "Trade",
    "decode_payload",
    "decode_tlv",
]
