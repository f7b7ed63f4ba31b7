"""The relays of a comparison: each ready to play programs, with what probing told about it."""

from __future__ import annotations

import msgspec

from ..generation.search import Clock
from ..judging.playing import played
from ..learning.probing import probe_basics, probe_filters
from ..model.frames import Raw
from ..model.history import History
from ..model.profile import Profile, rules_for
from ..model.program import Program
from ..model.rules import Domain, Rules
from ..model.steps import Step, Write
from ..play.executor import Executor
from ..play.target import Target
from .equivalence import class_of_raw

FILTERS = ("domain_filter", "type_filter", "checksum", "check_tlvs", "strict")


class Arm:
    """One relay of a comparison, ready to play programs."""

    def __init__(self, target: Target, domain: Domain) -> None:
        self._target = target
        basics = probe_basics(target, domain)
        if basics.value("forwards", True):
            probe_filters(basics)
        self.filters = {name for name in FILTERS if basics.value(name, False)}
        self.rules = basics.seen
        self._executor = Executor(target, self.rules)

    def play(self, program: Program, clock: Clock) -> History:
        """One run of a program; a relay that died is started again. Raises OutOfTime and TargetError."""
        return played(_held_back(program, self.rules), self._executor, self._target, clock, patient=True)

    def refresh(self) -> None:
        """A fresh relay, where the target can give one."""
        self._executor.restart(patient=True)


def refused_by_either(domain: Domain, *arms: Arm) -> Rules:
    """Rules under which a frame is faulty if the specification, or either relay, refuses it."""
    rules = rules_for(Profile(name="reference"), domain)
    looked_at = {name: True for arm in arms for name in arm.filters}
    return msgspec.structs.replace(rules, **looked_at)


def _held_back(program: Program, rules: Rules) -> Program:
    """The same bytes, but a client that ends inside a frame counts as unfinished, and writes no fence."""
    steps: list[Step] = []
    for step in program.steps:
        if isinstance(step, Write) and step.stop is None and step.items:
            last = step.items[-1]
            if (
                isinstance(last, Raw)
                and class_of_raw(bytes.fromhex(last.bytes), rules.max_message_size) == "incomplete"
            ):
                step = msgspec.structs.replace(step, items=(*step.items, Raw("00")), stop=step.size)
        steps.append(step)
    return Program(program.domain, tuple(steps))
