"""The check of how a relay ends (LIFE-1)."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence

from ..counting import counted, grouped
from ..errors import TargetError
from ..impediments import tell
from ..model.findings import Finding, Kind
from ..model.rules import Rules
from ..model.wire import decode
from ..play.address import shows
from ..play.target import SpawnedTarget
from .bench import Bench, Client

BACKLOG_BYTES = 4 << 20
"""Bytes of the backlog of a stalled consumer when the relay gets SIGTERM, or what its queue holds."""
VALUE_BYTES = 1500
"""Bytes of the value in each frame of the backlog."""
FRAMES_PER_PART = 30
"""Frames that the sender writes before it waits for the reader."""
LATE_SHARE = 0.84
"""The share of the drain_timeout after which consumers begin to read."""
LATE_MARGIN = 0.2
"""Seconds before the end of the drain_timeout in which nothing may arrive any more, to say that something lacks."""
LATE_CLIENTS = 7
"""Consumers that begin to read so late: a relay may drain to some connections and not to others."""
OTHER_CLIENTS = 7
"""Clients beside those: sender, reader, one that never reads, two that leave, and those that find the relay serving."""
FIRST_PART_BYTES = 10
"""Bytes of a frame that a consumer has begun when the relay gets SIGTERM."""


def drains(bench: Bench) -> Iterator[Finding]:
    """SIGTERM while two consumers have a backlog, one half-closed; a second SIGTERM during the drain (LIFE-1)."""
    size = bench.size_of(VALUE_BYTES)
    count, prompt = backlog(bench.rules, size), bench.timing.prompt_seconds
    with bench.relay() as target:
        halves = "CONN-7" not in bench.profile.not_promised
        bench.act(
            f"four clients connect; A and D do not read, A sends the first {FIRST_PART_BYTES} bytes of a frame, "
            f"{'D shuts down its sending side, ' * halves}"
            f"B sends {counted(count, 'frame')} of {counted(size, 'byte')} ({counted(count * size, 'byte')} in all), "
            "C reads them"
        )
        slow, sender, reader, half = bench.joined(target, 4)
        slow.send(bench.frame(VALUE_BYTES)[:FIRST_PART_BYTES])
        slow.is_taken()
        if halves:
            half.sock.shutdown(socket.SHUT_WR)
        frames = [bench.frame(VALUE_BYTES) for _ in range(count)]
        began = time.monotonic()
        if not flood(sender, reader, frames, bench.rules):
            yield Finding(Kind.LOST, "the sender's frames at somebody who reads", "they did not come")
            return
        slowly = time.monotonic() - began > bench.profile.drain_timeout / 2
        backlogged = {"A": slow} if _closed_by_relay(half) else {"A": slow, "D": half}
        if len(backlogged) == 1:
            bench.leave_out("what waits for a half-closed client: the relay closes such a one at once (CONN-7)")
        reads = "A reads until it is closed" if len(backlogged) == 1 else "A and D read until they are closed"
        bench.act(f"send SIGTERM to the relay; {reads}; B leaves, C stays; wait for the relay's end")
        os.kill(bench.signals(target), signal.SIGTERM)
        _read_backlogs(tuple(backlogged.values()), frames[-1], prompt)
        patience = prompt if all(client.closed for client in backlogged.values()) else bench.timing.kept_end_seconds
        if slowly:
            bench.leave_out("what waits for consumers: to deliver as much takes longer than half the drain_timeout")
            patience = bench.profile.drain_timeout + prompt
        else:
            for name, client in backlogged.items():
                yield from _not_drained(name, client, frames, bench)
        sender.close()
        yield from _not_ended(target, patience)
        if target.wait(0.0) is None:
            return
    yield from _second_signal(bench, frames)
    yield from _unread_backlog(bench, frames)
    yield from _successor(bench)


def backlog(rules: Rules, size: int) -> int:
    """Frames of the backlog, each of ``size`` bytes: no more than the relay's queue for a consumer holds (ISO-2)."""
    return max(1, min(BACKLOG_BYTES // size, rules.most_frames, rules.most_bytes // size))


def whole_frames(client: Client, rules: Rules) -> set[bytes]:
    """The frames that a client has received."""
    return set(decode(client.buffer, rules.max_message_size)[0])


def _closed_by_relay(client: Client) -> bool:
    """Whether the relay has closed the connection, even where the client has more to read."""
    return shows(client.sock, 0)


def _not_drained(name: str, client: Client, frames: list[bytes], bench: Bench) -> Iterator[Finding]:
    """What a consumer with a backlog lacks after SIGTERM: the end of its connection, or frames."""
    if not client.closed:
        yield Finding(Kind.KEPT, f"{name} to be closed after its backlog", "it is still open")
    if bench.profile.drain_timeout < bench.timing.least_drain_seconds:
        bench.leave_out(f"what waits for consumers: a drain_timeout of {bench.profile.drain_timeout:g} s ends that")
        return
    missing = len(set(frames) - whole_frames(client, bench.rules))
    if missing:
        owed = f"each of {counted(len(frames), 'accepted frame')} delivered to {name} after SIGTERM"
        yield Finding(Kind.LOST, owed, f"{grouped(missing)} never came")


def _not_ended(target: SpawnedTarget, seconds: float) -> Iterator[Finding]:
    """What is wrong when clients have read the backlogs: the relay runs on, its exit status, its socket file."""
    ended, path = target.wait(seconds), target.address.path
    if ended is None:
        yield Finding(Kind.STUCK, "the relay to end after SIGTERM", "it still runs, although its backlog was read")
        return
    if ended != 0:
        yield Finding(Kind.STATUS, "exit status 0 after SIGTERM", f"{ended}")
    if path and os.path.exists(path):
        yield Finding(Kind.LEFT_BEHIND, "no socket file after SIGTERM", path)


def _read_backlogs(clients: Sequence[Client], last: bytes, seconds: float) -> None:
    """Read until the relay closes: for twice ``seconds``, and for ``seconds`` more once the backlogs have arrived."""
    deadline = time.monotonic() + seconds * 2
    waiting = set(clients)
    while (left := [client for client in clients if not client.closed]) and time.monotonic() < deadline:
        for client in left:
            seen = max(0, len(client.buffer) - len(last))
            client.read(min(0.1 / len(left), deadline - time.monotonic()))
            if client in waiting and client.buffer.find(last, seen) >= 0:
                waiting.remove(client)
                if not waiting:
                    deadline = min(deadline, time.monotonic() + seconds)


def flood(sender: Client, reader: Client, frames: list[bytes], rules: Rules) -> bool:
    """Send frames in parts of half a queue at most; sender and reader get one before the next, so none overflows."""
    readers = (reader, sender) if rules.echo else (reader,)
    at_once = max(1, min(FRAMES_PER_PART, rules.most_frames // 2))
    for start in range(0, len(frames), at_once):
        part = frames[start : start + at_once]
        if not sender.send(b"".join(part)) or not all(each.gets(part[-1]) for each in readers):
            return False
    return True


def _sigterm_with_backlog(bench: Bench, target: SpawnedTarget, frames: list[bytes]) -> bool:
    """Send SIGTERM while a stalled consumer has a backlog; False when the relay did not take the frames."""
    _, sender, reader = bench.joined(target, 3)
    if not flood(sender, reader, frames, bench.rules):
        return False
    os.kill(bench.signals(target), signal.SIGTERM)
    return True


def _second_signal(bench: Bench, frames: list[bytes]) -> Iterator[Finding]:
    with bench.relay() as target:
        bench.act("the same, but no client reads its backlog; send SIGTERM twice")
        if not _sigterm_with_backlog(bench, target, frames):
            return
        _await_drain(bench, target)
        if target.wait(0.0) is None:
            os.kill(bench.signals(target), signal.SIGTERM)
            seconds = bench.timing.second_signal_seconds
            if target.wait(seconds) is None:
                yield Finding(
                    Kind.STUCK, "the relay to end at once at the second signal", f"it still runs after {seconds:.0f} s"
                )


def _await_drain(bench: Bench, target: SpawnedTarget) -> None:
    """Wait until a relay accepts no more, or has ended."""
    deadline = time.monotonic() + bench.timing.draining_seconds
    while target.wait(0.01) is None and time.monotonic() < deadline and _accepts(target):
        pass


def _accepts(target: SpawnedTarget) -> bool:
    try:
        target.connect().close()
    except OSError as error:
        tell(error, "to connect a client")
        return False
    return True


def _unread_backlog(bench: Bench, frames: list[bytes]) -> Iterator[Finding]:
    """One SIGTERM while clients have backlogs: some read when most of the drain_timeout is over, one never reads."""
    drain = bench.profile.drain_timeout
    seconds = drain + bench.timing.prompt_seconds
    if drain > bench.timing.most_drain_seconds:
        bench.leave_out(f"whether it ends when nobody reads: its drain_timeout is {drain:g} s")
        return
    late_after, most = drain * LATE_SHARE, bench.rules.max_connections
    many = LATE_CLIENTS if most is None else max(0, min(LATE_CLIENTS, most - OTHER_CLIENTS))
    with bench.relay() as target:
        bench.act(
            f"the same, with {counted(many, 'client')} more that read when {late_after:g} s are over, and two that "
            "leave right after SIGTERM, one in two steps; A never reads; wait for the relay's end"
        )
        *late, in_two_steps, at_once = bench.joined(target, many + 2)
        began = time.monotonic()
        if not _sigterm_with_backlog(bench, target, frames):
            return
        slowly = time.monotonic() - began > drain / 2
        signalled = time.monotonic()
        _await_drain(bench, target)
        in_two_steps.sock.shutdown(socket.SHUT_WR)
        for client in (in_two_steps, at_once):
            client.close()
        target.wait(max(0.0, signalled + late_after - time.monotonic()))
        if drain >= bench.timing.least_drain_seconds and not slowly:
            yield from _late_readers(bench, late, frames, signalled + drain)
        if target.wait(max(0.0, signalled + seconds - time.monotonic())) is None:
            seen = f"it still runs {seconds:.0f} s after SIGTERM"
            yield Finding(Kind.STUCK, f"the relay to end after a drain_timeout of {drain:g} s", seen)


def _late_readers(bench: Bench, late: Sequence[Client], frames: list[bytes], end: float) -> Iterator[Finding]:
    """What those lack that read within the drain_timeout, if they had the time to read it all."""
    last, waiting, arrived = frames[-1], set(late), time.monotonic()
    while waiting and time.monotonic() < end:
        for client in list(waiting):
            seen = max(0, len(client.buffer) - len(last))
            if client.read(0.001):
                arrived = time.monotonic()
            if client.closed or client.buffer.find(last, seen) >= 0:
                waiting.remove(client)
    if arrived > end - LATE_MARGIN:
        bench.leave_out("consumers that begin late to read: there was no time left to read so much")
        return
    missing = [len(set(frames) - whole_frames(client, bench.rules)) for client in late]
    if any(missing):
        owed = f"each of {counted(len(frames), 'accepted frame')} delivered to who reads within the drain_timeout"
        lacking = f"{sum(map(bool, missing))} of {len(late)} lack some, {grouped(max(missing))} at most"
        yield Finding(Kind.LOST, owed, lacking)


def _successor(bench: Bench) -> Iterator[Finding]:
    """SIGTERM to a relay whose path another relay has taken: the socket file there belongs to the other."""
    with bench.relay() as target:
        path = target.address.path
        second = bench.spawned(folder=target.folder)
        second.address = target.address
        bench.act("remove its socket file, start the same command again at that path, and send SIGTERM to the first")
        os.unlink(path)
        try:
            second.start_again()
            os.kill(bench.signals(target), signal.SIGTERM)
            target.wait(bench.timing.prompt_seconds)
            if not _accepts(second):
                yield Finding(Kind.STOLEN, "the socket of its successor to stay", f"nobody answers at {path}")
        except TargetError:
            bench.leave_out("the socket of a successor: none starts while this relay lives")
        finally:
            second.stop()
