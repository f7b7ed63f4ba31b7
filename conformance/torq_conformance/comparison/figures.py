"""What two relays cost, as ratios: what was measured on A, on its copy and on B, and when that is a difference.

Facts:
- a figure is a cost: B is better where its ratio to A is below 1;
- the ratio is that of medians; its interval is found by drawing blocks of rounds anew, for relays of one block share
  their processes;
- B differs from A in a figure where the whole interval of its ratio lies above that of the copy of A; that is told. It
  is a difference of the comparison only where a bound is given, and the interval lies above the bound times the noise.
"""

from __future__ import annotations

import difflib
import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from ..errors import UsageError
from .found import OUT_OF_TIME

COSTS = "costs"
"""The effect of a difference that a figure shows."""
RESAMPLES = 1_000
LEVEL = 0.95
"""Of the intervals."""
MOST_RATIO = 1e6
"""What stands for any larger ratio, and for that to a norm of nothing: JSON has no infinity."""
LEAST_BLOCKS = 5
"""Below that nothing is said but the figures: chance alone would separate the blocks of two equal relays too often."""


class Figure(StrEnum):
    """Everything that is measured, by the name that ``--bound`` takes."""

    DELIVERY = "delivery-time"
    DELIVERY_TAIL = "delivery-time-p99"
    DELIVERY_LARGE = "delivery-time-large"
    DELIVERY_MANY = "delivery-time-many"
    DELIVERY_STALLED = "delivery-time-beside-stalled"
    STREAM = "stream-time"
    PROCESSOR = "processor-time"
    IDLE = "processor-time-idle"
    MEMORY = "memory"
    MEMORY_EACH = "memory-per-connection"
    MEMORY_WAITING = "memory-waiting"
    DESCRIPTORS = "descriptors"
    DESCRIPTORS_EACH = "descriptors-per-connection"
    THREADS = "threads"
    THREADS_EACH = "threads-per-connection"
    START = "start-time"
    STOP = "stop-time"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a figure is, in words, and its unit."""

    words: str
    unit: str
    digits: int = 0
    least: float = 0.0
    """By how much two relays must differ, in that unit, for anything to be said about them."""


KINDS: dict[Figure, _Kind] = {
    Figure.DELIVERY: _Kind("time until a small frame is delivered, median", "us", 1, least=2),
    Figure.DELIVERY_TAIL: _Kind("time until a small frame is delivered, 99th percentile", "us", 1, least=5),
    Figure.DELIVERY_LARGE: _Kind("time until a large frame is delivered, median", "us", 1, least=5),
    Figure.DELIVERY_MANY: _Kind("time until the last of many receivers has a small frame, median", "us", 1, least=5),
    Figure.DELIVERY_STALLED: _Kind(
        "time until a small frame is delivered beside a full client, median", "us", 1, least=2
    ),
    Figure.STREAM: _Kind("time for each frame of a stream", "us", 2, least=0.1),
    Figure.PROCESSOR: _Kind("processor time for each frame of a stream", "us", 2, least=0.1),
    Figure.IDLE: _Kind("processor time of a second in which many clients do nothing", "ms", 2, least=0.5),
    Figure.MEMORY: _Kind("resident memory with two clients", "KiB", least=256),
    Figure.MEMORY_EACH: _Kind("resident memory for each idle connection", "KiB", 1, least=2),
    Figure.MEMORY_WAITING: _Kind("resident memory for each byte that waits for a client", "bytes", 2, least=0.25),
    Figure.DESCRIPTORS: _Kind("descriptors with two clients", "", least=0.5),
    Figure.DESCRIPTORS_EACH: _Kind("descriptors for each connection", "", 2, least=0.5),
    Figure.THREADS: _Kind("threads with two clients", "", least=0.5),
    Figure.THREADS_EACH: _Kind("threads for each connection", "", 2, least=0.5),
    Figure.START: _Kind("time from the command until clients are taken", "ms", least=20),
    Figure.STOP: _Kind("time from SIGTERM until the process has ended", "ms", least=20),
}
"""Every figure."""

Rounds = Mapping[str, Sequence[Sequence[float]]]
"""What was measured of one figure: for each relay its blocks, for each block its rounds."""


class Ratio(msgspec.Struct, frozen=True):
    """A ratio of two medians with its 95 % interval; :data:`MOST_RATIO` stands for all that is larger."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = (f"{each:.2f}" if each < MOST_RATIO else "inf" for each in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"


class Measured(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One figure of a comparison: medians of A, its copy and B, in ``unit``, and the ratios of both to A.

    ``bound`` is the largest ratio that is accepted, None where none is given. ``reason`` says why there are no values.
    """

    name: Figure
    text: str
    unit: str
    blocks: int = 0
    rounds: int = 0
    a: float | None = None
    copy: float | None = None
    b: float | None = None
    ratio: Ratio | None = None
    noise: Ratio | None = None
    bound: float | None = None
    reason: str = ""

    @property
    def id(self) -> str:
        """The name of the difference that it is above its bound, for the file of accepted differences."""
        return f"{COSTS}:{self.name}"

    @property
    def is_measured(self) -> bool:
        """Whether there are values."""
        return not self.reason

    @property
    def is_decided(self) -> bool:
        """Whether it was measured often enough to tell relays apart."""
        return self.is_measured and self.blocks >= LEAST_BLOCKS

    @property
    def undecided(self) -> str:
        """Why it is not known whether B costs more; "" where it is."""
        if self.is_decided:
            return ""
        return self.reason or OUT_OF_TIME

    @property
    def is_apart(self) -> bool:
        """Whether B costs more than A, by more than A and its copy differ."""
        return self._exceeds(1.0)

    @property
    def is_beyond(self) -> bool:
        """Whether B costs more than the bound allows, by more than A and its copy differ."""
        return self.bound is not None and self._exceeds(self.bound)

    def _exceeds(self, bound: float) -> bool:
        if not self.is_decided or self.ratio is None or self.noise is None:
            return False
        most = max(value * bound for value in (self.a, self.copy) if value is not None)
        far = self.b is not None and self.b > most + KINDS[self.name].least
        return far and self.ratio.low > bound * max(self.noise.high, 1.0)

    @property
    def words(self) -> tuple[str, str]:
        """What was measured on A, and on B."""
        a, b = self.values
        return f"{self.text}: {a}", f"{self.text}: {b}, {self.ratio} times as much; the copy of relay A {self.noise}"

    @property
    def values(self) -> tuple[str, str]:
        """The medians of A and of B with their unit."""
        digits = KINDS[self.name].digits
        a, b = (f"{value or 0.0:.{digits}f} {self.unit}".rstrip() for value in (self.a, self.b))
        return a, b


@dataclass(slots=True)
class Samples:
    """What was measured so far: of each figure the blocks of each relay. ``invalid`` says why one has no value."""

    of: dict[Figure, dict[str, list[list[float]]]] = field(default_factory=dict)
    invalid: dict[Figure, str] = field(default_factory=dict)

    def begin_block(self, relays: Iterable[str]) -> None:
        """What is added from now on was measured on fresh processes."""
        for figure in Figure:
            for relay in relays:
                self.of.setdefault(figure, {}).setdefault(relay, []).append([])

    def add(self, relay: str, figure: Figure, value: float) -> None:
        """One value of one round."""
        self.of[figure][relay][-1].append(value)


def measured(samples: Samples, bounds: Mapping[Figure, float], seed: int) -> list[Measured]:
    """Every figure of A, its copy and B."""
    return [_measured(figure, samples, bounds.get(figure), seed) for figure in Figure]


def _measured(figure: Figure, samples: Samples, bound: float | None, seed: int) -> Measured:
    kind = KINDS[figure]
    rounds = {relay: [block for block in blocks if block] for relay, blocks in samples.of.get(figure, {}).items()}
    reason = samples.invalid.get(figure, "" if rounds and all(rounds.values()) else OUT_OF_TIME)
    if reason:
        return Measured(name=figure, text=kind.words, unit=kind.unit, bound=bound, reason=reason)
    a, copy, b = (statistics.median(_joined(rounds[relay])) for relay in ("a", "copy", "b"))
    draw = random.Random(f"{seed} {figure}")
    return Measured(
        name=figure,
        text=kind.words,
        unit=kind.unit,
        blocks=min(map(len, rounds.values())),
        rounds=min(len(_joined(each)) for each in rounds.values()),
        a=a,
        copy=copy,
        b=b,
        ratio=ratio_of(rounds["b"], rounds["a"], draw),
        noise=ratio_of(rounds["copy"], rounds["a"], draw),
        bound=bound,
    )


def ratio_of(of: Sequence[Sequence[float]], to: Sequence[Sequence[float]], draw: random.Random) -> Ratio:
    """The ratio of the medians of two relays, whose blocks were measured side by side, with its interval."""
    ratios = sorted(_resampled(of, to, draw) for _ in range(RESAMPLES))
    tail = (1 - LEVEL) / 2
    low, high = ratios[round(tail * (RESAMPLES - 1))], ratios[round((1 - tail) * (RESAMPLES - 1))]
    value = _ratio(statistics.median(_joined(of)), statistics.median(_joined(to)))
    return Ratio(value, min(low, value), max(high, value))


def _resampled(of: Sequence[Sequence[float]], to: Sequence[Sequence[float]], draw: random.Random) -> float:
    pairs = list(zip(of, to, strict=False))
    drawn = draw.choices(pairs, k=len(pairs))
    left, right = ([value for pair in drawn for value in draw.choices(pair[i], k=len(pair[i]))] for i in (0, 1))
    return _ratio(statistics.median(left), statistics.median(right))


def _ratio(value: float, norm: float) -> float:
    """How many times the norm a value is; of a norm of nothing, 1 for nothing and more than anybody allows for more."""
    if norm > 0:
        return min(value / norm, MOST_RATIO)
    return 1.0 if value <= 0 else MOST_RATIO


def _joined(blocks: Iterable[Sequence[float]]) -> list[float]:
    return [value for block in blocks for value in block]


def bounds_of(given: Sequence[str]) -> dict[Figure, float]:
    """The bounds of ``--bound NAME=RATIO``. Raises UsageError."""
    bounds: dict[Figure, float] = {}
    for text in given:
        name, equals, ratio = text.partition("=")
        if name not in list(Figure):
            near = difflib.get_close_matches(name, list(Figure), n=1)
            hint = f"did you mean {near[0]}?" if near else f"the figures are {', '.join(Figure)}"
            raise UsageError(f"--bound {text!r}: {name!r} is no figure; {hint}")
        try:
            value = float(ratio) if equals else 0.0
        except ValueError:
            value = 0.0
        if not 0 < value < MOST_RATIO:
            raise UsageError(f"--bound {text!r}: write {name}=RATIO, how many times that of A is accepted, such as 1.1")
        if Figure(name) in bounds:
            raise UsageError(f"--bound {text!r}: {name} has a bound already")
        bounds[Figure(name)] = value
    return bounds


def label_of(figure: Figure) -> str:
    """The name of a figure among all that is compared."""
    return f"figure {figure}"


def part_of(identifier: str) -> str:
    """The label of the figure whose difference has an id; "" where something else shows it."""
    effect, _, cause = identifier.partition(":")
    return label_of(Figure(cause)) if effect == COSTS and cause in list(Figure) else ""
