"""What can be wrong with bytes: one enumeration of reasons, one hierarchy of exceptions.

The framing kernel refuses a frame with an :class:`ErrorKind`; the parser raises the exception of the same kind for
the same bytes. ``label`` is the name used by logs, metrics, test vectors and the conformance suite.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ErrorKind(IntEnum):
    """Why bytes are not a message, or a message is not acceptable (wire decisions D2 to D10)."""

    TRUNCATED_HEADER = 1
    """Fewer than 32 bytes where a header was expected."""
    BAD_MAGIC = 2
    """Bytes 0 to 3 are not EF BE AD DE (D3)."""
    OVERSIZE = 3
    """The header announces more than the maximum message size (D10)."""
    BAD_DOMAIN = 4
    """The domain byte is invalid (D4), or not the one that the policy serves."""
    TRUNCATED_PAYLOAD = 5
    """Fewer bytes than the header announces."""
    TRAILING_BYTES = 6
    """More bytes than the header announces."""
    BAD_VERSION = 7
    """The version byte is not 1 (D3)."""
    UNKNOWN_SOURCE = 8
    """The source byte is not in the registry (D11)."""
    BAD_CHECKSUM = 9
    """The checksum field is not the CRC-32 of the rest; 0 is let pass as "not computed" unless refused (D9)."""
    TRUNCATED_TLV_HEADER = 10
    """The payload ends inside a TLV header, a lone trailing byte included (D7)."""
    TRUNCATED_TLV = 11
    """A TLV announces more bytes than the payload has left (D7)."""
    BAD_RESERVED_BYTE = 12
    """The second byte of an extended TLV header is not 0 (D7)."""
    BAD_EXTENDED_TYPE = 13
    """The inner type of an extended TLV is 0 or 255 (D7)."""
    TYPE_OUT_OF_RANGE = 14
    """A TLV type outside the range of the domain (D5)."""
    BAD_TLV_SIZE = 15
    """A TLV of a fixed-size or bounded type with another size (D6)."""
    BAD_VALUE = 16
    """A field holds a value that its type does not allow."""

    @property
    def label(self) -> str:
        """The kind as lower-case words joined by hyphens, such as ``bad-checksum``."""
        return self.name.lower().replace("_", "-")


class ProtocolError(ValueError):
    """Bytes, or values to be turned into bytes, that Protocol V2 does not allow.

    ``offset`` counts bytes from the start of the message (or of the payload, for an error in a payload parsed alone);
    ``expected`` and ``got`` say what should stand there and what did. ``stream_offset`` is the same place counted from
    the start of a stream, where a :class:`FrameDecoder` read the bytes; None elsewhere.
    """

    kind: ClassVar[ErrorKind] = ErrorKind.BAD_VALUE

    def __init__(self, message: str, *, offset: int = 0, expected: object = None, got: object = None) -> None:
        super().__init__(message)
        self.offset = offset
        self.expected = expected
        self.got = got
        self.stream_offset: int | None = None


class TruncatedHeaderError(ProtocolError):
    """Fewer than 32 bytes."""

    kind = ErrorKind.TRUNCATED_HEADER


class BadMagicError(ProtocolError):
    """The first four bytes are not the magic (D3)."""

    kind = ErrorKind.BAD_MAGIC


class OversizeError(ProtocolError):
    """A message above the maximum size (D10)."""

    kind = ErrorKind.OVERSIZE


class BadDomainError(ProtocolError):
    """An invalid domain byte (D4)."""

    kind = ErrorKind.BAD_DOMAIN


class TruncatedPayloadError(ProtocolError):
    """Fewer bytes than ``payload_size`` announces."""

    kind = ErrorKind.TRUNCATED_PAYLOAD


class TrailingBytesError(ProtocolError):
    """More bytes than ``payload_size`` announces."""

    kind = ErrorKind.TRAILING_BYTES


class BadVersionError(ProtocolError):
    """A version byte other than 1 (D3)."""

    kind = ErrorKind.BAD_VERSION


class UnknownSourceError(ProtocolError):
    """A source byte that the registry does not know (D11)."""

    kind = ErrorKind.UNKNOWN_SOURCE


class BadChecksumError(ProtocolError):
    """A checksum field that is not the CRC-32 of the other bytes (D9)."""

    kind = ErrorKind.BAD_CHECKSUM


class TlvError(ProtocolError):
    """Malformed TLVs: the common class of what D7 forbids."""


class TruncatedTlvHeaderError(TlvError):
    """The payload ends inside a TLV header (D7)."""

    kind = ErrorKind.TRUNCATED_TLV_HEADER


class TruncatedTlvError(TlvError):
    """The payload ends inside a TLV value (D7)."""

    kind = ErrorKind.TRUNCATED_TLV


class BadReservedByteError(TlvError):
    """The reserved byte of an extended TLV header is not 0 (D7)."""

    kind = ErrorKind.BAD_RESERVED_BYTE


class BadExtendedTypeError(TlvError):
    """The inner type of an extended TLV is 0 or 255 (D7)."""

    kind = ErrorKind.BAD_EXTENDED_TYPE


class TypeOutOfRangeError(TlvError):
    """A TLV type that does not belong to the domain (D5)."""

    kind = ErrorKind.TYPE_OUT_OF_RANGE


class TlvSizeError(TlvError):
    """A TLV value of a size that its type does not allow (D6)."""

    kind = ErrorKind.BAD_TLV_SIZE


class FieldValueError(ProtocolError):
    """A field value that does not fit its place on the wire, or that its type does not allow."""

    kind = ErrorKind.BAD_VALUE


ERROR_CLASSES: dict[ErrorKind, type[ProtocolError]] = {
    error.kind: error
    for error in (
        TruncatedHeaderError,
        BadMagicError,
        OversizeError,
        BadDomainError,
        TruncatedPayloadError,
        TrailingBytesError,
        BadVersionError,
        UnknownSourceError,
        BadChecksumError,
        TruncatedTlvHeaderError,
        TruncatedTlvError,
        BadReservedByteError,
        BadExtendedTypeError,
        TypeOutOfRangeError,
        TlvSizeError,
        FieldValueError,
    )
}
"""The exception class of every :class:`ErrorKind`."""
