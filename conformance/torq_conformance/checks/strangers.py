"""The check of allow lists: who is not on one is closed before a byte of his is read (SEC-2).

Facts: the suite opens the socket and the way to it to everybody, so that nothing but the list keeps anybody out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ..errors import TargetError
from ..model.findings import Finding, Kind
from ..play.target import SpawnedTarget
from ..play.users import connected_as
from .bench import Bench, Client, UnsupportedCheckError
from .connections import socket_path

ADMITTED, STRANGER = 65_531, 65_530
"""Numbers of a user, and of a group: one that is on the list and one that is not."""
List = Literal["allow_uids", "allow_gids"]


def refuses_strangers(bench: Bench) -> Iterator[Finding]:
    """Clients of a user who is on the list, and of others; the same for a group where the relay has such a list."""
    if os.geteuid() != 0:
        raise UnsupportedCheckError("needs clients of other users, and only root makes them")
    yield from _judged(bench, "allow_uids", (ADMITTED, STRANGER), (STRANGER, ADMITTED))
    if "allow_gids" in bench.profile.settings:
        yield from _judged(bench, "allow_gids", (STRANGER, ADMITTED), (ADMITTED, STRANGER))
    else:
        bench.leave_out("lists of groups: the profile does not say how allow_gids is set")


def _judged(bench: Bench, name: List, admitted: tuple[int, int], stranger: tuple[int, int]) -> Iterator[Finding]:
    """What is wrong with one list, which holds ADMITTED; ``admitted`` and ``stranger`` are user and group of each."""
    bench = bench.under({name: ADMITTED})
    with bench.relay() as target:
        bench.act("let everybody reach its socket (chmod 666, the directory 711); clients connect as other users")
        path = Path(socket_path(target))
        path.parent.chmod(0o711)
        path.chmod(0o666)
        owed = f"whoever is on {name} (user {admitted[0]}, group {admitted[1]}) to be served"
        try:
            sender, receiver = (_client(bench, target, *admitted) for _ in range(2))
        except TargetError as error:  # it may have ended because a stranger came: the suite itself, to see it started
            yield Finding(Kind.REFUSED, owed, str(error))
            return
        if not bench.reaches(sender, [sender, receiver]) or receiver.closed:
            yield Finding(Kind.REFUSED, owed, "it is not served")
            return
        bench.act(f"user {stranger[0]} of group {stranger[1]}, not on the list, connects and sends a frame at once")
        outsider = _client(bench, target, *stranger)
        frame = bench.frame()
        outsider.send(frame)
        if not outsider.is_closed():
            yield Finding(Kind.ADMITTED, f"whoever is not on {name} to be closed", "it stays open")
        fence = bench.frame()
        sender.send(fence)
        if not _reads_up_to(receiver, fence, bench.timing.prompt_seconds):
            yield Finding(Kind.DISTURBED, owed, "it is served no more once somebody else was refused")
        if frame in receiver.buffer:
            yield Finding(Kind.LEAKED, f"no byte of who is not on {name} to be read", "its frame was forwarded")
        if outsider.buffer:
            yield Finding(Kind.LEAKED, f"nothing to be sent to who is not on {name}", "it got frames")


def _client(bench: Bench, target: SpawnedTarget, uid: int, gid: int) -> Client:
    try:
        return bench.admit(Client(target, connected_as(target, uid, gid)))
    except PermissionError as error:
        raise UnsupportedCheckError(f"user {uid} may not reach the folder of TMPDIR, as every user has to") from error
    except OSError as error:
        raise TargetError(f"user {uid} cannot connect: {error.strerror or error}") from error


def _reads_up_to(client: Client, fence: bytes, seconds: float) -> bool:
    """Whether a fence comes within some seconds; what came before it stays."""
    while not client.buffer.endswith(fence):
        if not client.read(seconds):
            return False
    return True
