"""Records of the pool cache file; two of them have vendor TLV numbers (200, 201).

Facts:
- addresses here have no filler behind them, and times are Unix seconds;
- type and length bytes inside a record are constants: readers check them, writers fill them in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from . import fields
from .layout import Layout


class PoolInfo(fields.PoolInfo):
    """A known pool, 88 bytes. ``fee_tier`` in basis points, at most 10 000; token decimals at most 30."""

    __slots__ = ()


class PoolCacheHeader(fields.PoolCacheHeader):
    """The start of a pool cache file, 64 bytes. ``checksum`` is the CRC-32 of the pool records."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, repr=False)
class PoolCacheJournalEntry(fields.PoolCacheJournalEntry):
    """One change of a pool cache, 104 bytes: a file record without a TLV number."""

    LAYOUT: ClassVar[Layout] = fields.PoolCacheJournalEntry.LAYOUT.holding(PoolInfo)

    pool_info: PoolInfo
