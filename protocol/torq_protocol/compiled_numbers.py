"""Numbers of enumerations for compiled code: mypyc writes an imported integer into the machine code, where a member
would be an object to be looked up.

Written by python -m torq_protocol.generate python. Do not edit: ErrorKind and RelayDomain are the source.
"""

from __future__ import annotations

from typing import Final

TRUNCATED_HEADER: Final = 1
BAD_MAGIC: Final = 2
OVERSIZE: Final = 3
BAD_DOMAIN: Final = 4
TRUNCATED_PAYLOAD: Final = 5
TRAILING_BYTES: Final = 6
BAD_VERSION: Final = 7
UNKNOWN_SOURCE: Final = 8
BAD_CHECKSUM: Final = 9
TRUNCATED_TLV_HEADER: Final = 10
TRUNCATED_TLV: Final = 11
BAD_RESERVED_BYTE: Final = 12
BAD_EXTENDED_TYPE: Final = 13
TYPE_OUT_OF_RANGE: Final = 14
BAD_TLV_SIZE: Final = 15
BAD_VALUE: Final = 16
LAST_DOMAIN: Final = 4
