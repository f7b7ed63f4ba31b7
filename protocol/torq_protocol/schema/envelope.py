"""The envelope, declared: message header, TLV headers, message (D2 to D10, D15).

Facts:
- the checks stand where they are made: the first that fails decides the error, in the order of
  :class:`~torq_protocol.ErrorKind`;
- an error's offset is the byte that is wrong; where bytes are missing it is the end of what is there, and for TLVs
  (whose header or value is cut off) the first byte of the TLV;
- version and source are looked at by strict policies only (D11, VAL-4); the range of TLV types and their sizes are the
  business of the policy too (D6, D14).
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from construct import Bytes, Computed, Container, IfThenElse, Peek, Struct, Tell, this

from ..constants import (
    CHECKSUM_OFFSET,
    DOMAIN_OFFSET,
    EXTENDED_MARKER,
    EXTENDED_TLV_HEADER_SIZE,
    HEADER_SIZE,
    MAGIC,
    MAX_MESSAGE_SIZE,
    MAX_STANDARD_VALUE,
    PAYLOAD_SIZE_OFFSET,
    SOURCE_OFFSET,
    STANDARD_TLV_HEADER_SIZE,
    VERSION,
    VERSION_OFFSET,
    RelayDomain,
)
from ..errors import (
    BadChecksumError,
    BadDomainError,
    BadExtendedTypeError,
    BadMagicError,
    BadReservedByteError,
    BadVersionError,
    OversizeError,
    TlvSizeError,
    TrailingBytesError,
    TruncatedHeaderError,
    TruncatedPayloadError,
    TruncatedTlvError,
    TruncatedTlvHeaderError,
    TypeOutOfRangeError,
    UnknownSourceError,
)
from ..policy import FramePolicy
from .vocabulary import U8, U16, U32, U64, Rule, SourceNumber, TimestampNs, UntilEnd

Header = "Header" / Struct(
    "magic" / U32 * "0xDEADBEEF; on the wire EF BE AD DE",
    "relay_domain" / U8 * "1 market data, 2 signal, 3 execution, 4 system",
    "version" / U8 * "protocol version, 1",
    "source" / SourceNumber * "sending service; unknown numbers are legal",
    "flags" / U8 * "free for the sender; no bit is given a meaning; default 0",
    "sequence" / U64 * "message counter, per source",
    "timestamp" / TimestampNs * "creation time, ns since the Unix epoch",
    "payload_size" / U32 * "bytes after the header, all TLV headers included",
    "checksum" / U32 * "CRC-32 of bytes 0 to 27 and 32 to the end; 0: not computed",
)

StandardTlvHeader = "StandardTlvHeader" / Struct(
    "tlv_type" / U8 * "type number, 0 to 254",
    "tlv_length" / U8 * "payload bytes, this header not counted",
)

ExtendedTlvHeader = "ExtendedTlvHeader" / Struct(
    "marker" / U8 * "always 255",
    "reserved" / U8 * "always 0",
    "tlv_type" / U8 * "the real type number, 1 to 254",
    "tlv_length" / U16 * "payload bytes, this header not counted",
)

# Inside Tlv and Message the bytes are ctx._params.frame, the policy is ctx._params.policy, and without a policy
# ctx._params.accept_zero_checksum says whether a checksum of 0 passes as not computed.


def _left(ctx: Container) -> int:
    """Bytes from the start of a TLV to the end of the message."""
    return len(ctx._params.frame) - int(ctx.start)


def _header_size(ctx: Container) -> int:
    return EXTENDED_TLV_HEADER_SIZE if ctx.form == EXTENDED_MARKER else STANDARD_TLV_HEADER_SIZE


Tlv = "Tlv" / Struct(
    "start" / Tell,
    "form" / Peek(U8),
    Rule(
        TruncatedTlvHeaderError,
        "a TLV header is whole: 2 bytes, 5 in the extended form",
        at=this.start,
        holds=lambda ctx: _left(ctx) >= _header_size(ctx),
    ),
    "header" / IfThenElse(this.form == EXTENDED_MARKER, ExtendedTlvHeader, StandardTlvHeader),
    Rule(
        BadReservedByteError,
        "the reserved byte of an extended TLV header is 0",
        at=this.start + 1,
        holds=lambda ctx: ctx.header.get("reserved", 0) == 0,
    ),
    Rule(
        BadExtendedTypeError,
        "the inner type of an extended TLV is neither 0 nor 255",
        at=this.start + 2,
        holds=lambda ctx: ctx.form != EXTENDED_MARKER or ctx.header.tlv_type not in (0, EXTENDED_MARKER),
    ),
    Rule(
        TruncatedTlvError,
        "a TLV value has as many bytes as its header announces",
        at=this.start,
        holds=lambda ctx: _left(ctx) - _header_size(ctx) >= ctx.header.tlv_length,
    ),
    Rule(
        TypeOutOfRangeError,
        "the TLV type belongs to the domain",
        at=this.start,
        holds=lambda ctx: _type_is_accepted(ctx._params.policy, ctx.header.tlv_type),
    ),
    Rule(
        TlvSizeError,
        "a TLV of a fixed-size type has that size",
        at=this.start,
        holds=lambda ctx: _size_is_accepted(ctx._params.policy, ctx.header.tlv_type, ctx.header.tlv_length),
    ),
    "value" / Bytes(this.header.tlv_length),
)

Message = "Message" / Struct(
    Rule(
        TruncatedHeaderError,
        "a header has 32 bytes",
        at=lambda ctx: len(ctx._params.frame),
        holds=lambda ctx: len(ctx._params.frame) >= HEADER_SIZE,
    ),
    "header" / Header,
    Rule(
        BadMagicError,
        "the magic is 0xDEADBEEF, on the wire EF BE AD DE",
        at=lambda _: 0,
        holds=lambda ctx: ctx.header.magic == MAGIC,
    ),
    Rule(
        OversizeError,
        "a message has at most the maximum size, header included",
        at=lambda _: PAYLOAD_SIZE_OFFSET,
        holds=lambda ctx: HEADER_SIZE + ctx.header.payload_size <= _limit(ctx._params.policy),
    ),
    Rule(
        BadDomainError,
        "the domain is 1 to 4, and the one that is served",
        at=lambda _: DOMAIN_OFFSET,
        holds=lambda ctx: ctx.header.relay_domain in _domains(ctx._params.policy),
    ),
    Rule(
        TruncatedPayloadError,
        "payload_size bytes follow the header",
        at=lambda ctx: len(ctx._params.frame),
        holds=lambda ctx: len(ctx._params.frame) >= HEADER_SIZE + ctx.header.payload_size,
    ),
    Rule(
        TrailingBytesError,
        "no byte follows the payload",
        at=lambda ctx: HEADER_SIZE + ctx.header.payload_size,
        holds=lambda ctx: len(ctx._params.frame) == HEADER_SIZE + ctx.header.payload_size,
    ),
    Rule(
        BadVersionError,
        "the version is 1",
        at=lambda _: VERSION_OFFSET,
        holds=lambda ctx: not _strict(ctx._params.policy) or ctx.header.version == VERSION,
    ),
    Rule(
        UnknownSourceError,
        "the source is in the registry",
        at=lambda _: SOURCE_OFFSET,
        holds=lambda ctx: not _strict(ctx._params.policy) or ctx.header.source in ctx._params.policy.known_sources,
    ),
    Rule(
        BadChecksumError,
        "the checksum is the CRC-32 of bytes 0 to 27 and 32 to the end, or 0 where that may say: not computed",
        at=lambda _: CHECKSUM_OFFSET,
        holds=lambda ctx: (
            not _verifies(ctx._params.policy)
            or (ctx.header.checksum == 0 and _zero_passes(ctx._params))
            or ctx.header.checksum == checksum_of(ctx._params.frame)
        ),
    ),
    "tlvs" / IfThenElse(lambda ctx: _walks(ctx._params.policy), UntilEnd(Tlv), Computed(())),
)


def checksum_of(frame: bytes) -> int:
    """CRC-32 of bytes 0 to 27 and 32 to the end of a message: the checksum field itself is left out (D9)."""
    return crc32(frame[HEADER_SIZE:], crc32(frame[:CHECKSUM_OFFSET]))


class SchemaTlv(NamedTuple):
    """One TLV: its inner type, value, form, and the offset of its value in the message."""

    tlv_type: int
    value: bytes
    extended: bool
    offset: int


class SchemaMessage(NamedTuple):
    """A message as the schema reads it; ``header`` by field name."""

    header: dict[str, int]
    tlvs: tuple[SchemaTlv, ...]


def parse_message(
    frame: bytes, policy: FramePolicy | None = None, *, accept_zero_checksum: bool = True
) -> SchemaMessage:
    """The parts of one whole message, or the error of the first rule that it breaks.

    Without a policy the rules are the parser's: any domain 1 to 4, verified checksum (0 passes as not computed if
    ``accept_zero_checksum``), well-formed TLVs of any type and size, up to ``MAX_MESSAGE_SIZE`` bytes. With one they
    are those of a relay that has this policy, which may leave the payload unread (``tlvs`` is empty then).

    :raises ProtocolError: of every kind but ``BAD_VALUE``
    """
    return _plain(Message.parse(frame, frame=frame, policy=policy, accept_zero_checksum=accept_zero_checksum))


def parse_header(data: bytes) -> dict[str, int]:
    """The header fields of the first 32 bytes, by name, unchecked but for their number.

    :raises TruncatedHeaderError: fewer than 32 bytes
    """
    if len(data) < HEADER_SIZE:
        raise TruncatedHeaderError(
            f"{len(data)} bytes: a header has {HEADER_SIZE}", offset=len(data), expected=HEADER_SIZE, got=len(data)
        )
    return _header_fields(Header.parse(data))


def build_tlv(tlv_type: int, value: bytes, *, extended: bool | None = None) -> bytes:
    """One TLV; the form is the standard one up to 255 bytes unless told otherwise (D7)."""
    if extended is None:
        extended = len(value) > MAX_STANDARD_VALUE
    if extended:
        fields = {"marker": EXTENDED_MARKER, "reserved": 0, "tlv_type": tlv_type, "tlv_length": len(value)}
        return bytes(ExtendedTlvHeader.build(fields)) + value
    return bytes(StandardTlvHeader.build({"tlv_type": tlv_type, "tlv_length": len(value)})) + value


def build_message(payload: bytes = b"", **fields: int) -> bytes:
    """A message around a payload. ``fields`` are header fields; magic, version, size and checksum are filled in."""
    values = {"magic": MAGIC, "relay_domain": 1, "version": VERSION, "source": 1, "flags": 0}
    values |= {"sequence": 0, "timestamp": 0, "payload_size": len(payload), "checksum": 0} | fields
    frame = bytes(Header.build(values)) + payload
    if "checksum" not in fields:
        frame = bytes(Header.build(values | {"checksum": checksum_of(frame)})) + payload
    return frame


def _plain(parsed: Container) -> SchemaMessage:
    tlvs = tuple(
        SchemaTlv(tlv.header.tlv_type, tlv.value, tlv.form == EXTENDED_MARKER, tlv.start + _header_size(tlv))
        for tlv in parsed.tlvs
    )
    return SchemaMessage(_header_fields(parsed.header), tlvs)


def _header_fields(header: Container) -> dict[str, int]:
    return {name: value for name, value in header.items() if name != "_io"}


def _limit(policy: FramePolicy | None) -> int:
    return MAX_MESSAGE_SIZE if policy is None else policy.max_message_size


def _domains(policy: FramePolicy | None) -> tuple[int, ...]:
    return tuple(RelayDomain) if policy is None else (policy.domain,)


def _strict(policy: FramePolicy | None) -> bool:
    return policy is not None and policy.strict


def _verifies(policy: FramePolicy | None) -> bool:
    return policy is None or policy.verify_checksum


def _zero_passes(params: Container) -> bool:
    return bool((params if params.policy is None else params.policy).accept_zero_checksum)


def _walks(policy: FramePolicy | None) -> bool:
    return policy is None or policy.check_tlvs or policy.types is not None or policy.strict


def _type_is_accepted(policy: FramePolicy | None, tlv_type: int) -> bool:
    return policy is None or policy.types is None or tlv_type in policy.types


def _size_is_accepted(policy: FramePolicy | None, tlv_type: int, size: int) -> bool:
    if policy is None or not policy.strict:
        return True
    return dict(policy.fixed_sizes).get(tlv_type, size) == size
