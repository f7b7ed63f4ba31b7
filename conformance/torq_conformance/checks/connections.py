"""Checks of connections: where a relay listens, how many clients it serves (CONN)."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from torq_protocol.constants import MAGIC_BYTES

from ..counting import counted
from ..errors import ImpededError, TargetError
from ..model.findings import Finding, Kind
from ..play.target import SpawnedTarget
from .bench import Bench, Client, UnsupportedCheckError
from .leaving import leave, leavings

MANY_CONNECTIONS = 1000
"""Connections of CONN-4 and RES-1."""
SENDER_PLACES = (0, 63, 64, 127, 128, 255, 256, 384, 511, 512, 640, 768, 896)
"""Indices of the connections that send: a relay's tables are likeliest to end, or to wrap, beside these."""
FRAMES_OF_ONLY_CLIENT = 3
"""Frames that the only client sends."""
LARGER_VALUE_BYTES = 2_000
"""Bytes of the value in the last frame for all connections: a relay may keep a frame of that size once for all."""
REFUSED_CLIENTS = 25
"""Clients that a relay refuses before its limit is looked at again: it may forget one of ten."""
LIMIT = 8
"""The limit of CONN-5, where the suite sets it."""
RESERVED_DESCRIPTORS = 100
RESERVED_CONNECTIONS = 5


def starts_on_stale_or_missing_path(bench: Bench) -> Iterator[Finding]:
    """A start over a stale socket file, and a start where the directory is missing (CONN-1)."""
    with bench.relay() as target:
        socket_path(target)
        bench.act("kill it with SIGKILL, so that its socket file stays, and start it again there; connect a client")
        try:
            target.revive()
            bench.joined(target, 1)[0].close()
        except TargetError as error:
            yield Finding(Kind.REFUSED, "a start over the stale socket file", str(error))
    with bench.relay() as target:
        bench.act("end it, and start it on a path whose directory does not exist; connect a client")
        try:
            target.move(Path("new") / "deep")
            bench.joined(target, 1)[0].close()
        except TargetError as error:
            yield Finding(Kind.REFUSED, "a start that creates the directory of the socket", str(error))


def socket_path(target: SpawnedTarget) -> str:
    """The path of the relay's socket. Raises UnsupportedCheckError for a relay without one."""
    if not target.address.path:
        raise UnsupportedCheckError("needs a relay on a Unix socket ({socket})")
    return target.address.path


def _inode(path: str | os.PathLike[str]) -> int | None:
    """What stands at a path; None where nothing does."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None


def spares_a_live_relay(bench: Bench) -> Iterator[Finding]:
    """A second relay on the path of a live relay (CONN-2)."""
    with bench.relay() as target:
        path = socket_path(target)
        seconds = bench.timing.prompt_seconds
        bench.act(f"connect a client; start the same command again, on the same path; watch it for {seconds:.0f} s")
        client = bench.joined(target, 1)[0]
        before = _inode(path)

        def stolen() -> bool:
            return _inode(path) != before

        status = target.start_second(seconds, stolen)
        if stolen():
            yield Finding(Kind.STOLEN, "the socket of the live relay to stay", f"the second relay replaced {path}")
        elif status is None:
            yield Finding(Kind.STOLEN, "the second relay to end with an error", "it goes on running")
        elif status == 0:
            yield Finding(Kind.SILENT, "the second relay to end with an error", "it ended with status 0")
        if not stolen() and not _first_relay_serves(bench, target, client):
            yield Finding(Kind.STOLEN, "new clients to reach the relay that was first", "they do not")


def echoes_to_only_client(bench: Bench) -> Iterator[Finding]:
    """Echo for the only client of a relay (FWD-4)."""
    if not bench.rules.echo:
        return
    with bench.relay() as target:
        bench.act("connect one client and no other; it sends frames")
        client = bench.connect(target)
        for _ in range(
            FRAMES_OF_ONLY_CLIENT
        ):  # the suite's first connection, which found the relay up, may still be closing
            if not bench.reaches(client, [client]):
                yield Finding(Kind.LOST, "each of its own frames at the only client", "one never came")
                return


def _first_relay_serves(bench: Bench, target: SpawnedTarget, client: Client) -> bool:
    try:
        return bench.reaches(bench.connect(target), [client])
    except TargetError:
        return False


def serves_1000_clients(bench: Bench) -> Iterator[Finding]:
    """1000 connections at once, and each receives (CONN-4)."""
    room_for_many(bench)
    with bench.relay() as target:
        bench.act(
            f"open {MANY_CONNECTIONS} connections; the last of them and those at {SENDER_PLACES} each send "
            "a frame; the last one sends a larger frame"
        )
        clients = [bench.connect(target) for _ in range(MANY_CONNECTIONS)]
        try:
            seconds = bench.timing.many_seconds
            senders = [clients[-1], *(clients[place] for place in SENDER_PLACES)]
            served = all(bench.reaches(sender, clients, seconds) for sender in senders)
            served = served and bench.reaches(clients[-1], clients, seconds, size=LARGER_VALUE_BYTES)
            closed = sum(client.closed for client in clients)
            if not served:
                missing = sum(not client.gets(MAGIC_BYTES, 0.0) for client in clients)
                yield Finding(
                    Kind.LOST,
                    f"a frame at each of {MANY_CONNECTIONS} clients",
                    f"{closed} closed, {missing} without it",
                )
        finally:
            for client in clients:
                client.close()


def room_for_many(bench: Bench) -> None:
    """Raise the descriptor limit for MANY_CONNECTIONS. Raises UnsupportedCheckError where the profile allows fewer."""
    limit = bench.profile.max_connections
    if limit is not None and limit < MANY_CONNECTIONS + RESERVED_CONNECTIONS:
        raise UnsupportedCheckError(f"needs {MANY_CONNECTIONS} connections, the profile allows {limit}")
    _room_for(MANY_CONNECTIONS)


def _room_for(clients: int) -> None:
    """Raise the descriptor limit for so many clients, twice where it may be: a comparison checks two relays at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = math.inf if hard == resource.RLIM_INFINITY else hard
    least = clients + RESERVED_DESCRIPTORS
    if most < least:
        raise ImpededError(f"needs {least} descriptors, this process may have {hard} (ulimit -n)")
    wanted = int(min(2 * clients + RESERVED_DESCRIPTORS, most))
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def refuses_above_its_limit(bench: Bench) -> Iterator[Finding]:
    """A connection above max_connections (CONN-5)."""
    if bench.profile.max_connections is None:
        bench = bench.under({"max_connections": LIMIT})
    limit = bench.profile.max_connections or LIMIT
    _room_for(limit)
    with bench.relay() as target:
        bench.act(f"open {counted(limit, 'connection')}, then one more, then see whether the {limit} are served")
        clients = _connected(bench, target, limit)
        if not bench.reaches(clients[0], clients):
            yield Finding(Kind.LOST, f"a frame at each of {counted(limit, 'client')}", "not all of them got it")
            return
        if not _is_refused(bench, target):
            yield Finding(
                Kind.ADMITTED, f"connection {limit + 1} to be refused", "it stays open, or waits in the backlog"
            )
            return
        if any(client.closed for client in clients) or not bench.reaches(clients[0], clients):
            yield Finding(Kind.DISTURBED, f"the {counted(limit, 'connection')} to go on being served", "they are not")
            return
        yield from _keeps_its_limit(bench, target, clients)


def _keeps_its_limit(bench: Bench, target: SpawnedTarget, clients: list[Client]) -> Iterator[Finding]:
    """As many are admitted again when some have left, in every way, and others were refused."""
    limit = len(clients)
    bench.act(
        f"{counted(REFUSED_CLIENTS, 'client')} more try to connect; one of those served leaves and another comes, "
        f"{counted(len(leavings()), 'time')}, each in another way; then see whether {limit} are served"
    )
    for _ in range(REFUSED_CLIENTS):
        _is_refused(bench, target)
    for leaving in leavings():
        leave(bench, clients.pop(), leaving, clients[0])
        clients += _admitted(bench, target, clients, limit)
        if len(clients) < limit:
            yield Finding(
                Kind.REFUSED, f"another client admitted when one has left ({leaving.words})", "it is refused, or waits"
            )
            return
    if not bench.reaches(clients[0], clients):
        yield Finding(Kind.LOST, f"a frame at each of {counted(limit, 'client')} again", "not all of them got it")


def _admitted(bench: Bench, target: SpawnedTarget, clients: list[Client], limit: int) -> list[Client]:
    """A new client that is served, or none: a relay may count for a moment one that has left."""
    until = time.monotonic() + bench.timing.room_seconds
    while len(clients) < limit and time.monotonic() < until:
        with contextlib.suppress(TargetError):
            client = bench.connect(target)
            if bench.reaches(clients[0], [client], bench.timing.attempt_seconds):
                return [client]
            client.close()
        time.sleep(bench.timing.room_retry_seconds)
    return []


def _connected(bench: Bench, target: SpawnedTarget, count: int) -> list[Client]:
    """``count`` clients. A closed client connects again: the relay may still count the suite's first connection."""
    clients = [bench.connect(target) for _ in range(count)]
    until = time.monotonic() + bench.timing.room_seconds
    while not bench.reaches(clients[0], clients, bench.timing.attempt_seconds) and time.monotonic() < until:
        clients = [bench.connect(target) if client.closed else client for client in clients]
    return clients


def _is_refused(bench: Bench, target: SpawnedTarget) -> bool:
    """Whether the relay takes no connection, or closes it at once; one in the listen backlog is not refused."""
    try:
        return bench.connect(target).is_closed()
    except TargetError as error:
        return not isinstance(error.__cause__, TimeoutError)
