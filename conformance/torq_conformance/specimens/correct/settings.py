"""What is settable about the relay, as one plain value."""

from typing import NamedTuple


class Settings(NamedTuple):
    """Sizes in bytes, times in seconds; the field names are those of a relay's profile."""

    domain: str = "signal"
    echo: bool = True
    max_connections: int = 1_000_000
    max_message_size: int = 1_048_576  # header included (D10)
    magic_from: int = 1  # bytes of a header that are there before its magic is looked at: 1 to 32
    on_framing_error: str = "close"  # or "resync"
    overflow: str = "drop_oldest"  # or "disconnect", "backpressure"
    queue_frames: int = 0  # 0: no bound in frames
    queue_bytes: int = 268_435_456
    total_queue_bytes: int = 1_073_741_824  # of all together, what several share once
    zero_checksum: str = ""  # "accept" or "refuse" a checksum field of 0 (D9); "": what the domain does
    stall_s: float = 1.0  # how long backpressure may last before the slow consumer is disconnected
    partial_frame_timeout_s: float = 0.0  # how long an incomplete frame may stand; 0: for ever
    drain_timeout_s: float = 5.0
    allow_uids: str = ""  # users that may connect, joined by commas; "": anyone, unless there are groups (SEC-2)
    allow_gids: str = ""
    metrics: str = ""  # path of the socket that shows the counters; "": none
    audit: str = ""  # directory of the audit log; "": none
    takeover: bool = False  # take over from the relay that serves at the address
    probability: float = 0.2  # of the mutants that act at random
    seed: int = 0
