"""Checks of resources: descriptors, threads, memory (CONN-8, ISO-2, RES)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import chain, repeat
from typing import get_args

from torq_protocol.constants import HEADER_SIZE

from ..counting import counted
from ..generation.features.queues import MOST_QUEUE_BYTES
from ..model.findings import Finding, Kind
from ..model.rules import Overflow
from .bench import Bench, Client, UnsupportedCheckError
from .connections import MANY_CONNECTIONS, room_for_many
from .leaving import leave, leavings
from .levels import descriptors, memory, peak_memory, pid_of, settles, threads
from .policies import bounds_all_together

CONNECTION_BYTES = 65_536
"""Memory that a connection may cost (RES-1)."""
MEMORY_SLACK = 24_000_000
"""Bytes by which a relay may grow beyond its queue."""
OWN_QUEUE_BYTES = 2_000_000
"""The queue of a client that does not read its echo, where the suite may set it."""
OWN_WRITES_SECONDS = 1.0
"""A relay that reads none of a write of such a client for this time, or closes it, keeps no more of its echo."""
IMPOSSIBLE_CLAIMS = (2**32 - 1, 2**31, 2**29)
"""Payload sizes in bytes, above any limit, that headers announce."""
MOST_FRAMES_PER_GUEST = 40
"""Frames of each guest: at most half of what a queue holds, because no client reads them at once."""
REFUSED_FRAMES = 5
"""Refused frames of each guest, in one write that a read of 64 KiB holds."""
REFUSED_VALUE_BYTES = 10_000
"""Bytes of the value in each refused frame."""
LARGE_FRAME_SENDERS = 60
"""Connections that each send a frame of the largest size."""
SMALL_FRAMES_PER_WRITE = 100
"""Small frames of one write; they fill a queue before the large frames."""
MOST_SMALL_FRAMES = 20_000
"""Small frames that fill a queue, at most."""
CLAIMING_CLIENTS = 64
"""Clients that announce the largest allowed payload and send none of it."""


def returns_resources(bench: Bench) -> Iterator[Finding]:
    """Descriptors, memory and threads after clients have joined and left (CONN-8, RES-2)."""
    with bench.relay() as target:
        pid = pid_of(target)
        stays = bench.joined(target, 1)[0]
        rounds, each = 3, 3 * len(leavings())
        frames = max(1, min(MOST_FRAMES_PER_GUEST, bench.rules.most_frames // 2, bench.rules.most_bytes // 2_000))
        bench.act(
            f"{rounds} times: {each} clients connect, send {frames} valid and {REFUSED_FRAMES} invalid frames, "
            "and leave: each third of them after reading all, after a half-close, after garbage, within a frame or "
            f"without reading, the others in {len(leavings())} ways within a frame or behind it; compare the levels"
        )
        levels: list[tuple[int, int, int]] = []
        for patience in (bench.timing.levels_seconds,) * rounds + (bench.timing.prompt_seconds,):
            for number in range(each):
                guest = bench.connect(target)
                refused = b"".join(bench.refused(REFUSED_VALUE_BYTES) for _ in range(REFUSED_FRAMES))
                traffic = b"".join(bench.frame(1000) for _ in range(frames))
                sent = guest.send(traffic) and guest.is_taken() and guest.send(refused) and guest.is_taken()
                if not sent or not bench.reaches(guest, [stays]):
                    yield Finding(Kind.LOST, "guests to be served", "a guest's frame did not arrive")
                    return
                if number % 3:
                    leave(bench, guest, leavings()[number // 3], stays)
                else:
                    _leave(bench, guest, number // 3 % 5)
            held = settles(lambda: descriptors(pid), levels[0][0] if levels else 0, patience)
            levels.append((held, settles(lambda: threads(pid), levels[0][1] if levels else 0, patience), memory(pid)))
        first, last, guests = levels[0], levels[-1], rounds * each
        for what, index, slack in (("descriptors", 0, 3), ("threads", 1, 3)):
            if last[index] - first[index] > slack:
                yield Finding(Kind.LEAKED, f"{first[index]} {what} again after {guests} guests", f"{last[index]}")
        growth = last[2] - first[2]
        if growth > 2_000_000 and levels[-1][2] - levels[-2][2] > growth / (rounds * 3):
            yield Finding(
                Kind.LEAKED,
                f"the memory of {first[2] >> 10} KiB again after {guests} guests and {guests * frames} frames",
                f"{growth >> 10} KiB more, growing",
            )


def _leave(bench: Bench, guest: Client, way: int) -> None:
    """Leave in one of five ways: 0 after reading all, 1 half-closed, 2 after garbage, 3 within a frame, else unread."""
    if way in (0, 1):
        guest.forget()
    if way == 1:
        guest.sock.shutdown(socket.SHUT_WR)
        guest.is_taken()
    elif way == 2 and bench.rules.on_framing_error == "close":
        guest.send(bytes(64))
        guest.is_closed(bench.timing.garbage_seconds)
    elif way == 3:
        guest.send(bench.frame()[:20])
        guest.is_taken()
    guest.close()


def bounds_memory_per_connection(bench: Bench) -> Iterator[Finding]:
    """At most 64 KiB a connection, idle and active (RES-1)."""
    room_for_many(bench)
    with bench.relay() as target:
        pid = pid_of(target)
        first = bench.joined(target, 2)
        before = memory(pid)
        bench.act(f"open {MANY_CONNECTIONS} connections, compare memory; send a frame to all, compare memory again")
        clients = [bench.connect(target) for _ in range(MANY_CONNECTIONS)]
        try:
            for words in ("idle", "active"):
                if not bench.reaches(first[0], [clients[-1]], bench.timing.many_seconds):
                    yield Finding(Kind.LOST, f"{MANY_CONNECTIONS} connections to be served", "the last one is not")
                    return
                if words == "active":
                    bench.reaches(clients[0], clients, bench.timing.many_seconds)
                each = (memory(pid) - before) // MANY_CONNECTIONS
                bench.evidence[f"bytes for each {words} connection"] = each
                if each > CONNECTION_BYTES:
                    yield Finding(
                        Kind.COSTLY, f"at most {CONNECTION_BYTES} bytes for each {words} connection", f"{each}"
                    )
        finally:
            for client in clients:
                client.close()
    yield from _frees_large_buffers(bench)


def _frees_large_buffers(bench: Bench) -> Iterator[Finding]:
    """At most 64 KiB a connection that is idle again after an invalid frame of the largest size (RES-1)."""
    large = bench.refused(bench.rules.max_message_size - HEADER_SIZE)
    limit = bench.profile.max_connections
    if not large or (limit is not None and limit < LARGE_FRAME_SENDERS + 2):
        return
    with bench.relay() as target:
        pid = pid_of(target)
        bench.joined(target, 1)
        before = memory(pid)
        bench.act(
            f"open {LARGE_FRAME_SENDERS} connections; each sends an invalid frame of {len(large)} bytes and stays"
        )
        clients = [bench.connect(target) for _ in range(LARGE_FRAME_SENDERS)]
        for client in clients:
            client.send(large)
            client.is_taken()
        if not bench.reaches(clients[0], [clients[-1]]):
            yield Finding(Kind.LOST, f"{LARGE_FRAME_SENDERS} connections to be served", "the last one is not")
            return
        most = MEMORY_SLACK + LARGE_FRAME_SENDERS * CONNECTION_BYTES
        growth = settles(lambda: memory(pid) - before, most, bench.timing.memory_seconds)
        bench.evidence["bytes kept after the largest frames"] = max(0, growth)
        if growth > most:
            owed = f"at most {counted(most, 'byte')} for {LARGE_FRAME_SENDERS} connections that are idle again"
            yield Finding(Kind.COSTLY, owed, f"memory grew by {counted(growth, 'byte')}")


def bounds_its_memory(bench: Bench) -> Iterator[Finding]:
    """Bytes of memory that the relay holds for who does not read: what others send, and what he sends (ISO-2)."""
    if bench.rules.echo:
        yield from _held_of_own_echoes(bench)
    yield from _held_of_others(bench)
    yield from bounds_all_together(bench)


def _held_of_own_echoes(bench: Bench) -> Iterator[Finding]:
    """The echo of a client under each overflow policy, where the profile says how a relay is told."""
    for policy in get_args(Overflow):
        try:
            told = bench.under({"overflow": policy, "queue_bytes": OWN_QUEUE_BYTES})
        except UnsupportedCheckError:
            return
        yield from _held_of_own_echo(told)


def _held_of_own_echo(bench: Bench) -> Iterator[Finding]:
    """A client that was seen to read sends on and reads no more: its echo alone fills its queue."""
    most = _most_growth(OWN_QUEUE_BYTES)
    with bench.relay() as target:
        pid = pid_of(target)
        sender = bench.joined(target, 1)[0]
        part = b"".join(bench.frame(60_000) for _ in range(3))
        count = (most + MEMORY_SLACK // 2) // len(part)
        bench.act(f"a client that has read sends {count * len(part) >> 20} MiB in frames of 60 kB, and reads no more")
        before = memory(pid)
        for _ in range(count):
            if not sender.send(part, OWN_WRITES_SECONDS):
                break
            growth = memory(pid) - before
            if growth > most:
                yield _unbounded(OWN_QUEUE_BYTES, growth)
                break


def _most_growth(bound: int) -> int:
    return bound + bound // 4 + MEMORY_SLACK


def _unbounded(bound: int, growth: int) -> Finding:
    return Finding(
        Kind.UNBOUNDED,
        f"at most {counted(bound, 'byte')} held for a consumer, in memory that grows by no more than "
        f"{counted(_most_growth(bound), 'byte')}",
        f"memory grew by {counted(growth, 'byte')}",
    )


def _held_of_others(bench: Bench) -> Iterator[Finding]:
    """A consumer does not read while another client sends."""
    bound = bench.rules.most_bytes
    if bound > MOST_QUEUE_BYTES:
        bench.leave_out(
            f"memory held in a queue of {counted(bound, 'byte')}: the suite fills {MOST_QUEUE_BYTES} at most"
        )
        return
    most = _most_growth(bound)
    with bench.relay() as target:
        pid = pid_of(target)
        stalled, sender = bench.joined(target, 2)
        part = b"".join(bench.frame(60_000) for _ in range(3))
        count = (most + MEMORY_SLACK // 2) // len(part)
        few = min(bench.rules.most_frames * 9 // 10, MOST_SMALL_FRAMES) // SMALL_FRAMES_PER_WRITE
        bench.act(
            f"a client does not read; another sends {counted(few * SMALL_FRAMES_PER_WRITE, 'small frame')}, then "
            f"{count * len(part) >> 20} MiB in frames of 60 kB, and reads"
        )
        before = memory(pid)
        growth = 0
        small = (b"".join(bench.frame() for _ in range(SMALL_FRAMES_PER_WRITE)) for _ in range(few))
        for each in chain(small, repeat(part, count)):
            if not sender.send(each, bench.timing.fill_seconds):
                break
            sender.forget()
            growth = memory(pid) - before
            if growth > most:
                yield _unbounded(bound, growth)
                break
        bench.evidence["bytes held for a stalled consumer"] = max(0, growth)
        stalled.close()


def allocates_nothing_for_claims(bench: Bench) -> Iterator[Finding]:
    """Peak memory while headers announce large payloads that never come (VAL-6)."""
    largest = bench.rules.max_message_size - HEADER_SIZE
    claims = (*IMPOSSIBLE_CLAIMS, *(largest,) * CLAIMING_CLIENTS)
    with bench.relay() as target:
        pid = pid_of(target)
        sender, receiver = bench.joined(target, 2)
        before = peak_memory(pid)
        bench.act(
            f"clients send the first 64 bytes of a frame with {', '.join(map(str, IMPOSSIBLE_CLAIMS))} in bytes 24 to "
            f"27, then {CLAIMING_CLIENTS} more with {largest} there; "
            "compare peak memory (VmHWM in /proc/PID/status)"
        )
        for claim in claims:
            frame = bench.frame(100)
            client = bench.connect(target)
            client.send(frame[:24] + claim.to_bytes(4, "little") + frame[28:64])
            client.is_taken()
        if not bench.reaches(sender, [receiver]):
            yield Finding(Kind.LOST, "the others to be served beside clients that announce much", "they are not")
        growth = peak_memory(pid) - before
        bench.evidence["bytes for what headers claim"] = max(0, growth)
        most = MEMORY_SLACK + CLAIMING_CLIENTS * CONNECTION_BYTES
        if growth > most:
            yield Finding(
                Kind.COSTLY,
                f"at most {counted(most, 'byte')} for {counted(len(claims), 'header')}",
                f"memory grew by {counted(growth, 'byte')}",
            )
