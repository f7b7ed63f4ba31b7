"""The search for a program that shows something: programs are written until one does, and that one is made smaller.

Facts:
- Hypothesis writes the programs of a search, from a seed, and does nothing else. It does not shrink: it needs a failure
  that always shows, plays far more candidates than a relay has time for, and does not know what makes a program heavy.
  :func:`shrink` takes the first simpler program (:mod:`.minimise`) that still shows it, again and again;
- Hypothesis is told every setting: under ``CI=1`` it would otherwise use the same seed every time and forget;
- the seed of a search is a hash of its name and of the seed of the run: no two searches play the same programs;
- a search ends when its time is over, in the middle of a play too: each play knows the moment at which it gives up.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.stateful import run_state_machine_as_test

from ..model.program import Program
from ..model.rules import Rules
from .machine import ProgramMachine

GRACE = 10.0
"""Seconds that the least number of plays may take beyond the time that they were given."""


class OutOfTime(BaseException):
    """The time of a search is over. It is no Exception, which Hypothesis would take for a failure of the program."""


class _Enough(BaseException):
    """Ends the writing of programs: one of them has shown something."""


class Clock:
    """The time of one search. ``until`` is when its present part must end, a play in the middle of a flood too.

    No part goes on after ``end``, the end of the run, however much it was allowed.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic, *, end: float = math.inf) -> None:
        self.now = now
        self.end = end
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """Begin a part of the search that may take some seconds from now."""
        self.until = min(self.now() + seconds, self.end)

    def check(self) -> None:
        """Raises OutOfTime when the part must have ended."""
        if self.now() >= self.until:
            raise OutOfTime

    def runs(self, seconds: float, least: int, most: int) -> Iterator[int]:
        """The numbers of the plays of one program: as many as begin within some seconds, from ``least`` to ``most``.

        They are fewer than ``least`` only where ``least`` plays take longer than the seconds and ``GRACE``, or than the
        run has left.
        """
        enough = min(self.now() + seconds, self.end)
        self.until = min(enough + GRACE, self.end)
        for run in range(1, most + 1):
            now = self.now()
            if now >= self.end:
                return
            if run > 1 and now > (enough if run > least else self.until):
                return
            yield run


class _Showing(Protocol):
    @property
    def program(self) -> Program: ...


Shown = TypeVar("Shown", bound=_Showing)


@dataclass(frozen=True, slots=True)
class Writer:
    """What writes the programs of one search: ``features`` for a relay of ``rules``, of so many steps.

    ``seed`` is that of the run. ``first`` are programs that the search begins with, before ``count`` new ones.
    ``tried`` is how many of all these an earlier part of the search has played: it goes on behind them.
    """

    name: str
    features: tuple[type[ProgramMachine], ...]
    rules: Rules
    steps: int
    count: int
    seed: int
    first: tuple[Program, ...] = ()
    tried: int = 0

    def until_shown(self, look: Callable[[Program], Shown | None]) -> Shown | None:
        """Hand each program to ``look`` until it returns something, and return that; None if it never does."""
        shown: list[Shown] = []

        def play(program: Program) -> None:
            seen = look(program)
            if seen is not None:
                shown.append(seen)
                raise _Enough

        drawn = max(0, self.tried - len(self.first))
        machine = type("Programs", self.features, {"promise": self.rules, "play": staticmethod(play)})
        settings = hypothesis.settings(
            max_examples=max(1, self.count - drawn),
            stateful_step_count=self.steps,
            database=None,
            deadline=None,
            derandomize=False,
            print_blob=False,
            phases=(Phase.generate,),
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        )
        with contextlib.suppress(_Enough):
            for program in self.first[self.tried :]:
                play(program)
            if drawn < self.count:
                seed = seed_of(f"{self.name} {drawn}" if drawn else self.name, self.seed)
                run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=settings)
        return shown[0] if shown else None


def seed_of(name: str, seed: int) -> int:
    """The seed of the search of this name in a run: that of no other name, and of no other run."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest(), "big")


def shrink(
    best: Shown,
    simpler: Callable[[Program], Iterable[Program]],
    shows: Callable[[Program], Shown | None],
    clock: Clock,
) -> tuple[Shown, bool]:
    """What the smallest program shows that is found in time, and whether nothing is left to be taken away from it."""
    with contextlib.suppress(OutOfTime):
        while True:
            for candidate in simpler(best.program):
                clock.check()
                smaller = shows(candidate)
                if smaller is not None:
                    best = smaller
                    break
            else:
                return best, True
    return best, False


def plays_for(rate: float, miss: float) -> int:
    """How often to play a program that fails at a rate, so that all plays pass with a chance of ``miss`` only."""
    return math.ceil(math.log(miss) / math.log(1 - rate)) if rate < 1 else 1
