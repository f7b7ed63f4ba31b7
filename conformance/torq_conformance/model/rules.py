"""What a relay of one domain promises, made definite: what programs are played by and histories are judged by."""

from __future__ import annotations

from typing import Literal

import msgspec

Domain = Literal["market_data", "signal", "execution"]
UNIX_SOCKET_BYTES = 450_000
"""What the buffers of a Unix socket may hold: twice the kernel's default."""


class Rules(msgspec.Struct, frozen=True):
    """A profile made definite for one domain: what the oracles compare with.

    ``socket_bytes`` is what the buffers of a connection may hold besides the relay's queue; that depends on the target.
    """

    domain: Domain
    number: int
    first_type: int
    last_type: int
    forwards: bool
    echo: bool
    domain_filter: bool
    type_filter: bool
    checksum: bool
    check_tlvs: bool
    strict: bool
    on_framing_error: str
    granularity: str
    max_message_size: int
    overflow: str
    queue_frames: int
    queue_bytes: int
    idle_seconds: float
    socket_bytes: int = UNIX_SOCKET_BYTES
    max_connections: int | None = None

    @property
    def types(self) -> range:
        """TLV types of the domain, both ends included (D5)."""
        return range(self.first_type, self.last_type + 1)
