"""Differential mode: the same programs on A, on a second copy of A, and on B.

Facts:
- B differs where it differs from A and A' (the second copy) does not: a difference between A and A' is noise;
- a difference has a signature: what B does, and to which class of frames. The search shrinks the first signature that
  it finds, then searches for others that no known difference explains;
- topics mix only the features they need, because one difference hides others;
- the search plays the smallest program on a fresh B. A difference counts when B shows it more often than A' does,
  beyond chance.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from ..generation.cells import features_of
from ..generation.controls import with_frames
from ..generation.minimise import simpler_programs
from ..generation.search import Clock, OutOfTime, Writer, shrink
from ..model.frames import Frame, Tlv
from ..model.history import History
from ..model.legality import free_type
from ..model.profile import Profile, rules_for
from ..model.program import Program
from ..model.rules import Domain, Rules
from ..model.steps import Write
from .arms import Arm, refused_by_either
from .equivalence import Comparison, Difference, Signature, causes_at, causes_in, class_of, sentence
from .topics import Level, Topic, topics_of

CONFIRM_RUNS = 5
CONFIRM_SECONDS = 4.0
STAMP_RUNS = 10
RARE_RUNS = 60
SHRINK_SECONDS = 4.0
STAMP_SECONDS = 6.0
NOISE_EVERY = 5
"""A' plays each program that shows a difference, and each fifth of all: A may differ from itself."""
CHANCE = 0.005
"""A difference counts when chance alone would show it less often than this (one-sided exact test)."""


@dataclass(slots=True)
class FoundDifference:
    """A difference with its smallest program and how often it shows: on B, and on the second copy of A."""

    signature: Signature
    cause: str
    program: Program
    difference: Difference
    history_a: History
    history_b: History
    in_b: int = 0
    in_copy: int = 0
    runs: int = 0

    @property
    def id(self) -> str:
        """The name for the file of accepted differences, such as ``forwards:foreign-domain``."""
        return f"{self.signature.effect}:{self.cause}"

    @property
    def text(self) -> str:
        """The difference as a sentence."""
        return sentence(self.signature.effect, self.cause)


@dataclass(slots=True)
class TopicResult:
    """What the programs of one topic showed."""

    topic: Topic
    evidence: Counter[str] = field(default_factory=Counter)
    found: list[FoundDifference] = field(default_factory=list)
    noise: int = 0
    calibrated: int = 0
    cut_short: bool = False

    @property
    def programs(self) -> int:
        """Programs that A and B both played."""
        return self.evidence["programs"]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a comparison may cost: programs for each topic, seconds in all, and the seed of the programs."""

    max_examples: int = 40
    time_budget: float = 300.0
    seed: int = 0


class Differential:
    """Compares B with A, calibrated by a second copy of A."""

    def __init__(self, a: Arm, copy: Arm, b: Arm, domain: Domain, level: Level) -> None:
        self.a, self.copy, self.b = a, copy, b
        self.level = level
        self.strictest = refused_by_either(domain, a, b)
        reads = any(arm.rules.granularity == "reads" for arm in (a, b))
        self.promise = msgspec.structs.replace(
            rules_for(Profile(name="reference"), domain), granularity="reads" if reads else "frames"
        )
        self.comparison = Comparison(self.strictest)
        self.known: list[FoundDifference] = []

    def run(
        self,
        effort: Effort,
        told: Callable[[TopicResult], None],
        topics: list[Topic] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> list[TopicResult]:
        """Compare topic after topic, those of the level if none are given, sharing the time. Raises TargetError.

        ``told`` gets the result of each topic when it is known.
        """
        deadline = now() + effort.time_budget
        topics = topics_of(self.level) if topics is None else topics
        results = []
        for index, topic in enumerate(topics):
            left = max(deadline - now(), 0.0)
            clock = Clock(min(left / (len(topics) - index) * 2, left), now, end=deadline)
            result = TopicSearch(self, topic, effort, clock).run()
            told(result)
            results.append(result)
        return results

    def unexplained(self, program: Program, a: History, b: History) -> Iterator[Difference]:
        """The differences of two histories that no known difference of the same signature explains."""
        for difference in self.comparison.differences(a, b):
            causes = causes_at(program, difference, self.strictest)
            if all(known.signature != difference.signature or known.cause not in causes for known in self.known):
                yield difference


class TopicSearch:
    """Looks for the differences of one topic, one after the other."""

    def __init__(self, differential: Differential, topic: Topic, effort: Effort, clock: Clock) -> None:
        self._all = differential
        self._effort = effort
        self._clock = clock
        self._turn = 0
        self._result = TopicResult(topic)

    def run(self) -> TopicResult:
        """Search until a round finds nothing that is not known, or the time is up."""
        deadline = self._clock.until
        topic = self._result.topic
        writer = Writer(
            name=topic.name,
            features=topic.features,
            rules=self._all.promise,
            steps=topic.steps,
            count=max(3, round(self._effort.max_examples * topic.share)),
            seed=self._effort.seed,
        )
        try:
            while (found := writer.until_shown(self._first_look)) is not None:
                self._finish(found)
                self._clock.until = deadline
        except OutOfTime:
            self._result.cut_short = True
        return self._result

    def _first_look(self, program: Program) -> FoundDifference | None:
        """A difference that A' does not show and that a second play confirms."""
        self._clock.check()
        self._result.evidence.update(features_of(program))
        history_a, history_b = self._both(program)
        signatures = dict.fromkeys(each.signature for each in self._all.unexplained(program, history_a, history_b))
        self._turn += 1
        if signatures or self._turn % NOISE_EVERY == 0:
            noise = self._of_copy(program, history_a)
            self._result.calibrated += 1
            self._result.noise += bool(noise)
            for signature in signatures:
                if signature not in noise and (found := self._confirmed(program, signature)):
                    return found
        return None

    def _confirmed(self, program: Program, signature: Signature) -> FoundDifference | None:
        """The difference of this signature, seen again in one of some plays."""
        deadline = self._clock.until
        plays = self._clock.runs(CONFIRM_SECONDS, 1, CONFIRM_RUNS)
        found = next(filter(None, (self._shows(program, signature) for _ in plays)), None)
        self._clock.until = deadline
        return found

    def _both(self, program: Program) -> tuple[History, History]:
        """A and B play a program, now the one first, now the other."""
        if self._turn % 2:
            history_b = self._all.b.play(program, self._clock)
            return self._all.a.play(program, self._clock), history_b
        return self._all.a.play(program, self._clock), self._all.b.play(program, self._clock)

    def _of_copy(self, program: Program, history_a: History) -> set[Signature]:
        """In what A' differs from A."""
        copied = self._all.copy.play(program, self._clock)
        return {each.signature for each in self._all.comparison.differences(history_a, copied)}

    def _shows(self, program: Program, signature: Signature) -> FoundDifference | None:
        """The difference of this signature, unexplained by what is known, if a play shows it."""
        history_a, history_b = self._both(program)
        for difference in self._all.unexplained(program, history_a, history_b):
            if difference.signature == signature:
                cause = signature.frames or causes_at(program, difference, self._all.strictest)[0]
                return FoundDifference(signature, cause, program, difference, history_a, history_b)
        return None

    # --- the smallest program, and its rate ------------------------------------------------------------------------

    def _finish(self, found: FoundDifference) -> None:
        """Shrink the program of a difference, name its cause, and keep it if B shows it beyond the noise of A."""
        self._clock.allow(SHRINK_SECONDS)
        best, _ = shrink(found, self._simpler, lambda each: self._shows_twice(each, found.signature), self._clock)
        strictest = self._all.strictest
        with contextlib.suppress(OutOfTime):
            filled = _with_tlvs(best.program, Tlv(free_type(strictest), 8))
            if best.cause == "header-only" and self._shows(filled, best.signature):
                best.cause = next(name for name in causes_in(best.program, strictest) if name != "header-only")
        self._stamp(best)
        self._all.known.append(best)
        if best.runs == 0:  # no play of the stamp ended in time: B showed it when it was found, and A' did not
            best.in_b = best.runs = 1
        cut_short = best.runs < STAMP_RUNS  # too few to reckon with chance, but B has shown it in each play since
        if chance(best.in_b, best.in_copy, best.runs) < CHANCE or (cut_short and best.in_b == best.runs > best.in_copy):
            self._result.found.append(best)
        else:
            self._result.noise += 1

    def _simpler(self, program: Program) -> Iterator[Program]:
        return chain(simpler_programs(program), _calmer_programs(program, self._all.strictest))

    def _shows_twice(self, program: Program, signature: Signature) -> FoundDifference | None:
        found = self._shows(program, signature)
        return found if found and self._shows(program, signature) else None

    def _stamp(self, best: FoundDifference) -> None:
        """Play the program on a fresh B, often enough to tell its rate from the noise of A."""
        self._all.b.refresh()
        with contextlib.suppress(OutOfTime):
            for run in self._clock.runs(STAMP_SECONDS, STAMP_RUNS, RARE_RUNS):
                history_a, history_b = self._both(best.program)
                self._turn += 1
                differences = self._all.comparison.differences(history_a, history_b)
                shown = next((each for each in differences if each.signature == best.signature), None)
                best.in_copy += best.signature in self._of_copy(best.program, history_a)
                best.runs = run
                if shown is not None:
                    best.in_b += 1
                    best.difference, best.history_a, best.history_b = shown, history_a, history_b
                if run == STAMP_RUNS and best.in_b >= STAMP_RUNS // 2:
                    break


def _with_tlvs(program: Program, tlv: Tlv) -> Program:
    """The same program with a TLV in every frame that has none."""

    def filled(frame: Frame) -> Frame:
        return frame if frame.tlvs or frame.tail else msgspec.structs.replace(frame, tlvs=(tlv,))

    return with_frames(program, filled)


def _calmer_programs(program: Program, strictest: Rules) -> Iterator[Program]:
    """The same program with one faulty frame made valid: the difference needs the faults that remain."""
    for index, step in enumerate(program.steps):
        if not isinstance(step, Write):
            continue
        for place, item in enumerate(step.items):
            if isinstance(item, Frame) and class_of(item, strictest):
                items = (*step.items[:place], Frame(strictest.number), *step.items[place + 1 :])
                write = msgspec.structs.replace(step, items=items)
                yield Program(program.domain, (*program.steps[:index], write, *program.steps[index + 1 :]))


def chance(in_b: int, in_copy: int, runs: int) -> float:
    """How likely B shows a difference so much more often than A' by chance alone (Fisher's exact test, one-sided)."""
    total = in_b + in_copy
    ways = math.comb(2 * runs, total)
    return sum(math.comb(runs, k) * math.comb(runs, total - k) for k in range(in_b, min(runs, total) + 1)) / ways
