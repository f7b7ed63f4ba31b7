"""Arrays of InstrumentId: keys, packing, unpacking, look-ups (D13).

Facts:
- an array of ids has INSTRUMENT_DTYPE, 12 bytes an id as on the wire, so bytes and array are the same memory;
- the u64 key is lossy: see :attr:`InstrumentId.u64_key`. The u128 key comes as its high and low u64: the low one is
  the asset id, the high one venue, asset type and reserved;
- an id's bytes stand in its keys in another order, so keys are made by moving fields, without arithmetic;
- an index is a perfect hash: a bucket of ids holds a factor that sends each of them to a slot of its own, so that a
  look-up reads one slot and never searches. It works through blocks that fit the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from .batch import Records
from .constants import U64_MAX
from .errors import FieldValueError, TlvSizeError
from .extras import Extra
from .instrument import InstrumentId

with Extra("arrays"):
    import numpy as np
    import numpy.typing as npt

U64s: TypeAlias = npt.NDArray[np.uint64]

INSTRUMENT_DTYPE: Final = np.dtype([("asset_id", "<u8"), ("venue", "<u2"), ("asset_type", "u1"), ("reserved", "u1")])
"""An InstrumentId, packed: 12 bytes."""
_HALVES: Final = np.dtype([("low", "<u8"), ("high", "<u4")])
_U64_KEY: Final = np.dtype([("asset_low", "<u4"), ("asset_byte_4", "u1"), ("asset_type", "u1"), ("venue", "<u2")])
_U128_HIGH: Final = np.dtype([("reserved", "u1"), ("asset_type", "u1"), ("venue", "<u2"), ("zero", "<u4")])
_ASSET_PARTS: Final = np.dtype(
    {"names": ["low", "byte_4"], "formats": ["<u4", "u1"], "offsets": [0, 4], "itemsize": INSTRUMENT_DTYPE.itemsize}
)
_BLOCK: Final = 32_768
_MIX: Final = 0x9E3779B97F4A7C15
_TRIES: Final = 2000


def instruments_from_bytes(data: bytes) -> Records:
    """The ids that stand back to back in ``data``, as a view of it. Raises :class:`TlvSizeError`."""
    if len(data) % INSTRUMENT_DTYPE.itemsize:
        raise TlvSizeError(
            f"{len(data)} bytes are no whole number of ids of {INSTRUMENT_DTYPE.itemsize}",
            expected="a multiple of 12",
            got=len(data),
        )
    return np.frombuffer(data, INSTRUMENT_DTYPE)


def instrument_array(ids: Iterable[InstrumentId]) -> Records:
    """An array of single ids."""
    return instruments_from_bytes(b"".join([each.to_bytes() for each in ids]))


def instruments_of(ids: Records) -> list[InstrumentId]:
    """The single ids of an array."""
    return [InstrumentId(*fields) for fields in _checked(ids).tolist()]


def pack_instruments(
    asset_id: npt.NDArray[Any],
    venue: npt.NDArray[Any],
    asset_type: npt.NDArray[Any],
    reserved: npt.NDArray[Any] | int = 0,
) -> Records:
    """An array of ids from arrays of their fields; ``tobytes()`` of it is their wire form.

    Numbers that do not fit their field are cut to it, as NumPy does.
    """
    ids: Records = np.empty(len(asset_id), INSTRUMENT_DTYPE)
    ids["asset_id"], ids["venue"], ids["asset_type"], ids["reserved"] = asset_id, venue, asset_type, reserved
    return ids


def unpack_instruments(
    ids: Records,
) -> tuple[U64s, npt.NDArray[np.uint16], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The fields of an array of ids, each in an array of its own: asset id, venue, asset type, reserved."""
    asset_id, venue, asset_type, reserved = (
        np.ascontiguousarray(_checked(ids)[name]) for name in ("asset_id", "venue", "asset_type", "reserved")
    )
    return asset_id, venue, asset_type, reserved


def u64_keys(ids: Records) -> U64s:
    """The lossy keys: venue, asset type and the low 40 bits of the asset id side by side."""
    keys = np.empty(len(ids), _U64_KEY)
    asset = _checked(ids).view(_ASSET_PARTS)
    keys["asset_low"], keys["asset_byte_4"] = asset["low"], asset["byte_4"]
    keys["asset_type"], keys["venue"] = ids["asset_type"], ids["venue"]
    return keys.view("<u8")


def u128_keys(ids: Records) -> tuple[U64s, U64s]:
    """The lossless keys as (high, low): venue, asset type and reserved in bits 31 to 0 of high, the asset id in low."""
    highs = np.zeros(len(_checked(ids)), _U128_HIGH)
    for name in ("venue", "asset_type", "reserved"):
        highs[name] = ids[name]
    return highs.view("<u8"), np.ascontiguousarray(ids["asset_id"])


def from_u64_keys(keys: U64s) -> Records:
    """What is left of ids in their u64 keys: the low 40 bits of the asset id, ``reserved`` 0."""
    parts = np.ascontiguousarray(keys, "<u8").view(_U64_KEY)
    ids: Records = np.zeros(len(parts), INSTRUMENT_DTYPE)
    asset = ids.view(_ASSET_PARTS)
    asset["low"], asset["byte_4"] = parts["asset_low"], parts["asset_byte_4"]
    ids["asset_type"], ids["venue"] = parts["asset_type"], parts["venue"]
    return ids


def from_u128_keys(high: U64s, low: U64s) -> Records:
    """The ids of u128 keys. Raises :class:`FieldValueError` if bits 127 to 96 of one are not zero."""
    largest = int(high.max(initial=0))
    if largest >> 32:
        raise FieldValueError(
            f"u128 key with high part {largest:#x}: bits 127 to 96 are zero", expected="0..2^32-1", got=largest
        )
    parts = np.ascontiguousarray(high, "<u8").view(_U128_HIGH)
    return pack_instruments(low, parts["venue"], parts["asset_type"], parts["reserved"])


class InstrumentIndex:
    """Finds the positions of ids among known ones: the whole id counts, not a key.

    Raises :class:`FieldValueError` if an id is there twice. Made for up to some 10^5 ids: building takes about 3 µs an
    id, and the look-up is fastest while the table (64 bytes an id) stays in the processor's cache.
    """

    def __init__(self, ids: Records) -> None:
        self._ids = np.array(_checked(ids))
        _, counts = np.unique(self._ids, return_counts=True)
        if len(counts) != len(self._ids):
            raise FieldValueError("an id is there twice: give each once", expected="distinct ids", got=len(self._ids))
        bits = max(4, (2 * len(self._ids)).bit_length())
        self._slot_shift = 64 - bits
        self._bucket_shift = np.uint64(64 - bits + 2)
        self._seed = _MIX
        self._factors: U64s = np.ones(1 << (bits - 2), np.uint64)
        self._position: npt.NDArray[np.int64] = np.full(1 << bits, -1, np.int64)
        while not self._place():
            self._seed += 2

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, ids: Records) -> npt.NDArray[np.int64]:
        """The position of each id among the known ones, -1 for an unknown one."""
        halves = _checked(ids).view(_HALVES)
        found: npt.NDArray[np.int64] = np.empty(len(ids), np.int64)
        scratch = np.empty((5, min(_BLOCK, len(ids))), np.uint64)
        for start in range(0, len(ids), _BLOCK):
            block = halves[start : start + _BLOCK]
            self._find_block(block, scratch[:, : len(block)], found[start : start + _BLOCK])
        return found

    def _find_block(self, halves: Records, scratch: U64s, found: npt.NDArray[np.int64]) -> None:
        low, high, mixed, bucket, taken = scratch
        low[:], high[:] = halves["low"], halves["high"]
        self._mix(low, high, out=mixed)
        np.right_shift(mixed, self._bucket_shift, out=bucket)
        np.take(self._factors, bucket.view(np.int64), out=taken, mode="clip")
        mixed *= taken
        mixed >>= np.uint64(self._slot_shift)
        slots = mixed.view(np.int64)
        wrong = np.take(self._low, slots, out=taken, mode="clip") != low
        wrong |= np.take(self._high, slots, out=taken, mode="clip") != high
        np.take(self._position, slots, out=found, mode="clip")
        np.copyto(found, -1, where=wrong)

    def _mix(self, low: U64s, high: U64s, *, out: U64s) -> None:
        np.multiply(high, np.uint64(_MIX), out=out)
        out ^= low
        out *= np.uint64(self._seed)

    def _place(self) -> bool:
        """Give every id a slot of its own; False if the seed makes that impossible."""
        halves = self._ids.view(_HALVES)
        low, high = halves["low"].astype(np.uint64), halves["high"].astype(np.uint64)
        mixed = np.empty(len(low), np.uint64)
        self._mix(low, high, out=mixed)
        slots = _distinct_slots(mixed.tolist(), (mixed >> self._bucket_shift).tolist(), self._slot_shift, self._factors)
        if slots is None:
            return False
        self._low: U64s = np.zeros(len(self._position), np.uint64)
        self._high: U64s = np.full(len(self._position), U64_MAX, np.uint64)  # no id has this: an empty slot
        self._low[slots], self._high[slots] = low, high
        self._position[slots] = np.arange(len(slots))
        return True


def _distinct_slots(mixed: list[int], buckets: list[int], shift: int, factors: U64s) -> list[int] | None:
    """A slot for each mixed id, and the factors that lead there, buckets of many ids first; None if there is no way."""
    members: dict[int, list[int]] = {}
    for index, bucket in enumerate(buckets):
        members.setdefault(bucket, []).append(index)
    taken: set[int] = set()
    slots = [0] * len(mixed)
    for bucket, held in sorted(members.items(), key=lambda item: -len(item[1])):
        for factor in range(1, _TRIES, 2):
            wanted = [(mixed[index] * factor & U64_MAX) >> shift for index in held]
            if len({*wanted}) == len(held) and taken.isdisjoint(wanted):
                break
        else:
            return None
        factors[bucket] = factor
        taken.update(wanted)
        for index, slot in zip(held, wanted, strict=True):
            slots[index] = slot
    return slots


def _checked(ids: Records) -> Records:
    if ids.dtype != INSTRUMENT_DTYPE or ids.ndim != 1:
        raise FieldValueError(
            f"an array of dtype {ids.dtype}: use INSTRUMENT_DTYPE", expected=str(INSTRUMENT_DTYPE), got=str(ids.dtype)
        )
    return np.ascontiguousarray(ids)
