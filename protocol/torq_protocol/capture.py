"""A captured stream of mixed messages as one table for each TLV type, in one call.

``read_capture(data)`` gives structured arrays; :meth:`Capture.frame` a pandas DataFrame and :meth:`Capture.table` an
Arrow table where those libraries are installed.

Facts:
- the dtypes are those of :mod:`torq_protocol.payload_dtypes`; values are not judged, only read: an enumeration's number
  may be one that the payload class refuses;
- a table has one row for each TLV of its type, in the order of the stream, beside the header of its message;
- values of another size than their type's, and of types without a layout, are in no table: see ``others``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from .batch import MessageBatch, Records, gather, parse_batch
from .constants import MAX_MESSAGE_SIZE
from .extras import Extra
from .payload_dtypes import payload_dtype, types_with_layout, wide_integers

with Extra("arrays"):
    import numpy as np
    import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_OF_THE_HEADER: Final = ("domain", "source", "sequence", "timestamp")
_SNAPSHOT: Final = 101


class Capture(Mapping[int, Records]):
    """The tables of a stream by TLV type. ``batch`` is the run of messages below, its faults included.

    ``capture[tlv_type]`` holds the payloads, ``capture.headers(tlv_type)`` the header of each row's message. Tables are
    made when they are asked for, and copies: changing one changes nothing else.
    """

    def __init__(self, batch: MessageBatch) -> None:
        self.batch = batch
        self._tables: dict[int, Records] = {}

    @cached_property
    def _rows(self) -> dict[int, npt.NDArray[np.intp]]:
        """The rows of the TLV table that belong to each type's table."""
        tlvs = self.batch.tlvs
        found: dict[int, npt.NDArray[np.intp]] = {}
        for tlv_type in np.flatnonzero(np.bincount(tlvs["type"], minlength=1)).tolist():
            if tlv_type not in types_with_layout():
                continue
            size = payload_dtype(tlv_type).itemsize
            fits = tlvs["size"] >= size if tlv_type == _SNAPSHOT else tlvs["size"] == size
            rows = np.flatnonzero(fits & (tlvs["type"] == tlv_type))
            if len(rows):
                found[tlv_type] = rows
        return found

    def __getitem__(self, tlv_type: int) -> Records:
        rows = self._rows[tlv_type]
        if tlv_type not in self._tables:
            offsets = self.batch.tlvs["offset"][rows]
            self._tables[tlv_type] = gather(self.batch.data, offsets, payload_dtype(tlv_type))
        return self._tables[tlv_type]

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def messages(self, tlv_type: int) -> npt.NDArray[np.uint32]:
        """The message of each row, as a row of ``batch.headers``."""
        messages: npt.NDArray[np.uint32] = self.batch.tlvs["message"][self._rows[tlv_type]]
        return messages

    def headers(self, tlv_type: int) -> Records:
        """The header (HEADER_DTYPE) of each row's message."""
        return self.batch.headers[self.messages(tlv_type)]

    @property
    def others(self) -> Records:
        """The TLVs (TLV_DTYPE) that no table holds; their bytes are ``batch.data[offset : offset + size]``."""
        rows = np.ones(len(self.batch.tlvs), bool)
        for taken in self._rows.values():
            rows[taken] = False
        return self.batch.tlvs[rows]

    def columns(self, tlv_type: int) -> dict[str, npt.NDArray[Any] | list[Any]]:
        """The table of a type by column: first those of the header, named ``header_...``, then the fields.

        Numbers are arrays. Bytes, u128 and u256 (Python integers) are lists, and lists of fixed capacity lists of the
        elements in use. A record in a record is flattened: ``header.sequence``.
        """
        headers = self.headers(tlv_type)
        columns: dict[str, npt.NDArray[Any] | list[Any]] = {
            f"header_{name}": np.ascontiguousarray(headers[name]) for name in _OF_THE_HEADER
        }
        return columns | dict(_flat(self[tlv_type]))

    def frame(self, tlv_type: int) -> pd.DataFrame:
        """:meth:`columns` as a pandas DataFrame. Raises :class:`ImportError` without pandas."""
        pandas = _library("pandas")
        frame: pd.DataFrame = pandas.DataFrame(self.columns(tlv_type))
        return frame

    def table(self, tlv_type: int) -> pa.Table:
        """:meth:`columns` as an Arrow table, u128 and u256 as decimals. Raises :class:`ImportError` without pyarrow."""
        arrow = _library("pyarrow")
        columns = self.columns(tlv_type)
        dtype = payload_dtype(tlv_type)
        for name in dtype.names or ():
            if _is_wide(dtype[name]):
                columns[name] = arrow.array([Decimal(number) for number in columns[name]], arrow.decimal256(76))
            elif dtype[name].names == ("count", "elements") and _is_wide(dtype[name]["elements"]):
                decimals = [[Decimal(number) for number in numbers] for numbers in columns[name]]
                columns[name] = arrow.array(decimals, arrow.list_(arrow.decimal256(76)))
        table: pa.Table = arrow.table(columns)
        return table


def read_capture(
    data: bytes,
    *,
    verify_checksum: bool = True,
    accept_zero_checksum: bool = True,
    max_message_size: int = MAX_MESSAGE_SIZE,
) -> Capture:
    """The tables of the messages that :func:`parse_batch` finds in ``data``; raises nothing, see ``batch.faults``."""
    return Capture(
        parse_batch(
            data,
            verify_checksum=verify_checksum,
            accept_zero_checksum=accept_zero_checksum,
            max_message_size=max_message_size,
        )
    )


def _flat(records: Records, prefix: str = "") -> Iterator[tuple[str, npt.NDArray[Any] | list[Any]]]:
    """The columns of a structured array."""
    for name in records.dtype.names or ():
        dtype, column = records.dtype[name], records[name]
        if dtype.names == ("count", "elements"):
            yield prefix + name, _lists(column)
        elif dtype.names:
            yield from _flat(column, f"{prefix}{name}.")
        elif _is_wide(dtype):
            yield prefix + name, wide_integers(column)
        elif dtype.kind == "V":
            yield prefix + name, column.tolist()
        else:
            yield prefix + name, np.ascontiguousarray(column)


def _lists(column: npt.NDArray[Any]) -> list[Any]:
    """The elements in use of lists of fixed capacity: integers, or dicts of a record's fields."""
    elements = column["elements"]
    capacity = elements.shape[1]
    names = elements.dtype.names
    if names is None:
        rows = wide_integers(elements)
    else:
        rows = [[dict(zip(names, element, strict=True)) for element in row] for row in elements.tolist()]
    return [row[: min(count, capacity)] for row, count in zip(rows, column["count"].tolist(), strict=True)]


def _is_wide(dtype: np.dtype[Any]) -> bool:
    """Whether a field holds integers of more than 64 bits, as words."""
    return dtype.subdtype is not None and dtype.base.names is None


def _library(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is not installed: pip install {name}") from error
