"""The check of who may reach a relay (SEC-1)."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import TargetError
from ..oracles import Finding
from .bench import Bench, UnsupportedCheckError


def keeps_others_out(bench: Bench) -> Iterator[Finding]:
    """SEC-1: modes of socket and directory; a directory that others may write to."""
    with bench.relay() as target:
        if not target.address.path:
            raise UnsupportedCheckError("needs a relay on a Unix socket ({socket})")
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
                yield Finding("open", f"a {what} closed to other users", f"its mode is {mode:04o}")
        bench.act("end it, make the directory writable by others (chmod 777), and start it there again")
        target.end()
        path.parent.chmod(0o777)
        try:
            target.start_again()
        except TargetError:
            return
        yield Finding("started", "no start in a directory that others may write to", "it starts and serves")
