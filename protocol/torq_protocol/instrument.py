"""InstrumentId: what is traded, on which venue, in 12 bytes (D13).

Facts:
- a symbol's first 8 bytes, zero filled on the right and read big-endian, are its ``asset_id``; so is the front of an
  address (the two big-endian steps of D1). The result is stored little-endian like any other u64;
- pool ids are a hash of the token ids and cannot be taken apart again;
- the u128 key is lossless. The u64 key keeps the low 40 bits of ``asset_id`` and drops ``reserved``: all symbols of up
  to three bytes on one venue and asset type share one u64 key. Use it only where the original does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from struct import Struct
from typing import ClassVar

from .arguments import Buffer, octets, whole
from .constants import U8_MAX, U16_MAX, U64_MAX
from .enumerations import named
from .errors import FieldValueError, TlvSizeError
from .names import AssetType, Venue

_WIRE = Struct("<QHBB")
_LOW_40 = (1 << 40) - 1
_HEX_DIGITS = re.compile(r"[0-9a-fA-F]{16}")
_RANGES = (("asset_id", 0, U64_MAX), ("venue", 8, U16_MAX), ("asset_type", 10, U8_MAX), ("reserved", 11, U8_MAX))
_SYMBOL_SIZE = 8
THREE_TOKEN_POOL = 1
"""``reserved`` of a three-token pool."""


def symbol_to_u64(symbol: str) -> int:
    """The first 8 bytes of a symbol as a big-endian number, zero filled on the right.

    :raises FieldValueError: the text has no UTF-8 form
    """
    try:
        return int.from_bytes(symbol.encode()[:8].ljust(8, b"\x00"), "big")
    except UnicodeEncodeError as error:
        raise FieldValueError(f"symbol {symbol!r} has no UTF-8 form", expected="UTF-8 text", got=symbol) from error


def _symbol_number(symbol: str, truncate: bool) -> int:
    """The number of a symbol that stands for no other one, unless ``truncate`` allows that."""
    if not isinstance(symbol, str):
        raise TypeError(f"symbol {symbol!r:.40}: use text")
    number = symbol_to_u64(symbol)
    size = len(symbol.encode())
    if not truncate and not (1 <= size <= _SYMBOL_SIZE and "\0" not in symbol):
        raise FieldValueError(
            f"symbol {symbol!r:.40} of {size} bytes: use 1 to {_SYMBOL_SIZE} bytes of UTF-8 without NUL; "
            "truncate=True keeps the first 8, as the original does",
            expected=f"1..{_SYMBOL_SIZE} bytes",
            got=symbol,
        )
    return number


def u64_to_symbol(number: int) -> str:
    """The text before the first zero byte of the 8 big-endian bytes; bad UTF-8 becomes U+FFFD.

    :raises FieldValueError: no u64
    """
    number = whole(number, "symbol number")
    if not 0 <= number <= U64_MAX:
        raise FieldValueError(f"symbol number {number}: use 0 to {U64_MAX}", expected=f"0..{U64_MAX}", got=number)
    return number.to_bytes(8, "big").partition(b"\x00")[0].decode("utf-8", "replace")


def address_to_u64(address: str) -> int:
    """The first 8 bytes of an EVM address in hex, with or without ``0x``, as a big-endian number.

    Of its 40 characters the first 16 are read and the others are not looked at.

    :raises FieldValueError: not 40 characters, or no hex digits among the first 16
    """
    digits = address.removeprefix("0x")
    if len(digits.encode("utf-8", "replace")) != 40 or not _HEX_DIGITS.match(digits):
        raise FieldValueError(f"address {address!r}: use 40 hex digits", expected="40 hex digits", got=address)
    return int(digits[:16], 16)


@dataclass(frozen=True, slots=True, order=True, repr=False)
class InstrumentId:
    """An asset on a venue. ``venue`` and ``asset_type`` keep numbers that the registry does not know (D12).

    :raises FieldValueError: a field does not fit; the offset is its place in the 12 bytes
    """

    SIZE: ClassVar[int] = 12

    asset_id: int
    venue: int
    asset_type: int
    reserved: int = 0

    def __post_init__(self) -> None:
        for name, offset, largest in _RANGES:
            value = getattr(self, name)
            if not isinstance(value, int) and hasattr(value, "__index__"):
                value = whole(value, name)
                object.__setattr__(self, name, value)
            if not isinstance(value, int) or not 0 <= value <= largest:
                raise FieldValueError(
                    f"InstrumentId.{name} {value!r} at offset {offset}: use 0 to {largest}",
                    offset=offset,
                    expected=f"0..{largest}",
                    got=value,
                )

    def __repr__(self) -> str:
        return (
            f"InstrumentId(asset_id={self.asset_id}, venue={named(Venue, self.venue)}, "
            f"asset_type={named(AssetType, self.asset_type)}, reserved={self.reserved})"
        )

    @classmethod
    def stock(cls, venue: int, symbol: str, *, truncate: bool = False) -> InstrumentId:
        """A share, by a symbol of 1 to 8 bytes; ``truncate`` cuts a longer one, as the original does."""
        return cls(_symbol_number(symbol, truncate), venue, AssetType.STOCK)

    @classmethod
    def bond(cls, venue: int, symbol: str, *, truncate: bool = False) -> InstrumentId:
        """A bond, by a symbol of 1 to 8 bytes; ``truncate`` cuts a longer one, as the original does."""
        return cls(_symbol_number(symbol, truncate), venue, AssetType.BOND)

    @classmethod
    def coin(cls, venue: int, symbol: str, *, truncate: bool = False) -> InstrumentId:
        """A coin on an exchange, by a symbol of 1 to 8 bytes; ``truncate`` cuts a longer one, as the original does."""
        return cls(_symbol_number(symbol, truncate), venue, AssetType.COIN)

    @classmethod
    def token(cls, venue: int, address: str) -> InstrumentId:
        """An EVM token of a chain, by its contract address in hex."""
        return cls(address_to_u64(address), venue, AssetType.TOKEN)

    @classmethod
    def ethereum_token(cls, address: str) -> InstrumentId:
        """A token on Ethereum."""
        return cls.token(Venue.ETHEREUM, address)

    @classmethod
    def polygon_token(cls, address: str) -> InstrumentId:
        """A token on Polygon."""
        return cls.token(Venue.POLYGON, address)

    @classmethod
    def bsc_token(cls, address: str) -> InstrumentId:
        """A token on BNB Smart Chain."""
        return cls.token(Venue.BINANCE_SMART_CHAIN, address)

    @classmethod
    def arbitrum_token(cls, address: str) -> InstrumentId:
        """A token on Arbitrum."""
        return cls.token(Venue.ARBITRUM, address)

    @classmethod
    def pool(cls, venue: int, first: InstrumentId, second: InstrumentId) -> InstrumentId:
        """A pool of two tokens, in any order: (31·a + b) mod 2^64 with a ≤ b."""
        low, high = sorted((first.asset_id, second.asset_id))
        return cls((31 * low + high) & U64_MAX, venue, AssetType.POOL)

    @classmethod
    def triangular_pool(
        cls, venue: int, first: InstrumentId, second: InstrumentId, third: InstrumentId
    ) -> InstrumentId:
        """A pool of three tokens, in any order: (31·a + 17·b + c) mod 2^64 with a ≤ b ≤ c."""
        low, middle, high = sorted((first.asset_id, second.asset_id, third.asset_id))
        return cls((31 * low + 17 * middle + high) & U64_MAX, venue, AssetType.POOL, THREE_TOKEN_POOL)

    @classmethod
    def lp_token(cls, venue: int, pool: InstrumentId) -> InstrumentId:
        """The token that a pool gives to its liquidity providers: it has the pool's asset id."""
        return cls(pool.asset_id, venue, AssetType.LP_TOKEN)

    @classmethod
    def option(cls, venue: int, underlying: str, strike: int, expiry: int, *, call: bool) -> InstrumentId:
        """An option: the low 32 bits of the strike, 20 of the expiry, the call bit, 11 of the underlying's number.

        A date written as yyyymmdd does not fit 20 bits; the low 11 bits of a symbol of six bytes or fewer are zero.
        """
        packed = (strike & 0xFFFF_FFFF) << 32 | (expiry & 0xF_FFFF) << 12 | call << 11
        return cls(packed | symbol_to_u64(underlying) & 0x7FF, venue, AssetType.OPTION)

    @classmethod
    def from_u64_key(cls, key: int) -> InstrumentId:
        """What is left of an id in its u64 key: the low 40 bits of the asset id, ``reserved`` 0 (D13)."""
        return cls(key & _LOW_40, key >> 48, key >> 40 & 0xFF)

    @classmethod
    def from_u128_key(cls, key: int) -> InstrumentId:
        """The id of a u128 key.

        :raises FieldValueError: bits 127 to 96 are not zero
        """
        if not 0 <= key < 1 << 96:
            raise FieldValueError(f"u128 key {key:#x}: bits 127 to 96 are zero", expected="0..2^96-1", got=key)
        return cls(key & U64_MAX, key >> 80, key >> 72 & 0xFF, key >> 64 & 0xFF)

    @classmethod
    def from_bytes(cls, data: Buffer) -> InstrumentId:
        """The id in 12 bytes.

        :raises TlvSizeError: another number of bytes
        """
        raw = octets(data)
        if len(raw) != cls.SIZE:
            raise TlvSizeError(f"InstrumentId: {len(raw)} bytes, expected 12", expected=12, got=len(raw))
        return cls(*_WIRE.unpack(raw))

    def to_bytes(self) -> bytes:
        """The 12 bytes of the id."""
        return _WIRE.pack(self.asset_id, self.venue, self.asset_type, self.reserved)

    @property
    def u64_key(self) -> int:
        """Venue, asset type and 40 bits of the asset id side by side: lossy (D13)."""
        return self.venue << 48 | self.asset_type << 40 | self.asset_id & _LOW_40

    @property
    def u128_key(self) -> int:
        """Venue, asset type, reserved and the whole asset id side by side: lossless (D13)."""
        return self.venue << 80 | self.asset_type << 72 | self.reserved << 64 | self.asset_id

    @property
    def symbol(self) -> str:
        """The symbol that the asset id holds; meaningful for stocks, bonds and coins."""
        return u64_to_symbol(self.asset_id)

    @property
    def fungible(self) -> bool:
        """Whether one unit is as good as another: all but NFT, unknown asset types included."""
        return self.asset_type != AssetType.NFT

    def pairs_with(self, other: InstrumentId) -> bool:
        """Whether the two can be traded as a pair: both fungible, one venue, different asset ids."""
        return self.fungible and other.fungible and self.venue == other.venue and self.asset_id != other.asset_id
