"""Plays a stored program again, and says what contradicts its requirement.

Facts: a replay script carries this module and all that it imports. None of them may import more than the standard
library and the parts of msgspec that :mod:`~torq_conformance.replay.msgspec_stand_in` has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import TargetError, UsageError
from ..model.findings import Finding
from ..model.history import History
from ..model.program import Program
from ..model.rules import Rules
from ..oracles.traffic import Oracle, unserved
from ..play.executor import Executor
from ..play.target import Target
from .survey import ECHO, survey


@dataclass(frozen=True, slots=True)
class Case:
    """A program and what it is judged by: the requirement that it is about, what the relay promises, the oracles.

    ``started``: the relay that it was found on had been started by the suite. On any other, the steps that need its
    process did nothing, and need do nothing again.
    """

    requirement: str
    program: Program
    rules: Rules
    oracles: tuple[Oracle, ...]
    started: bool = True


def replays(case: Case, target: Target, runs: int) -> Iterator[tuple[History, list[Finding]]]:
    """Play a program ``runs`` times: what each run showed, and what in it contradicts the requirement.

    Raises UsageError for steps that this target cannot play, TargetError when the relay serves nobody: that it shows
    no failure is no pass.
    """
    if case.started:
        require_playable(case.program, target)
    rules = case.rules if case.requirement == ECHO else survey(case.rules, target).fair(case.rules)
    rules = target.known_to(rules)
    executor = Executor(target, rules)
    for _ in range(runs):
        history = executor.play(case.program)
        findings = [finding for oracle in case.oracles for finding in oracle(history, rules)]
        if not findings and any(unserved(history, rules)):
            raise TargetError(
                f"{target.address} takes connections and serves none of them: nothing can be said of "
                f"{case.requirement}; start the relay afresh"
            )
        yield history, findings
        if history.crash:
            executor.restart(patient=False)


def require_playable(program: Program, target: Target) -> None:
    """Raises UsageError for the first step that needs the process of a relay which the suite has not started."""
    missing = {
        "sockets": "",
        "process": "" if target.restartable else "a relay that is started for it: give --exec 'CMD {socket}'",
        "restart": "" if target.revivable else "a relay that is started for it on a socket: give --exec 'CMD {socket}'",
    }
    missing["successor"] = missing["restart"] or (
        "" if target.replaceable else "a successor: give --exec-successor 'CMD {socket}'"
    )
    for place, step in program.placed():
        if missing[step.needs]:
            raise UsageError(f"step {place.position + 1} ({step.words(place)}) needs {missing[step.needs]}")
