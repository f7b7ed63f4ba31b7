"""The first part of a run: the relay meets situations in which any two values come together.

Facts:
- a situation is about several requirements at once, so every oracle looks at it; what it shows is handed to the one
  requirement that it contradicts most plainly, which confirms it and makes it smaller;
- a requirement that a run was not asked about, or that the profile does not promise, fails nothing here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..errors import ImpededError
from ..generation.cells import features_of
from ..generation.search import Clock, OutOfTime
from ..generation.situations.compose import program_of
from ..generation.situations.coverage import Coverage, covered
from ..generation.situations.covering import situations
from ..generation.situations.dimensions import Situation
from ..model.findings import Finding, Kind
from ..model.history import History
from ..model.legality import Defect
from ..model.program import Program
from ..model.rules import Rules
from ..oracles.traffic import Oracle
from ..play.executor import Executor
from ..play.target import Target
from .plan import Observer, Plan
from .playing import played
from .scenarios import SCENARIOS
from .verdict import Counterexample, Meeting

SITUATIONS_OF_AN_EXAMPLE = 5
"""Situations that a run plays for each program that it plays of a requirement, at most."""
PLAINEST: dict[str, tuple[str, ...]] = {
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


def due(plan: Plan) -> dict[int, Situation]:
    """The situations of a plan, by place: those that are about its requirements, as many as its effort allows."""
    asked = {each.id for each in plan.requirements}
    fitting = {
        place: situation
        for place, situation in enumerate(situations(plan.rules, plan.depth, plan.seed))
        if asked.intersection(situation.about)
    }
    most = math.inf if plan.depth > 2 else SITUATIONS_OF_AN_EXAMPLE * plan.max_examples
    return {place: each for count, (place, each) in enumerate(fitting.items()) if count < most}


def meet(
    plan: Plan, target: Target, observer: Observer, clock: Clock, *, rules: Rules, part: int = 0, parts: int = 1
) -> Meeting:
    """Let a relay of some rules meet one part of the situations of a plan, as long as there is time."""
    meeting = Meeting()
    known = target.known_to(rules)
    executor = Executor(target, known)
    oracles = _oracles(plan)
    mine = list(due(plan).items())[part::parts]
    for place, situation in mine:
        program = program_of(situation, plan.rules, plan.seed)
        try:
            clock.check()
            served_before = target.served
            history = played(program, executor, target, clock)
        except OutOfTime:
            meeting.cut_short = "the time was over"
            break
        except ImpededError as lack:
            meeting.cut_short = str(lack)
            break
        meeting.played.add(place)
        meeting.evidence.update(features_of(program))
        observer.met(len(meeting.played), len(mine))
        for name in _contradicted(oracles, situation, program, history, known, plan):
            own = SCENARIOS[name].judge(history, known)
            shown = Counterexample(name, program, own, history, served_before=served_before)
            meeting.shown.setdefault(name, shown)
        if plan.first_failure_only and meeting.shown:
            break
    return meeting


def _oracles(plan: Plan) -> list[Oracle]:
    names = [each.id for each in plan.requirements if _judged(each.id, plan)]
    return list(dict.fromkeys(oracle for name in names for oracle in SCENARIOS[name].judges))


def _judged(name: str, plan: Plan) -> bool:
    asked = next((each for each in plan.requirements if each.id == name), None)
    return (
        asked is not None
        and name in SCENARIOS
        and name not in plan.profile.not_promised
        and asked.binds(plan.domain)
        and not SCENARIOS[name].spawned
        and not SCENARIOS[name].unfit_for(plan.rules)
    )


def _contradicted(
    oracles: list[Oracle], situation: Situation, program: Program, history: History, rules: Rules, plan: Plan
) -> Iterator[str]:
    """The requirements of the plan that a history contradicts: for each kind of contradiction the plainest one."""
    kinds: dict[str, Finding] = {}
    for oracle in oracles:
        for finding in oracle(history, rules):
            kinds.setdefault(finding.kind, finding)
    for kind, finding in kinds.items():
        plainest = PLAINEST.get(kind, ())
        if kind == Kind.LEAKED and (named := LEAKED.get(str(finding.facts.get("defect", "")))):
            plainest = (named,)
        for name in dict.fromkeys((*plainest, *situation.about, *SCENARIOS)):
            if name in SCENARIOS and _judged(name, plan):
                scenario = SCENARIOS[name]
                exercised = history.crash or scenario.exercised(program, history, rules)
                if exercised and any(each.kind == kind for each in scenario.judge(history, rules)):
                    yield name
                    break
