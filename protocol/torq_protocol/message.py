"""Whole messages: building and parsing them one at a time. Compiled with the framing kernel.

Facts:
- a parser reports one fault, the first in this order: fewer than 32 bytes; magic; a size above the limit (D10);
  domain (D4); fewer or more bytes than announced; checksum (D9), where 0 passes as not computed unless refused; TLVs
  from front to back (D7), in each its header, then its length;
- a parser that follows a :class:`FramePolicy` looks for the policy's domain, and adds version and source behind the
  sizes and type range and fixed sizes to the TLVs, in the places where the framing kernel does;
- the offset of an error is the byte that is wrong; where bytes of header or payload are missing it is the end of what
  is there; for a TLV that is cut off, or of a refused type or size, it is the TLV's first byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, SupportsIndex, TypeVar, final

from librt.strings import BytesWriter, read_i32_le, write_i32_le, write_i64_le
from mypy_extensions import i64, u8

from .arguments import Buffer, octets, whole
from .checksum import frame_crc
from .compiled_numbers import LAST_DOMAIN
from .constants import (
    CHECKSUM_OFFSET,
    DOMAIN_OFFSET,
    FLAGS_OFFSET,
    HEADER_SIZE,
    MAGIC_AS_I32,
    MAX_MESSAGE_SIZE,
    PAYLOAD_SIZE_OFFSET,
    SEQUENCE_OFFSET,
    SOURCE_OFFSET,
    TIMESTAMP_OFFSET,
    U8_MAX,
    U32_MAX,
    VERSION,
    VERSION_OFFSET,
)
from .errors import (
    BadChecksumError,
    BadDomainError,
    BadVersionError,
    OversizeError,
    ProtocolError,
    TrailingBytesError,
    TruncatedPayloadError,
    UnknownSourceError,
)
from .header import MessageHeader, bad_magic, check_unsigned, read_header, signed_64, truncated_header
from .policy import FramePolicy
from .tlv import Tlv, tlv_error, tlv_fault, tlv_table, write_tlv

if TYPE_CHECKING:
    from .payloads import Payload, RawPayload

P = TypeVar("P", bound="Payload")


@final
class Message:
    """A parsed message: immutable bytes, read where and when a field is asked for. Equal by its bytes.

    Made by :func:`parse_message`, which has judged header, sizes and TLV headers; header fields and TLVs become
    objects on first use.
    """

    __slots__ = ("_data", "_header", "_tlvs")

    def __init__(self, data: Buffer) -> None:
        self._data: bytes = data if isinstance(data, bytes) else octets(data)
        self._header: MessageHeader | None = None
        self._tlvs: tuple[Tlv, ...] | None = None

    @property
    def header(self) -> MessageHeader:
        """The header's fields."""
        header = self._header
        if header is None:
            header = read_header(self._data)
            self._header = header
        return header

    @property
    def tlvs(self) -> tuple[Tlv, ...]:
        """The TLVs in the order of the payload; empty for a header-only message.

        Raises a :class:`TlvError` only when the message was parsed without ``check_tlvs``.
        """
        tlvs = self._tlvs
        if tlvs is None:
            size = len(self._data)
            fault = tlv_fault(self._data, HEADER_SIZE, size, b"", b"")
            if fault:
                raise tlv_error(self._data, size, fault, b"")
            tlvs = tlv_table(self._data, HEADER_SIZE, size)
            self._tlvs = tlvs
        return tlvs

    @property
    def body(self) -> bytes:
        """The bytes behind the header: all TLVs as they stand."""
        return self._data[HEADER_SIZE:]

    @property
    def payload(self) -> bytes:
        """The older name of :attr:`body`; typed payloads come from :meth:`get` and :meth:`payloads`."""
        return self.body

    def get(self, payload_class: type[P]) -> P | None:
        """The first payload of a class, as in ``message.get(Trade)``; None if there is none.

        Raises the :class:`ProtocolError` of a wrong size or value, its offset counted from the message's start, and
        :class:`TypeError` for what is no payload class.
        """
        tlv_type = getattr(payload_class, "TLV_TYPE", None)
        if tlv_type is None or not isinstance(payload_class, type):
            raise TypeError(
                f"{payload_class!r:.60} is no payload class: use Trade or another one; find() takes a number"
            )
        tlv = self.find(tlv_type)
        return None if tlv is None else payload_class.from_bytes(tlv.value, at=tlv.value_offset)

    def payloads(self) -> list[Payload | RawPayload]:
        """All payloads in their order, typed where their type has a layout. Raises as :meth:`get`."""
        return [tlv.decode() for tlv in self.tlvs]

    def find(self, tlv_type: SupportsIndex) -> Tlv | None:
        """The first TLV of a type, by its inner type in extended form; None if there is none."""
        wanted = tlv_type + 0 if isinstance(tlv_type, int) else whole(tlv_type, "TLV type")
        for tlv in self.tlvs:
            if tlv.type == wanted:
                return tlv
        return None

    def to_bytes(self) -> bytes:
        """The whole message as it came."""
        return self._data

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self._data == other._data

    def __hash__(self) -> int:
        return hash(self._data)

    def __reduce__(self) -> tuple[object, ...]:
        return Message, (self._data,)

    def __repr__(self) -> str:
        return f"Message({self.header!r}, {len(self._data) - HEADER_SIZE} bytes of payload)"


def parse_message(
    data: Buffer,
    *,
    verify_checksum: bool = True,
    accept_zero_checksum: bool = True,
    check_tlvs: bool = True,
    max_message_size: SupportsIndex = MAX_MESSAGE_SIZE,
) -> Message:
    """Parse exactly one message (D2 to D10).

    ``verify_checksum`` off accepts any checksum, as market data relays do (VAL-2). A field of 0 says "not computed" and
    passes, which ``header.has_checksum`` tells, unless ``accept_zero_checksum`` is off: then it must be right like any
    other value (D9). ``check_tlvs`` off puts the check of the TLVs off until they are asked for. Raises the
    :class:`ProtocolError` of the first fault, in the order of this module's facts, and nothing else.
    """
    raw = data if isinstance(data, bytes) else octets(data)
    size: i64 = len(raw)
    fault = size_fault(raw, size, _limit(max_message_size))
    if fault is not None:
        raise fault
    if verify_checksum:
        checksum_fault = _checksum_fault(raw, size, accept_zero_checksum)
        if checksum_fault is not None:
            raise checksum_fault
    if check_tlvs:
        found: i64 = tlv_fault(raw, HEADER_SIZE, size, b"", b"")
        if found:
            raise tlv_error(raw, size, found, b"")
    return Message(raw)


def parse_frame(data: Buffer, policy: FramePolicy) -> Message:
    """Parse one message as a relay with this policy judges it: the same kind of fault as the framing kernel's.

    Raises the :class:`ProtocolError` of the first fault, in the order of this module's facts, and nothing else.
    """
    raw = data if isinstance(data, bytes) else octets(data)
    size = len(raw)
    fault = _header_fault(raw, size, policy.max_message_size)
    if fault is not None:
        raise fault
    if raw[DOMAIN_OFFSET] != policy.domain:
        raise BadDomainError(
            f"domain {raw[DOMAIN_OFFSET]} on a relay of domain {policy.domain}",
            offset=DOMAIN_OFFSET,
            expected=policy.domain,
            got=raw[DOMAIN_OFFSET],
        )
    if i64(read_i32_le(raw, PAYLOAD_SIZE_OFFSET)) & U32_MAX != size - HEADER_SIZE:
        raise _size_error(raw, size)
    if policy.strict and raw[VERSION_OFFSET] != VERSION:
        raise BadVersionError(
            f"version {raw[VERSION_OFFSET]} instead of {VERSION}",
            offset=VERSION_OFFSET,
            expected=VERSION,
            got=raw[VERSION_OFFSET],
        )
    if policy.strict and raw[SOURCE_OFFSET] not in policy.known_sources:
        raise UnknownSourceError(
            f"source {raw[SOURCE_OFFSET]} is not in the registry",
            offset=SOURCE_OFFSET,
            expected="a known source",
            got=raw[SOURCE_OFFSET],
        )
    if policy.verify_checksum:
        checksum_fault = _checksum_fault(raw, size, policy.accept_zero_checksum)
        if checksum_fault is not None:
            raise checksum_fault
    if policy.walks_tlvs:
        sizes = policy.size_table
        found = tlv_fault(raw, HEADER_SIZE, size, policy.type_table, sizes)
        if found:
            raise tlv_error(raw, size, found, sizes)
    return Message(raw)


def _limit(max_message_size: SupportsIndex) -> i64:
    """A limit as a number that is compared with sizes, whatever integer it is."""
    limit = max_message_size + 0 if isinstance(max_message_size, int) else whole(max_message_size, "max_message_size")
    return i64(min(max(limit, 0), U32_MAX + HEADER_SIZE))


def size_fault(head: bytes, size: i64, limit: i64) -> ProtocolError | None:
    """What is wrong with a message of ``size`` bytes that begins with ``head``, as far as its header tells."""
    fault = _header_fault(head, size, limit)
    if fault is not None:
        return fault
    domain: i64 = head[DOMAIN_OFFSET]
    if domain == 0 or domain > LAST_DOMAIN:
        return BadDomainError(f"domain {domain}: D4 knows 1 to 4", offset=DOMAIN_OFFSET, expected="1..4", got=domain)
    if i64(read_i32_le(head, PAYLOAD_SIZE_OFFSET)) & U32_MAX != size - HEADER_SIZE:
        return _size_error(head, size)
    return None


def _header_fault(data: bytes, size: i64, limit: i64) -> ProtocolError | None:
    if size < HEADER_SIZE:
        return truncated_header(size)
    if read_i32_le(data, 0) != MAGIC_AS_I32:
        return bad_magic(data)
    total: i64 = (i64(read_i32_le(data, PAYLOAD_SIZE_OFFSET)) & U32_MAX) + HEADER_SIZE
    if total > limit:
        return oversize(total, limit)
    return None


def oversize(total: int, limit: int) -> OversizeError:
    """The error for a header that announces a message of ``total`` bytes."""
    return OversizeError(
        f"the header announces a message of {total} bytes, the limit is {limit}",
        offset=PAYLOAD_SIZE_OFFSET, expected=f"0..{limit - HEADER_SIZE}", got=total - HEADER_SIZE,
    )  # fmt: skip


def _size_error(head: bytes, size: i64) -> ProtocolError:
    announced = int(i64(read_i32_le(head, PAYLOAD_SIZE_OFFSET)) & U32_MAX)
    got = int(size - HEADER_SIZE)
    if got < announced:
        return TruncatedPayloadError(
            f"the header announces {announced} bytes of payload, {got} are there",
            offset=HEADER_SIZE + got, expected=announced, got=got,
        )  # fmt: skip
    return TrailingBytesError(
        f"{got - announced} bytes behind the message's end at {HEADER_SIZE + announced}",
        offset=HEADER_SIZE + announced, expected=announced, got=got,
    )  # fmt: skip


def _checksum_fault(data: bytes, size: i64, zero_passes: bool) -> BadChecksumError | None:
    stored: i64 = i64(read_i32_le(data, CHECKSUM_OFFSET)) & U32_MAX
    if stored == 0 and zero_passes:
        return None
    computed: i64 = frame_crc(data, 0, size)
    if computed == stored:
        return None
    return BadChecksumError(
        f"checksum 0x{stored:08x} in the header, the bytes have 0x{computed:08x}",
        offset=CHECKSUM_OFFSET, expected=int(computed), got=int(stored),
    )  # fmt: skip


def encode_message(
    domain: SupportsIndex,
    source: SupportsIndex,
    tlvs: Iterable[tuple[SupportsIndex, Buffer]],
    *,
    sequence: SupportsIndex,
    timestamp: SupportsIndex,
    flags: SupportsIndex = 0,
    version: SupportsIndex = VERSION,
    checksum: SupportsIndex | None = None,
    max_message_size: SupportsIndex = MAX_MESSAGE_SIZE,
) -> bytes:
    """The bytes of a message of (type, value) pairs, each in the form that D7 prescribes.

    ``timestamp`` is in ns since the Unix epoch. ``checksum`` None computes it (D9); a number is written as it is.
    Header bytes are not judged beyond their width, so that wrong ones can be built for tests:
    :class:`MessageBuilder` is the way to build right ones. Raises :class:`FieldValueError`, :class:`TlvSizeError` or,
    above ``max_message_size`` bytes, :class:`OversizeError`.
    """
    writer = _begin(domain, source, sequence, timestamp, flags, version)
    for tlv_type, value in tlvs:
        write_tlv(writer, tlv_type, value)
    return _finish(writer, checksum, _limit(max_message_size))


def encode_raw_message(
    domain: SupportsIndex,
    source: SupportsIndex,
    payload: Buffer,
    *,
    sequence: SupportsIndex,
    timestamp: SupportsIndex,
    flags: SupportsIndex = 0,
    version: SupportsIndex = VERSION,
    checksum: SupportsIndex | None = None,
    max_message_size: SupportsIndex = MAX_MESSAGE_SIZE,
) -> bytes:
    """As :func:`encode_message` with the payload's bytes as they are, well-formed TLVs or not."""
    writer = _begin(domain, source, sequence, timestamp, flags, version)
    writer.write(payload if isinstance(payload, bytes) else octets(payload))
    return _finish(writer, checksum, _limit(max_message_size))


def _begin(
    domain: SupportsIndex,
    source: SupportsIndex,
    sequence: SupportsIndex,
    timestamp: SupportsIndex,
    flags: SupportsIndex,
    version: SupportsIndex,
) -> BytesWriter:
    writer = BytesWriter()
    write_i32_le(writer, MAGIC_AS_I32)
    writer.append(check_unsigned(domain, U8_MAX, "domain", DOMAIN_OFFSET))
    writer.append(check_unsigned(version, U8_MAX, "version", VERSION_OFFSET))
    writer.append(check_unsigned(source, U8_MAX, "source", SOURCE_OFFSET))
    writer.append(check_unsigned(flags, U8_MAX, "flags", FLAGS_OFFSET))
    write_i64_le(writer, signed_64(sequence, "sequence", SEQUENCE_OFFSET))
    write_i64_le(writer, signed_64(timestamp, "timestamp", TIMESTAMP_OFFSET))
    write_i64_le(writer, 0)
    return writer


def _finish(writer: BytesWriter, checksum: SupportsIndex | None, limit: i64) -> bytes:
    size: i64 = len(writer)
    if size > limit:
        raise OversizeError(
            f"a message of {size} bytes, the limit is {limit}",
            offset=PAYLOAD_SIZE_OFFSET,
            expected=f"0..{limit}",
            got=int(size),
        )
    _patch(writer, PAYLOAD_SIZE_OFFSET, size - HEADER_SIZE)
    if checksum is None:
        data = writer.getvalue()
        _patch(writer, CHECKSUM_OFFSET, frame_crc(data, 0, size))
    else:
        _patch(writer, CHECKSUM_OFFSET, check_unsigned(checksum, U32_MAX, "checksum", CHECKSUM_OFFSET))
    return writer.getvalue()


def _patch(writer: BytesWriter, offset: i64, value: i64) -> None:
    """Overwrite four bytes with a u32."""
    writer[offset] = u8(value & 255)
    writer[offset + 1] = u8((value >> 8) & 255)
    writer[offset + 2] = u8((value >> 16) & 255)
    writer[offset + 3] = u8((value >> 24) & 255)
