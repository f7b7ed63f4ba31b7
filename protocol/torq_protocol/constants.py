"""Numbers of the wire that have a name (D1 to D10, D16)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

MAGIC: Final = 0xDEADBEEF
MAGIC_BYTES: Final = b"\xef\xbe\xad\xde"
MAGIC_AS_I32: Final = -559_038_737
"""The magic as :func:`read_i32_le` gives it."""
VERSION: Final = 1
HEADER_SIZE: Final = 32
DOMAIN_OFFSET: Final = 4
VERSION_OFFSET: Final = 5
SOURCE_OFFSET: Final = 6
FLAGS_OFFSET: Final = 7
SEQUENCE_OFFSET: Final = 8
TIMESTAMP_OFFSET: Final = 16
PAYLOAD_SIZE_OFFSET: Final = 24
CHECKSUM_OFFSET: Final = 28
"""Where the fields of a header begin (D2); the magic begins at 0."""
EXTENDED_MARKER: Final = 255
STANDARD_TLV_HEADER_SIZE: Final = 2
EXTENDED_TLV_HEADER_SIZE: Final = 5
MAX_STANDARD_VALUE: Final = 255
MAX_EXTENDED_VALUE: Final = 65_535
U8_MAX: Final = 0xFF
U16_MAX: Final = 0xFFFF
U32_MAX: Final = 0xFFFF_FFFF
U64_MAX: Final = 0xFFFF_FFFF_FFFF_FFFF
NANOSECONDS: Final = 1_000_000_000
"""In a second."""
MAX_MESSAGE_SIZE: Final = 1_048_576
"""Bytes, header included (D10)."""
LARGEST_MESSAGE_SIZE_LIMIT: Final = 16 * 1024 * 1024
"""The highest ``max_message_size`` that a relay may be configured to (D10)."""
RETRANSMIT_BELOW: Final = 100
"""A gap of this many messages or more asks for a snapshot instead of a retransmission."""


class RelayDomain(IntEnum):
    """The domain byte of a header (D4), with the TLV types that belong to it (D5)."""

    MARKET_DATA = 1
    SIGNAL = 2
    EXECUTION = 3
    SYSTEM = 4

    @property
    def type_range(self) -> range:
        """TLV types of the domain, both ends included (D5)."""
        return _TYPE_RANGES[self]

    @classmethod
    def of_type(cls, tlv_type: int) -> RelayDomain | None:
        """The domain that carries a TLV type; None for 0, 120 to 255 and numbers that are no byte (D5)."""
        for domain, types in _TYPE_RANGES.items():
            if tlv_type in types:
                return domain
        return None


_TYPE_RANGES: Final = {
    RelayDomain.MARKET_DATA: range(1, 20),
    RelayDomain.SIGNAL: range(20, 40),
    RelayDomain.EXECUTION: range(40, 80),
    RelayDomain.SYSTEM: range(80, 120),
}

SOCKET_PATHS: Final = {
    RelayDomain.MARKET_DATA: "/tmp/torq/market_data.sock",  # noqa: S108 - D16 fixes the path
    RelayDomain.SIGNAL: "/tmp/torq/signal.sock",  # noqa: S108
    RelayDomain.EXECUTION: "/tmp/torq/execution.sock",  # noqa: S108
}
"""Where the relays of the platform listen (D16)."""
SIGNAL_ALIAS_PATH: Final = "/tmp/torq/signals.sock"  # noqa: S108 - D16 fixes the path
"""Where original clients look for the signal relay (D16)."""
