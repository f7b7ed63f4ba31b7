"""Measures what relays cost, side by side: each value is taken of A, of its copy and of B, in turn.

Facts:
- blocks begin with fresh processes, and each block measures everything: whatever the machine does meets all three;
- frames are verified: a relay that loses, alters or reorders one while it is measured has no such figure;
- what the suite adds is the same for all: a ratio near 1 may hide a difference that is small beside the suite's own
  time, and never feigns one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from ..checks.bench import Bench, Client, UnsupportedCheckError
from ..checks.levels import descriptors, memory, threads
from ..counting import counted
from ..errors import ImpededError, TargetError
from ..model.profile import Profile
from ..model.rules import Rules
from ..play.processes import family
from ..play.target import SpawnedTarget, Target
from .figures import Figure, Samples

FAILURES = (TargetError, ImpededError, UnsupportedCheckError, OSError)
"""What keeps a relay from being measured."""
BLOCK_SECONDS = 5.0
"""What the first block takes at most on an idle machine."""
BLOCKS = 12
"""At most; the first few decide already, and more make intervals narrower."""
ROUNDS = 3
"""Of each timed figure in a block."""
SMALL = 32
"""Bytes of the value in a small frame."""
LARGE = 60_000
DELIVERIES = 200
"""Of small frames in a round."""
FEWER_DELIVERIES = 30
"""Of what costs more."""
STREAM = 2_000
STREAM_WRITE = 16_384
"""Bytes of one write of the stream."""
STREAM_WAIT_SECONDS = 0.05
"""How long to wait for more of it at a time."""
MANY = 32
"""Connections that do nothing, and receivers."""
IDLE_SECONDS = 0.25
WAITING_VALUE = 1_500
WAITING = 1_000
"""Frames that wait for a client that does not read."""
COPY = "copy"
RELAYS = ("a", COPY, "b")

RelayT = TypeVar("RelayT")


class _InvalidError(Exception):
    """What was measured was not what a relay is for; the message says what was wrong."""


@dataclass(slots=True)
class _Stand:
    """One relay while it is measured, with its clients."""

    relay: str
    bench: Bench
    target: SpawnedTarget
    clients: list[Client] = field(default_factory=list)
    failed: str = ""
    """Why nothing more can be measured of it."""

    @property
    def processes(self) -> list[int]:
        """All that the command has started."""
        pid = self.target.pid
        return [] if pid is None else family(pid)

    def total(self, level: Callable[[int], int]) -> int:
        """A level, summed over all processes."""
        return sum(map(level, self.processes))

    def processor_seconds(self) -> float:
        """The processor time that all processes have used so far, in seconds."""
        try:
            return sum(time.clock_gettime(_clock_of(pid)) for pid in self.processes)
        except OSError as error:
            raise TargetError(f"the relay has ended: {error.strerror}") from error


def _clock_of(pid: int) -> int:
    """The clock of the processor time of a process, as clock_getcpuclockid(3) makes it."""
    return (~pid << 3) | 2


class Measuring:
    """Measures relays that are started here for it, by what A was seen to promise."""

    def __init__(self, a: Target, b: Target, profile: Profile, rules: Rules) -> None:
        self._commands = {"a": a.description, COPY: a.description, "b": b.description}
        self._timing = a.timing
        self._profile, self._rules = profile, rules
        self.samples = Samples()
        self._turn = 0

    def run(self, until: float, blocks: int = BLOCKS) -> Samples:
        """Measure as many blocks as there is time for."""
        longest = 0.0
        for _ in range(blocks):
            began = time.monotonic()
            if began + (longest or BLOCK_SECONDS) > until:
                break
            try:
                self._block()
            except FAILURES as error:  # one of them does not start
                self._invalidate(Figure, str(error))
                break
            longest = max(longest, time.monotonic() - began)
        return self.samples

    def _block(self) -> None:
        self.samples.begin_block(RELAYS)
        with ExitStack() as stack:
            stands = [stack.enter_context(self._started(relay)) for relay in self._in_turn(RELAYS)]
            for measure, figures, rounds in MEASURES:
                for _ in range(rounds):
                    for stand in self._in_turn(stands):
                        self._measure(stand, measure, figures)

    def _in_turn(self, relays: Sequence[RelayT]) -> list[RelayT]:
        """The relays, another first each time."""
        self._turn += 1
        first = self._turn % len(relays)
        return [*relays[first:], *relays[:first]]

    @contextmanager
    def _started(self, relay: str) -> Iterator[_Stand]:
        with Bench(self._commands[relay], self._profile, self._rules, self._timing) as bench:
            began = time.perf_counter()
            with bench.relay() as target:
                self.samples.add(relay, Figure.START, (time.perf_counter() - began) * 1e3)
                yield _Stand(relay, bench, target)

    def _measure(self, stand: _Stand, measure: _Measure, figures: Sequence[Figure]) -> None:
        try:
            if not stand.failed:
                for figure, value in measure(stand):
                    self.samples.add(stand.relay, figure, value)
        except _InvalidError as reason:
            stand.failed = f"{_name(stand.relay)} {reason}"
        except FAILURES as error:
            stand.failed = f"{_name(stand.relay)}: {error}"
        if stand.failed:
            self._invalidate(figures, stand.failed)

    def _invalidate(self, figures: Iterable[Figure], reason: str) -> None:
        for figure in figures:
            self.samples.invalid.setdefault(figure, reason)


def _name(relay: str) -> str:
    return "the copy of relay A" if relay == COPY else f"relay {relay.upper()}"


Values = Iterator[tuple[Figure, float]]
_Measure = Callable[[_Stand], Values]


def _pair(stand: _Stand) -> Values:
    """A sender and a receiver."""
    stand.clients = stand.bench.joined(stand.target, 2)
    yield from ()


def _at_rest(stand: _Stand) -> Values:
    """Levels of a relay that serves them: one that only accepts them may still be starting."""
    yield Figure.MEMORY, stand.total(memory) / 1024
    yield Figure.DESCRIPTORS, stand.total(descriptors)
    yield Figure.THREADS, stand.total(threads)


def _one_receiver(stand: _Stand) -> Values:
    times = sorted(_deliveries(stand, DELIVERIES, SMALL))
    yield Figure.DELIVERY, statistics.median(times)
    yield Figure.DELIVERY_TAIL, times[len(times) * 99 // 100]


def _large_frames(stand: _Stand) -> Values:
    yield Figure.DELIVERY_LARGE, statistics.median(_deliveries(stand, FEWER_DELIVERIES, LARGE))


def _stream(stand: _Stand) -> Values:
    """A stream to one receiver, in large writes; every frame is verified."""
    bench, rules = stand.bench, stand.bench.rules
    sender, receiver = stand.clients
    for client in stand.clients:
        client.forget()
    size = bench.size_of(SMALL)
    count = min(STREAM, rules.most_frames // 2, rules.most_bytes // (2 * size))
    frames = b"".join(bench.frame(SMALL) for _ in range(count))
    until = time.monotonic() + bench.timing.prompt_seconds
    used, began, place = stand.processor_seconds(), time.perf_counter(), 0
    while len(receiver.buffer) < len(frames):
        if place < len(frames):
            with contextlib.suppress(BlockingIOError):
                place += sender.sock.send(frames[place : place + STREAM_WRITE])
        sender.forget()
        receiver.read(0.0 if place < len(frames) else STREAM_WAIT_SECONDS)
        if receiver.closed or time.monotonic() > until:
            raise _InvalidError(f"delivers {len(receiver.buffer) // size} of a stream of {counted(count, 'frame')}")
    taken, used = time.perf_counter() - began, stand.processor_seconds() - used
    if receiver.buffer != frames:
        raise _InvalidError("alters or reorders frames of a stream")
    yield Figure.STREAM, taken / count * 1e6
    yield Figure.PROCESSOR, used / count * 1e6


def _with_many(stand: _Stand) -> Values:
    """What many connections cost that do nothing; they stay, to receive later."""
    limit = stand.bench.profile.max_connections
    many = MANY if limit is None else min(MANY, limit // 2)
    levels = (memory, descriptors, threads)
    before = [stand.total(level) for level in levels]
    stand.clients += stand.bench.joined(stand.target, many)
    grown = [(stand.total(level) - start) / many for level, start in zip(levels, before, strict=True)]
    yield Figure.MEMORY_EACH, grown[0] / 1024
    yield Figure.DESCRIPTORS_EACH, grown[1]
    yield Figure.THREADS_EACH, grown[2]


def _idle(stand: _Stand) -> Values:
    began, used = time.perf_counter(), stand.processor_seconds()
    select.select([], [], [], IDLE_SECONDS)
    yield Figure.IDLE, (stand.processor_seconds() - used) / (time.perf_counter() - began) * 1e3


def _many_receivers(stand: _Stand) -> Values:
    yield Figure.DELIVERY_MANY, statistics.median(_deliveries(stand, FEWER_DELIVERIES, SMALL))


def _fewer(stand: _Stand) -> Values:
    """The sender and the receiver again, and one more client, which does not read."""
    for client in stand.clients[2:]:
        client.close()
    stand.clients = stand.clients[:2]
    _stalled, witness = stand.bench.joined(stand.target, 2)
    witness.close()
    yield from ()


def _waiting(stand: _Stand) -> Values:
    """What frames cost that wait for a client that does not read."""
    bench, rules = stand.bench, stand.bench.rules
    size = bench.size_of(WAITING_VALUE)
    count = min(WAITING, rules.most_frames // 2, rules.most_bytes // (2 * size))
    before = stand.total(memory)
    _deliveries(stand, count, WAITING_VALUE)
    yield Figure.MEMORY_WAITING, (stand.total(memory) - before) / (count * size)


def _beside_stalled(stand: _Stand) -> Values:
    yield Figure.DELIVERY_STALLED, statistics.median(_deliveries(stand, FEWER_DELIVERIES, SMALL))


def _deliveries(stand: _Stand, count: int, size: int) -> list[float]:
    """Times in us from the write of a frame until the last receiver has it, in the order of the frames."""
    sender, *receivers = stand.clients
    for client in stand.clients:
        client.forget()
    times = []
    for _ in range(count):
        frame = stand.bench.frame(size)
        began = time.perf_counter()
        if not sender.send(frame):
            raise _InvalidError("takes no frame any more")
        for receiver in receivers:
            _take(receiver, frame, stand.bench.timing.prompt_seconds)
        times.append((time.perf_counter() - began) * 1e6)
        sender.forget()  # its echo
    return times


def _take(receiver: Client, frame: bytes, seconds: float) -> None:
    """Read a frame, which is the next that comes, within some seconds."""
    while len(receiver.buffer) < len(frame):
        if not receiver.read(seconds):
            raise _InvalidError("closes a receiver" if receiver.closed else f"delivers no frame for {seconds:g} s")
    if receiver.buffer != frame:
        raise _InvalidError("delivers another frame than was sent")
    receiver.buffer.clear()


def _stopping(stand: _Stand) -> Values:
    """The time until a relay has ended that has clients no more."""
    for client in stand.bench.clients:
        client.close()
    began = time.perf_counter()
    process = stand.bench.signals(stand.target)
    if stand.bench.stand_ins:
        raise ImpededError(stand.bench.stand_ins[-1])
    os.kill(process, signal.SIGTERM)
    if stand.target.wait(stand.bench.timing.prompt_seconds) is None:
        raise _InvalidError("does not end by SIGTERM")
    yield Figure.STOP, (time.perf_counter() - began) * 1e3


MEASURES: tuple[tuple[_Measure, tuple[Figure, ...], int], ...] = (
    (_pair, (), 1),
    (_at_rest, (Figure.MEMORY, Figure.DESCRIPTORS, Figure.THREADS), 1),
    (_one_receiver, (Figure.DELIVERY, Figure.DELIVERY_TAIL), ROUNDS),
    (_large_frames, (Figure.DELIVERY_LARGE,), ROUNDS),
    (_stream, (Figure.STREAM, Figure.PROCESSOR), ROUNDS),
    (_with_many, (Figure.MEMORY_EACH, Figure.DESCRIPTORS_EACH, Figure.THREADS_EACH), 1),
    (_idle, (Figure.IDLE,), 1),
    (_many_receivers, (Figure.DELIVERY_MANY,), ROUNDS),
    (_fewer, (), 1),
    (_waiting, (Figure.MEMORY_WAITING,), 1),
    (_beside_stalled, (Figure.DELIVERY_STALLED,), ROUNDS),
    (_stopping, (Figure.STOP,), 1),
)
"""What a block measures, in this order, of which figures, how often. Those of no figure make ready for what follows."""
