"""Differential mode: the same programs on A, on a second copy of A, and on B.

Facts:
- B differs where it differs from A and A' (the second copy) does not. What A' shows is counted by its signature, and
  explains nothing else away;
- a difference has a signature: what B does, and to which class of frames. Its cause is what its smallest program still
  has: whatever could be taken away, or made plain, is no part of it;
- a difference that does not repeat is FLAKY, with its rate, unless A' shows one of its kind too, or a busy machine can
  feign it for once;
- first the relays meet situations, in which any two values come together, then the programs of each requirement: one
  difference gets a small share of the time at most, so that it hides no other.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from .. import interruption
from ..errors import ImpededError
from ..generation.cells import features_of
from ..generation.controls import with_frames
from ..generation.minimise import simpler_programs
from ..generation.search import Clock, OutOfTime, Writer, shrink
from ..generation.situations.compose import program_of
from ..generation.situations.coverage import Coverage
from ..generation.situations.dimensions import Situation, dimensions
from ..judging.meeting import chosen, coverage, due
from ..judging.plan import LEAST_EFFORT, Plan
from ..judging.verdict import Meeting
from ..model.frames import Frame, Tlv
from ..model.history import History
from ..model.legality import free_type
from ..model.profile import Profile, rules_for
from ..model.program import Program
from ..model.requirements import requirements
from ..model.rules import Domain, Rules
from ..model.steps import Write
from .arms import Arm, refused_by_either
from .chance import CHANCE, chance
from .equivalence import TIMED, Comparison, Difference, Signature, causes_at, causes_in, class_of, sentence
from .topics import Level, Topic, topics_of

CONFIRM_RUNS = 5
STAMP_RUNS = 10
RARE_RUNS = 60
SETTLING = 1 / 25
"""The share of the time that making one difference smaller may take, and the same that its rate may take."""
MOST_SETTLING_SECONDS = 6.0
MEETING = 0.3
"""The share of the time in which the relays meet situations."""
NOISE_EVERY = 5
"""A' plays each program that shows a difference, and each fifth of all: A may differ from itself."""
MOST_DOUBTFUL = 3
"""Candidates of one signature that turn out to be no difference; later ones are counted, and looked at no more."""
TOO_FEW = f"more programs are needed: --max-examples {LEAST_EFFORT}"
MORE_OF = {Signature("echoes-not"): Signature("loses"), Signature("echoes"): Signature("delivers")}
"""What explains another difference too: a frame that is lost does not come back to its sender either."""
SITUATIONS = "situations"
OUT_OF_TIME = "the time was over"
LEAST_SECONDS = 1.0
"""Seconds that must be left to go on with what was cut short."""
ILL_FORMED = ("defect", "sender: had one refused")
"""Dimensions, and values of others, that no situation has where traffic must be well-formed."""


@dataclass(slots=True)
class FoundDifference:
    """A difference with its smallest program and how often it shows: on B, and on the second copy of A.

    ``needs`` are the values of a situation that it needs, in words. A ``flaky`` one did not repeat beyond chance; one
    that is ``explained`` is the same as a later one, whose cause stands in its program too.
    """

    signature: Signature
    cause: str
    program: Program
    difference: Difference
    history_a: History
    history_b: History
    in_b: int = 0
    in_copy: int = 0
    runs: int = 0
    needs: str = ""
    flaky: bool = False
    explained: bool = False

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
    """What the programs of one topic showed. ``skipped`` says why none was played, ``cut_short`` why not all were."""

    name: str
    evidence: Counter[str] = field(default_factory=Counter)
    found: list[FoundDifference] = field(default_factory=list)
    noise: int = 0
    calibrated: int = 0
    passed_over: int = 0
    cut_short: str = ""
    skipped: str = ""
    coverage: Coverage | None = None

    @property
    def programs(self) -> int:
        """Programs that A and B both played."""
        return self.evidence["programs"]

    @property
    def gap(self) -> str:
        """What was not compared, and why; "" where everything was."""
        return self.skipped or self.cut_short


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a comparison may cost: programs for each topic, seconds in all, and the seed of the programs."""

    max_examples: int = 40
    time_budget: float = 300.0
    seed: int = 0

    @property
    def settling(self) -> float:
        """Seconds for making one difference smaller, and the same for its rate."""
        return min(MOST_SETTLING_SECONDS, self.time_budget * SETTLING)


class Differential:
    """Compares B with A, calibrated by a second copy of A."""

    def __init__(self, a: Arm, copy: Arm, b: Arm, domain: Domain, level: Level) -> None:
        self.a, self.copy, self.b = a, copy, b
        self.level = level
        self.strictest = refused_by_either(domain, a, b)
        self.promise = _promise(rules_for(Profile(name="reference"), domain), a, b)
        self.comparison = Comparison(self.strictest, a.rules)
        self.known: list[FoundDifference] = []
        self.flaky: list[FoundDifference] = []
        self.doubtful: Counter[Signature] = Counter()
        self.of_copy: Counter[Signature] = Counter()
        self.results: list[TopicResult] = []
        """What every search has shown so far, the present one too."""
        self._searches: list[TopicSearch] = []

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
            clock = Clock(left / (len(topics) - index), now, end=deadline)
            search = self._begun(TopicSearch(self, topic.name, effort, clock, topic))
            results.append(search.run())
            told(results[-1])
        return results

    def meet(self, effort: Effort, told: Callable[[TopicResult], None]) -> TopicResult:
        """Compare in situations in which any two values come together. Raises TargetError."""
        clock = Clock(effort.time_budget * MEETING)
        clock.end = clock.until
        search = self._begun(TopicSearch(self, SITUATIONS, effort, clock, self._plan(effort)))
        told(search.run())
        return search.result

    def _begun(self, search: TopicSearch) -> TopicSearch:
        self._searches.append(search)
        self.results.append(search.result)
        return search

    def go_on(self, until: float, told: Callable[[TopicResult], None]) -> None:
        """Give what is left of the time to what was cut short, one after the other, situations last.

        A share of it would not do for what waits long, such as clients that are silent for a while. Raises TargetError.
        """
        waiting = [each for each in (*self._searches[1:], *self._searches[:1]) if each.result.cut_short == OUT_OF_TIME]
        for search in waiting:
            left = until - time.monotonic()
            if left < LEAST_SECONDS:
                return
            told(search.run(Clock(left, end=until)))

    def _plan(self, effort: Effort) -> Plan:
        """What says which situations there are."""
        profile = msgspec.structs.replace(
            self.a.profile, granularity=self.promise.granularity, max_message_size=self.promise.max_message_size
        )
        most = effort.max_examples * 5 // 2 if effort.max_examples >= LEAST_EFFORT else 0
        everything = [each for each in requirements().values() if each.binds(self.promise.domain)]
        return Plan(
            domain=self.promise.domain,
            profile=profile,
            requirements=everything,
            max_examples=most,
            seed=effort.seed,
            time_budget=effort.time_budget,
        )

    def keep(self, found: FoundDifference) -> None:
        """Know a difference from now on; it explains those before it that its cause may have brought about as often."""
        for each in self.known:
            as_often = found.in_b * each.runs >= each.in_b * found.runs
            if each.signature == found.signature and each.cause != found.cause and as_often:
                causes = causes_at(each.program, each.difference, self.strictest)
                each.explained = each.explained or found.cause in causes
        self.known.append(found)
        for each in self.flaky:
            each.explained = each.explained or self._is_chance(each, [found])

    def keep_flaky(self, found: FoundDifference) -> None:
        """Know a difference that does not repeat: one of each signature, and none that a rare one explains."""
        found.explained = self._is_chance(found, self.known) or any(
            each.signature == found.signature for each in self.flaky
        )
        self.flaky.append(found)

    def _is_chance(self, flaky: FoundDifference, known: Sequence[FoundDifference]) -> bool:
        """Whether a difference that does not repeat is one of those that show now and then."""
        return any(each.signature == flaky.signature and each.in_b < each.runs for each in known)

    def unexplained(self, program: Program, a: History, b: History) -> Iterator[Difference]:
        """The differences of two histories that no known difference of the same signature explains."""
        for difference in self.comparison.differences(a, b):
            causes = causes_at(program, difference, self.strictest)
            same = {difference.signature, MORE_OF.get(difference.signature, difference.signature)}
            if not any(known.signature in same and known.cause in causes for known in self.known):
                yield difference


def _promise(reference: Rules, a: Arm, b: Arm) -> Rules:
    """The rules that programs are drawn by: those of the specification, within the limits that A was seen to have."""
    reads = any(arm.rules.granularity == "reads" for arm in (a, b))
    return msgspec.structs.replace(
        reference,
        granularity="reads" if reads else "frames",
        overflow=a.rules.overflow,
        queue_frames=a.rules.queue_frames,
        queue_bytes=a.rules.queue_bytes,
        max_connections=a.rules.max_connections,
        max_message_size=min(a.rules.max_message_size, reference.max_message_size),
        socket_bytes=a.rules.socket_bytes,
    )


class TopicSearch:
    """Looks for the differences of one topic, and settles each as it is found."""

    def __init__(
        self, differential: Differential, name: str, effort: Effort, clock: Clock, about: Topic | Plan
    ) -> None:
        self._all = differential
        self._effort = effort
        self._clock = clock
        self._about = about
        self._turn = 0
        self._tried = 0
        self.result = TopicResult(name)

    def run(self, clock: Clock | None = None) -> TopicResult:
        """Play the programs, or as many as there is time for; called again, go on with a new clock."""
        self._clock = clock or self._clock
        self.result.cut_short = ""
        if isinstance(self._about, Plan):
            self._meet(self._about)
        else:
            self._write(self._about)
        return self.result

    def _write(self, topic: Topic) -> None:
        """Play the programs of a topic."""
        rules, scenario = self._all.promise, topic.scenario
        restartable = all(arm.target.revivable for arm in (self._all.a, self._all.b)) if scenario.spawned else True
        glance = self._effort.max_examples < LEAST_EFFORT
        first = () if glance else topic.first(rules, self._all.level)
        self.result.skipped = scenario.unfit_for(rules)
        if not restartable:
            self.result.skipped = "needs relays that the suite starts itself"
        elif glance and self._effort.max_examples < scenario.cost_under(rules):
            self.result.skipped = TOO_FEW
        if self.result.skipped:
            return
        writer = Writer(
            name=topic.name,
            features=topic.features(self._all.level),
            rules=rules,
            steps=scenario.steps,
            count=scenario.random_programs(self._effort.max_examples, rules, beside_tables=bool(first)),
            seed=self._effort.seed,
            first=first,
            tried=self._tried,
        )
        with self._noting_gaps():
            writer.until_shown(self._look)

    def _meet(self, plan: Plan) -> None:
        """Play the situations of a plan."""
        programs = [each for each in due(plan) if self._all.level is Level.EXACT or all(map(_is_well_formed, each))]
        if not programs:
            self.result.skipped = TOO_FEW
        with self._noting_gaps():
            for members in programs[self._tried :]:
                self._look(program_of(members, plan.rules, plan.seed), plan, members)
        played = [situation for members in programs[: self._tried] for situation in members]
        self.result.coverage = coverage(plan, Meeting(played=played, cut_short=self.result.cut_short))

    @contextlib.contextmanager
    def _noting_gaps(self) -> Iterator[None]:
        """Notes why a search ended before everything was played."""
        try:
            yield
        except OutOfTime:
            self.result.cut_short = self._all.b.ended or OUT_OF_TIME
        except ImpededError as lack:
            self.result.cut_short = str(lack)

    def _look(self, program: Program, plan: Plan | None = None, members: Sequence[Situation] = ()) -> None:
        """Play a program; settle each difference that A' does not show."""
        interruption.check()
        self._clock.check()
        if self._all.b.has_ended():
            raise OutOfTime
        history_a, history_b = self._both(program)
        self.result.evidence.update(features_of(program))
        self._turn += 1
        self._tried += 1
        differences = list(self._all.unexplained(program, history_a, history_b))
        if not differences and self._turn % NOISE_EVERY:
            return
        noise = self._of_copy(program, history_a)
        self.result.calibrated += 1
        self.result.noise += bool(noise)
        until = self._clock.until
        for difference in {each.signature: each for each in reversed(differences)}.values():
            if difference.signature in noise or not any(
                each.signature == difference.signature for each in self._all.unexplained(program, history_a, history_b)
            ):
                continue
            if self._all.doubtful[difference.signature] >= MOST_DOUBTFUL:
                self.result.passed_over += 1
                continue
            seen = self._found(program, difference, history_a, history_b)
            if self._all.b.has_ended():  # it cannot be played again
                seen.in_b = seen.runs = 1
                self._all.keep(seen)
                self.result.found.append(seen)
                continue
            if plan is not None and len(members) == 1:
                seen = self._plainest(seen, members[0], plan)
            self._finish(seen)
            self._clock.until = until

    def _found(self, program: Program, difference: Difference, a: History, b: History) -> FoundDifference:
        signature = difference.signature
        cause = signature.frames or causes_at(program, difference, self._all.strictest)[0]
        return FoundDifference(signature, cause, program, difference, a, b)

    def _both(self, program: Program) -> tuple[History, History]:
        """A and B play a program, now the one first, now the other."""
        if self._turn % 2:
            history_b = self._all.b.play(program, self._clock)
            return self._all.a.play(program, self._clock), history_b
        return self._all.a.play(program, self._clock), self._all.b.play(program, self._clock)

    def _of_copy(self, program: Program, history_a: History) -> set[Signature]:
        """In what A' differs from A."""
        copied = self._all.copy.play(program, self._clock)
        shown = {each.signature for each in self._all.comparison.differences(history_a, copied)}
        self._all.of_copy.update(shown)
        return shown

    def _shows(self, program: Program, signature: Signature) -> FoundDifference | None:
        """The difference of this signature, unexplained by what is known, if a play shows it."""
        history_a, history_b = self._both(program)
        for difference in self._all.unexplained(program, history_a, history_b):
            if difference.signature == signature:
                return self._found(program, difference, history_a, history_b)
        return None

    # --- the smallest program, and its rate ------------------------------------------------------------------------

    def _plainest(self, seen: FoundDifference, situation: Situation, plan: Plan) -> FoundDifference:
        """The same difference in a situation with as many plain values as still show it, found in time."""
        self._clock.allow(self._effort.settling / 2)
        possible = chosen(plan).possible
        with contextlib.suppress(OutOfTime):
            candidates = possible.plainer(situation)
            while (plainer := next(candidates, None)) is not None:
                self._clock.check()
                again = self._shows(program_of([plainer], plan.rules, plan.seed), seen.signature)
                if again is not None:
                    seen, situation, candidates = again, plainer, possible.plainer(plainer)
        named = (each.name for each in dimensions() if not situation.is_plain(each.name))
        seen.needs = "; ".join(f"{name}: {situation[name].name}" for name in named)
        return seen

    def _finish(self, found: FoundDifference) -> None:
        """Shrink the program of a difference, name its cause, measure its rate, and say what it is by that."""
        best, strictest = found, self._all.strictest
        self._clock.allow(self._effort.settling)
        if self._repeats(found):
            best, _ = shrink(found, self._simpler, lambda each: self._shows_twice(each, found.signature), self._clock)
            with contextlib.suppress(OutOfTime):
                filled = _with_tlvs(best.program, Tlv(free_type(strictest), 8))
                if best.cause == "header-only" and self._shows(filled, best.signature):
                    best.cause = next(name for name in causes_in(best.program, strictest) if name != "header-only")
            best.needs = found.needs
        self._stamp(best)
        if best.runs == 0:  # no play of the stamp ended in time: B showed it when it was found, and A' did not
            best.in_b = best.runs = 1
        cut_short = best.runs < STAMP_RUNS  # too few to reckon with chance, but B has shown it in each play since
        certain = chance(best.in_b, best.in_copy, best.runs) < CHANCE
        if certain or (cut_short and best.in_b == best.runs > best.in_copy):
            self._all.keep(best)
            self.result.found.append(best)
            return
        self._all.doubtful[best.signature] += 1
        feigned = best.signature.effect in TIMED and not best.in_b
        if feigned or self._all.of_copy[best.signature]:
            self.result.noise += 1
        else:
            best.flaky = True
            self._all.keep_flaky(best)
            self.result.found.append(best)

    def _repeats(self, found: FoundDifference) -> bool:
        """Whether a difference shows again in one of some plays."""
        with contextlib.suppress(OutOfTime):
            return any(self._shows(found.program, found.signature) for _ in range(CONFIRM_RUNS))
        return False

    def _simpler(self, program: Program) -> Iterator[Program]:
        return chain(simpler_programs(program), _calmer_programs(program, self._all.strictest))

    def _shows_twice(self, program: Program, signature: Signature) -> FoundDifference | None:
        found = self._shows(program, signature)
        return found if found and self._shows(program, signature) else None

    def _stamp(self, best: FoundDifference) -> None:
        """Play the program on a fresh B, often enough to tell its rate from the noise of A."""
        self._all.b.refresh()
        with contextlib.suppress(OutOfTime):
            for run in self._clock.runs(self._effort.settling, 1, RARE_RUNS):
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


def _is_well_formed(situation: Situation) -> bool:
    """Whether no relay may refuse anything of a situation."""
    return all(
        situation.is_plain(each.name)
        for each in dimensions()
        if each.name in ILL_FORMED or f"{each.name}: {situation[each.name].name}" in ILL_FORMED
    )
