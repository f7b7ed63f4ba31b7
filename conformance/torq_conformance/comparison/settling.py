"""One candidate for a difference is settled: shown again, made smaller, named, narrowed down, and given its rate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import msgspec

from ..generation.controls import with_frames
from ..generation.minimise import simpler_programs
from ..generation.search import Clock, OutOfTime, plays_for, shrink
from ..generation.situations.compose import program_of
from ..generation.situations.dimensions import Situation
from ..judging.meeting import chosen
from ..judging.plan import Plan
from ..model.frames import Frame, Tlv
from ..model.history import History
from ..model.legality import free_type
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import Write
from .causes import causes_in, class_of
from .chance import CHANCE, chance
from .circumstances import OF_A_FRAME, Circumstances, Fact, When
from .equivalence import TIMED
from .found import FoundDifference, Key, Occurrence, TopicResult
from .narrowing import as_narrow, between, controls_of, in_order, varied
from .relays import Relays

CONFIRM_RUNS = 5
STAMP_RUNS = 10
RARE_RUNS = 60
MOST_DOUBTFUL = 3
"""Candidates of one kind that turn out to be no difference; later ones are settled only if they show each time."""
TWICE = 2
"""Times that a simpler program must show a difference."""
MAY_BE_SMALLER = "perhaps less: the time was over before its program was as small as can be"
MOST_STEADY = 6
"""Times that a candidate must show where another difference of its signature shows now and then."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A difference as it was first seen, in a program, and in situations of a plan if it is one of those.

    ``causes`` are all that may have brought it about.
    """

    occurrence: Occurrence
    program: Program
    history_a: History
    history_b: History
    causes: frozenset[str]
    plan: Plan | None = None
    members: Sequence[Situation] = ()

    @property
    def histories(self) -> tuple[History, History]:
        """What A and B did."""
        return self.history_a, self.history_b


class Settling:
    """Settles candidates of one topic, whose ``result`` gets what was found. Each part may take so many ``seconds``."""

    def __init__(self, relays: Relays, result: TopicResult, clock: Clock, seconds: float) -> None:
        self._relays = relays
        self._known = relays.known
        self._result = result
        self._clock = clock
        self._seconds = seconds

    def settle(self, candidate: Candidate) -> None:
        """Make sure of a difference, make its program smaller, and measure its rate, unless a known one explains it."""
        program, history_a, history_b = candidate.program, candidate.history_a, candidate.history_b
        key = candidate.occurrence.key
        occurrences = self._known.unexplained(program, history_a, history_b)
        occurrence = next((each for each in occurrences if each.key == key), None)
        if occurrence is None:
            return
        seen = self._known.as_found(program, occurrence, history_a, history_b)
        if self._relays.b.has_ended():  # it cannot be played again
            seen.in_b = seen.runs = 1
            self._keep(seen)
        elif self._is_more_than_chance(seen, occurrence):
            if candidate.plan is not None and len(candidate.members) == 1:
                seen = self._plainest(seen, candidate.members[0], candidate.plan)
            self._finish(seen)

    def _shows(self, program: Program, key: Key, times: int = 1) -> FoundDifference | None:
        return self._relays.shows(program, key, self._clock, times)

    def _keep(self, found: FoundDifference) -> None:
        self._known.keep(found)
        self._result.found.append(found)

    def _is_more_than_chance(self, seen: FoundDifference, occurrence: Occurrence) -> bool:
        """Whether a candidate shows more often than what is known to show now and then, or proved to be nothing."""
        doubtful = self._known.doubtful[seen.key] >= MOST_DOUBTFUL
        times = max(self._steadiness(seen.program, occurrence), MOST_STEADY if doubtful else 0)
        if not times:
            return True
        shown = None
        self._clock.allow(self._seconds)
        if times <= MOST_STEADY:
            with contextlib.suppress(OutOfTime):
                shown = self._shows(seen.program, seen.key, times)
        self._result.passed_over += doubtful and shown is None
        return shown is not None

    def _steadiness(self, program: Program, occurrence: Occurrence) -> int:
        """How often a program must show a difference in a row to be none of those that show now and then; 0 of none."""
        expected = self._known.rate_expected(program, occurrence)
        if not expected:
            return 0
        return plays_for(1 - expected, CHANCE) if expected < 1 else MOST_STEADY + 1

    def _plainest(self, seen: FoundDifference, situation: Situation, plan: Plan) -> FoundDifference:
        """The same difference in a situation with as many plain values as still show it, found in time."""
        self._clock.allow(self._seconds / 2)
        possible = chosen(plan).possible
        with contextlib.suppress(OutOfTime):
            candidates = possible.plainer(situation)
            while (plainer := next(candidates, None)) is not None:
                self._clock.check()
                again = self._shows(program_of([plainer], plan.rules, plan.seed), seen.key)
                if again is not None:
                    seen, situation, candidates = again, plainer, possible.plainer(plainer)
            seen.needs = situation.words
        return seen

    def _finish(self, found: FoundDifference) -> None:
        """Shrink the program of a difference, name its cause, measure its rate, and say what it is by that."""
        best, strictest, smallest = found, self._known.strictest, False
        self._clock.allow(self._seconds)
        repeated = self._repeats(found)
        if repeated:
            times = max(TWICE, self._steadiness(found.program, Occurrence(found.difference, found.under)))
            best, smallest = shrink(
                found,
                self._simpler,
                lambda each: self._shows(each, found.key, times),
                self._clock,
            )
            with contextlib.suppress(OutOfTime):
                filled = _with_tlvs(best.program, Tlv(free_type(strictest), 8))
                if best.cause == "header-only" and self._shows(filled, best.key):
                    best.cause = next(name for name in causes_in(best.program, strictest) if name != "header-only")
            best.needs = found.needs
        self._stamp(best)
        seen = repeated or best.signature.effect not in TIMED  # once may be the machine's doing
        if best.runs == 0 and seen:  # no play of the stamp ended in time: B showed it when it was found, and A' did not
            best.in_b = best.runs = 1
        cut_short = best.runs < STAMP_RUNS  # too few to reckon with chance, but B has shown it in each play since
        certain = chance(best.in_b, best.in_copy, best.runs) < CHANCE
        if certain or (cut_short and best.in_b == best.runs > best.in_copy):
            if not best.is_rare and not best.under:
                self._narrow(best)
            words = (str(best.when), best.needs, "" if smallest else MAY_BE_SMALLER)
            best.needs = "; ".join(filter(None, words))
            self._keep(best)
            return
        self._known.doubtful[best.key] += 1
        feigned = best.signature.effect in TIMED and not best.in_b
        if feigned or self._known.of_copy[best.signature]:
            self._result.noise += 1
        else:
            best.flaky = True
            self._known.keep_flaky(best)
            self._result.found.append(best)

    def _repeats(self, found: FoundDifference) -> bool:
        """Whether a difference shows again in one of some plays."""
        with contextlib.suppress(OutOfTime):
            return any(self._shows(found.program, found.key) for _ in range(CONFIRM_RUNS))
        return False

    def _narrow(self, best: FoundDifference) -> None:
        """Vary, one by one, the fields of the frame that makes a program unusual: which values does a difference need?

        A field that was not varied in time is needed as it is. One of which it needs no value is not its cause.
        """
        at = Circumstances(best.program, self._known.strictest)
        unusual = at.unusual(best.difference)
        if unusual is None:
            return
        frame, fields = unusual
        self._clock.allow(self._seconds / 2)
        narrow = {name: as_narrow(self._shown_for(best, frame, name), controls_of(frame, name)) for name in fields}
        needed = {name: facts for name, facts in narrow.items() if facts}
        best.when = When(tuple(needed.items()))
        fault = class_of(frame, self._known.strictest)  # which all controls have: they acquit it of nothing
        if best.cause in fields and best.cause not in (*needed, fault):
            best.cause = next(name for name in at.causes(best.difference) if name not in fields or name in needed)

    def _shown_for(self, best: FoundDifference, frame: Frame, name: str) -> dict[Fact, bool]:
        """For which values of a field a difference shows, in ascending order; for its own alone without time."""
        shown: dict[Fact, bool] = {}
        untried, tried = controls_of(frame, name), set[Fact]()
        with contextlib.suppress(OutOfTime):
            while untried:
                for fact in untried:
                    program = varied(best.program, frame, name, fact, self._known.strictest)
                    if program is not None:
                        shown[fact] = program == best.program or bool(self._shows(program, best.key))
                tried.update(untried)
                shown = in_order(shown)
                untried = [fact for fact in between(shown) if name == "size" and fact not in tried]
            return shown
        own = OF_A_FRAME[name](frame)
        return {} if own is None else {own: True}

    def _simpler(self, program: Program) -> Iterator[Program]:
        return chain(simpler_programs(program), _calmer_programs(program, self._known.strictest))

    def _stamp(self, best: FoundDifference) -> None:
        """Play the program on a fresh B, often enough to tell its rate from the noise of A."""
        self._relays.b.refresh()
        with contextlib.suppress(OutOfTime):
            for run in self._clock.runs(self._seconds, 1, RARE_RUNS):
                history_a, history_b, noise = self._relays.all(best.program, self._clock)
                occurrences = self._known.occurrences(best.program, history_a, history_b)
                shown = next((each.difference for each in occurrences if each.key == best.key), None)
                best.in_copy += best.signature in noise
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
