"""The check that other users cannot reach a relay (SEC-1)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import TargetError
from ..model.findings import Finding, Kind
from ..play.target import SpawnedTarget
from .bench import Bench, UnsupportedCheckError
from .levels import pid_of

WRITABLE = (0o777, 0o1777, 0o757, 0o702)
"""Modes of directories that other users may write to."""
STRANGERS = (65_534, 65_533, 65_532)
"""User ids: one of them is neither the suite's nor the relay's."""


def refuses_other_users(bench: Bench) -> Iterator[Finding]:
    """Modes of socket and directory; a directory that others may write to, or that another user owns (SEC-1)."""
    with bench.relay() as target:
        if not target.address.path:
            raise UnsupportedCheckError("needs a relay on a Unix socket ({socket})")
        mode = stat.S_IMODE(os.stat(target.address.path).st_mode)
        if mode & 0o006:
            yield Finding(
                Kind.OPEN, "a socket closed to other users, in a directory that is", f"its mode is {mode:04o}"
            )
        bench.act("end it, and start it on a path whose directory does not exist; look at the modes of both (ls -la)")
        try:
            target.move(Path("private"))
        except TargetError as error:
            raise UnsupportedCheckError(f"needs a relay that creates its directory (CONN-1): {error}") from error
        path = Path(target.address.path)
        for what, place in (("socket", path), ("directory", path.parent)):
            mode = stat.S_IMODE(place.stat().st_mode)
            forbidden = 0o007 if what == "directory" else 0o006
            if mode & forbidden:
                yield Finding(Kind.OPEN, f"a {what} closed to other users", f"its mode is {mode:04o}")
        owners = {os.geteuid(), Path(f"/proc/{pid_of(target)}").stat().st_uid}
        for mode in WRITABLE:
            bench.act(f"end it, let others write to the directory (chmod {mode:o}), start it there again")
            target.end()
            path.parent.chmod(mode)
            if _starts(target):
                owed = f"no start in a directory of mode {mode:04o}, which others may write to"
                yield Finding(Kind.STARTED, owed, "it starts and serves")
                target.end()
        stranger = next(uid for uid in STRANGERS if uid not in owners)
        bench.act(
            f"end it, give the directory to another user alone (chmod 700, chown {stranger}), start it there again"
        )
        path.parent.chmod(0o700)
        try:
            os.chown(path.parent, stranger, -1)
        except OSError as error:
            bench.leave_out(f"who owns the directory was not judged: chown fails ({error.strerror}), it takes root")
            return
        if _starts(target):
            yield Finding(Kind.STARTED, "no start in a directory that another user owns", "it starts and serves")


def _starts(target: SpawnedTarget) -> bool:
    try:
        target.start_again()
    except TargetError:
        return False
    return True
