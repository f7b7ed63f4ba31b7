"""What a running relay says of itself to ``torq-relay ctl``: plain structures, the same as JSON."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..accounting import REFUSAL_LABELS, CloseReason, DropReason, Totals
from ..connection import Connection
from ..port import Peer


class ConnectionStatus(msgspec.Struct, frozen=True):
    """One connection: its peer, its age in seconds, and what passed in frames and bytes.

    ``queued_seconds`` is how long the oldest frame in its queue has waited. ``framing_error`` is the first one.
    """

    id: int
    pid: int
    uid: int
    gid: int
    program: str
    seconds: float
    frames_in: int
    bytes_in: int
    refused: int
    refused_by: dict[str, int]
    framing_error: str
    frames_out: int
    bytes_out: int
    queued_frames: int
    queued_bytes: int
    queued_seconds: float
    dropped: dict[str, int]
    reads: bool
    sends: bool


class Status(msgspec.Struct, frozen=True):
    """A relay: what it runs, how it is, and its counters since its start, by reason."""

    relay: str
    build: str
    loop: str
    pid: int
    sockets: list[str]
    state: str
    seconds: float
    connections: int
    max_connections: int
    joined: int
    received_frames: int
    received_bytes: int
    offered_frames: int
    delivered_frames: int
    delivered_bytes: int
    queued_frames: int
    held_bytes: int
    incomplete_bytes: int
    skipped_bytes: int
    refused: dict[str, int]
    dropped: dict[str, int]
    closed: dict[str, int]
    audit: str
    log_level: str
    reloads: int
    takeovers: int
    config: dict[str, object]


class ConnectionPage(msgspec.Struct, frozen=True):
    """Some of a relay's connections: ``limit`` of all ``total`` at most, from ``offset`` on, in an order."""

    relay: str
    total: int
    offset: int
    limit: int
    sort: str
    connections: list[ConnectionStatus]


class RefusedClient(msgspec.Struct, frozen=True):
    """A client that was not let in: how often for this reason, the last time so many seconds ago."""

    pid: int
    uid: int
    gid: int
    program: str
    reason: str
    times: int
    seconds_ago: float


class RefusedClients(msgspec.Struct, frozen=True):
    """The clients that were not let in, most often first; ``others`` is how often by reason others were, before."""

    clients: list[RefusedClient]
    others: dict[str, int]


ORDERS: dict[str, Callable[[ConnectionStatus], float]] = {
    "joined": lambda one: -one.id,
    "traffic": lambda one: one.frames_in + one.frames_out,
    "queued": lambda one: one.queued_bytes,
    "behind": lambda one: one.queued_seconds,
    "dropped": lambda one: sum(one.dropped.values()),
    "refused": lambda one: one.refused,
    "age": lambda one: one.seconds,
}
"""By what connections are sorted, the greatest first; ``joined`` is the order in which they came."""


def in_order(connections: list[ConnectionStatus], sort: str) -> list[ConnectionStatus]:
    """Connections in one of :data:`ORDERS`."""
    return sorted(connections, key=ORDERS[sort], reverse=True)


def refusals(totals: Totals) -> dict[str, int]:
    """Frames refused, by reason; every reason there is."""
    return {label: totals.refused_frames[number] for number, label in REFUSAL_LABELS.items()}


def drops(counts: list[int]) -> dict[str, int]:
    """Frames dropped, by reason; every reason there is."""
    return {reason.label: counts[reason] for reason in DropReason}


def closes(totals: Totals) -> dict[str, int]:
    """Connections ended or refused, by reason; every reason there is."""
    return {reason.label: totals.closed[reason] for reason in CloseReason}


def counted(numbers: dict[str, int]) -> dict[str, int]:
    """Only the reasons that have occurred."""
    return {name: number for name, number in numbers.items() if number}


def connection_status(connection: Connection, peer: Peer, now: float) -> ConnectionStatus:
    """A connection as it is ``now``, a moment of the hub's clock."""
    return ConnectionStatus(
        id=connection.id,
        pid=peer.pid,
        uid=peer.uid,
        gid=peer.gid,
        program=peer.program,
        seconds=round(now - connection.joined_at, 3),
        frames_in=connection.received_frames,
        bytes_in=connection.received_bytes,
        refused=connection.refused_frames,
        refused_by={
            REFUSAL_LABELS.get(kind, str(kind)): frames for kind, frames in sorted(connection.refused_by_kind.items())
        },
        framing_error=str(connection.framing_error or ""),
        frames_out=connection.delivered_frames,
        bytes_out=connection.sent_bytes,
        queued_frames=connection.backlog.frames,
        queued_bytes=connection.backlog.bytes,
        queued_seconds=round(max(0.0, now - connection.backlog.oldest()), 3),
        dropped=counted(drops(connection.dropped_frames)),
        reads=connection.reading,
        sends=connection.input_open,
    )
