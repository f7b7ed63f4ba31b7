"""What ``torq_bench relay`` measures, as data: the subjects, the cases, and what our relays must reach in each."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from torq_protocol.constants import RelayDomain

from .client_loops import Loops
from .compiler import CompilerError, compiled
from .crowd import measure_crowd
from .latency import measure_latency, on_cores_of_their_own
from .relays import allow_descriptors, connect, processor_use, relay_command, spawned_relay
from .traffic import FanOut, Hold, Load, fan_out, fan_out_alone, make_frame, receive_within

SIZE = 74


@dataclass(frozen=True, slots=True)
class Subject:
    """Something measured: its command with ``{socket}`` for its path, and the subject that it is a ratio of."""

    name: str
    command: tuple[str, ...]
    domain: RelayDomain = RelayDomain.MARKET_DATA
    beside: str = "plain C"


ALONE, LIMIT, OURS, POLLING = "client alone", "plain C", "market_data", "market_data, busy_poll"
PYTHON = ("Python floor", "Python, specialised")
LEVELS = ("signal", "execution")
_PLAIN = (LIMIT, PYTHON[0], OURS)


def subjects() -> tuple[dict[str, Subject], list[str]]:
    """The subjects that this machine and this installation have, and a sentence for each that is left out."""
    market_data = tuple(relay_command())
    found = [
        Subject(ALONE, ()),
        Subject(PYTHON[0], (sys.executable, "-m", "torq_bench.floor", "{socket}")),
        Subject(PYTHON[1], (sys.executable, "-m", "torq_bench.specialised", "{socket}")),
        Subject(OURS, market_data),
        Subject(LEVELS[0], tuple(relay_command("signal")), RelayDomain.SIGNAL, OURS),
        Subject(LEVELS[1], tuple(relay_command("execution", "--audit")), RelayDomain.EXECUTION, OURS),
    ]
    missing = []
    try:
        found.append(Subject(LIMIT, (str(compiled("plain_relay.c")), "{socket}", str(int(RelayDomain.MARKET_DATA)))))
    except CompilerError as error:
        missing.append(f"{LIMIT} is left out: {error}")
    if "--busy-poll" in subprocess.run([*market_data, "--help"], capture_output=True, text=True, check=False).stdout:
        found.append(Subject(POLLING, (*market_data, "--busy-poll", "0.00005")))
    else:
        missing.append(f"{POLLING} is left out: this market_data_relay has no such setting")
    return {subject.name: subject for subject in found}, missing


@dataclass(frozen=True, slots=True)
class Setup:
    """How all cases of a run are measured: the client's loops, and the share of the counts that is used."""

    loops: Loops
    scale: float = 1.0

    def scaled(self, count: float) -> int:
        """A count or a time for this run, at least 1."""
        return max(1, round(count * self.scale))


@dataclass(frozen=True, slots=True)
class Measured:
    """Values by metric. ``fault``: loss and disorder in words, empty when there is none."""

    values: dict[str, float]
    lost: int = 0
    fault: str = ""


Measure = Callable[[Subject, Setup], Measured]


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured quantity: its unit, whether less of it is better, and whether a ratio of it says anything."""

    unit: str
    less_is_better: bool = True
    compared: bool = True

    def reaches(self, value: float, bound: float) -> bool:
        """Whether a value is as good as a bound."""
        return value <= bound if self.less_is_better else value >= bound


METRICS = {
    "delivered": Metric("M frames/s", less_is_better=False),
    "processor": Metric("ns a frame in"),
    "p50": Metric("us"),
    "p99": Metric("us"),
    "idle": Metric("% of a core", compared=False),
    "RSS peak": Metric("MB", compared=False),
    "memory, idle": Metric("bytes a connection", compared=False),
    "memory, active": Metric("bytes a connection", compared=False),
    "at work": Metric("% of the time", compared=False),
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a subject must reach and aims at: a ratio to the subject it stands beside, or ``absolute``, in the unit."""

    must: float
    aim: float
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure for several subjects; ``targets`` by subject and metric. No frame may be lost in any."""

    title: str
    measure: Measure
    subjects: tuple[str, ...]
    targets: Mapping[tuple[str, str], Target] = field(default_factory=dict)


def _flood(load: Load, *, holds: bool = False) -> Measure:
    def measure(subject: Subject, setup: Setup) -> Measured:
        hold = load.hold and replace(load.hold, at_frame=int(load.hold.at_frame * setup.scale))
        scaled = replace(load, frames=max(setup.scaled(load.frames), load.batch), hold=hold)
        if not subject.command:
            alone = fan_out_alone(subject.domain, scaled, setup.loops)
            return Measured({"delivered": alone.frames_out_per_second / 1e6}, alone.lost, alone.fault)
        with spawned_relay(subject.command) as (path, process):
            seen = fan_out(path, subject.domain, scaled, process, setup.loops)
        values = {"RSS peak": seen.peak_bytes / 1e6} if holds else _speeds(seen)
        return Measured(values, seen.lost, seen.fault)

    return measure


def _speeds(seen: FanOut) -> dict[str, float]:
    return {
        "delivered": seen.frames_out_per_second / 1e6,
        "processor": seen.processor_seconds / seen.load.frames * 1e9,
        "at work": 100 * seen.wanted_seconds / seen.seconds,
    }


def _round_trips(receivers: int, samples: int = 10_000) -> Measure:
    def measure(subject: Subject, setup: Setup) -> Measured:
        with spawned_relay(subject.command) as (path, process), on_cores_of_their_own(process):
            seen = measure_latency(path, subject.domain, receivers, setup.scaled(samples), setup.loops)
        fault = f"{seen.lost:,} frames did not come back" if seen.lost else ""
        return Measured({"p50": seen.p50, "p99": seen.p99}, seen.lost, fault)

    return measure


def _idle(connections: int, seconds: float) -> Measure:
    def measure(subject: Subject, setup: Setup) -> Measured:
        allow_descriptors()
        frame = make_frame(subject.domain, SIZE, 1)
        with spawned_relay(subject.command) as (path, process), ExitStack() as stack:
            joined = [stack.enter_context(connect(path)) for _ in range(setup.scaled(connections))]
            joined[-1].sendall(frame)
            for sock in joined:
                receive_within(sock, len(frame))
            used, started = processor_use(process).running, time.monotonic()
            time.sleep(seconds * setup.scale)  # what is measured is a time in which nothing happens
            share = (processor_use(process).running - used) / (time.monotonic() - started)
        return Measured({"idle": 100 * share})

    return measure


def _memory(connections: int) -> Measure:
    def measure(subject: Subject, setup: Setup) -> Measured:
        frame = make_frame(subject.domain, SIZE, 1)
        with spawned_relay(subject.command) as (path, process):
            crowd = measure_crowd(path, process, frame, setup.scaled(connections))
        return Measured({"memory, idle": crowd.idle_bytes, "memory, active": crowd.active_bytes})

    return measure


_MEMORY = {
    (OURS, "memory, idle"): Target(65_536, 8192, absolute=True),
    (OURS, "memory, active"): Target(65_536, 65_536, absolute=True),
}

CASES = {
    "1x64": Case(
        "1 to 1, 64 frames a write",
        _flood(Load(5_000_000, SIZE, 64)),
        (ALONE, LIMIT, *PYTHON, OURS, *LEVELS),
        {
            (OURS, "delivered"): Target(0.95, 1.1),
            (OURS, "processor"): Target(1.5, 1.2),
            ("signal", "delivered"): Target(0.7, 0.9),
            ("execution", "delivered"): Target(2.0, 4.0, absolute=True),
        },
    ),
    "1x885": Case(
        "1 to 1, 885 frames a write",
        _flood(Load(8_000_000, SIZE, 885)),
        (ALONE, *_PLAIN),
        {(OURS, "delivered"): Target(0.9, 1.0)},
    ),
    "1x1": Case(
        "1 to 1, 1 frame a write",
        _flood(Load(2_000_000, SIZE, 1)),
        (ALONE, *_PLAIN),
        {(OURS, "delivered"): Target(1.0, 1.1)},
    ),
    "10x64": Case(
        "1 to 10, 64 frames a write",
        _flood(Load(2_000_000, SIZE, 64, 10)),
        (ALONE, LIMIT, *PYTHON, OURS),
        {(OURS, "delivered"): Target(0.95, 1.1)},
    ),
    "1000x64": Case(
        "1 to 1000, 64 frames a write",
        _flood(Load(80_000, SIZE, 64, 1000)),
        (ALONE, *_PLAIN),
        {(OURS, "delivered"): Target(1.05, 1.1)},
    ),
    "latency-1": Case(
        "latency, 1 receiver",
        _round_trips(1),
        (*_PLAIN, POLLING),
        {
            (OURS, "p50"): Target(1.3, 1.1),
            (OURS, "p99"): Target(1.3, 1.1),
            (POLLING, "p50"): Target(1.0, 0.8),
        },
    ),
    "latency-10": Case(
        "latency, 10 receivers",
        _round_trips(10),
        (*_PLAIN, POLLING),
        {
            (OURS, "p50"): Target(1.1, 1.0),
            (OURS, "p99"): Target(1.1, 1.0),
            (POLLING, "p50"): Target(0.8, 0.7),
        },
    ),
    "idle": Case(
        "idle with 1000 connections, for 3 s",
        _idle(1000, 3.0),
        (LIMIT, OURS),
        {(OURS, "idle"): Target(0.5, 0.5, absolute=True)},
    ),
    "pause": Case(
        "1 M frames/s for 2 s, the receiver pauses 200 ms",
        _flood(Load(2_000_000, SIZE, 64, rate=1e6, hold=Hold(1_000_000, 0.2)), holds=True),
        (LIMIT, OURS),
    ),
    "stall": Case(
        "200 MB behind a receiver that reads again when all is sent",
        _flood(Load(200_000_000 // SIZE, SIZE, 64, hold=Hold(0, 1.0, from_sent=True)), holds=True),
        (LIMIT, OURS),
    ),
    "memory-1000": Case("memory of 1000 connections", _memory(1000), (LIMIT, OURS), _MEMORY),
    "memory-10000": Case("memory of 10 000 connections", _memory(10_000), (LIMIT, OURS), _MEMORY),
}


def with_subjects(cases: Iterable[str], added: Iterable[str]) -> list[Case]:
    """The named cases; subjects that were added take part wherever our market data relay does."""
    return [replace(CASES[name], subjects=(*CASES[name].subjects, *added)) for name in cases]
