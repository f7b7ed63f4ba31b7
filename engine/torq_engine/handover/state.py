"""All that a relay knows at one moment, as plain data: what a successor needs to go on as if nothing had happened.

Facts:
- each class that owns a part exports it and restores it; nothing here knows how;
- moments are of CLOCK_MONOTONIC, which all processes of a machine share, so deadlines hold in the successor;
- bytes that wait for receivers are not in here: a segment says where they lie in the blob's data (blob.py), once for
  however many receivers;
- a schema's number is raised by every change of a field. A later schema reads all earlier ones: it only adds fields
  with defaults. A field that a reader does not know is an error that names it: nothing is dropped unseen;
- tables that are indexed by reason may grow: a shorter one of an earlier build is filled up with zeros.
"""

from __future__ import annotations

import msgspec

from ..errors import RelayError

SCHEMA = 1
"""The schema that this build writes; it reads all schemas from 1 on."""


class StateError(RelayError):
    """A state that this build cannot take; the message names what it does not know, or what does not fit."""


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part with named fields."""


class _Row(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A part of which there are many: its fields stand in their order."""


class SegmentState(_Row, frozen=True):
    """A part of the log of bytes that wait: its number, where its bytes lie in the data, how many, its size, its marks.

    ``marks`` are offsets in it, and the moments at which it was filled to there.
    """

    number: int
    offset: int
    filled: int
    capacity: int
    marks: list[tuple[int, float]]


class CopyState(_Part, frozen=True):
    """What a blob holds that is made before the relay stands still: segments of so many bytes, one behind the other."""

    sizes: list[int]


class WaitingData:
    """The bytes of segments: those that came before the relay stood still, and ``late`` ones behind them."""

    def __init__(self, late: bytes | memoryview = b"") -> None:
        self._early: dict[int, bytearray] = {}
        self._early_bytes = 0
        self.late = memoryview(late)

    def add_early(self, copy: CopyState, data: memoryview) -> None:
        """Keep the segments of a copy; raises :class:`StateError` for one whose bytes are not there."""
        if sum(copy.sizes) != len(data):
            raise StateError(f"a copy of {sum(copy.sizes)} bytes has {len(data)}")
        for size in copy.sizes:
            self._early[self._early_bytes] = bytearray(data[self._early_bytes : self._early_bytes + size])
            self._early_bytes += size

    def segment(self, state: SegmentState) -> bytearray:
        """The bytes of a segment, at its capacity; raises :class:`StateError` for bytes that are not there."""
        early = self._early.get(state.offset) if state.filled else None
        if early is not None and len(early) == state.filled == state.capacity:
            return early
        start = state.offset - self._early_bytes
        if not 0 <= start <= start + state.filled <= len(self.late) or not state.filled <= state.capacity:
            raise StateError(f"segment {state.number} does not lie in the {len(self.late)} bytes of data")
        data = bytearray(self.late[start : start + state.filled])
        data.extend(bytes(state.capacity - state.filled))
        return data


class StretchState(_Row, frozen=True):
    """Frames in a segment: the segment's index in :attr:`HubState.segments`, their first and last offset, how many."""

    segment: int
    start: int
    stop: int
    frames: int


class FramingErrorState(_Row, frozen=True):
    """The first framing error of a connection: offset in its stream, kind, the bytes found."""

    offset: int
    kind: int
    found: bytes


class ConnectionState(_Part, frozen=True):
    """A connection: :class:`~torq_engine.connection.Connection` says what each field means.

    ``remainder`` is the rest of the frame partly sent, ``queue`` holds whole frames.
    """

    id: int
    joined_at: float
    partial: bytes | None = None
    needed: int = 0
    partial_since: float = 0.0
    remainder: StretchState | None = None
    queue: list[StretchState] = []
    blocked: bool = False
    reading: bool = False
    only_sends: bool = False
    keeps_up: bool = True
    unread_mark: int = 0
    sent_mark: int = 0
    waits: int = 0
    passed_over: int = 0
    losing: bool = False
    stalled_since: float = 0.0
    input_open: bool = True
    output_open: bool = True
    received_bytes: int = 0
    received_frames: int = 0
    refused_frames: int = 0
    delivered_frames: int = 0
    sent_bytes: int = 0
    dropped_frames: list[int] = []
    refused_by_kind: dict[int, int] = {}
    framing_error: FramingErrorState | None = None


class TotalsState(_Part, frozen=True):
    """The counters of connections that have left: a part of :class:`~torq_engine.accounting.Totals`."""

    received_bytes: int = 0
    received_frames: int = 0
    refused_frames: list[int] = []
    skipped_bytes: int = 0
    offered_frames: int = 0
    delivered_frames: int = 0
    delivered_bytes: int = 0
    dropped_frames: list[int] = []
    joined: int = 0
    closed: list[int] = []


class HubState(_Part, frozen=True):
    """A hub between two of its calls, with no connection left to close.

    ``connections`` are in join order; ``incomplete``, ``stalled``, ``lagging`` and ``losing`` are ids in the hub's
    order. ``open_segment`` is the index of the segment that is being filled, -1 without one.
    """

    next_id: int
    past: TotalsState
    segment_number: int = 0
    open_segment: int = -1
    segments: list[SegmentState] = []
    connections: list[ConnectionState] = []
    incomplete: list[int] = []
    stalled: list[int] = []
    lagging: list[int] = []
    losing: list[int] = []
    overfull: bool = False


class ClientState(_Row, frozen=True):
    """A connection's socket: its peer's process, user, group and program, its inode, who watches it, if it hung up.

    ``watch`` is a number of the server's ``_Watch``.
    """

    pid: int
    uid: int
    gid: int
    program: str
    inode: int
    watch: int
    hung_up: bool


class ServerState(_Part, frozen=True):
    """A server between two turns of its loop; ``clients`` are in the order of the hub's connections.

    ``paused`` are the ids of those that are read when others have caught up, in the order in which they were held up.
    """

    hub: HubState
    clients: list[ClientState] = []
    paused: list[int] = []
    lost_paths: list[bytes] = []


class EndpointState(_Row, frozen=True):
    """A listening socket: its path as the system has it, empty for TCP, and the device and inode that it has there.

    ``locked`` and ``kept`` say whether the locks of its path and of its directory come with it.
    """

    path: bytes
    device: int
    inode: int
    locked: bool
    kept: bool


class DescriptorState(_Row, frozen=True):
    """A descriptor that is no client's: what it is for, and its inode."""

    role: str
    inode: int


class AuditState(_Part, frozen=True):
    """An audit log and its place in the chain: :class:`~torq_engine.operations.audit.AuditLog` has these as fields."""

    records: int
    hash: str
    number: int
    size: int
    sealed_records: int
    name_synced: bool
    synced: float
    next_file_after: float
    buffer: bytes = b""
    left_out: int = 0
    failure: str = ""
    lost: str = ""


class SlowConsumerState(_Row, frozen=True):
    """A client that loses frames, how many of them the log has told of, and whether it named the client."""

    connection: int
    told: int
    named: bool


class RefusedState(_Row, frozen=True):
    """A client that was not let in: its process, user, group and program, the reason, how often, and when last."""

    pid: int
    uid: int
    gid: int
    program: str
    reason: int
    times: int
    last: float


class LogState(_Part, frozen=True):
    """What the log has told, at which level an operator has it write, and who was refused.

    ``refused_others`` are the numbers of clients that are not remembered, by reason.
    """

    level: str | None = None
    lines_lost: int = 0
    slow_consumers: list[SlowConsumerState] = []
    never_read: int = 0
    refused: list[RefusedState] = []
    refused_others: dict[int, int] = {}


class LatencyState(_Part, frozen=True):
    """The histogram of forwarding: bounds and counts, and the sum of all, in seconds."""

    bounds: list[float]
    counts: list[int]
    sum: float


class LifeState(_Part, frozen=True):
    """The relay's life up to now, all its processes together: when it began, what it did, what it used.

    ``started`` is a moment, ``start_time`` the same as seconds since 1970.
    """

    started: float
    start_time: float
    reloads: int = 0
    cpu_seconds: float = 0.0
    takeovers: int = 0
    failed_takeovers: int = 0


class RelayState(_Part, frozen=True):
    """A relay that stands still since ``frozen_at``. ``places`` is what it holds, by key (see takeovers.places_of).

    ``descriptors`` are those that come before the clients' descriptors, in this order. At ``door`` it hears successors.
    """

    build: str
    places: dict[str, str]
    frozen_at: float
    descriptors: list[DescriptorState]
    endpoints: list[EndpointState]
    operators: dict[str, EndpointState]
    server: ServerState
    log: LogState
    life: LifeState
    door: EndpointState | None = None
    latencies: LatencyState | None = None
    audit: AuditState | None = None


def filled_up(counts: list[int], size: int, what: str) -> list[int]:
    """A table of counts at this build's length. Raises :class:`StateError` for reasons that it does not know."""
    if any(counts[size:]):
        raise StateError(f"{what} has {len(counts)} reasons, this build knows {size}; take over with a newer build")
    return [*counts[:size], *[0] * (size - len(counts))]
