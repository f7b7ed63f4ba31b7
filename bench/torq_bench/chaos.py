"""``torq_bench chaos``: clients that do everything wrong, and a witness that must be served all the same.

Facts:
- the seed decides every act, so that a failing run can be repeated as far as the operating system allows;
- the witness parses all it receives: a torn, mixed or foreign frame anywhere shows as bytes that are no frame;
- meanwhile the operator changes the configuration, well and badly, moves the log away and sends SIGHUP and SIGUSR1;
- at the end the relay must hold as many descriptors and threads as before, no more memory than it used in the first
  part, and end with exit code 0 on SIGTERM.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import click

from torq_protocol.constants import HEADER_SIZE, MAGIC_BYTES, RelayDomain

from .fanout import DOMAINS
from .relays import RelayError, connect, relay_command, resident_bytes, spawned_relay
from .traffic import make_frame, readable_within, receive_within

_MOST_CLIENTS = 60
_ACTS_PER_WITNESS = 20
_GROWTH = 32_000_000
_LIMIT = 10.0
_SILENCE = 1.0
_QUEUE_FRAMES = 10_000  # the fewest that the operator lets a queue hold


@dataclass
class ChaosResult:
    """What happened: how often each act, how many frames the witness saw, and what was wrong, if anything."""

    acts: Counter[str] = field(default_factory=Counter)
    witnessed: int = 0
    faults: list[str] = field(default_factory=list)


class Witness:
    """A sender and a receiver that behave, and check every byte."""

    def __init__(self, path: str, domain: RelayDomain, patience: float = _LIMIT) -> None:
        self._sender = connect(path)
        self._receiver = connect(path)
        self._patience = patience
        self._domain = domain
        self._buffer = b""
        self._fences = 0
        for sock in (self._sender, self._receiver):
            sock.setblocking(False)

    def exchange(self) -> int:
        """One frame through the relay; returns how many frames came with it. Raises RelayError when it does not.

        While others flood, the queue of a witness that does not get to read may overflow (ISO-3), and the oldest frame
        there is its own: after as many frames as a queue holds it is sent again.
        """
        fence = self._send_fence()
        seen = since_fence = 0
        limit = time.monotonic() + self._patience
        while time.monotonic() < limit:
            if since_fence >= _QUEUE_FRAMES and not readable_within(self._receiver, _SILENCE):
                fence, since_fence = self._send_fence(), 0
            self._buffer += receive_within(self._receiver, 1 << 20, self._patience)
            while (frame := self._next()) is not None:
                seen, since_fence = seen + 1, since_fence + 1
                if frame == fence:
                    self._forget_echo()
                    return seen
        raise RelayError(f"the witness's frame did not arrive within {self._patience:.0f} s")

    def close(self) -> None:
        self._sender.close()
        self._receiver.close()

    def _send_fence(self) -> bytes:
        self._fences += 1
        fence = make_frame(self._domain, HEADER_SIZE, (1 << 62) + self._fences)
        self._sender.send(fence)
        return fence

    def _next(self) -> bytes | None:
        if len(self._buffer) < HEADER_SIZE:
            return None
        size = HEADER_SIZE + int.from_bytes(self._buffer[24:28], "little")
        if len(self._buffer) < size:
            return None
        frame, self._buffer = self._buffer[:size], self._buffer[size:]
        if frame[:4] != MAGIC_BYTES or frame[4] != self._domain:
            raise RelayError(f"the witness received bytes that are no frame of its domain: {frame[:40].hex()}")
        verified = self._domain is not RelayDomain.MARKET_DATA  # VAL-2: half a frame may end in anything there
        right = {crc32(frame[HEADER_SIZE:], crc32(frame[:28]))}
        if self._domain is RelayDomain.SIGNAL:
            right.add(0)  # D9: "not computed", which its relay accepts by default
        if verified and int.from_bytes(frame[28:32], "little") not in right:
            raise RelayError(f"the witness received a frame that is not what anyone sent: {frame[:40].hex()}")
        return frame

    def _forget_echo(self) -> None:
        with suppress(BlockingIOError):
            while self._sender.recv(1 << 20):
                pass


class Crowd:
    """Clients that come, flood, stall, lie and vanish, as a random generator has it."""

    def __init__(self, path: str, domain: RelayDomain, seed: int) -> None:
        self._path = path
        self._domain = domain
        self._random = random.Random(seed)
        self._clients: list[socket.socket] = []
        self._acts = (
            self.join,
            self.send_frames,
            self.send_half_a_frame,
            self.send_foreign_frames,
            self.send_garbage,
            self.claim_a_gigabyte,
            self.flood,
            self.read,
            self.shut_down_sending,
            self.vanish,
        )

    def act(self) -> str:
        """One act of one client; returns its name. Whatever the relay answers is fine."""
        act = self._random.choice(self._acts) if self._clients else self.join
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            act()
        return act.__name__

    def join(self) -> None:
        if len(self._clients) >= _MOST_CLIENTS:
            self.vanish()
        sock = connect(self._path)
        sock.setblocking(False)
        self._clients.append(sock)

    def send_frames(self) -> None:
        sizes = (32, 34, 74, 1000, 70_000)
        self._any().send(b"".join(self._frame(self._random.choice(sizes)) for _ in range(self._random.randint(1, 30))))

    def send_half_a_frame(self) -> None:
        frame = self._frame(500)
        self._any().send(frame[: self._random.randrange(1, len(frame))])

    def send_foreign_frames(self) -> None:
        domain = self._random.choice([other for other in RelayDomain if other is not self._domain])
        self._any().send(make_frame(domain, 74) * 10)

    def send_garbage(self) -> None:
        self._any().send(self._random.randbytes(self._random.randint(1, 5000)))

    def claim_a_gigabyte(self) -> None:
        self._any().send(self._frame(32)[:24] + (1 << 30).to_bytes(4, "little") + bytes(4))

    def flood(self) -> None:
        """Send until the socket is full, and read nothing."""
        batch = self._frame(74) * 500
        sock = self._any()
        for _ in range(20):
            sock.send(batch)

    def read(self) -> None:
        self._any().recv(self._random.choice((1, 100, 1 << 20)))

    def shut_down_sending(self) -> None:
        with suppress(OSError):
            self._any().shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        self._clients.pop(self._random.randrange(len(self._clients))).close()

    def leave(self) -> None:
        """Everyone goes."""
        while self._clients:
            self.vanish()

    def _any(self) -> socket.socket:
        return self._random.choice(self._clients)

    def _frame(self, size: int) -> bytes:
        return make_frame(self._domain, size, self._random.randrange(1 << 60))


class Operator:
    """Reconfigures a relay that runs with ``--config`` in a directory, sensibly or not, and rotates its log."""

    def __init__(self, process: int, directory: Path, seed: int) -> None:
        self._process = process
        self._directory = directory
        self._random = random.Random(seed)
        self._acts = (self.reload, self.reload_nonsense, self.rotate_the_log)

    @staticmethod
    def flags(directory: Path) -> list[str]:
        """What the relay must be started with; writes its first configuration."""
        (directory / "relay.toml").write_text(_settings(directory), encoding="utf-8")
        return ["--config", str(directory / "relay.toml")]

    def act(self) -> str:
        """One act; returns its name."""
        act = self._random.choice(self._acts)
        act()
        return act.__name__

    def reload(self) -> None:
        chosen = [
            f"echo = {self._random.choice(('true', 'false'))}",
            f"queue_frames = {self._random.choice((_QUEUE_FRAMES, 2 * _QUEUE_FRAMES))}",
            f'on_framing_error = "{self._random.choice(("close", "resync"))}"',
            f"partial_frame_timeout = {self._random.choice((0, 0.5, 30))}",
            f"read_bytes = {self._random.choice((4096, 262_144))}",
        ]
        self._configure("\n".join(chosen))

    def reload_nonsense(self) -> None:
        self._configure(self._random.choice(("queue_frames = -1", "= = =", 'level = "security"', "nonsense = 1")))

    def rotate_the_log(self) -> None:
        with suppress(FileNotFoundError):
            (self._directory / "log").replace(self._directory / "log.old")
        os.kill(self._process, signal.SIGUSR1)

    def _configure(self, text: str) -> None:
        new = self._directory / "relay.toml.new"
        new.write_text(f"{_settings(self._directory)}{text}\n", encoding="utf-8")
        new.replace(self._directory / "relay.toml")
        os.kill(self._process, signal.SIGHUP)


def _settings(directory: Path) -> str:
    return f'log_file = "{directory}/log"\nlog_level = "warning"\n'


def run_chaos(
    path: str,
    process: int,
    domain: RelayDomain,
    seed: int,
    ends: tuple[int, float],
    *,
    operator: Operator | None = None,
) -> ChaosResult:
    """Act until so many acts or seconds (0 for no bound) have passed; every fault found is in the result."""
    result = ChaosResult()
    witness = Witness(path, domain)
    crowd = Crowd(path, domain, seed)
    try:
        witness.exchange()
        held = {what: _count(process, what) for what in ("fd", "task")}
        memory = 0
        acts, seconds = ends
        limit = time.monotonic() + seconds
        while (not acts or result.acts.total() < acts) and (not seconds or time.monotonic() < limit):
            for _ in range(_ACTS_PER_WITNESS):
                result.acts[crowd.act()] += 1
            if operator is not None:
                result.acts[operator.act()] += 1
            result.witnessed += witness.exchange()
            if not memory and result.acts.total() >= 50 * _ACTS_PER_WITNESS:
                memory = resident_bytes(process)
        crowd.leave()
        _check_leaks(witness, process, (held, memory), result)
    except RelayError as error:
        result.faults.append(str(error))
    finally:
        crowd.leave()
        witness.close()
    return result


def _check_leaks(witness: Witness, process: int, before: tuple[dict[str, int], int], result: ChaosResult) -> None:
    held, memory = before
    limit = time.monotonic() + _LIMIT
    while _count(process, "fd") > held["fd"] and time.monotonic() < limit:
        result.witnessed += witness.exchange()
    for what, name in (("fd", "descriptors"), ("task", "threads")):
        if (left := _count(process, what)) > held[what]:
            result.faults.append(f"{left - held[what]} {name} leaked")
    if memory and resident_bytes(process) - memory > _GROWTH:
        result.faults.append(f"memory grew by {resident_bytes(process) - memory:,} bytes")


def _count(process: int, what: str) -> int:
    """How many descriptors ("fd") or threads ("task") a process has."""
    return len(os.listdir(f"/proc/{process}/{what}"))


@click.command()
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=300.0, show_default=True)
@click.option("--seed", type=int, help="Repeats a run.  [default: another one each time]")
@click.option("--domain", type=click.Choice(list(DOMAINS)), default="signal", show_default=True)
def chaos(seconds: float, seed: int | None, domain: str) -> None:
    """Let misbehaving clients at a relay while a witness checks that it serves.

    Exit code 0: it served and leaked nothing; 1: a fault; 2: no relay could be run.
    """
    seed = random.SystemRandom().randrange(1 << 31) if seed is None else seed
    click.echo(f"chaos on a {domain} relay for {seconds:.0f} s, seed {seed}")
    try:
        with TemporaryDirectory(prefix="torq-chaos-") as name:
            flags = Operator.flags(Path(name))
            with spawned_relay(relay_command(domain, *flags)) as (path, process):
                operator = Operator(process, Path(name), seed)
                result = run_chaos(path, process, DOMAINS[domain], seed, (0, seconds), operator=operator)
    except RelayError as error:
        click.echo(f"torq_bench chaos: {error}", err=True)
        raise SystemExit(2) from None
    for act, count in result.acts.most_common():
        click.echo(f"{count:9,} {act.replace('_', ' ')}")
    click.echo(f"{result.witnessed:9,} frames checked by the witness")
    for fault in result.faults:
        click.echo(f"FAULT {fault}; repeat with --seed {seed}")
    raise SystemExit(1 if result.faults else 0)
