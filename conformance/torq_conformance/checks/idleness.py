"""The checks of what a relay uses while nothing happens (RES-3), and of what waiting frames cost (RES-4)."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

from ..counting import counted
from ..model.findings import Finding, Kind
from .bench import Bench, UnsupportedCheckError
from .levels import memory, pid_of, processor_seconds

IDLE = 100
"""Connections of RES-3."""
BACKLOG_FRAMES = 300
"""Frames of each that has stopped reading, where its queue holds twice as many: more than its socket takes."""
BACKLOG_VALUE = 1_500
"""Bytes of the one TLV in each of them."""
IDLE_SHARE = 0.01
"""Of one core."""
MEASUREMENTS = 3
SMALL = 20_000
"""Frames that wait for one consumer in RES-4."""
LEAST_SMALL = 8_000
"""With fewer of them the figure would be that of the noise."""
FRAME_BYTES = 256
"""What a waiting frame may cost besides its bytes."""
NOISE_BYTES = 2_000_000
"""By which the memory of a process grows for no reason of ours."""


def rests(bench: Bench) -> Iterator[Finding]:
    """The processor time of a relay whose clients do nothing (RES-3)."""
    rules, timing = bench.rules, bench.timing
    limit = bench.profile.max_connections
    count = IDLE if limit is None else min(IDLE, limit - 1)
    with bench.relay() as target:
        pid = pid_of(target)
        clients = [bench.connect(target) for _ in range(count)]
        if not bench.reaches(clients[0], clients, timing.many_seconds):
            yield Finding(Kind.LOST, f"{counted(count, 'connection')} to be served", "not all are")
            return
        frames = min(BACKLOG_FRAMES, rules.most_frames // 2, rules.most_bytes // (2 * BACKLOG_VALUE))
        stalled = clients[1::5] if rules.forwards else []
        halves = clients[2::5] if "CONN-7" not in bench.profile.not_promised else []
        bench.act(
            f"{counted(count, 'client')} connect; {len(stalled)} stop reading, one sends {counted(frames, 'frame')} "
            f"that the others read, {len(halves)} shut down their sending side; then nobody does anything for "
            f"{timing.rest_seconds:g} s"
        )
        readers = [client for client in clients if client not in stalled]
        for _ in range(frames if stalled else 0):
            clients[0].send(bench.frame(BACKLOG_VALUE))
            clients[0].is_taken()
            for reader in readers:
                reader.forget()
        for client in halves:
            client.sock.shutdown(socket.SHUT_WR)
        _pause(timing.levels_seconds)
        for reader in readers:
            reader.forget()
        least = timing.rest_seconds
        for _ in range(MEASUREMENTS):
            before = processor_seconds(pid)
            _pause(timing.rest_seconds)
            least = min(least, processor_seconds(pid) - before)
            if least < IDLE_SHARE * timing.rest_seconds:
                break
        bench.evidence["milliseconds of processor time while idle"] = round(least * 1000)
        if least >= IDLE_SHARE * timing.rest_seconds:
            yield Finding(
                Kind.COSTLY,
                f"less than {IDLE_SHARE:.0%} of a core while {counted(count, 'connection')} do nothing",
                f"{least * 1000:.0f} ms of processor time in {timing.rest_seconds:g} s, in the least of {MEASUREMENTS} "
                "measurements",
            )


def queues_cheaply(bench: Bench) -> Iterator[Finding]:
    """The memory of small frames, each read on its own, that wait for a consumer (RES-4)."""
    size, timing = bench.size_of(0), bench.timing
    count = min(SMALL, bench.rules.most_frames * 9 // 10, bench.rules.most_bytes * 9 // 10 // size)
    if count < LEAST_SMALL:
        raise UnsupportedCheckError(f"a queue of {counted(count, 'small frame')} costs too little to tell")
    with bench.relay() as target:
        pid = pid_of(target)
        _stalled, sender = bench.joined(target, 2)
        bench.act(
            f"a client does not read; another sends {counted(count, 'frame')} of {counted(size, 'byte')}, each in a "
            "write of its own when the relay has read the one before, and reads"
        )
        sender.forget()
        before, sent = memory(pid), 0
        until = time.monotonic() + timing.many_seconds
        while sent < count and time.monotonic() < until:
            if not (sender.send(bench.frame(0)) and sender.is_taken()):
                yield Finding(Kind.LOST, "the sender to be served beside a stalled consumer", "it is not")
                return
            sent += 1
            sender.forget()
        if sent < LEAST_SMALL:
            raise UnsupportedCheckError(f"the relay took only {counted(sent, 'frame')} in {timing.many_seconds:.0f} s")
        growth = memory(pid) - before
        each = max(0, growth - NOISE_BYTES) // sent - size
        bench.evidence["bytes for each waiting frame, its own not counted"] = max(0, each)
        if each >= FRAME_BYTES:
            owed = f"less than {FRAME_BYTES} bytes for each of {counted(sent, 'waiting frame')} besides its own {size}"
            yield Finding(
                Kind.COSTLY, owed, f"memory grew by {counted(growth, 'byte')}, {counted(each, 'byte')} for each"
            )


def _pause(seconds: float) -> None:
    select.select([], [], [], seconds)
