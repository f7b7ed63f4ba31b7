"""Records of the pool cache file; two of them have vendor TLV numbers (200, 201).

Facts:
- addresses here have no filler behind them, and times are Unix seconds;
- type and length bytes inside a record are constants: readers check them, writers fill them in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from ..enumerations import CachePoolType, JournalOperation
from ..errors import FieldValueError
from .layout import Buffer, Layout, wrong_size
from .payload import Payload, Record

_MAGIC = int.from_bytes(b"POOL", "little")


@dataclass(frozen=True, slots=True)
class PoolInfo(Payload):
    """A known pool, 88 bytes. ``fee_tier`` in basis points, at most 10 000; token decimals at most 30."""

    TLV_TYPE: ClassVar[int] = 200
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolInfo",
        "<QQIHBBBBBx20s20s20s",
        "discovered_at last_seen fee_tier venue tlv_type tlv_length token0_decimals token1_decimals pool_type "
        "pool_address token0_address token1_address",
        rules={
            "fee_tier": (0, 10_000),
            "tlv_type": 200,
            "tlv_length": 86,
            "token0_decimals": (0, 30),
            "token1_decimals": (0, 30),
            "pool_type": CachePoolType,
        },
    )

    discovered_at: int
    last_seen: int
    fee_tier: int
    venue: int
    token0_decimals: int
    token1_decimals: int
    pool_type: CachePoolType
    pool_address: bytes
    token0_address: bytes
    token1_address: bytes


@dataclass(frozen=True, slots=True)
class PoolCacheHeader(Payload):
    """The start of a pool cache file, 64 bytes. ``checksum`` is the CRC-32 of the pool records."""

    TLV_TYPE: ClassVar[int] = 201
    LAYOUT: ClassVar[Layout] = Layout(
        "PoolCacheHeader",
        "<QQ32xIIII",
        "chain_id last_updated version pool_count checksum magic",
        rules={"version": 1, "magic": _MAGIC},
    )

    chain_id: int
    last_updated: int
    pool_count: int
    checksum: int


@dataclass(frozen=True, slots=True)
class PoolCacheJournalEntry(Record):
    """One change of a pool cache, 104 bytes: a file record without a TLV number."""

    LAYOUT: ClassVar[Layout] = Layout("PoolCacheJournalEntry", "<Q", "timestamp")
    OPERATION: ClassVar[Layout] = Layout(
        "PoolCacheJournalEntry", "<B7x", "operation", start=96, rules={"operation": JournalOperation}
    )
    SIZE: ClassVar[int] = 104

    timestamp: int
    pool_info: PoolInfo
    operation: JournalOperation

    def __post_init__(self) -> None:
        Record.__post_init__(self)
        if not isinstance(self.pool_info, PoolInfo):
            raise FieldValueError(
                f"PoolCacheJournalEntry.pool_info {self.pool_info!r} at offset 8: use PoolInfo",
                offset=8,
                expected="PoolInfo",
                got=self.pool_info,
            )
        self._adopt(self.OPERATION)

    @classmethod
    def from_bytes(cls, data: Buffer, *, at: int = 0) -> Self:
        """As :meth:`Record.from_bytes`."""
        if len(data) != cls.SIZE:
            raise wrong_size("PoolCacheJournalEntry", str(cls.SIZE), len(data), at)
        timestamp = cls.LAYOUT.unpack(data[:8], at)
        pool_info = PoolInfo.from_bytes(data[8:96], at=at + 8)
        (operation,) = cls.OPERATION.unpack(data[96:], at)
        return cls._of(timestamp, ("pool_info", pool_info), ("operation", operation))

    def to_bytes(self) -> bytes:
        """The 104 bytes of the record."""
        operation = self.OPERATION.pack((self.operation,))
        return self.LAYOUT.pack((self.timestamp,)) + self.pool_info.to_bytes() + operation
