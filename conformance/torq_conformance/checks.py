"""Checks of what is no matter of generated programs: starting, stopping, limits, resources, permissions.

Facts:
- each check starts relays of its own from the target's command, so nothing it does is seen by the others;
- a check says what it does in words, so that a failure can be read and repeated by hand;
- levels are compared between equal moments, after warming up, so that caches are not called leaks.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from torq_protocol.constants import MAGIC_BYTES

from .errors import TargetError
from .legality import fence_type
from .oracles import Finding
from .profile import Profile, Rules
from .program import Frame, Tlv, encode_frame
from .target import SpawnedTarget

PATIENCE = 5.0
"""Seconds that a relay gets for what it must do at once; LIFE-2 names the figure."""
MANY = 1000
"""Connections of CONN-4 and RES-1."""
CONNECTION_BYTES = 65_536
"""Memory that a connection may cost (RES-1)."""
RESERVED_DESCRIPTORS = 100
RESERVED_CONNECTIONS = 5


class UnsupportedCheckError(Exception):
    """The check cannot be done on this target; the message says why."""


class Client:
    """A plain client that waits for bytes."""

    def __init__(self, target: SpawnedTarget) -> None:
        self.sock = target.address.connect()
        self.buffer = bytearray()
        self.closed = False

    def send(self, data: bytes, seconds: float = PATIENCE) -> bool:
        """Write all of it within some seconds; False when that fails."""
        deadline = time.monotonic() + seconds
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                if not select.select([], [self.sock], [], max(0.0, deadline - time.monotonic()))[1]:
                    return False
            except OSError:
                self.closed = True
                return False
        return True

    def read(self, seconds: float = 0.0) -> bool:
        """Read what is there, or comes within some seconds; False when nothing came or it was closed."""
        if not select.select([self.sock], [], [], max(0.0, seconds))[0]:
            return False
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        self.closed = self.closed or not data
        self.buffer += data
        return bool(data)

    def gets(self, data: bytes, seconds: float = PATIENCE) -> bool:
        """Whether some bytes arrive within some seconds; everything up to them is forgotten."""
        deadline = time.monotonic() + seconds
        while (place := self.buffer.find(data)) < 0:
            if self.closed or (not self.read(deadline - time.monotonic()) and time.monotonic() > deadline):
                return False
        del self.buffer[: place + len(data)]
        return True

    def is_closed(self, seconds: float = PATIENCE) -> bool:
        """Whether the relay closes it within some seconds; what comes meanwhile is kept."""
        deadline = time.monotonic() + seconds
        while not self.closed and time.monotonic() < deadline:
            self.read(deadline - time.monotonic())
        return self.closed

    def close(self) -> None:
        """Leave."""
        self.sock.close()


@dataclass(slots=True)
class Bench:
    """What a check works with: the relay's command, what it promises, and what has been done so far."""

    command: str
    profile: Profile
    rules: Rules
    acts: list[str] = field(default_factory=list)
    evidence: Counter[str] = field(default_factory=Counter)
    sequence: int = 0
    clients: list[Client] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.close()

    def act(self, text: str) -> None:
        """Note what is done."""
        self.acts.append(text)

    @contextmanager
    def relay(self) -> Iterator[SpawnedTarget]:
        """A fresh relay in a folder of its own."""
        with SpawnedTarget(self.command) as target:
            self.evidence["relays started"] += 1
            yield target

    def frame(self, size: int = 8) -> bytes:
        """A valid frame, unlike any other of the check; ``size`` is that of its one TLV in bytes."""
        self.sequence += 1
        self.evidence["frames"] += 1
        frame = Frame(self.rules.number, (Tlv(fence_type(self.rules), size),))
        return encode_frame(frame, conn=0, number=self.sequence, sequence=self.sequence)

    def connect(self, target: SpawnedTarget) -> Client:
        """One more client."""
        self.evidence["clients"] += 1
        self.clients.append(Client(target))
        return self.clients[-1]

    def joined(self, target: SpawnedTarget, count: int) -> list[Client]:
        """Clients that are served, each seen to be so."""
        clients = [self.connect(target) for _ in range(count)]
        witness = self.connect(target)
        for client in clients:
            if not self.reaches(witness, [client]):
                raise TargetError("a client is not served within the time that a relay gets")
        witness.close()
        return clients

    def reaches(self, sender: Client, receivers: list[Client], seconds: float = PATIENCE) -> bool:
        """Whether a frame of the sender reaches every receiver; sent again, because joining takes its time."""
        deadline = time.monotonic() + seconds
        left = [each for each in receivers if self.rules.echo or each is not sender]
        wait = 0.01
        while left and time.monotonic() < deadline:
            frame = self.frame()
            if not sender.send(frame):
                return False
            sender.read()
            until = time.monotonic() + wait
            left = [each for each in left if not each.gets(frame, until - time.monotonic())]
            wait = min(wait * 2, 0.5)
        return not left


Check = Callable[[Bench], Iterator[Finding]]


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def _pid(target: SpawnedTarget) -> int:
    if target.pid is None:
        raise TargetError("the relay has ended")
    return target.pid


def _settles(measure: Callable[[], int], goal: int, seconds: float = 2.0) -> int:
    """The level that a measure comes down to, at most ``goal`` if that happens within some seconds."""
    deadline = time.monotonic() + seconds
    while (level := measure()) > goal and time.monotonic() < deadline:
        select.select([], [], [], 0.02)
    return level


def starts_anywhere(bench: Bench) -> Iterator[Finding]:
    """CONN-1: over a stale socket file, and where its directory is missing."""
    with SpawnedTarget(bench.command) as target:
        if not target.address.path:
            raise UnsupportedCheckError("needs a relay on a Unix socket ({socket})")
        bench.act("start the relay, kill it with SIGKILL, so that its socket file stays, and start it again there")
        try:
            target.revive()
            served = bench.joined(target, 1)
            served[0].close()
        except TargetError as error:
            yield Finding("refused", "a start over the stale socket file", str(error))
    with SpawnedTarget(bench.command) as target:
        bench.act("start the relay on a path whose directory does not exist")
        try:
            target.move(Path("new") / "deep")
            bench.joined(target, 1)[0].close()
        except TargetError as error:
            yield Finding("refused", "a start that creates the directory of the socket", str(error))


def leaves_a_live_relay_alone(bench: Bench) -> Iterator[Finding]:
    """CONN-2: a second relay on the path of a live one."""
    with bench.relay() as target:
        if not target.address.path:
            raise UnsupportedCheckError("needs a relay on a Unix socket ({socket})")
        bench.act("start the relay, connect a client, start a second relay on the same path")
        client = bench.joined(target, 1)[0]
        before = os.stat(target.address.path).st_ino
        status = target.start_second(PATIENCE)
        if status is None:
            yield Finding("stolen", "the second relay to end with an error", "it goes on running")
        elif status == 0:
            yield Finding("silent", "the second relay to end with an error", "it ended with status 0")
        try:
            same = os.stat(target.address.path).st_ino == before
            late = bench.connect(target)
        except OSError as error:
            yield Finding("stolen", "the socket of the live relay to stay", str(error.strerror))
            return
        if not same or not bench.reaches(late, [client]):
            yield Finding("stolen", "new clients to reach the relay that was first", "they do not")


def serves_a_thousand(bench: Bench) -> Iterator[Finding]:
    """CONN-4: 1000 connections at once, each receiving."""
    _room_for_many(bench)
    with bench.relay() as target:
        bench.act(f"open {MANY} connections; then the last of them sends a frame")
        clients = [bench.connect(target) for _ in range(MANY)]
        try:
            served = bench.reaches(clients[-1], clients, 20.0)
            closed = sum(client.closed for client in clients)
            if not served:
                missing = sum(not client.gets(MAGIC_BYTES, 0.0) for client in clients)
                yield Finding("lost", f"a frame at each of {MANY} clients", f"{closed} closed, {missing} without it")
        finally:
            for client in clients:
                client.close()


def _room_for_many(bench: Bench) -> None:
    limit = bench.profile.max_connections
    if limit is not None and limit < MANY + RESERVED_CONNECTIONS:
        raise UnsupportedCheckError(f"needs {MANY} connections, the profile allows {limit}")
    _room_for(MANY)


def _room_for(clients: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + RESERVED_DESCRIPTORS
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise UnsupportedCheckError(f"needs {wanted} descriptors, this process may have {hard} (ulimit -n)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def refuses_above_its_limit(bench: Bench) -> Iterator[Finding]:
    """CONN-5: the connection above max_connections."""
    limit = bench.profile.max_connections
    if limit is None:
        raise UnsupportedCheckError("the profile names no max_connections to test")
    _room_for(limit)
    with bench.relay() as target:
        bench.act(f"open {limit} connections, then one more, then see whether the {limit} are served")
        clients = [bench.connect(target) for _ in range(limit)]
        if not bench.reaches(clients[0], clients):
            yield Finding("lost", f"a frame at each of {limit} clients", "not all of them got it")
            return
        extra = bench.connect(target)
        if not extra.is_closed():
            yield Finding("admitted", f"connection {limit + 1} to be closed", "it stays open")
        if any(client.closed for client in clients) or not bench.reaches(clients[0], clients):
            yield Finding("disturbed", f"the {limit} connections to go on being served", "they are not")


def gives_back(bench: Bench) -> Iterator[Finding]:
    """CONN-8, RES-2: descriptors, memory and threads after clients that came and went."""
    with bench.relay() as target:
        pid = _pid(target)
        stays = bench.joined(target, 1)[0]
        rounds, each, frames = 3, 40, 40
        bench.act(f"{rounds} times: {each} clients come, send {frames} frames, read, and leave; compare the levels")
        levels: list[tuple[int, int, int]] = []
        for _ in range(rounds + 1):
            for _ in range(each):
                guest = bench.connect(target)
                traffic = b"".join(bench.frame(1000) for _ in range(frames))
                if not guest.send(traffic) or not bench.reaches(guest, [stays]):
                    yield Finding("lost", "guests to be served", "a guest's frame did not arrive")
                    return
                guest.close()
            descriptors = _settles(lambda: _descriptors(pid), levels[0][0] if levels else 0, 1.0 if levels else 0.3)
            levels.append(
                (descriptors, _settles(lambda: _threads(pid), levels[0][1] if levels else 0, 0.3), _memory(pid))
            )
        first, last, guests = levels[0], levels[-1], rounds * each
        for what, index, slack in (("descriptors", 0, 3), ("threads", 1, 3)):
            if last[index] - first[index] > slack:
                yield Finding("leaked", f"{first[index]} {what} again after {guests} guests", f"{last[index]}")
        growth = last[2] - first[2]
        if growth > 2_000_000 and levels[-1][2] - levels[-2][2] > growth / (rounds * 3):
            yield Finding(
                "leaked",
                f"the memory of {first[2] >> 10} KiB again after {guests} guests and {guests * frames} frames",
                f"{growth >> 10} KiB more, growing",
            )


def costs_little(bench: Bench) -> Iterator[Finding]:
    """RES-1: at most 64 KiB a connection, idle and active."""
    _room_for_many(bench)
    with bench.relay() as target:
        pid = _pid(target)
        first = bench.joined(target, 2)
        before = _memory(pid)
        bench.act(f"open {MANY} connections, compare memory; then let a frame go to all, compare again")
        clients = [bench.connect(target) for _ in range(MANY)]
        try:
            for words in ("idle", "active"):
                if not bench.reaches(first[0], [clients[-1]], 20.0):
                    yield Finding("lost", f"{MANY} connections to be served", "the last one is not")
                    return
                if words == "active":
                    bench.reaches(clients[0], clients, 20.0)
                each = (_memory(pid) - before) // MANY
                bench.evidence[f"bytes for each {words} connection"] = each
                if each > CONNECTION_BYTES:
                    yield Finding("costly", f"at most {CONNECTION_BYTES} bytes for each {words} connection", f"{each}")
        finally:
            for client in clients:
                client.close()


def bounds_its_memory(bench: Bench) -> Iterator[Finding]:
    """ISO-2: memory held for a consumer that does not read, in bytes."""
    bound = bench.rules.queue_bytes
    with bench.relay() as target:
        pid = _pid(target)
        stalled, sender = bench.joined(target, 2)
        part = b"".join(bench.frame(60_000) for _ in range(3))
        count = (bound + bound // 2 + 48_000_000) // len(part)
        bench.act(f"a client does not read; another sends {count * len(part) >> 20} MiB in frames of 60 kB and reads")
        before = _memory(pid)
        for _ in range(count):
            if not sender.send(part, 10.0):
                break
            while sender.read():
                sender.buffer.clear()
        growth = _memory(pid) - before
        bench.evidence["bytes held for a stalled consumer"] = max(0, growth)
        if growth > bound + bound // 4 + 24_000_000:
            yield Finding("unbounded", f"at most {bound} bytes held for a consumer", f"memory grew by {growth} bytes")
        stalled.close()


def stays_apart(bench: Bench) -> Iterator[Finding]:
    """DOM-5: two relays at once, in one directory."""
    if "{domain}" not in bench.command and bench.rules.domain not in bench.command:
        raise UnsupportedCheckError(
            "needs relays of two domains: write {domain} in --exec 'CMD --domain {domain} {socket}'"
        )
    others = [name for name in ("market_data", "signal", "execution") if name != bench.rules.domain]
    command = bench.command.replace(bench.rules.domain, others[0]).replace("{domain}", others[0])
    bench.act(
        f"start a relay of {bench.rules.domain} and one of {others[0]} in one directory; each gets the other's frames"
    )
    with bench.relay() as target:
        try:
            neighbour = SpawnedTarget(command, folder=target.folder)
            neighbour.start()
        except TargetError as error:
            raise UnsupportedCheckError(f"a relay of {others[0]} does not start with {command!r}: {error}") from error
        try:
            here, beside = bench.joined(target, 2)
            there, writer = bench.connect(neighbour), bench.connect(neighbour)
            other = Bench(command, bench.profile, other_rules(bench, others[0]))
            served = other.reaches(writer, [there])
            here.send(foreign := other.frame())
            bench.reaches(here, [beside])
            end = other.frame()
            arrived = served and writer.send(end) and _comes_before(there, foreign, end)
            if arrived:
                yield Finding(
                    "leaked", f"a frame for {others[0]}, sent to {bench.rules.domain}, nowhere", "it came there"
                )
            there.close()
            writer.close()
        finally:
            neighbour.stop()


def _comes_before(client: Client, wanted: bytes, end: bytes) -> bool:
    """Whether some bytes reach a client before others that were sent after them, or shortly after those."""
    deadline = time.monotonic() + PATIENCE
    while end not in client.buffer and client.read(deadline - time.monotonic()):
        pass
    client.read(0.02)
    return wanted in client.buffer


def other_rules(bench: Bench, domain: str) -> Rules:
    """The rules of the same profile for another domain."""
    from .profile import rules_for

    return rules_for(bench.profile, domain)  # type: ignore[arg-type] # one of the three names


def drains(bench: Bench) -> Iterator[Finding]:
    """LIFE-1: SIGTERM while a consumer has a backlog; a second one while it drains."""
    with bench.relay() as target:
        bench.act("a client does not read, another sends 600 frames of 1.5 kB, then the relay gets SIGTERM")
        slow, sender, reader = bench.joined(target, 3)
        slow.buffer.clear()
        frames = [bench.frame(1500) for _ in range(600)]
        if not _flood(sender, reader, frames):
            yield Finding("lost", "the sender's frames at somebody who reads", "they did not come")
            return
        path = target.address.path
        os.kill(_pid(target), signal.SIGTERM)
        slow.is_closed(PATIENCE * 2)
        if not slow.closed:
            yield Finding(
                "kept", "the consumer to be closed after its backlog", f"still open after {PATIENCE * 2:.0f} s"
            )
        missing = sum(frame not in slow.buffer for frame in frames)
        if missing:
            yield Finding("lost", "all 600 accepted frames delivered after SIGTERM", f"{missing} were not")
        sender.close()
        reader.close()
        ended = target.wait(PATIENCE)
        if ended is None:
            yield Finding("stuck", "the relay to end", f"it still runs {PATIENCE:.0f} s after its backlog was read")
        elif ended != 0:
            yield Finding("status", "exit status 0 after SIGTERM", f"{ended}")
        if path and os.path.exists(path):
            yield Finding("left behind", "no socket file after SIGTERM", path)
    yield from _second_signal(bench)


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
        if not _flood(sender, reader, [bench.frame(1500) for _ in range(600)]):
            return
        os.kill(_pid(target), signal.SIGTERM)
        deadline = time.monotonic() + 1.0
        while target.wait(0.01) is None and time.monotonic() < deadline and _accepts(target):
            pass
        if target.wait(0.0) is None:
            os.kill(_pid(target), signal.SIGTERM)
            if target.wait(2.0) is None:
                yield Finding("stuck", "the relay to end at once at the second signal", "it still runs after 2 s")


def _accepts(target: SpawnedTarget) -> bool:
    try:
        target.address.connect().close()
    except OSError:
        return False
    return True


def keeps_others_out(bench: Bench) -> Iterator[Finding]:
    """SEC-1: modes of socket and directory; a directory that others may write to."""
    with SpawnedTarget(bench.command) as target:
        if not target.address.path:
            raise UnsupportedCheckError("needs a relay on a Unix socket ({socket})")
        bench.act("start the relay on a path whose directory does not exist, look at the modes of both")
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
        bench.act("make the directory writable by others, start the relay there")
        target.end()
        path.parent.chmod(0o777)
        try:
            target.start_again()
        except TargetError:
            return
        yield Finding("started", "no start in a directory that others may write to", "it starts and serves")


def ends_unfinished_frames(bench: Bench) -> Iterator[Finding]:
    """FRAME-5: a connection that holds an incomplete frame for longer than partial_frame_timeout."""
    timeout = bench.profile.partial_frame_timeout
    if timeout is None or timeout > 20:
        raise UnsupportedCheckError("the profile names no partial_frame_timeout of 20 s or less to wait for")
    with bench.relay() as target:
        bench.act(f"send half a frame and wait for {timeout} s")
        client = bench.joined(target, 1)[0]
        client.send(bench.frame(100)[:60])
        if not client.is_closed(timeout * 2 + 2):
            yield Finding("kept", f"the connection closed after {timeout} s", "it stays open")


CHECKS: dict[str, Check] = {
    "CONN-1": starts_anywhere,
    "CONN-2": leaves_a_live_relay_alone,
    "CONN-4": serves_a_thousand,
    "CONN-5": refuses_above_its_limit,
    "CONN-8": gives_back,
    "FRAME-5": ends_unfinished_frames,
    "DOM-5": stays_apart,
    "LIFE-1": drains,
    "RES-1": costs_little,
    "RES-2": gives_back,
    "SEC-1": keeps_others_out,
}
"""The check of each requirement that programs cannot judge."""
EXTRA_CHECKS: dict[str, Check] = {"ISO-2": bounds_its_memory}
"""Checks besides the programs of a requirement."""
