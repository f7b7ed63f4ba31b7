"""Programs for what they reach in the relay's own code, where it tells: each may be a step to what none has reached.

Facts:
- every program of a run is noticed, whatever it was played for; one that reached something new is kept, and this
  search plays it too;
- one that this search keeps is first made as small as still reaches it; then its last frame is swept, for what is new
  beside it (:mod:`~torq_conformance.generation.variations`). What does not show again is chance, and is not followed;
- what a slow program reached stays new until a quick one reaches it, which can be made smaller and swept;
- all oracles judge each program, as those of situations: a contradiction goes to the requirement that it is plainly
  about, which confirms it and makes it smaller.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ImpededError
from ..generation.search import Clock, OutOfTime, Writer, seed_of, shrink
from ..generation.variations import Variations, is_legible, numbered, parts, plainest, sweeps
from ..grey_box.feedback import Feedback, Kept
from ..model.program import Program
from ..model.rules import Rules
from ..play.executor import Executor
from ..play.target import Target
from .meeting import FAILING_SECONDS, Encounter
from .plan import Observer, Plan
from .playing import played
from .scenarios import SCENARIOS
from .verdict import Meeting

EXPLORED_FOR_EACH = 50
"""How many times the programs of a requirement a run plays for what they reach, at most."""
FRESH = 8
"""One of so many programs is written anew; the others are near to those that were kept."""
BATCH = 4
"""Programs that are written anew at once."""
TRIM_SECONDS = 0.5
"""Seconds for making a program small that reached something new."""
QUICK_SECONDS = 0.1
"""A program that takes longer is neither made smaller nor swept: that plays it some forty times."""
TIMES_THE_PLAINEST = 5
"""How many times the seconds of the plainest program a quick one may take, where that is more: on a busy machine."""
LEAST_SECONDS = 0.005
"""What any program takes, about."""


@dataclass(slots=True)
class _Member:
    """A kept program, the seconds that it takes, and how often it was varied."""

    program: Program
    seconds: float
    varied: int = 0

    @property
    def worth(self) -> float:
        """How much to vary it, among others: the quick ones and those that were varied seldom first."""
        return 1.0 / ((self.seconds + LEAST_SECONDS) * (self.varied + 1))


class Exploration:
    """Plays programs for what they reach, until the time, or the number of programs, is used up."""

    def __init__(
        self,
        plan: Plan,
        target: Target,
        clock: Clock,
        rules: Rules,
        feedback: Feedback,
        observer: Observer,
        part: int = 0,
    ) -> None:
        self._observer = observer
        self._target, self._clock, self._feedback = target, clock, feedback
        self._plan = plan
        self._rules = target.known_to(rules)
        self._encounter = Encounter(plan, target, clock, rules)
        self._executor = Executor(target, self._rules)
        seed = seed_of(f"exploring {part}", plan.seed)
        self._random = random.Random(seed)
        self._seed = seed
        self._variations = Variations(self._rules, seed)
        self._members: list[_Member] = []
        self._known: set[Program] = set()
        self._handed = list(plan.kept)
        self._quick_seconds = QUICK_SECONDS
        self._reached_slowly: frozenset[int] = frozenset()
        self._sweeps: list[Iterator[Program]] = [sweeps(plainest(self._rules), self._rules)]
        self._fresh = self._written_anew()

    def explore(self, most: int) -> Meeting:
        """What so many programs show, at most."""
        meeting, failing = Meeting(), 0.0
        self._feedback.exploring = False
        self._feedback.collect()
        self._feedback.exploring = True
        try:
            for number in range(most):
                began = self._clock.now()
                program = self._next(number)
                failed = self._encounter.look(program, meeting)
                meeting.explored += 1
                self._observer.explored(meeting.explored, len(self._members))
                if failed:
                    self._feedback.collect()  # what fails is known: beside it there is nothing to find
                    failing += self._clock.now() - began
                elif number == 0:
                    self._feedback.collect()
                    self._quick_seconds = max(QUICK_SECONDS, TIMES_THE_PLAINEST * (self._clock.now() - began))
                elif new := self._feedback.collect():
                    self._keep(program, new)
                if self._encounter.has_shown_enough(meeting) or failing > FAILING_SECONDS:
                    break
        except OutOfTime:
            pass
        except ImpededError as lack:
            meeting.cut_short = str(lack)
        finally:
            self._feedback.collect()
            self._feedback.exploring = False
        return meeting

    def _next(self, number: int) -> Program:
        """The plainest program; then one of a sweep, by turns with one that others kept, a fresh or a varied one."""
        if number == 0:
            return plainest(self._rules)
        if number % 2:
            while self._sweeps:
                if (program := next(self._sweeps[-1], None)) is not None:
                    return program
                self._sweeps.pop()
        self._handed += (each.program for each in self._feedback.kept() if each.program not in self._known)
        while self._handed:
            program = self._handed.pop()
            if program not in self._known and is_legible(program, self._rules):
                self._known.add(program)
                return program
        if number % FRESH == 0 or not self._members:
            return next(self._fresh)
        worth = [each.worth for each in self._members]
        chosen, other = self._random.choices(self._members, worth, k=2)
        chosen.varied += 1
        return self._variations.varied(chosen.program, other.program)

    def _written_anew(self) -> Iterator[Program]:
        """Random programs of the requirements that a run is about, without those that are dear."""
        names = [
            name
            for name in self._encounter.about
            if SCENARIOS[name].cost_under(self._rules) == 1 and not SCENARIOS[name].spawned
        ]
        batch = 0
        while names:
            batch += 1
            name = self._random.choice(names)
            found: list[Program] = []
            Writer(
                name=f"exploring {name} {batch}",
                features=SCENARIOS[name].features,
                rules=self._rules,
                steps=SCENARIOS[name].steps,
                count=BATCH,
                seed=self._seed,
            ).until_shown(found.append)
            yield from (program for program in found if is_legible(program, self._rules))
        while True:
            yield plainest(self._rules)

    def _keep(self, program: Program, new: frozenset[int]) -> None:
        """Keep what reached something new, as small as reaches it again, and sweep it then; no chance is followed."""
        began = self._clock.now()
        kept = Kept(program, new & self._reaches(program))
        seconds = self._clock.now() - began
        if not kept.reached:
            return
        if seconds > self._quick_seconds:
            self._feedback.forget(kept.reached)
            if kept.reached <= self._reached_slowly:
                return
            self._reached_slowly |= kept.reached
        else:
            steady = kept.reached
            kept = self._still_reaching(numbered(program), steady) or kept
            whole = self._clock.until
            self._clock.until = min(self._clock.now() + TRIM_SECONDS, whole)
            kept, _ = shrink(kept, parts, lambda candidate: self._still_reaching(candidate, steady), self._clock)
            self._clock.until = whole
            self._sweeps.append(sweeps(kept.program, self._rules))
        self._members.append(_Member(kept.program, seconds))
        if kept.program not in self._known:
            self._known.add(kept.program)
            self._feedback.keep(kept)

    def _still_reaching(self, program: Program, sought: frozenset[int]) -> Kept | None:
        return Kept(program, sought) if sought <= self._reaches(program) else None

    def _reaches(self, program: Program) -> frozenset[int]:
        """All that a program reaches; what is left of the one before is taken out first."""
        self._feedback.collect()
        played(program, self._executor, self._target, self._clock)
        return self._feedback.everything()
