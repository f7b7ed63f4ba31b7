"""Snapshots, invalidations, health, traces, recovery requests (types 101, 106, 107, 108, 110)."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Self

from ..arguments import Buffer, octets
from ..constants import RETRANSMIT_BELOW, U8_MAX, U64_MAX
from ..enumerations import RecoveryRequestType, SnapshotCompression, TraceStage
from ..errors import FieldValueError
from . import fields
from .layout import wrong_size
from .payload import Record


class Snapshot(fields.Snapshot):
    """State to start from: a 32-byte header and the data, 32 to 1024 bytes in all.

    ``checksum`` (CRC-32) and ``uncompressed_size`` speak of the data before compression.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        Record.__post_init__(self)
        if not isinstance(self.data, bytes):
            raise FieldValueError(
                f"Snapshot.data {self.data!r}: use bytes", offset=self.LAYOUT.size, expected="bytes", got=self.data
            )
        self._check_size(self.LAYOUT.size + len(self.data))

    @classmethod
    def of_data(cls, data: bytes, *, sequence: int, timestamp: int, snapshot_id: int) -> Snapshot:
        """A snapshot of uncompressed data, with its checksum and size."""
        none = SnapshotCompression.NONE
        return cls(sequence, timestamp, snapshot_id, zlib.crc32(data), len(data), none, data)

    @classmethod
    def from_bytes(cls, data: Buffer, *, at: int = 0) -> Self:
        """As :meth:`Record.from_bytes`; the data may have any size that the type allows."""
        raw = octets(data)
        cls._check_size(len(raw), at)
        size = cls.LAYOUT.size
        self = cls._of(cls.LAYOUT.unpack(raw[:size], at))
        object.__setattr__(self, "data", raw[size:])
        return self

    def to_bytes(self) -> bytes:
        """Header and data."""
        return Record.to_bytes(self) + self.data

    def content(self) -> bytes:
        """The data, decompressed, of the announced size and checksum.

        :raises FieldValueError: lz4 or zstd, data that zlib refuses, another size or checksum than announced
        """
        content = self.data
        if self.compression_type is SnapshotCompression.ZLIB:
            content = self._inflated()
        elif self.compression_type is not SnapshotCompression.NONE:
            name = self.compression_type.name.lower()
            at = self.LAYOUT.offset("compression_type")
            raise FieldValueError(f"compression {name}: use none or zlib", offset=at, expected="0 or 1", got=name)
        if len(content) != self.uncompressed_size:
            raise FieldValueError(
                f"{len(content)} bytes of content, {self.uncompressed_size} announced",
                offset=self.LAYOUT.offset("uncompressed_size"),
                expected=self.uncompressed_size,
                got=len(content),
            )
        if zlib.crc32(content) != self.checksum:
            raise FieldValueError(
                "the content has another checksum",
                offset=self.LAYOUT.offset("checksum"),
                expected=self.checksum,
                got=zlib.crc32(content),
            )
        return content

    def _inflated(self) -> bytes:
        inflater = zlib.decompressobj()
        try:
            return inflater.decompress(self.data, self.uncompressed_size + 1)
        except zlib.error as error:
            raise FieldValueError(
                f"zlib refuses the data: {error}", offset=self.LAYOUT.size, expected="a zlib stream"
            ) from error

    @classmethod
    def _check_size(cls, size: int, at: int = 0) -> None:
        if not cls.LAYOUT.size <= size <= cls.LARGEST:
            raise wrong_size("Snapshot", f"{cls.LAYOUT.size} to {cls.LARGEST}", size, at)


class StateInvalidation(fields.StateInvalidation):
    """State of 1 to 16 instruments that is no longer valid, 224 bytes."""

    __slots__ = ()


class SystemHealth(fields.SystemHealth):
    """How a service is, 48 bytes. ``service_type`` is a source number; CPU and memory in percent, 0 to 100."""

    __slots__ = ()


class TraceContext(fields.TraceContext):
    """Where a message has been, 32 bytes. ``source_service`` is a source number; unnamed stage bits are kept."""

    __slots__ = ()

    @classmethod
    def start(cls, service: int, now_ns: int) -> TraceContext:
        """A new trace, numbered by the time."""
        number = (now_ns & U64_MAX).to_bytes(8, "little")
        return cls(now_ns, now_ns, service, 0, TraceStage.COLLECTED, number)

    def hop(self, service: int, now_ns: int, stage: TraceStage) -> TraceContext:
        """The trace one service on: one deeper (stopping at 255), with another stage done."""
        return replace(
            self,
            current_timestamp_ns=now_ns,
            source_service=service,
            span_depth=min(self.span_depth + 1, U8_MAX),
            stage_flags=self.stage_flags | stage,
        )

    @property
    def stages(self) -> TraceStage:
        """The stages done."""
        return TraceStage(self.stage_flags)


class RecoveryRequest(fields.RecoveryRequest):
    """A consumer asks for what it missed, 24 bytes."""

    __slots__ = ()

    @classmethod
    def for_gap(cls, consumer_id: int, last_sequence: int, current_sequence: int) -> RecoveryRequest:
        """A retransmission when ``current − last`` is under 100, otherwise a snapshot."""
        gap = max(current_sequence - last_sequence, 0)
        wanted = RecoveryRequestType.RETRANSMIT if gap < RETRANSMIT_BELOW else RecoveryRequestType.SNAPSHOT
        return cls(last_sequence, current_sequence, consumer_id, wanted)
