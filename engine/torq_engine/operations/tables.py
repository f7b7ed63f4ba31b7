"""What ``torq-relay ctl`` shows: a relay and its connections as tables for a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from .status import ConnectionStatus, RefusedClients, Status, in_order

_COLUMNS = (
    "ID",
    "PROGRAM",
    "PID",
    "UID",
    "AGE",
    "IN",
    "IN/S",
    "OUT",
    "OUT/S",
    "QUEUED",
    "BEHIND",
    "REFUSED",
    "DROPPED",
)
_LIVE = ("IN/S", "OUT/S")
_ENDLESS = 10_000
_LEFT = ("PROGRAM", "REFUSED", "DROPPED")
_BELOW = "\n"


def status_table(status: Status) -> Table:
    """The relay's state and counters."""
    title = Text(f"{status.relay} relay: {status.state}")
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    rows = {
        "process": f"{status.pid}, {status.build}, {status.loop}, up {_age(status.seconds)}",
        "sockets": ", ".join(status.sockets),
        "connections": f"{status.connections:,} of {status.max_connections:,}, {status.joined:,} joined in all",
        "received": f"{status.received_frames:,} frames, {status.received_bytes:,} bytes",
        "delivered": f"{status.delivered_frames:,} of {status.offered_frames:,} frames, {status.delivered_bytes:,} B",
        "queued": f"{status.queued_frames:,} frames, {status.held_bytes:,} bytes held",
        "incomplete": f"{status.incomplete_bytes:,} bytes of frames without their end",
        "refused": _reasons(status.refused),
        "dropped": _reasons(status.dropped),
        "closed": _reasons(status.closed),
        "audit": status.audit or "off",
        "log level": f"{status.log_level}, configuration reloaded {status.reloads} times",
    }
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table


def connections_table(
    now: list[ConnectionStatus],
    before: list[ConnectionStatus] | None = None,
    seconds: float = 1.0,
    title: str = "",
    between: str = ", ",
) -> Table:
    """Every connection a row; with an earlier look, the rates since (frames per second).

    ``BEHIND`` is how many seconds the oldest frame in the queue has waited; ``between`` stands between reasons.
    """
    earlier = {connection.id: connection for connection in before or []}
    rows = [_row(one, earlier.get(one.id), seconds, between) for one in now]
    table = Table(
        title=title or f"{len(now):,} connections", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    columns = [column for column in _COLUMNS if before is not None or column not in _LIVE]
    for column in columns:
        width = max(
            len(line) for cell in [column, *(row[column] for row in rows)] for line in cell.splitlines() or [""]
        )
        table.add_column(column, justify="left" if column in _LEFT else "right", no_wrap=True, min_width=width)
    for row in rows:
        table.add_row(*(Text(row[column]) for column in columns))
    return table


def _row(one: ConnectionStatus, before: ConnectionStatus | None, seconds: float, between: str) -> dict[str, str]:
    return {
        "ID": str(one.id),
        "PROGRAM": _printable(one.program),
        "PID": str(one.pid),
        "UID": str(one.uid),
        "AGE": _age(one.seconds),
        "IN": f"{one.frames_in:,}",
        "IN/S": f"{(one.frames_in - (before.frames_in if before else 0)) / seconds:,.0f}",
        "OUT": f"{one.frames_out:,}",
        "OUT/S": f"{(one.frames_out - (before.frames_out if before else 0)) / seconds:,.0f}",
        "QUEUED": f"{one.queued_frames:,}",
        "BEHIND": f"{one.queued_seconds:.1f}",
        "REFUSED": _reasons(one.refused_by, between),
        "DROPPED": _reasons(one.dropped, between),
    }


def top(
    status: Status, now: list[ConnectionStatus], before: list[ConnectionStatus], seconds: float, rows: int, sort: str
) -> RenderableType:
    """The live view: at most so many connections, sorted; ``traffic`` is that of the last interval."""
    if sort == "traffic":
        old = {one.id: one.frames_in + one.frames_out for one in before}
        found = sorted(now, key=lambda one: old.get(one.id, 0) - one.frames_in - one.frames_out)
    else:
        found = in_order(now, sort)
    title = f"{min(rows, len(now)):,} of {len(now):,} connections by {sort}"
    return Group(status_table(status), connections_table(found[:rows], before, seconds, title, _BELOW))


def print_connections(found: list[ConnectionStatus], title: str = "", console: Console | None = None) -> None:
    """Print connections, a row each, with all that is in them: nothing is cut off.

    Where a terminal is too narrow, reasons stand below each other; what is too wide even so, the terminal breaks.
    """
    console = console or Console()
    table = connections_table(found, title=title)
    if console.is_terminal and _width(table) > console.width:
        table = connections_table(found, title=title, between=_BELOW)
    _print_whole(table, console)


def print_refused(found: RefusedClients, console: Console | None = None) -> None:
    """Print clients that were not let in, a row each, and how often others were before them."""
    table = Table(
        title=f"{len(found.clients):,} refused clients", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for column in ("PROGRAM", "PID", "UID", "GID", "REASON", "TIMES", "LAST"):
        table.add_column(column, justify="left" if column in ("PROGRAM", "REASON") else "right", no_wrap=True)
    for one in found.clients:
        cells = (one.pid, one.uid, one.gid, one.reason, f"{one.times:,}", f"{_age(one.seconds_ago)} ago")
        table.add_row(*(Text(str(cell)) for cell in (_printable(one.program), *cells)))
    for reason, times in found.others.items():
        table.add_row("others before", "", "", "", reason, f"{times:,}", "")
    _print_whole(table, console or Console())


def _print_whole(table: Table, console: Console) -> None:
    console.width = max(console.width, _width(table))
    console.print(table)


def _printable(program: str) -> str:
    return program if program.isprintable() else ascii(program)


def _width(table: Table) -> int:
    endless = Console(width=_ENDLESS)
    return Measurement.get(endless, endless.options, table).maximum


def _reasons(counts: dict[str, int], between: str = ", ") -> str:
    return between.join(f"{reason} {count:,}" for reason, count in counts.items()) or "0"


def _age(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
