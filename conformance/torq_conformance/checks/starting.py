"""The check of relays that are started at the same moment on one path (CONN-9)."""

from __future__ import annotations

from collections.abc import Iterator

from ..counting import counted
from ..errors import TargetError
from ..model.findings import Finding, Kind
from .bench import Bench
from .connections import socket_path

RIVALS = 5
"""Relays that are started at once."""


def exactly_one_serves(bench: Bench) -> Iterator[Finding]:
    """Several relays started at the same moment on one path, with a stale socket file there and without (CONN-9)."""
    with bench.relay() as target:
        path = socket_path(target)
        for stale in (True, False):
            how = "kill it with SIGKILL, so that its socket file stays" if stale else "end it, remove its socket file"
            seconds = bench.timing.start_seconds
            bench.act(f"{how}; start {RIVALS} at once on {path}; for {seconds:.0f} s wait until all but one have ended")
            statuses = target.start_rivals(RIVALS, seconds, stale=stale)
            bench.evidence["relays started"] += RIVALS
            where = "on a stale socket file" if stale else "where no socket is"
            running = statuses.count(None)
            if running != 1:
                yield Finding(
                    Kind.STOLEN if running else Kind.DOWN,
                    f"one of {counted(RIVALS, 'relay')} started at once {where} to run",
                    f"{running} run after {seconds:.0f} s",
                )
                return
            if 0 in statuses:
                yield Finding(
                    Kind.SILENT, f"the others started {where} to end with an error", "one ended with status 0"
                )
            try:
                sender, receiver = bench.joined(target, 2)
                served = bench.reaches(sender, [receiver])
            except TargetError as error:
                yield Finding(Kind.DOWN, f"the one that runs {where} to serve", error.what)
                return
            if not served:
                yield Finding(Kind.LOST, f"the one that runs {where} to serve", "a frame reached nobody")
