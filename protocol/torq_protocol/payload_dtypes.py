"""NumPy dtypes of the payloads, taken from the schema.

Facts:
- a dtype has the fields of the schema, at their offsets, and the payload's whole size; fillers have no field;
- NumPy has no integer of more than 64 bits: a u128 is two ``<u8`` and a u256 four, the least significant first.
  :func:`wide_integers` makes Python integers of them;
- bytes (addresses, hashes) are ``V20`` and the like, whose ``tolist()`` gives ``bytes``;
- a list of fixed capacity has the fields ``count`` and ``elements``; slots beyond the count mean nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from .extras import Extra

with Extra("arrays"):
    import numpy as np
    import numpy.typing as npt


_WORD: Final = np.dtype("<u8")


@cache
def payload_dtype(tlv_type: int) -> np.dtype[np.void]:
    """The dtype of a type's payload; of a Snapshot, the header in front of its data.

    Raises :class:`KeyError` for a type without a layout.
    """
    from .schema import PAYLOADS  # construct takes long to import

    return _structure(PAYLOADS[tlv_type])


@cache
def types_with_layout() -> frozenset[int]:
    """The type numbers for which :func:`payload_dtype` has an answer."""
    from .schema import PAYLOADS

    return frozenset(PAYLOADS)


@cache
def _structure(declared: Any) -> np.dtype[np.void]:
    """The dtype of a construct Struct, up to the first field of no fixed size."""
    from .schema.vocabulary import Filler, bare

    names: list[str] = []
    formats: list[Any] = []
    offsets: list[int] = []
    size = 0
    for field in bare(declared).subcons:
        format_ = None if isinstance(bare(field), Filler) else _format(bare(field))
        if format_ is _OPEN:
            break
        if format_ is not None:
            names.append(field.name)
            formats.append(format_)
            offsets.append(size)
        size += field.sizeof()
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


_OPEN: Final = object()


def _format(field: Any) -> Any:
    """The dtype (or dtype and shape) of a field's declaration; _OPEN for one of no fixed size."""
    import construct

    from .schema.vocabulary import Closed, FixedList, Marker, bare

    field = bare(field)
    match field:
        case construct.FormatField():
            return np.dtype(f"<{'i' if field.fmtstr[-1].islower() else 'u'}{field.sizeof()}")
        case construct.BytesInteger():
            return (_WORD, (field.sizeof() // _WORD.itemsize,))
        case construct.Struct():
            return _structure(field)
        case construct.Array():
            return (_format(field.subcon), (field.count,))
        case FixedList():
            return _structure(field.subcon)
        case construct.Bytes():
            return np.dtype((np.void, field.sizeof()))
        case Closed() | Marker() | construct.Subconstruct():
            return _format(field.subcon)
        case _:
            return _OPEN


def wide_integers(words: npt.NDArray[np.uint64]) -> list[Any]:
    """Python integers of u128 or u256 fields: the last axis holds the words; other axes become nested lists."""
    total = np.zeros(words.shape[:-1], dtype=object)
    for index in range(words.shape[-1]):
        total += words[..., index].astype(object) << (64 * index)
    result: list[Any] = total.tolist()
    return result
