"""The check of how a relay ends (LIFE-1)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

from ..counting import counted, grouped
from ..oracles import Finding
from ..profile import Rules
from ..target import SpawnedTarget
from ..wire import decode
from .bench import PATIENCE, Bench, Client
from .levels import pid_of

BACKLOG_BYTES = 4 << 20
"""Bytes that wait for a consumer when the relay gets SIGTERM, where its queue holds as many."""
VALUE = 1500
"""Bytes of the one TLV in each of their frames."""
PART = 30
"""Frames that are sent before the reader has to have them."""
AT_ONCE = 2.0
"""Seconds that a second signal leaves a relay."""


def drains(bench: Bench) -> Iterator[Finding]:
    """LIFE-1: SIGTERM while a consumer has a backlog; a second one while it drains."""
    size = bench.size_of(VALUE)
    count = _backlog(bench.rules, size)
    with bench.relay() as target:
        bench.act(
            f"three clients connect; A does not read, B sends {counted(count, 'frame')} of {counted(size, 'byte')} "
            f"({counted(count * size, 'byte')} in all), C reads them"
        )
        slow, sender, reader = bench.joined(target, 3)
        frames = [bench.frame(VALUE) for _ in range(count)]
        if not _flood(sender, reader, frames):
            yield Finding("lost", "the sender's frames at somebody who reads", "they did not come")
            return
        path = target.address.path
        bench.act("send SIGTERM to the relay; A reads until it is closed; B and C leave; wait for the relay's end")
        os.kill(pid_of(target), signal.SIGTERM)
        _read_backlog(slow, frames[-1])
        if not slow.closed:
            yield Finding("kept", "the consumer to be closed after its backlog", "it is still open")
        missing = len(set(frames) - _whole_frames(slow, bench.rules))
        if missing:
            yield Finding(
                "lost",
                f"each of {counted(count, 'accepted frame')} delivered after SIGTERM",
                f"{grouped(missing)} never came",
            )
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
    yield from _second_signal(bench, frames)


def _backlog(rules: Rules, size: int) -> int:
    """How many frames of some bytes wait: never more than the relay's queue for a consumer holds (ISO-2)."""
    return max(1, min(BACKLOG_BYTES // size, rules.queue_frames, rules.queue_bytes // size))


def _whole_frames(client: Client, rules: Rules) -> set[bytes]:
    """What a client has got, cut into frames."""
    return set(decode(client.buffer, rules.max_message_size)[0])


def _read_backlog(slow: Client, last: bytes) -> None:
    """Read until the relay closes: some seconds for the backlog, and some more when it has come."""
    deadline = time.monotonic() + PATIENCE * 2
    whole = False
    while not slow.closed and time.monotonic() < deadline:
        seen = max(0, len(slow.buffer) - len(last))
        slow.read(min(0.1, deadline - time.monotonic()))
        if not whole and slow.buffer.find(last, seen) >= 0:
            whole = True
            deadline = min(deadline, time.monotonic() + PATIENCE)


def _flood(sender: Client, reader: Client, frames: list[bytes]) -> bool:
    """Send frames, each part read before the next, so that neither of the two is a slow consumer."""
    for start in range(0, len(frames), PART):
        part = frames[start : start + PART]
        if not sender.send(b"".join(part)) or not reader.gets(part[-1]):
            return False
        while sender.read():
            sender.buffer.clear()
    return True


def _second_signal(bench: Bench, frames: list[bytes]) -> Iterator[Finding]:
    with bench.relay() as target:
        bench.act("the same with nobody to read the backlog, and a second SIGTERM behind the first")
        _, sender, reader = bench.joined(target, 3)
        if not _flood(sender, reader, frames):
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
