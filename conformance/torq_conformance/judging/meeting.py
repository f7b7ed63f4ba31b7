"""The first part of a run: the relay meets situations in which any two values come together.

Facts:
- a situation is about several requirements at once, so every oracle looks at it; what it shows is handed to the one
  requirement that it contradicts most plainly, which confirms it and makes it smaller;
- a requirement that a run was not asked about, or that the profile does not promise, fails nothing here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..errors import ImpededError
from ..generation.cells import features_of
from ..generation.search import Clock, OutOfTime
from ..generation.situations.compose import program_of
from ..generation.situations.coverage import Coverage, covered
from ..generation.situations.covering import situations
from ..generation.situations.dimensions import Situation
from ..generation.situations.possible import Possible
from ..model.findings import Finding, Kind
from ..model.history import History
from ..model.legality import Defect
from ..model.program import Program
from ..model.rules import Rules
from ..play.executor import Executor
from ..play.target import Target
from .plan import Observer, Plan
from .playing import played
from .scenarios import SCENARIOS
from .verdict import Counterexample, Meeting

EXAMPLES_SQUARED = 25
"""A run plays one situation for so many of the square of its effort, at most: of pairs there are as many."""
PLAINEST: dict[str, tuple[str, ...]] = {
    Kind.CRASHED: ("FWD-1",),
    Kind.STUCK: ("FWD-1",),
    Kind.LOST: ("FWD-1",),
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
"""The requirement that a contradiction of a kind is plainly about, whatever the situation."""
LEAKED: dict[str, str] = {
    Defect.FOREIGN_DOMAIN.value[0]: "DOM-1",
    Defect.FOREIGN_TYPE.value[0]: "DOM-2",
    Defect.WRONG_CHECKSUM.value[0]: "VAL-1",
    Defect.MALFORMED_TLVS.value[0]: "VAL-3",
    Defect.VERSION.value[0]: "VAL-4",
    Defect.UNKNOWN_SOURCE.value[0]: "VAL-4",
    Defect.WRONG_SIZE.value[0]: "VAL-4",
}
"""The same for a frame that had to be refused, by its defect."""


def coverage(plan: Plan, meeting: Meeting) -> Coverage | None:
    """How much of what is possible a relay has met; None where it met nothing."""
    if not meeting.played:
        return None
    return covered(plan.rules, plan.depth, plan.seed, frozenset(meeting.played))


def due(plan: Plan) -> list[tuple[int, ...]]:
    """The situations of each program of a plan, by place: about its requirements, as many as its effort allows.

    Situations of the same great age share a program, the others have one each.
    """
    asked = {each.id for each in plan.requirements}
    every = situations(plan.rules, plan.depth, plan.seed)
    fitting = [place for place, situation in enumerate(every) if asked.intersection(situation.about)]
    if plan.depth == 2:
        fitting = fitting[: plan.max_examples**2 // EXAMPLES_SQUARED]
    old: dict[int, list[int]] = {}
    programs = []
    for place in fitting:
        if every[place]["age"].dear:
            old.setdefault(every[place]["age"].number, []).append(place)
        else:
            programs.append((place,))
    return [*programs, *(tuple(places) for places in old.values())]


class Encounter:
    """Lets a relay of some rules meet situations of a plan, as long as there is time."""

    def __init__(self, plan: Plan, target: Target, observer: Observer, clock: Clock, rules: Rules) -> None:
        self._plan, self._target, self._observer, self._clock = plan, target, observer, clock
        self._rules = target.known_to(rules)
        self._executor = Executor(target, self._rules)
        self._judged = {
            each.id: SCENARIOS[each.id]
            for each in plan.requirements
            if each.id in SCENARIOS
            and each.id not in plan.profile.not_promised
            and each.binds(plan.domain)
            and not SCENARIOS[each.id].spawned
            and not SCENARIOS[each.id].unfit_for(plan.rules)
        }
        self._oracles = list(dict.fromkeys(oracle for each in self._judged.values() for oracle in each.judges))
        self._possible = Possible(plan.rules)

    def meet(self, part: int, parts: int) -> Meeting:
        """What one part of the situations shows."""
        meeting = Meeting()
        mine, every = due(self._plan)[part::parts], situations(self._plan.rules, self._plan.depth, self._plan.seed)
        try:
            for count, places in enumerate(mine, start=1):
                self._meet([every[place] for place in places], meeting)
                meeting.played.update(places)
                self._observer.met(count, len(mine))
                if self._plan.first_failure_only and meeting.shown:
                    break
        except OutOfTime:
            meeting.cut_short = "the time was over"
        except ImpededError as lack:
            meeting.cut_short = str(lack)
        return meeting

    def _meet(self, members: list[Situation], meeting: Meeting) -> None:
        """Play the program of some situations; keep what it shows of requirements that nothing was shown of before."""
        program = program_of(members, self._plan.rules, self._plan.seed)
        served_before = self._target.served
        history = self._played(program)
        meeting.evidence.update(features_of(program))
        for name in list(self._contradicted(members, program, history)):
            if name not in meeting.shown:
                shown = Counterexample(name, program, self._judged[name].judge(history, self._rules), history)
                meeting.shown[name] = shown
                if len(members) == 1 and not self._plan.first_failure_only:
                    meeting.shown[name] = self._plainest(members[0], shown)
                meeting.shown[name].served_before = served_before

    def _played(self, program: Program) -> History:
        self._clock.check()
        return played(program, self._executor, self._target, self._clock)

    def _plainest(self, situation: Situation, best: Counterexample) -> Counterexample:
        """The same contradiction in a situation with as many plain values as still show it."""
        scenario = self._judged[best.requirement]
        kinds = {each.kind for each in best.findings}
        with contextlib.suppress(OutOfTime, ImpededError):
            candidates = self._possible.plainer(situation)
            while (plainer := next(candidates, None)) is not None:
                program = program_of([plainer], self._plan.rules, self._plan.seed)
                history = self._played(program)
                findings = scenario.judge(history, self._rules)
                exercised = history.crash or scenario.exercised(program, history, self._rules)
                if exercised and any(each.kind in kinds for each in findings):
                    best = Counterexample(best.requirement, program, findings, history)
                    candidates = self._possible.plainer(plainer)
        return best

    def _contradicted(self, members: list[Situation], program: Program, history: History) -> Iterator[str]:
        """The requirements that a history contradicts: for each kind of contradiction the plainest one."""
        kinds: dict[str, Finding] = {}
        for oracle in self._oracles:
            for finding in oracle(history, self._rules):
                kinds.setdefault(finding.kind, finding)
        about = [name for each in members for name in each.about]
        for kind, finding in kinds.items():
            plainest = PLAINEST.get(kind, ())
            if kind == Kind.LEAKED and (named := LEAKED.get(str(finding.facts.get("defect", "")))):
                plainest = (named,)
            for name in dict.fromkeys((*plainest, *about, *self._judged)):
                scenario = self._judged.get(name)
                if scenario is None or not (history.crash or scenario.exercised(program, history, self._rules)):
                    continue
                if any(each.kind == kind for each in scenario.judge(history, self._rules)):
                    yield name
                    break
