"""The 32-byte message header (D2). Compiled with the framing kernel."""

from __future__ import annotations

from typing import Final, SupportsIndex, final

from librt.strings import BytesWriter, read_i32_le, read_i64_le, write_i32_le, write_i64_le
from mypy_extensions import i32, i64

from .arguments import octets, whole
from .constants import (
    CHECKSUM_OFFSET,
    DOMAIN_OFFSET,
    FLAGS_OFFSET,
    HEADER_SIZE,
    MAGIC_AS_I32,
    PAYLOAD_SIZE_OFFSET,
    SEQUENCE_OFFSET,
    SOURCE_OFFSET,
    TIMESTAMP_OFFSET,
    U8_MAX,
    U32_MAX,
    U64_MAX,
    VERSION,
    VERSION_OFFSET,
)
from .errors import BadMagicError, FieldValueError, TruncatedHeaderError

_TOP_BIT: Final = 0x8000000000000000


def unsigned_64(value: i64) -> int:
    """The u64 whose bytes are those of a signed value."""
    if value >= 0:
        return value
    return int(value) + U64_MAX + 1


def signed_64(value: SupportsIndex, name: str, offset: int) -> i64:
    """The signed value whose bytes are those of a u64; ``name`` and ``offset`` are for the error."""
    number = check_unsigned(value, U64_MAX, name, offset)
    if number < _TOP_BIT:
        return i64(number)
    return i64(number - U64_MAX - 1)


def signed_32(value: i64) -> i32:
    """The signed value whose bytes are those of a u32."""
    return i32((value ^ 0x80000000) - 0x80000000)


def check_unsigned(value: SupportsIndex, largest: int, name: str, offset: int) -> int:
    """The integer. Raises :class:`FieldValueError` unless 0 <= value <= largest, :class:`TypeError` for no integer."""
    number = value + 0 if isinstance(value, int) else whole(value, name)
    if not 0 <= number <= largest:
        raise FieldValueError(
            f"{name} {number}: use 0 to {largest}", offset=offset, expected=f"0..{largest}", got=number
        )
    return number


@final
class MessageHeader:
    """The fields of a header beside the magic (D2); immutable, equal by value.

    ``domain``, ``version``, ``source`` and ``flags`` are bytes; ``sequence`` and ``timestamp`` (ns since the Unix
    epoch) are u64; ``payload_size`` (bytes behind the header) and ``checksum`` are u32. Any value of those widths
    stands here, the ones that a parser or relay refuses included. Raises :class:`FieldValueError` for others.
    """

    __slots__ = (
        "_checksum",
        "_domain",
        "_flags",
        "_payload_size",
        "_sequence",
        "_source",
        "_timestamp",
        "_version",
    )

    def __init__(
        self,
        domain: SupportsIndex,
        source: SupportsIndex,
        *,
        sequence: SupportsIndex = 0,
        timestamp: SupportsIndex = 0,
        payload_size: SupportsIndex = 0,
        checksum: SupportsIndex = 0,
        version: SupportsIndex = VERSION,
        flags: SupportsIndex = 0,
    ) -> None:
        self._domain = check_unsigned(domain, U8_MAX, "domain", DOMAIN_OFFSET)
        self._version = check_unsigned(version, U8_MAX, "version", VERSION_OFFSET)
        self._source = check_unsigned(source, U8_MAX, "source", SOURCE_OFFSET)
        self._flags = check_unsigned(flags, U8_MAX, "flags", FLAGS_OFFSET)
        self._sequence = check_unsigned(sequence, U64_MAX, "sequence", SEQUENCE_OFFSET)
        self._timestamp = check_unsigned(timestamp, U64_MAX, "timestamp", TIMESTAMP_OFFSET)
        self._payload_size = check_unsigned(payload_size, U32_MAX, "payload_size", PAYLOAD_SIZE_OFFSET)
        self._checksum = check_unsigned(checksum, U32_MAX, "checksum", CHECKSUM_OFFSET)

    @property
    def domain(self) -> int:
        """The domain byte; compare it with :class:`RelayDomain` (D4)."""
        return self._domain

    @property
    def version(self) -> int:
        """The version byte (D3)."""
        return self._version

    @property
    def source(self) -> int:
        """The number of the sending service (D11)."""
        return self._source

    @property
    def flags(self) -> int:
        """Free for the sender."""
        return self._flags

    @property
    def sequence(self) -> int:
        """The message counter of the source (D17)."""
        return self._sequence

    @property
    def timestamp(self) -> int:
        """Creation time in ns since the Unix epoch."""
        return self._timestamp

    @property
    def payload_size(self) -> int:
        """Bytes behind the header."""
        return self._payload_size

    @property
    def checksum(self) -> int:
        """The checksum field as it stands, right or wrong (D9)."""
        return self._checksum

    @property
    def has_checksum(self) -> bool:
        """Whether a checksum was computed; a field of 0 says that none was (D9)."""
        return self._checksum != 0

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> MessageHeader:
        """The header in the first 32 bytes; what follows is not looked at.

        Raises :class:`TruncatedHeaderError` or :class:`BadMagicError`; no other field is judged.
        """
        raw = data if isinstance(data, bytes) else octets(data, HEADER_SIZE)
        if len(raw) < HEADER_SIZE:
            raise truncated_header(len(raw))
        if read_i32_le(raw, 0) != MAGIC_AS_I32:
            raise bad_magic(raw)
        return read_header(raw)

    def to_bytes(self) -> bytes:
        """The 32 bytes on the wire."""
        writer = BytesWriter()
        write_i32_le(writer, MAGIC_AS_I32)
        writer.append(self._domain)
        writer.append(self._version)
        writer.append(self._source)
        writer.append(self._flags)
        write_i64_le(writer, signed_64(self._sequence, "sequence", SEQUENCE_OFFSET))
        write_i64_le(writer, signed_64(self._timestamp, "timestamp", TIMESTAMP_OFFSET))
        write_i32_le(writer, signed_32(self._payload_size))
        write_i32_le(writer, signed_32(self._checksum))
        return writer.getvalue()

    def _values(self) -> tuple[int, int, int, int, int, int, int, int]:
        return (
            self._domain,
            self._version,
            self._source,
            self._flags,
            self._sequence,
            self._timestamp,
            self._payload_size,
            self._checksum,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MessageHeader):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __reduce__(self) -> tuple[object, ...]:
        return MessageHeader.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        return (
            f"MessageHeader(domain={self._domain}, source={self._source}, sequence={self._sequence}, "
            f"timestamp={self._timestamp}, payload_size={self._payload_size}, checksum=0x{self._checksum:08x}, "
            f"version={self._version}, flags={self._flags})"
        )


def read_header(data: bytes) -> MessageHeader:
    """The header of a message that is known to begin with 32 bytes and the magic."""
    return MessageHeader(
        data[DOMAIN_OFFSET],
        data[SOURCE_OFFSET],
        sequence=unsigned_64(read_i64_le(data, SEQUENCE_OFFSET)),
        timestamp=unsigned_64(read_i64_le(data, TIMESTAMP_OFFSET)),
        payload_size=i64(read_i32_le(data, PAYLOAD_SIZE_OFFSET)) & U32_MAX,
        checksum=i64(read_i32_le(data, CHECKSUM_OFFSET)) & U32_MAX,
        version=data[VERSION_OFFSET],
        flags=data[FLAGS_OFFSET],
    )


def truncated_header(size: int) -> TruncatedHeaderError:
    """The error for ``size`` bytes where a header should be."""
    return TruncatedHeaderError(
        f"{size} bytes where a header of {HEADER_SIZE} was expected", offset=size, expected=HEADER_SIZE, got=size
    )


def bad_magic(data: bytes) -> BadMagicError:
    """The error for bytes that do not begin with the magic."""
    seen = data[:4].hex(" ")
    return BadMagicError(
        f"bytes {seen} instead of the magic ef be ad de", offset=0, expected="efbeadde", got=data[:4].hex()
    )
