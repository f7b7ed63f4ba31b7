"""Closed enumerations: fields whose every allowed value has a name, so that another value is refused.

Venues, asset types and sources are open (an unknown number is legal and kept): see :mod:`torq_protocol.names`.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Side(IntEnum):
    """``side`` of a Trade: what the taker did."""

    BUY = 0
    SELL = 1


class InvalidationReason(IntEnum):
    """Why state is no longer valid (types 19 and 106)."""

    DISCONNECTION = 0
    AUTHENTICATION_FAILURE = 1
    RATE_LIMITED = 2
    STALENESS = 3
    MAINTENANCE = 4
    RECOVERY = 5


class PoolProtocol(IntEnum):
    """``pool_type`` of a PoolState."""

    UNISWAP_V2 = 0
    UNISWAP_V3 = 1
    SUSHISWAP_V2 = 2
    QUICKSWAP_V3 = 3
    CURVE = 4
    BALANCER = 5


class CachePoolType(IntEnum):
    """``pool_type`` of a PoolInfo record: another numbering than :class:`PoolProtocol`."""

    UNISWAP_V2 = 1
    UNISWAP_V3 = 2
    QUICKSWAP_V2 = 3
    QUICKSWAP_V3 = 4
    SUSHISWAP_V2 = 5
    CURVE_V2 = 6
    BALANCER_V2 = 7


class HealthStatus(IntEnum):
    """``health_status`` of a SystemHealth."""

    HEALTHY = 0
    DEGRADED = 1
    UNHEALTHY = 2
    UNKNOWN = 3


class TraceStage(IntFlag):
    """``stage_flags`` of a TraceContext; bits without a name are kept."""

    COLLECTED = 1
    RELAYED = 2
    PROCESSED = 4
    EXECUTED = 8


class RecoveryRequestType(IntEnum):
    """``request_type`` of a RecoveryRequest, a u32 on the wire."""

    RETRANSMIT = 1
    SNAPSHOT = 2


class SnapshotCompression(IntEnum):
    """``compression_type`` of a Snapshot header."""

    NONE = 0
    ZLIB = 1
    LZ4 = 2
    ZSTD = 3


class JournalOperation(IntEnum):
    """``operation`` of a pool cache journal entry."""

    ADD = 1
    UPDATE = 2
    DELETE = 3


def named(names: type[IntEnum], number: int) -> str:
    """A number as Python writes it, by name where it has one."""
    return f"{names.__name__}.{names(number).name}" if number in set(names) else str(number)
