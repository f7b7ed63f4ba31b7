"""Differential mode: the same programs on A, on a second copy of A, and on B.

Facts:
- B differs where it differs from A in ways that A' (the second copy) does not: what A and A' disagree on is noise;
- a difference has a signature (what B does, to which class of frames). The search holds on to the signature it found
  first while it shrinks, and goes on afterwards for others that no known difference explains;
- shrinking is our own (:mod:`~torq_conformance.generation.minimise`), one thing taken away at a time: it costs a
  fraction of what Hypothesis spends until it is content, and every candidate here costs two relays;
- topics mix only the features they need, because one difference hides others;
- a difference is confirmed on a fresh B, and counts when its rate on B is beyond what A' shows by itself.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import hypothesis
import msgspec
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.stateful import run_state_machine_as_test

from ..generation.cells import features_of
from ..generation.minimise import simpler_programs
from ..model.history import History
from ..model.profile import Profile, rules_for
from ..model.program import Frame, Program, Tlv, Write
from ..model.rules import Domain, Rules
from .arms import Arm, whatever_either_refuses
from .equivalence import Comparison, Difference, Signature, causes_at, causes_in, class_of, sentence
from .topics import Level, Topic, topics_of

CONFIRM_RUNS = 5
STAMP_RUNS = 10
RARE_RUNS = 60
SHRINK_SECONDS = 4.0
NOISE_EVERY = 5
"""A' plays each program that shows something, and every so many of the others: how much A differs from itself."""
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
    topic: str
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
    seconds: float = 0.0
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


class Watcher:
    """Is told how a comparison goes. The methods do nothing; a display overrides what it shows."""

    def started(self, topic: Topic) -> None:
        """A topic is about to be compared."""

    def finished(self, result: TopicResult) -> None:
        """A topic is through."""


class _FoundError(BaseException):
    """Ends a search at once, because a difference was found."""

    def __init__(self, found: FoundDifference) -> None:
        super().__init__(found.id)
        self.found = found


class _OutOfTime(BaseException):
    """Ends a search at once; no exception that Hypothesis would take for a failure of the program."""


class Differential:
    """Compares B with A, calibrated by a second copy of A."""

    def __init__(self, a: Arm, copy: Arm, b: Arm, domain: Domain, level: Level) -> None:
        self.a, self.copy, self.b = a, copy, b
        self.level = level
        self.strictest = whatever_either_refuses(domain, a, b)
        reads = any(arm.rules.granularity == "reads" for arm in (a, b))
        self.promise = msgspec.structs.replace(
            rules_for(Profile(name="reference"), domain), granularity="reads" if reads else "frames"
        )
        self.comparison = Comparison(self.strictest)
        self.known: list[FoundDifference] = []

    def run(self, effort: Effort, watcher: Watcher, topics: list[Topic] | None = None) -> list[TopicResult]:
        """Compare topic after topic, those of the level if none are given, sharing the time. Raises TargetError."""
        started = time.monotonic()
        topics = topics_of(self.level) if topics is None else topics
        results = []
        for index, topic in enumerate(topics):
            left = effort.time_budget - (time.monotonic() - started)
            share = max(left, 0.0) / (len(topics) - index) * 2
            watcher.started(topic)
            result = TopicSearch(self, topic, effort, time.monotonic() + min(share, max(left, 0.0))).run()
            watcher.finished(result)
            results.append(result)
        return results

    def explained(self, difference: Difference, program: Program) -> bool:
        """Whether a known difference accounts for one more of the same signature."""
        causes = causes_at(program, difference, self.strictest)
        return any(known.signature == difference.signature and known.cause in causes for known in self.known)

    def unexplained(self, program: Program, a: History, b: History) -> Iterator[Difference]:
        """The differences of two histories that no known difference accounts for."""
        for difference in self.comparison.differences(a, b):
            if not self.explained(difference, program):
                yield difference


class TopicSearch:
    """Looks for the differences of one topic, one after the other."""

    def __init__(self, differential: Differential, topic: Topic, effort: Effort, deadline: float) -> None:
        self._all = differential
        self._effort = effort
        self._deadline = deadline
        self._shrink_deadline = math.inf
        self._turn = 0
        self._result = TopicResult(topic)

    def run(self) -> TopicResult:
        """Search until a round finds nothing that is not known, or the time is up."""
        started = time.monotonic()
        seed = self._effort.seed * 1000 + sum(map(ord, self._result.topic.name))
        while True:
            try:
                self._generate(seed)
            except _OutOfTime:
                self._result.cut_short = True
            except _FoundError as error:
                self._finish(error.found)
                continue
            break
        self._result.seconds = time.monotonic() - started
        return self._result

    def _generate(self, seed: int) -> None:
        topic = self._result.topic
        machine = hypothesis.seed(seed)(
            type("Programs", topic.features, {"promise": self._all.promise, "play": staticmethod(self._candidate)})
        )
        run_state_machine_as_test(
            machine,
            settings=hypothesis.settings(
                max_examples=max(3, round(self._effort.max_examples * topic.share)),
                stateful_step_count=topic.steps,
                database=None,
                deadline=None,
                derandomize=False,
                print_blob=False,
                report_multiple_bugs=False,
                phases=(Phase.generate,),
                verbosity=Verbosity.quiet,
                suppress_health_check=list(HealthCheck),
            ),
        )

    def _candidate(self, program: Program) -> None:
        """Play a program of the search; ends the search when it shows a difference."""
        if time.monotonic() > self._deadline:
            raise _OutOfTime
        found = self._first_look(program)
        if found is not None:
            raise _FoundError(found)

    def _first_look(self, program: Program) -> FoundDifference | None:
        """A difference that A' does not show, seen again when the program is repeated; it fixes what to shrink for."""
        self._result.evidence.update(features_of(program))
        history_a, history_b = self._both(program)
        differences = list(self._all.unexplained(program, history_a, history_b))
        self._turn += 1
        if differences or self._turn % NOISE_EVERY == 0:
            noise = {
                each.signature for each in self._all.comparison.differences(history_a, self._all.copy.play(program))
            }
            self._result.calibrated += 1
            self._result.noise += bool(noise)
            differences = [each for each in differences if each.signature not in noise]
        for difference in differences:
            found = self._shows(program, difference.signature, runs=CONFIRM_RUNS)
            if found is not None:
                return found
        return None

    def _both(self, program: Program) -> tuple[History, History]:
        """A and B play a program, now the one first, now the other."""
        if self._turn % 2:
            history_b = self._all.b.play(program)
            return self._all.a.play(program), history_b
        return self._all.a.play(program), self._all.b.play(program)

    def _shows(self, program: Program, signature: Signature, runs: int) -> FoundDifference | None:
        """The difference of this signature, unexplained by what is known, if one of some runs shows it."""
        for _ in range(runs):
            history_a, history_b = self._both(program)
            for difference in self._all.unexplained(program, history_a, history_b):
                if difference.signature == signature:
                    cause = self._cause(program, difference)
                    return FoundDifference(
                        signature, cause, program, difference, history_a, history_b, self._result.topic.name
                    )
        return None

    def _cause(self, program: Program, difference: Difference) -> str:
        return difference.signature.frames or causes_at(program, difference, self._all.strictest)[0]

    # --- the smallest program, and its rate ------------------------------------------------------------------------

    def _finish(self, best: FoundDifference) -> None:
        """Shrink what was found, name its cause, and keep it if it stands the test against A'."""
        self._shrink_deadline = time.monotonic() + SHRINK_SECONDS
        best = self._minimised(best)
        if best.cause == "header-only" and self._shows(_with_tlvs(best.program), best.signature, runs=1):
            best.cause = next(name for name in causes_in(best.program, self._all.strictest) if name != "header-only")
        self._stamp(best)
        self._all.known.append(best)
        if chance(best.in_b, best.in_copy, best.runs) < CHANCE:
            self._result.found.append(best)
        else:
            self._result.noise += 1

    def _minimised(self, best: FoundDifference) -> FoundDifference:
        progress = True
        while progress:
            progress = False
            for candidate in chain(simpler_programs(best.program), _calmer_programs(best.program, self._all.strictest)):
                if time.monotonic() > self._shrink_deadline:
                    return best
                found = self._shows(candidate, best.signature, runs=1)
                if found is not None and self._shows(candidate, best.signature, runs=1) is not None:
                    best, progress = found, True
                    break
        return best

    def _stamp(self, best: FoundDifference) -> None:
        """Play the program on a fresh B, often enough to tell its rate from the noise of A."""
        self._all.b.refresh()
        limit = STAMP_RUNS
        while best.runs < limit:
            best.runs += 1
            history_a, history_b = self._both(best.program)
            self._turn += 1
            shown = [
                each
                for each in self._all.comparison.differences(history_a, history_b)
                if each.signature == best.signature
            ]
            if shown:
                best.in_b += 1
                best.difference, best.history_a, best.history_b = shown[0], history_a, history_b
            copied = self._all.comparison.differences(history_a, self._all.copy.play(best.program))
            best.in_copy += any(each.signature == best.signature for each in copied)
            if best.runs == STAMP_RUNS and best.in_b < STAMP_RUNS // 2:
                limit = RARE_RUNS


def _with_tlvs(program: Program) -> Program:
    """The same program with a TLV in every frame that has none."""
    kind = {"market_data": 4, "signal": 30, "execution": 46}[program.domain]
    steps = tuple(
        msgspec.structs.replace(
            step,
            items=tuple(
                msgspec.structs.replace(item, tlvs=(Tlv(kind, 8),))
                if isinstance(item, Frame) and not item.tlvs and not item.tail
                else item
                for item in step.items
            ),
        )
        if isinstance(step, Write)
        else step
        for step in program.steps
    )
    return Program(program.domain, steps)


def _calmer_programs(program: Program, strictest: Rules) -> Iterator[Program]:
    """The same program with one faulty frame made valid: what remains is needed for the difference."""
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
