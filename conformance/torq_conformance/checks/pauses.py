"""The check of consumers that pause and read again within what their queue holds (ISO-8).

Facts: every write is one that a relay finds whole in one read, and follows when the one before was read, so that a
relay which forwards reads is judged as well; the sender reads its echo, for it must not become slow itself.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator

from ..counting import counted, grouped
from ..model.findings import Finding, Kind
from ..model.rules import Rules
from ..model.wire import decode
from .bench import Bench, Client

WRITE_BYTES = 30_000
"""Bytes of a write."""
MOST_BYTES = 16_000_000
"""Bytes of a backlog; half of what a queue holds where that is less."""
MOST_SMALL = 20_000
"""Small frames of a backlog; a quarter of what a queue holds where that is less."""
LEAST_GRACE = 5.0
"""Under a shorter first_read_grace, in seconds, a busy machine could use it up."""


def loses_nothing_in_a_pause(bench: Bench) -> Iterator[Finding]:
    """Two consumers that read 1 s after a backlog was sent: one paused, one had not yet begun to read (ISO-8)."""
    rules, timing = bench.rules, bench.timing
    with bench.relay() as target:
        paused, sender = bench.joined(target, 2)
        behind = {"a consumer that pauses": paused}
        if rules.first_read_grace >= LEAST_GRACE:
            late = bench.connect(target)
            frame = bench.frame()
            if late.send(frame) and sender.gets(frame):  # it has joined, for the relay forwards what it sends
                behind["a consumer that begins to read late"] = late
        else:
            bench.leave_out(f"who begins to read late: first_read_grace is {rules.first_read_grace:g} s")
        writes = _backlog(bench, rules)
        frames = [frame for write in writes for frame in write]
        began = time.monotonic()
        bench.act(
            f"{' and '.join(behind)} do not read while {counted(len(frames), 'frame')} with "
            f"{counted(sum(map(len, frames)), 'byte')} are sent; {timing.pause_seconds:g} s later they read"
        )
        for write in writes:
            if not (sender.send(b"".join(write)) and sender.is_taken()):
                yield Finding(Kind.LOST, "the sender to be served beside consumers that pause", "it is not")
                return
            sender.forget()
        select.select([], [], [], timing.pause_seconds)
        if time.monotonic() - began > rules.first_read_grace / 2 and len(behind) > 1:
            del behind["a consumer that begins to read late"]
            bench.leave_out("who begins to read late: to send the backlog took half of first_read_grace")
        for name, client in behind.items():
            yield from _not_whole(name, client, frames, bench)


def _backlog(bench: Bench, rules: Rules) -> list[list[bytes]]:
    """Small frames and larger ones, a list for each write."""
    small, large = bench.size_of(40), bench.size_of(WRITE_BYTES - 100)
    most = min(MOST_BYTES, rules.most_bytes // 2)
    each = max(1, WRITE_BYTES // small)
    left = max(1, min(MOST_SMALL, rules.most_frames // 4, most // (2 * small)))
    writes = []
    while left > 0:
        writes.append([bench.frame(40) for _ in range(min(each, left))])
        left -= each
    count = min((most - sum(len(frame) for write in writes for frame in write)) // large, rules.most_frames // 4)
    return writes + [[bench.frame(WRITE_BYTES - 100)] for _ in range(max(0, count))]


def _not_whole(name: str, client: Client, frames: list[bytes], bench: Bench) -> Iterator[Finding]:
    """What is wrong with what a consumer gets when it reads at last: frames that are missing, or their order."""
    until = time.monotonic() + bench.timing.many_seconds
    last = frames[-1]
    while not client.buffer.endswith(last) and time.monotonic() < until and not client.closed:
        if not client.read(bench.timing.prompt_seconds):
            break
    wanted = set(frames)
    got = [frame for frame in decode(client.buffer, bench.rules.max_message_size)[0] if bytes(frame) in wanted]
    if got == frames:
        return
    missing = len(wanted - set(got))
    owed = f"each of {counted(len(frames), 'frame')} at {name} and reads again within the bounds of its queue"
    if client.closed:
        yield Finding(Kind.CLOSED, owed, f"the relay closes it; {grouped(missing)} never came")
    elif missing:
        yield Finding(Kind.LOST, owed, f"{grouped(missing)} never came")
    else:
        yield Finding(Kind.REORDERED, owed, "they come in another order, or more than once")
