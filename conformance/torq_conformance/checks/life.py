"""The check of how a relay ends (LIFE-1)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

from ..oracles import Finding
from ..target import SpawnedTarget
from .bench import PATIENCE, Bench, Client
from .levels import pid_of

BACKLOG = 600
"""Frames of 1.5 kB that wait for a consumer when the relay gets SIGTERM."""
AT_ONCE = 2.0
"""Seconds that a second signal leaves a relay."""


def drains(bench: Bench) -> Iterator[Finding]:
    """LIFE-1: SIGTERM while a consumer has a backlog; a second one while it drains."""
    with bench.relay() as target:
        bench.act(f"three clients connect; A does not read, B sends {BACKLOG} frames of 1.5 kB, C reads them")
        slow, sender, reader = bench.joined(target, 3)
        slow.buffer.clear()
        frames = [bench.frame(1500) for _ in range(BACKLOG)]
        if not _flood(sender, reader, frames):
            yield Finding("lost", "the sender's frames at somebody who reads", "they did not come")
            return
        path = target.address.path
        bench.act("send SIGTERM to the relay; A reads until it is closed; B and C leave; wait for the relay's end")
        os.kill(pid_of(target), signal.SIGTERM)
        _read_backlog(slow, frames[-1])
        if not slow.closed:
            yield Finding("kept", "the consumer to be closed after its backlog", "it is still open")
        missing = sum(frame not in slow.buffer for frame in frames)
        if missing:
            yield Finding("lost", f"all {BACKLOG} accepted frames delivered after SIGTERM", f"{missing} were not")
        sender.close()
        reader.close()
        patience = PATIENCE if slow.closed else 0.5
        ended = target.wait(patience)
        if ended is None:
            yield Finding("stuck", "the relay to end after SIGTERM", "it still runs, although its backlog was read")
            return
        if ended != 0:
            yield Finding("status", "exit status 0 after SIGTERM", f"{ended}")
        if path and os.path.exists(path):
            yield Finding("left behind", "no socket file after SIGTERM", path)
    yield from _second_signal(bench)


def _read_backlog(slow: Client, last: bytes) -> None:
    """Read until the relay closes: some seconds for the backlog, and some more when it has come."""
    deadline = time.monotonic() + PATIENCE * 2
    whole = False
    while not slow.closed and time.monotonic() < deadline:
        slow.read(min(0.1, deadline - time.monotonic()))
        if not whole and last in slow.buffer:
            whole = True
            deadline = min(deadline, time.monotonic() + PATIENCE)


def _flood(sender: Client, reader: Client, frames: list[bytes]) -> bool:
    """Send frames, each part read before the next, so that neither of the two is a slow consumer."""
    for start in range(0, len(frames), 30):
        part = frames[start : start + 30]
        if not sender.send(b"".join(part)) or not reader.gets(part[-1]):
            return False
        while sender.read():
            sender.buffer.clear()
    return True


def _second_signal(bench: Bench) -> Iterator[Finding]:
    with bench.relay() as target:
        bench.act("the same with nobody to read the backlog, and a second SIGTERM behind the first")
        _, sender, reader = bench.joined(target, 3)
        if not _flood(sender, reader, [bench.frame(1500) for _ in range(BACKLOG)]):
            return
        os.kill(pid_of(target), signal.SIGTERM)
        deadline = time.monotonic() + 1.0
        while target.wait(0.01) is None and time.monotonic() < deadline and _accepts(target):
            pass
        if target.wait(0.0) is None:
            os.kill(pid_of(target), signal.SIGTERM)
            if target.wait(AT_ONCE) is None:
                yield Finding(
                    "stuck", "the relay to end at once at the second signal", f"it still runs after {AT_ONCE:.0f} s"
                )


def _accepts(target: SpawnedTarget) -> bool:
    try:
        target.address.connect().close()
    except OSError:
        return False
    return True
