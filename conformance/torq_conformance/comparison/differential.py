"""Differential mode: the same programs on A, on a second copy of A, and on B.

Facts:
- B differs where it differs from A and A' (the second copy) does not. What A' shows is counted by its signature, and
  explains nothing else away;
- breadth comes before depth: everything is played once before any difference is settled (made smaller, named, and
  given its rate), so that one difference hides no other;
- a difference has a signature: what B does, and to which class of frames. Its cause is what its smallest program still
  has: whatever could be taken away, or made plain, is no part of it;
- a difference that does not repeat is FLAKY, with its rate, unless A' shows one of its kind too, or a busy machine can
  feign it for once;
- a known difference explains others of its signature whose program has its cause, under the circumstances that
  controls have shown it to need. One that shows now and then explains what shows no more often, frame for frame; one
  that is accepted under some circumstances explains what shows under them;
- each requirement plays some of its programs, then the relays meet situations, in which any two values come together,
  then each requirement goes on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from .. import interruption
from ..errors import ImpededError
from ..generation.cells import features_of
from ..generation.search import Clock, OutOfTime, Writer
from ..generation.situations.compose import program_of
from ..generation.situations.dimensions import Situation, dimensions
from ..judging.meeting import coverage, due
from ..judging.plan import LEAST_EFFORT, Plan
from ..judging.verdict import Meeting
from ..model.profile import Profile, rules_for
from ..model.program import Program
from ..model.requirements import requirements
from ..model.rules import Domain, Rules
from .accepted import AcceptedDifference
from .arms import Arm, refused_by_either
from .equivalence import Comparison, Signature
from .found import ENDED, OUT_OF_TIME, TopicResult
from .known import Known
from .relays import Relays
from .settling import Candidate, Settling
from .topics import Level, Topic, topics_of

SETTLING = 1 / 25
"""The share of the time that making one difference smaller may take, and the same that its rate may take."""
MOST_SETTLING_SECONDS = 6.0
PARTS = 3
"""What settling a difference takes, of such shares: a plainer situation and controls half of one each."""
GLANCE = 0.15
"""The share of the time in which every topic plays its first programs."""
USUAL_COST = 10
"""Of a topic, in programs: those that flood a relay cost more."""
MEETING = 0.3
"""The share of the time in which the relays meet situations."""
NOISE_EVERY = 5
"""A' plays each program that shows a difference, and each fifth of all: A may differ from itself."""
MOST_PUT_OFF = 6
"""Candidates of one kind that a topic keeps for later."""
BROAD = 0.5
"""The share of the time of the topics in which everything is played once."""
TOO_FEW = f"more programs are needed: --max-examples {LEAST_EFFORT}"
SITUATIONS = "situations"
RECALLED = "accepted programs"
LEAST_SECONDS = 1.0
"""Seconds that must be left to go on with what was cut short."""
ILL_FORMED = ("defect", "sender: had one refused")
"""Dimensions, and values of others, that no situation has where traffic must be well-formed."""


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
    """Compares B with A, calibrated by a second copy of A, until there is a difference that it ``ends_at``."""

    def __init__(
        self,
        a: Arm,
        copy: Arm,
        b: Arm,
        domain: Domain,
        level: Level,
        accepted: Sequence[AcceptedDifference] = (),
        ends_at: Callable[[str], bool] | None = None,
    ) -> None:
        self.a, self.copy, self.b = a, copy, b
        self.level = level
        self.strictest = refused_by_either(domain, a, b)
        self.promise = _promise(rules_for(Profile(name="reference"), domain), a, b)
        listed = [each for each in accepted if each.level in ("", level.value)]
        self.known = Known(Comparison(self.strictest, a.rules), self.strictest, listed, ends_at or (lambda _: False))
        self._at_once = ends_at is not None
        self.relays = Relays(a, copy, b, self.known)
        self._recalled = [each.program for each in listed if each.program is not None]
        self.results: list[TopicResult] = []
        """What every search has shown so far, the present one too."""
        self._searches: list[TopicSearch] = []
        self._topics: list[TopicSearch] = []

    def run(
        self,
        effort: Effort,
        told: Callable[[TopicResult], None],
        topics: list[Topic] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> list[TopicResult]:
        """Compare topic after topic, those of the level if none are given, sharing the time. Raises TargetError.

        Those of which a glance has shown everything are not compared again. ``told`` gets the result of each when it is
        known.
        """
        began = now()
        if not self._topics:
            self._begin_topics(effort, topics)
        self._share(self._topics, began + effort.time_budget * BROAD, told, now)
        self.settle(began + effort.time_budget, told, now)
        return [each.result for each in self._topics]

    def glance(self, effort: Effort, told: Callable[[TopicResult], None]) -> None:
        """Let every topic play its first programs, in a part of the time. Raises TargetError.

        Only results to which nothing is to be added are told.
        """

        def tell(result: TopicResult) -> None:
            if result.cut_short != OUT_OF_TIME:
                told(result)

        self._begin_topics(effort)
        self._share(self._topics, time.monotonic() + effort.time_budget * GLANCE, tell, time.monotonic)

    def meet(self, effort: Effort, told: Callable[[TopicResult], None]) -> TopicResult:
        """Compare in situations in which any two values come together. Raises TargetError."""
        search = self._begun(TopicSearch(self, SITUATIONS, effort, self._plan(effort)))
        self._share([search], time.monotonic() + effort.time_budget * MEETING, told, time.monotonic)
        return search.result

    def _begin_topics(self, effort: Effort, topics: list[Topic] | None = None) -> None:
        if self._recalled:
            self._topics.append(self._begun(TopicSearch(self, RECALLED, effort, self._recalled)))
        for topic in topics or topics_of(self.level):
            self._topics.append(self._begun(TopicSearch(self, topic.name, effort, topic)))

    def _share(
        self,
        searches: Sequence[TopicSearch],
        until: float,
        told: Callable[[TopicResult], None],
        now: Callable[[], float],
    ) -> None:
        """Let searches that have not ended share the time by what they cost; what one leaves goes to the later ones."""
        unended = [each for each in searches if not each.began or each.result.cut_short == OUT_OF_TIME]
        cost = sum(each.cost for each in unended)
        for search in unended:
            left = max(until - now(), 0.0)
            told(search.run(Clock(left * search.cost / cost, now, end=until), settle=self._at_once))
            cost -= search.cost

    def _begun(self, search: TopicSearch) -> TopicSearch:
        self._searches.append(search)
        self.results.append(search.result)
        return search

    def settle(
        self, until: float, told: Callable[[TopicResult], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        """Settle what has been put off, the plainest of each kind before a second one. Raises TargetError.

        The first of a kind is told as it was seen where there is no time for it. A second one, whose smallest program
        might be that of the first, waits on unless a known one explains it: then not everything was compared.
        """
        searches = [each for each in self._searches if each.waiting]
        waiting = [(search, candidate) for search in searches for candidate in search.waiting]
        waiting.sort(key=lambda pair: (len(pair[1].causes), pair[1].program.weight))
        first_of = {candidate.occurrence.key: candidate for _, candidate in reversed(waiting)}
        found = {each.key for each in self.known.found}
        firsts = [candidate for key, candidate in first_of.items() if key not in found]
        waiting.sort(key=lambda pair: pair[1] not in firsts)
        for place, (search, candidate) in enumerate(waiting):
            left = max(until - now(), 0.0)
            share = left / max(len(firsts) - place, 1) / PARTS
            if place < len(firsts) or share > search.settling:
                search.settle(candidate, Clock(left, now, end=until), share)
            elif self.known.is_explained(candidate.occurrence, candidate.program, *candidate.histories):
                search.waiting.remove(candidate)
        for search in searches:
            search.result.put_off = len(search.waiting)
            told(search.result)

    def go_on(self, until: float, told: Callable[[TopicResult], None]) -> None:
        """Give what is left of the time to what was cut short: what has played nothing yet shares half of it.

        Then comes one after the other, situations last: a share would not do for what waits long, such as clients that
        are silent for a while. Raises TargetError.
        """
        waiting = [each for each in self._searches if each.result.cut_short == OUT_OF_TIME]
        waiting.sort(key=lambda search: search.result.name == SITUATIONS)
        untried = [each for each in waiting if not each.result.programs]
        half = (until + time.monotonic()) / 2
        for place, search in enumerate(untried):
            told(search.run(Clock(max(half - time.monotonic(), 0.0) / (len(untried) - place), end=half), settle=False))
        self.settle(until, told)
        for search in waiting:
            left = until - time.monotonic()
            if left < LEAST_SECONDS:
                return
            if search.result.cut_short:
                told(search.run(Clock(left, end=until), settle=True))
        self.settle(until, told)

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
    """Looks for the differences of one topic: settles each as it is found, or keeps it ``waiting``."""

    def __init__(
        self, differential: Differential, name: str, effort: Effort, about: Topic | Plan | Sequence[Program]
    ) -> None:
        self._all = differential
        self._known, self._relays = differential.known, differential.relays
        self._effort = effort
        self.settling = effort.settling
        self._clock = Clock(0.0)
        self._about = about
        self._settles = False
        self._turn = 0
        self._tried = 0
        self.began = False
        self.cost = (
            max(about.scenario.cost_under(differential.promise), USUAL_COST) if isinstance(about, Topic) else USUAL_COST
        )
        """Programs as long as it takes, none less than the usual."""
        self.waiting: list[Candidate] = []
        self.result = TopicResult(name)

    def run(self, clock: Clock, *, settle: bool) -> TopicResult:
        """Play the programs, or as many as there is time for; called again, go on with a new clock.

        Whether differences are to be settled at once.
        """
        self._clock, self._settles, self.began = clock, settle, True
        self.result.cut_short = ""
        if isinstance(self._about, Plan):
            self._meet(self._about)
        elif isinstance(self._about, Topic):
            self._write(self._about)
        else:
            with self._noting_gaps():
                for program in self._about[self._tried :]:
                    self._look(program)
        self.result.put_off = len(self.waiting)
        return self.result

    def settle(self, candidate: Candidate, clock: Clock, seconds: float) -> None:
        """Settle a candidate that has been waiting; each part may take so many seconds, if they are as many."""
        self.waiting.remove(candidate)
        with self._noting_gaps():
            Settling(self._relays, self.result, clock, min(seconds, self.settling)).settle(candidate)

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
            self.result.cut_short = ENDED if self._known.is_over() else self._all.b.ended or OUT_OF_TIME
        except ImpededError as lack:
            self.result.cut_short = str(lack)

    def _look(self, program: Program, plan: Plan | None = None, members: Sequence[Situation] = ()) -> None:
        """Play a program; settle each difference that A' does not show, or put it off."""
        interruption.check()
        self._clock.check()
        if self._known.is_over() or self._all.b.has_ended():
            raise OutOfTime
        self._turn += 1
        noise: set[Signature] | None = None
        if self._turn % NOISE_EVERY:
            history_a, history_b = self._relays.both(program, self._clock)
        else:
            history_a, history_b, noise = self._relays.all(program, self._clock)
        self.result.evidence.update(features_of(program))
        self._tried += 1
        occurrences = list(self._known.unexplained(program, history_a, history_b))
        if noise is None:
            if not occurrences:
                return
            noise = self._relays.of_copy(program, history_a, self._clock)
        self.result.calibrated += 1
        self.result.noise += bool(noise)
        until = self._clock.until
        for occurrence in occurrences:
            if self._known.is_over():
                return
            if occurrence.difference.signature not in noise:
                causes = self._known.causes_of(program, occurrence)
                candidate = Candidate(occurrence, program, history_a, history_b, causes, plan, members)
                if self._settles or self._all.b.has_ended():
                    Settling(self._relays, self.result, self._clock, self.settling).settle(candidate)
                    self._clock.until = until
                else:
                    self._put_off(candidate)

    def _put_off(self, candidate: Candidate) -> None:
        """Keep a candidate for later, unless one with fewer causes waits: what explains that explains this too."""
        alike = [each for each in self.waiting if each.occurrence.key == candidate.occurrence.key]
        if any(each.causes <= candidate.causes and each.program.weight <= candidate.program.weight for each in alike):
            return
        outdone = [each for each in alike if candidate.causes <= each.causes]
        if outdone or len(alike) < MOST_PUT_OFF:
            self.waiting = [each for each in self.waiting if each not in outdone]
            self.waiting.append(candidate)


def _is_well_formed(situation: Situation) -> bool:
    """Whether no relay may refuse anything of a situation."""
    return all(
        situation.is_plain(each.name)
        for each in dimensions()
        if each.name in ILL_FORMED or f"{each.name}: {situation[each.name].name}" in ILL_FORMED
    )
