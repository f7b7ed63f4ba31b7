"""Snapshots, invalidations, health, traces, recovery requests (types 101, 106, 107, 108, 110)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from ..enumerations import HealthStatus, InvalidationReason, RecoveryRequestType, SnapshotCompression, TraceStage
from ..errors import FieldValueError
from ..instrument import InstrumentId
from .layout import Buffer, Layout, ListLayout, wrong_size
from .payload import Payload, Record

RETRANSMIT_BELOW = 100
"""A gap of this many messages or more asks for a snapshot instead of a retransmission."""


@dataclass(frozen=True, slots=True)
class Snapshot(Payload):
    """State to start from: a 32-byte header and the data, 32 to 1024 bytes in all.

    ``checksum`` (CRC-32) and ``uncompressed_size`` speak of the data before compression.
    """

    TLV_TYPE: ClassVar[int] = 101
    LARGEST: ClassVar[int] = 1024
    LAYOUT: ClassVar[Layout] = Layout(
        "Snapshot",
        "<QQIIIBBBx",
        "sequence timestamp snapshot_id checksum uncompressed_size tlv_type tlv_length compression_type",
        rules={"tlv_type": 101, "tlv_length": 32, "compression_type": SnapshotCompression},
    )

    sequence: int
    timestamp: int
    snapshot_id: int
    checksum: int
    uncompressed_size: int
    compression_type: SnapshotCompression
    data: bytes = b""

    def __post_init__(self) -> None:
        Record.__post_init__(self)
        if not isinstance(self.data, bytes):
            raise FieldValueError(f"Snapshot.data {self.data!r}: use bytes", offset=32, expected="bytes", got=self.data)
        self._check_size(self.LAYOUT.size + len(self.data))

    @classmethod
    def of_data(cls, data: bytes, *, sequence: int, timestamp: int, snapshot_id: int) -> Snapshot:
        """A snapshot of uncompressed data, with its checksum and size."""
        none = SnapshotCompression.NONE
        return cls(sequence, timestamp, snapshot_id, zlib.crc32(data), len(data), none, data)

    @classmethod
    def from_bytes(cls, data: Buffer, *, at: int = 0) -> Self:
        """As :meth:`Record.from_bytes`; the data may have any size that the type allows."""
        cls._check_size(len(data), at)
        size = cls.LAYOUT.size
        return cls._of(cls.LAYOUT.unpack(data[:size], at), ("data", bytes(data[size:])))

    def to_bytes(self) -> bytes:
        """Header and data."""
        return Record.to_bytes(self) + self.data

    def content(self) -> bytes:
        """The data, decompressed, of the announced size and checksum.

        :raises FieldValueError: lz4 or zstd, data that zlib refuses, another size (offset 24) or checksum (offset 20)
        """
        content = self.data
        if self.compression_type is SnapshotCompression.ZLIB:
            content = self._inflated()
        elif self.compression_type is not SnapshotCompression.NONE:
            name = self.compression_type.name.lower()
            raise FieldValueError(f"compression {name}: use none or zlib", offset=30, expected="0 or 1", got=name)
        if len(content) != self.uncompressed_size:
            raise FieldValueError(
                f"{len(content)} bytes of content, {self.uncompressed_size} announced",
                offset=24,
                expected=self.uncompressed_size,
                got=len(content),
            )
        if zlib.crc32(content) != self.checksum:
            raise FieldValueError(
                "the content has another checksum", offset=20, expected=self.checksum, got=zlib.crc32(content)
            )
        return content

    def _inflated(self) -> bytes:
        inflater = zlib.decompressobj()
        try:
            return inflater.decompress(self.data, self.uncompressed_size + 1)
        except zlib.error as error:
            raise FieldValueError(f"zlib refuses the data: {error}", offset=32, expected="a zlib stream") from error

    @classmethod
    def _check_size(cls, size: int, at: int = 0) -> None:
        if not cls.LAYOUT.size <= size <= cls.LARGEST:
            raise wrong_size("Snapshot", f"{cls.LAYOUT.size} to {cls.LARGEST}", size, at)


@dataclass(frozen=True, slots=True)
class StateInvalidation(Payload):
    """State of 1 to 16 instruments that is no longer valid, 224 bytes."""

    TLV_TYPE: ClassVar[int] = 106
    LAYOUT: ClassVar[Layout] = Layout("StateInvalidation", "<QQ", "sequence timestamp_ns")
    INSTRUMENTS: ClassVar[ListLayout] = ListLayout("StateInvalidation.instruments", InstrumentId.SIZE, 16, 16, least=1)
    CAUSE: ClassVar[Layout] = Layout(
        "StateInvalidation", "<HB5x", "venue reason", start=216, rules={"reason": InvalidationReason}
    )
    SIZE: ClassVar[int] = 224

    sequence: int
    timestamp_ns: int
    instruments: tuple[InstrumentId, ...]
    venue: int
    reason: InvalidationReason

    def __post_init__(self) -> None:
        Record.__post_init__(self)
        instruments = tuple(self.instruments)
        self.INSTRUMENTS.check_elements(instruments, InstrumentId)
        object.__setattr__(self, "instruments", instruments)
        self._adopt(self.CAUSE)

    @classmethod
    def from_bytes(cls, data: Buffer, *, at: int = 0) -> Self:
        """As :meth:`Record.from_bytes`; a count outside 1 to 16 is refused at its offset."""
        if len(data) != cls.SIZE:
            raise wrong_size("StateInvalidation", str(cls.SIZE), len(data), at)
        head = cls.LAYOUT.unpack(data[: cls.LAYOUT.size], at)
        instruments = tuple(map(InstrumentId.from_bytes, cls.INSTRUMENTS.read(data, at)))
        venue, reason = cls.CAUSE.unpack(data[cls.CAUSE.start :], at)
        return cls._of(head, ("instruments", instruments), ("venue", venue), ("reason", reason))

    def to_bytes(self) -> bytes:
        """The 224 bytes, unused slots zero."""
        return (
            self.LAYOUT.pack((self.sequence, self.timestamp_ns))
            + self.INSTRUMENTS.write([each.to_bytes() for each in self.instruments])
            + self.CAUSE.pack((self.venue, self.reason))
        )


@dataclass(frozen=True, slots=True)
class SystemHealth(Payload):
    """How a service is, 48 bytes. ``service_type`` is a source number; CPU and memory in percent, 0 to 100."""

    TLV_TYPE: ClassVar[int] = 107
    LAYOUT: ClassVar[Layout] = Layout(
        "SystemHealth",
        "<QIIIHHBBBB20x",
        "timestamp_ns connection_count message_rate_per_sec last_error_code error_rate_per_thousand latency_p95_us "
        "service_type health_status cpu_usage_pct memory_usage_pct",
        rules={"health_status": HealthStatus, "cpu_usage_pct": (0, 100), "memory_usage_pct": (0, 100)},
    )

    timestamp_ns: int
    connection_count: int
    message_rate_per_sec: int
    last_error_code: int
    error_rate_per_thousand: int
    latency_p95_us: int
    service_type: int
    health_status: HealthStatus
    cpu_usage_pct: int
    memory_usage_pct: int


@dataclass(frozen=True, slots=True)
class TraceContext(Payload):
    """Where a message has been, 32 bytes. ``source_service`` is a source number; unnamed stage bits are kept."""

    TLV_TYPE: ClassVar[int] = 108
    LAYOUT: ClassVar[Layout] = Layout(
        "TraceContext",
        "<QQBBBx4x8s",
        "start_timestamp_ns current_timestamp_ns source_service span_depth stage_flags trace_id",
    )

    start_timestamp_ns: int
    current_timestamp_ns: int
    source_service: int
    span_depth: int
    stage_flags: int
    trace_id: bytes

    @classmethod
    def start(cls, service: int, now_ns: int) -> TraceContext:
        """A new trace, numbered by the time."""
        number = (now_ns % (1 << 64)).to_bytes(8, "little")
        return cls(now_ns, now_ns, service, 0, TraceStage.COLLECTED, number)

    def hop(self, service: int, now_ns: int, stage: TraceStage) -> TraceContext:
        """The trace one service on: one deeper (stopping at 255), with another stage done."""
        return replace(
            self,
            current_timestamp_ns=now_ns,
            source_service=service,
            span_depth=min(self.span_depth + 1, 255),
            stage_flags=self.stage_flags | stage,
        )

    @property
    def stages(self) -> TraceStage:
        """The stages done."""
        return TraceStage(self.stage_flags)


@dataclass(frozen=True, slots=True)
class RecoveryRequest(Payload):
    """A consumer asks for what it missed, 24 bytes."""

    TLV_TYPE: ClassVar[int] = 110
    LAYOUT: ClassVar[Layout] = Layout(
        "RecoveryRequest",
        "<QQII",
        "last_sequence current_sequence consumer_id request_type",
        rules={"request_type": RecoveryRequestType},
    )

    last_sequence: int
    current_sequence: int
    consumer_id: int
    request_type: RecoveryRequestType

    @classmethod
    def for_gap(cls, consumer_id: int, last_sequence: int, current_sequence: int) -> RecoveryRequest:
        """A retransmission when ``current − last`` is under 100, otherwise a snapshot."""
        gap = max(current_sequence - last_sequence, 0)
        wanted = RecoveryRequestType.RETRANSMIT if gap < RETRANSMIT_BELOW else RecoveryRequestType.SNAPSHOT
        return cls(last_sequence, current_sequence, consumer_id, wanted)
