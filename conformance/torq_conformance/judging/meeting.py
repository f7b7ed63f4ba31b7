"""The first part of a run: the relay meets situations in which any two values come together.

Facts:
- a situation is about several requirements at once, so every oracle looks at it; what it shows is handed to the one
  requirement that it contradicts most plainly, which confirms it and makes it smaller;
- a requirement that a run was not asked about, or that the profile does not promise, fails nothing here.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from ..errors import ImpededError
from ..generation.cells import features_of
from ..generation.search import Clock, OutOfTime
from ..generation.situations.compose import program_of
from ..generation.situations.coverage import Coverage, covered
from ..generation.situations.covering import Situations, situations
from ..generation.situations.dimensions import Situation
from ..generation.situations.possible import FRAMING_ERRORS
from ..model.findings import Finding, Kind
from ..model.history import History
from ..model.legality import Defect
from ..model.program import Program
from ..model.requirements import requirements
from ..model.rules import Rules
from ..play.executor import Executor
from ..play.target import Target
from .plan import LEAST_EFFORT, Observer, Plan
from .playing import played
from .scenarios import SCENARIOS
from .survey import ECHO
from .verdict import Counterexample, Meeting

EXAMPLES_SQUARED = 16
"""A run plays one situation for so many of the square of its effort, at most: of pairs there are as many."""
BLOCK = 600
"""Situations that are sorted together: about those in which any two values come together."""
MOST_A_SECOND = 100
"""Situations that are played in each second of a deep run, at most: no more are written."""
OLD_AMONG_CLIENTS = 2
"""Situations of great age come behind those of so many clients."""
MOST_SOUGHT = 6
"""Contradictions of one kind that are made plain to see whose they are, at most, on one relay."""
FAILING_SECONDS = 2.0
"""Seconds that situations may take which fail: a relay that fails in so many is slow to judge, and known enough."""
PLAIN_SECONDS = 2.0
"""Seconds for making one contradiction plain."""
PLAINEST: dict[str, tuple[str, ...]] = {
    Kind.CRASHED: ("FWD-1",),
    Kind.STUCK: ("FWD-1",),
    Kind.LOST: ("FWD-1", "FWD-4"),
    Kind.HELD_BACK: ("FWD-1",),
    Kind.UNSERVED: ("FWD-1",),
    Kind.DUPLICATED: ("FWD-2",),
    Kind.MIXED: ("FRAME-3",),
    Kind.ECHOED: ("FWD-4",),
    Kind.REPLAYED: ("FWD-5",),
    Kind.REORDERED: ("ORD-1", "ORD-2", "ORD-3"),
    Kind.KEPT: ("VAL-5",),
    Kind.DELAYED: ("ISO-1",),
    Kind.UNBOUNDED: ("ISO-2",),
    Kind.DROPPED: ("ISO-3",),
}
"""The requirement that a contradiction of a kind is plainly about, whatever the situation.

A frame that was lost on its way back to its sender alone is no matter of FWD-1.
"""
OF_EVERY_FRAME = ("FWD-3", "FWD-1")
"""Requirements that bind every valid frame, in whatever situation."""
LEAKED: dict[str, str] = {
    Defect.FOREIGN_DOMAIN.value[0]: "DOM-1",
    Defect.FOREIGN_TYPE.value[0]: "DOM-2",
    Defect.WRONG_CHECKSUM.value[0]: "VAL-1",
    Defect.MALFORMED_TLVS.value[0]: "VAL-3",
    Defect.VERSION.value[0]: "VAL-4",
    Defect.UNKNOWN_SOURCE.value[0]: "VAL-4",
    Defect.WRONG_SIZE.value[0]: "VAL-4",
    Defect.OVERSIZE.value[0]: "VAL-5",
    Defect.WRONG_CLAIM.value[0]: "VAL-5",
}
"""The same for a frame that had to be refused, by its defect."""


class _Seen(NamedTuple):
    """What the program of some situations has shown: the first contradiction of each kind."""

    members: Sequence[Situation]
    program: Program
    history: History
    kinds: dict[str, Finding]


def chosen(plan: Plan) -> Situations:
    """All situations of a plan, whatever it was asked about."""
    return situations(plan.rules, frozenset(plan.profile.not_promised), plan.depth, plan.seed, plan.begun)


def coverage(plan: Plan, meeting: Meeting) -> Coverage | None:
    """How much of what is possible a relay has met; None where it met nothing."""
    return covered(chosen(plan).possible, tuple(meeting.played), meeting.cut_short) if meeting.played else None


def due(plan: Plan) -> list[tuple[Situation, ...]]:
    """The situations of each program of a plan: about its requirements, as many as its effort allows.

    Situations of the same great age share a program, unless they end its stream; the others have one each. Of the first
    hundreds, and of the next, those of few clients come first: they show soonest what shows everywhere. Those of great
    age, which cost little each, come behind those of two clients.
    """
    asked = {each.id for each in plan.requirements}
    fitting: Iterable[Situation] = (each for each in chosen(plan) if asked.intersection(each.about))
    effort = plan.max_examples if plan.max_examples >= LEAST_EFFORT else 0
    most = effort**2 // EXAMPLES_SQUARED if plan.depth == 2 else math.ceil(plan.time_budget * MOST_A_SECOND)
    old: dict[int, list[Situation]] = {}
    programs: list[tuple[int, float, tuple[Situation, ...]]] = []
    for number, situation in enumerate(islice(fitting, most)):
        if situation["age"].dear and situation["defect"].name not in FRAMING_ERRORS:
            old.setdefault(situation["age"].number, []).append(situation)
        else:
            clients = situation["connections"].number if not situation["age"].dear else OLD_AMONG_CLIENTS + 1
            programs.append((number // BLOCK, clients, (situation,)))
    programs += [(0, OLD_AMONG_CLIENTS, tuple(old[age])) for age in sorted(old)]
    programs.sort(key=lambda each: each[:2])
    return [members for _, _, members in programs]


class Encounter:
    """Lets a relay of some rules meet situations of a plan, as long as there is time."""

    def __init__(self, plan: Plan, target: Target, clock: Clock, rules: Rules) -> None:
        self._plan, self._target, self._clock = plan, target, clock
        self._rules = target.known_to(rules)
        self._executor = Executor(target, self._rules)
        promised = (each for each in requirements().values() if each.binds(plan.domain))
        self._scenarios = {
            each.id: SCENARIOS[each.id]
            for each in promised
            if each.id in SCENARIOS
            and each.id not in plan.profile.not_promised
            and not SCENARIOS[each.id].spawned
            and not SCENARIOS[each.id].unfit_for(plan.rules)
        }
        self._asked = {each.id for each in plan.requirements if each.id in self._scenarios}
        self._oracles = list(dict.fromkeys(oracle for name in self._asked for oracle in self._scenarios[name].judges))
        self._possible = chosen(plan).possible
        self._sought: Counter[str] = Counter()

    @property
    def about(self) -> list[str]:
        """The requirements that a program may fail, in their order."""
        return [name for name in self._scenarios if name in self._asked]

    def has_shown_enough(self, meeting: Meeting) -> bool:
        """Whether no further program has to be played."""
        return meeting.shown.keys() >= self._asked or (self._plan.first_failure_only and bool(meeting.shown))

    def meet(self, programs: Sequence[Sequence[Situation]], observer: Observer) -> Meeting:
        """What the situations of some programs show."""
        meeting, failing = Meeting(), 0.0
        try:
            for count, members in enumerate(programs, start=1):
                started = self._clock.now()
                if self._meet(members, meeting):
                    failing += self._clock.now() - started
                meeting.played += members
                observer.met(count, len(programs))
                if self.has_shown_enough(meeting):
                    break
                if meeting.shown.keys() & self._plan.ends_at:
                    meeting.cut_short = "it failed"
                    break
                if failing > FAILING_SECONDS:
                    meeting.cut_short = "it failed in too many situations"
                    break
        except OutOfTime:
            meeting.cut_short = "the time was over"
        except ImpededError as lack:
            meeting.cut_short = str(lack)
        return meeting

    def _meet(self, members: Sequence[Situation], meeting: Meeting) -> bool:
        """Play the program of some situations; keep what it shows. Whether it showed anything."""
        return self.look(program_of(members, self._plan.rules, self._plan.seed), meeting, members)

    def look(self, program: Program, meeting: Meeting, members: Sequence[Situation] = ()) -> bool:
        """Play a program; keep what it shows of requirements that nothing was shown of before.

        Whether it showed anything. ``members`` are the situations that it is the program of.
        """
        served_before = self._target.served
        seen = self._seen(program, members)
        meeting.evidence.update(features_of(seen.program))
        for kind in seen.kinds:
            plainly = self._plainly(seen, kind)
            if plainly in self._asked:
                if plainly in meeting.shown:
                    continue
            elif self._sought[kind] == MOST_SOUGHT:
                continue
            else:
                self._sought[kind] += 1
            known = plainly in self._asked and self._plan.first_failure_only
            plainest = seen if known else self._plainest(seen, kind)
            name = self._contradicted(plainest, kind)
            if name in self._asked and name not in meeting.shown:
                findings = self._scenarios[name].judge(plainest.history, self._rules)
                meeting.shown[name] = Counterexample(
                    name, plainest.program, findings, plainest.history, served_before=served_before
                )
        return bool(seen.kinds)

    def _seen(self, program: Program, members: Sequence[Situation]) -> _Seen:
        """What a program shows. Raises OutOfTime and ImpededError."""
        self._clock.check()
        feedback = self._plan.feedback if members else None  # who explores asks for it
        history = played(program, self._executor, self._target, self._clock, feedback=feedback)
        kinds: dict[str, Finding] = {}
        for oracle in () if self._plan.excuses(history) else self._oracles:
            for finding in oracle(history, self._rules):
                kinds.setdefault(finding.kind, finding)
        return _Seen(members, program, history, kinds)

    def _plainest(self, seen: _Seen, kind: str) -> _Seen:
        """The same kind of contradiction in a situation with as many plain values as still show it, found in time."""
        if len(seen.members) != 1:
            return seen
        end = self._clock.now() + PLAIN_SECONDS
        with contextlib.suppress(OutOfTime, ImpededError):
            candidates = self._possible.plainer(seen.members[0])
            while self._clock.now() < end and (plainer := next(candidates, None)) is not None:
                again = self._seen(program_of([plainer], self._plan.rules, self._plan.seed), [plainer])
                if kind in again.kinds:
                    seen, candidates = again, self._possible.plainer(plainer)
        return seen

    def _plainly(self, seen: _Seen, kind: str) -> str | None:
        """The requirement that a contradiction of a kind is about whatever the situation, where there is one."""
        named = LEAKED.get(str(seen.kinds[kind].facts.get("defect", ""))) if kind == Kind.LEAKED else None
        names = (named,) if named else PLAINEST.get(kind, ())
        return next((name for name in names if self._contradicts(seen, kind, name, plainly=True)), None)

    def _contradicted(self, seen: _Seen, kind: str) -> str | None:
        """The requirement that a contradiction is most plainly about, be the run asked about it or not.

        It is one that the situation is about, unless its control fails too, or else one that is about every frame.
        Where a run was not asked about the plainest one, only a control shows that it is about another one too.
        """
        plainly = self._plainly(seen, kind)
        if plainly in self._asked:
            return plainly
        about = (name for each in seen.members for name in each.about)
        names = (name for name in dict.fromkeys((*about, *OF_EVERY_FRAME)) if self._contradicts(seen, kind, name))
        if plainly is not None:
            names = (name for name in names if self._scenarios[name].control is not None)
        return next((name for name in names if not self._control_fails(seen, kind, name)), None)

    def _control_fails(self, seen: _Seen, kind: str, name: str) -> bool:
        """Whether the same program without what a requirement is about fails too."""
        scenario = self._scenarios[name]
        if scenario.control is None or kind in scenario.own:
            return False
        with contextlib.suppress(OutOfTime, ImpededError):
            history = played(scenario.control(seen.program), self._executor, self._target, self._clock)
            return bool(scenario.judge(history, self._rules))
        return False

    def _contradicts(self, seen: _Seen, kind: str, name: str, *, plainly: bool = False) -> bool:
        """Whether a history contradicts one requirement that the relay promises, in some way.

        ``plainly`` says that what a sender gets back of its own is about echo alone, where others got it.
        """
        scenario = self._scenarios.get(name)
        if scenario is None or not (seen.history.crash or scenario.exercised(seen.program, seen.history, self._rules)):
            return False
        alone = sum(peer.joined is not None for peer in seen.history.peers.values()) == 1
        echo = self._rules.echo and (not plainly or alone or name == ECHO)
        rules = msgspec.structs.replace(self._rules, echo=echo)
        return any(each.kind == kind for each in scenario.judge(seen.history, rules))
