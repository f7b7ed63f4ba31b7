"""What a relay of one domain promises, made definite: what programs are played by and histories are judged by."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from torq_protocol.constants import MAX_MESSAGE_SIZE

Domain = Literal["market_data", "signal", "execution"]
ZeroChecksum = Literal["accept", "refuse"]
Overflow = Literal["drop_oldest", "disconnect", "backpressure"]
UNIX_SOCKET_BYTES = 450_000
"""What the buffers of a Unix socket may hold: twice the kernel's default."""
MIB = 1 << 20
NO_BOUND = 1 << 62
"""A number of frames that no queue holds."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of spec/relay.md that mean the same in every domain. Sizes in bytes, times in seconds.

    ``max_connections`` is None where the relay sets no such limit. ``idle_seconds`` is how long clients are silent, or
    do not read: a right relay has no limit for that.

    ``granularity`` is what the relay forwards as a whole: frames, or whatever a read returned. Where it is reads, two
    senders' bytes may mix, so one client does all the sending.

    ``queue_frames`` is 0 where the relay bounds queues by their bytes alone. ``first_read_grace`` is how long a client
    may wait after it joined until it begins to read.
    """

    forwards: bool = True
    echo: bool = True
    domain_filter: bool = True
    on_framing_error: Literal["close", "resync", "forward"] = "close"
    granularity: Literal["frames", "reads"] = "frames"
    overflow: Overflow = "drop_oldest"
    max_message_size: int = MAX_MESSAGE_SIZE
    max_connections: int | None = None
    queue_frames: int = 0
    queue_bytes: int = 256 * MIB
    total_queue_bytes: int = 1024 * MIB
    first_read_grace: float = 10.0
    idle_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 2.5


class Rules(Settings, frozen=True, kw_only=True):
    """The settings of a profile, made definite for one domain: what the oracles compare with.

    ``socket_bytes`` is what the buffers of a connection may hold besides the relay's queue; that depends on the target.
    """

    domain: Domain
    number: int
    first_type: int
    last_type: int
    type_filter: bool
    checksum: bool
    zero_checksum: ZeroChecksum
    check_tlvs: bool
    strict: bool
    socket_bytes: int = UNIX_SOCKET_BYTES

    @property
    def most_frames(self) -> int:
        """How many frames the queue for one consumer holds at most (ISO-2)."""
        return self.queue_frames or NO_BOUND

    @property
    def most_bytes(self) -> int:
        """How many bytes the queue for one consumer holds at most: no more than all queues together (ISO-2)."""
        return min(self.queue_bytes, self.total_queue_bytes)

    @property
    def types(self) -> range:
        """TLV types of the domain, both ends included (D5)."""
        return range(self.first_type, self.last_type + 1)
