"""Building messages of typed payloads, with only right ones as a result."""

from __future__ import annotations

from typing import Protocol, SupportsIndex

from .arguments import Buffer, octets, whole
from .constants import (
    FLAGS_OFFSET,
    HEADER_SIZE,
    MAX_MESSAGE_SIZE,
    PAYLOAD_SIZE_OFFSET,
    SOURCE_OFFSET,
    U8_MAX,
    RelayDomain,
)
from .errors import BadDomainError, OversizeError, TlvSizeError
from .header import check_unsigned
from .message import encode_raw_message
from .registry import REGISTRY
from .tlv import encode_tlv


class TlvValue(Protocol):
    """What a TLV is made of, typed payloads and raw ones alike: its type number and its bytes."""

    @property
    def tlv_type(self) -> int:
        """The type of the TLV."""
        ...

    def to_bytes(self) -> bytes:
        """The value of the TLV."""
        ...


class MessageBuilder:
    """Collects TLVs for one message of a domain and source.

    ``MessageBuilder(RelayDomain.MARKET_DATA, 2).add(trade).build(sequence=1, timestamp=now)``. A message without TLVs
    is valid (D8). A builder may build several messages of the same TLVs.

    Types of another domain's range are not refused: system types such as RecoveryRequest and vendor types may stand in
    any domain, and which ranges are let through is the business of the relay (D5, D14). A client with a ``domain``
    refuses what that domain's relay would drop. Raises :class:`BadDomainError` (D4) or :class:`FieldValueError`.
    """

    def __init__(
        self,
        domain: SupportsIndex,
        source: SupportsIndex,
        *,
        flags: SupportsIndex = 0,
        max_message_size: SupportsIndex = MAX_MESSAGE_SIZE,
    ) -> None:
        number = whole(domain, "domain")
        if not 1 <= number <= len(RelayDomain):
            raise BadDomainError(f"domain {number}: D4 knows 1 to 4", offset=4, expected="1..4", got=number)
        self.domain = RelayDomain(number)
        self._source = check_unsigned(source, U8_MAX, "source", SOURCE_OFFSET)
        self._flags = check_unsigned(flags, U8_MAX, "flags", FLAGS_OFFSET)
        self._limit = whole(max_message_size, "max_message_size")
        self._tlvs: list[bytes] = []
        self._size = HEADER_SIZE

    @property
    def size(self) -> int:
        """Bytes of the message as it stands, header included."""
        return self._size

    def add(self, payload: TlvValue) -> MessageBuilder:
        """Append a payload, typed or raw. Raises as :meth:`add_raw`, and :class:`TypeError` for what is no payload."""
        if not hasattr(payload, "tlv_type") or not hasattr(payload, "to_bytes") or isinstance(payload, type):
            raise TypeError(
                f"{type(payload).__name__} is no payload ({payload!r:.40}): "
                "use a payload class such as Trade, RawPayload(type, bytes), or add_raw(type, bytes)"
            )
        return self.add_raw(payload.tlv_type, payload.to_bytes())

    def add_raw(self, tlv_type: SupportsIndex, value: Buffer) -> MessageBuilder:
        """Append a TLV of any type, in the form that D7 prescribes.

        Raises :class:`FieldValueError` for a type outside 1 to 254, :class:`TlvSizeError` for a value above 65 535
        bytes or of a size that the registry does not allow for the type (D6), :class:`OversizeError` if the message
        would exceed its maximum size.
        """
        tlv_type, value = whole(tlv_type, "TLV type"), octets(value)
        tlv = encode_tlv(tlv_type, value)
        rule = REGISTRY.size_rule(tlv_type)
        if not rule.allows(len(value)):
            raise TlvSizeError(
                f"a value of {len(value)} bytes in a TLV of type {tlv_type}: the type has {rule}",
                offset=self._size,
                expected=rule.fixed or str(rule),
                got=len(value),
            )
        if self._size + len(tlv) > self._limit:
            raise OversizeError(
                f"a TLV of {len(tlv)} bytes on top of {self._size} exceeds the message limit of {self._limit}",
                offset=PAYLOAD_SIZE_OFFSET,
                expected=f"0..{self._limit - HEADER_SIZE}",
                got=self._size + len(tlv) - HEADER_SIZE,
            )
        self._tlvs.append(tlv)
        self._size += len(tlv)
        return self

    def build(self, *, sequence: SupportsIndex, timestamp: SupportsIndex) -> bytes:
        """The message's bytes, its checksum computed (D9). ``timestamp`` is in ns since the Unix epoch.

        Raises :class:`FieldValueError` for numbers that are no u64.
        """
        return encode_raw_message(
            self.domain,
            self._source,
            b"".join(self._tlvs),
            sequence=sequence,
            timestamp=timestamp,
            flags=self._flags,
            max_message_size=self._limit,
        )
