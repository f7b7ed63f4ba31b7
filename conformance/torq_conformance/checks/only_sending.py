"""The check of clients that only send, when their time to begin to read is over (ISO-7).

Facts: from then on a relay may keep little for such a client, so it treats it otherwise than before; who never waits so
long never sees that part of a relay. A client that reads after all is a receiver like any other (CONN-3).
"""

from __future__ import annotations

import select
from collections.abc import Iterator

from ..model.findings import Finding, Kind
from .bench import Bench

LONGEST_GRACE = 15.0
"""ISO-7 waits for no longer first_read_grace, in seconds."""
PAST_GRACE = 0.5
"""Seconds after the end of the first_read_grace in which a relay may notice it."""
VALUE_BYTES = 30_000
BACKLOG_BYTES = 2_000_000
"""Bytes that the client leaves unread: more than any socket of the relay's holds, less than its queue."""
FRAMES_AFTER = 100
"""Frames that each sends when the time is over: a relay may look only now and then whether the client reads."""


def serves_who_only_sends(bench: Bench) -> Iterator[Finding]:
    """A client that has read nothing for longer than first_read_grace sends, others send, and then it reads (ISO-7)."""
    grace = bench.rules.first_read_grace
    if not bench.rules.forwards:
        return
    if grace > LONGEST_GRACE:
        bench.leave_out(f"who has read nothing for longer than first_read_grace: that is {grace:g} s")
        return
    with bench.relay() as target:
        consumer, other = bench.joined(target, 2)
        silent = bench.connect(target)
        size = bench.size_of(VALUE_BYTES)
        count = min(BACKLOG_BYTES, bench.rules.most_bytes // 2) // size
        wait = grace + PAST_GRACE
        bench.act(f"A joins, sends a frame and never reads; B sends {count} frames; C reads all; wait {wait:g} s")
        for sender in (silent, *(other,) * count):
            frame = bench.frame(VALUE_BYTES)
            if not (sender.send(frame) and consumer.gets(frame)):
                yield Finding(Kind.LOST, "C to be served beside a client that never reads", "a frame never came")
                return
            other.forget()  # or it becomes slow itself
        select.select([], [], [], wait)
        bench.act(f"A and B send {FRAMES_AFTER} frames each in turn, which C reads; then A reads, and B sends again")
        for name, sender in (("A", silent), ("B", other)) * FRAMES_AFTER:
            frame = bench.frame()
            if not sender.send(frame):
                yield Finding(Kind.CLOSED, f"{name} to be served: A only sends", "it cannot send any more")
                return
            if not consumer.gets(frame):
                yield Finding(Kind.LOST, f"a frame of {name} at C: A only sends", "it never came")
                return
            other.forget()  # or it becomes slow itself
        while silent.read(bench.timing.kept_open_seconds):
            silent.buffer.clear()
        if silent.closed:
            yield Finding(Kind.CLOSED, "A to stay connected: it only sends", "the relay closed its connection")
        elif not bench.reaches(other, [silent]):
            yield Finding(Kind.LOST, "a frame of B at A, which reads from now on", "none came")
