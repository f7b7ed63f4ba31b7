"""What ``torq-relay ctl`` shows: a relay and its connections as tables for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from .status import ConnectionStatus, Status

_COLUMNS = ("ID", "PID", "UID", "AGE", "IN", "IN/S", "REFUSED", "OUT", "OUT/S", "QUEUED", "DROPPED")
_LIVE = ("IN/S", "OUT/S")


def status_table(status: Status) -> Table:
    """The relay's state and counters."""
    table = Table(title=f"{status.relay} relay: {status.state}", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    rows = {
        "process": f"{status.pid}, {status.build}, {status.loop}, up {_age(status.seconds)}",
        "sockets": ", ".join(status.sockets),
        "connections": f"{status.connections:,} of {status.max_connections:,}, {status.joined:,} joined in all",
        "received": f"{status.received_frames:,} frames, {status.received_bytes:,} bytes",
        "delivered": f"{status.delivered_frames:,} of {status.offered_frames:,} frames, {status.delivered_bytes:,} B",
        "queued": f"{status.queued_frames:,} frames, {status.held_bytes:,} bytes held",
        "refused": _reasons(status.refused),
        "dropped": _reasons(status.dropped),
        "closed": _reasons(status.closed),
        "audit": status.audit or "off",
        "log level": f"{status.log_level}, configuration reloaded {status.reloads} times",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def connections_table(
    now: list[ConnectionStatus], before: list[ConnectionStatus] | None = None, seconds: float = 1.0
) -> Table:
    """Every connection a row; with an earlier look, the rates since (frames per second)."""
    earlier = {connection.id: connection for connection in before or []}
    table = Table(title=f"{len(now)} connections", title_justify="left")
    for column in _COLUMNS:
        if before is not None or column not in _LIVE:
            table.add_column(column, justify="right")
    for one in now:
        rates: list[str] = []
        if before is not None:
            old = earlier.get(one.id)
            rates.append(f"{(one.frames_in - (old.frames_in if old else 0)) / seconds:,.0f}")
            rates.append(f"{(one.frames_out - (old.frames_out if old else 0)) / seconds:,.0f}")
        row = [str(one.id), str(one.pid), str(one.uid), _age(one.seconds), f"{one.frames_in:,}", *rates[:1]]
        row += [f"{one.refused:,}", f"{one.frames_out:,}", *rates[1:], f"{one.queued_frames:,}", _reasons(one.dropped)]
        table.add_row(*row)
    return table


def top(
    status: Status, now: list[ConnectionStatus], before: list[ConnectionStatus], seconds: float, rows: int
) -> RenderableType:
    """The live view: the busiest connections of the last interval first, at most so many."""
    old = {one.id: one.frames_in + one.frames_out for one in before}
    busiest = sorted(now, key=lambda one: old.get(one.id, 0) - one.frames_in - one.frames_out)
    return Group(status_table(status), connections_table(busiest[:rows], before, seconds))


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items()) or "0"


def _age(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
