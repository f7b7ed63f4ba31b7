"""A run of hours, in legs: each judges the relay anew by other programs, and meets the situations that are left.

Facts:
- the first leg is an ordinary run, which has a verdict for each requirement; the next ones go deeper;
- the state of a marathon is a file, written after each leg: one that is stopped goes on behind its last whole leg;
- when all combinations of three values have been met, a new round begins, in which the values are drawn anew;
- a requirement that has failed is not judged again; that of a marathon which went on is played first, to show it again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from .. import files
from ..counting import counted
from ..errors import UsageError
from ..generation.situations.dimensions import Situation, dimensions
from ..model.findings import Finding
from ..model.history import History
from ..model.program import Program
from ..model.requirements import Requirement
from .meeting import coverage, due
from .parallel import merge
from .plan import Observer, Plan
from .verdict import Counterexample, Meeting, Result, Verdict

LEG_SECONDS = 300.0
"""Seconds of a leg: what a marathon that is stopped has to do again, at most."""
LEGS_AT_LEAST = 4
LEAST_LEG_SECONDS = 60.0
LEG_SEED = 7_919
"""The distance between the seeds of two legs."""
EFFORT = 10
"""How many times the programs of an ordinary run each further leg plays for a requirement, if there is time."""

Judging = Callable[[Plan, Observer], list[Result]]
"""Judges a plan, on one relay or on several."""


class _Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A counterexample without its history."""

    program: Program
    findings: tuple[Finding, ...]
    failures: int
    runs: int
    served_before: str
    minimal: bool


class _Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one requirement, as the legs so far have it."""

    verdict: Verdict
    reason: str
    exercised: int
    evidence: dict[str, int]
    seconds: float
    shown: _Shown | None = None


class MarathonState(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How far a marathon has come: ``legs`` that took so many ``seconds``, and what they met and judged.

    ``of`` tells one marathon from another. ``situations`` are all that were played, by the places of their values; the
    present round began behind the first ``round_began``, and so many ``rounds`` were whole. ``kept`` are the programs
    that reached something new in the relay, where it told, ``explored`` those that were played for that.
    """

    format: Literal["torq-conformance marathon"] = "torq-conformance marathon"
    version: Literal[1] = 1
    of: dict[str, str]
    seed: int
    legs: int = 0
    seconds: float = 0.0
    rounds: int = 0
    round_began: int = 0
    situations: list[tuple[int, ...]] = msgspec.field(default_factory=list)
    evidence: dict[str, int] = msgspec.field(default_factory=dict)
    explored: int = 0
    kept: list[Program] = msgspec.field(default_factory=list)
    judged: dict[str, _Judged] = msgspec.field(default_factory=dict)


def opened(path: Path, plan: Plan, target: str) -> MarathonState:
    """The state of the marathon of a plan in a file, or a new one, which is written at once.

    Raises UsageError for a file of anything else, and where there can be none.
    """
    identity = {
        "target": target,
        "domain": plan.domain,
        "profile": f"{plan.profile.name} {_digest(plan.profile)}",
        "requirements": " ".join(each.id for each in plan.requirements),
        "situations": _digest(dimensions()),
    }
    advice = "name another file with --state, or remove this one"
    if not path.exists():
        new = MarathonState(of=identity, seed=plan.seed)
        _keep(new, path)
        return new
    try:
        state = msgspec.json.decode(path.read_bytes(), type=MarathonState)
    except OSError as error:
        raise UsageError(f"cannot read the state of a marathon {path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no state of a marathon of this suite ({error}); {advice}") from error
    for name, ours in identity.items():
        if (theirs := state.of.get(name, "")) != ours:
            raise UsageError(f"{path} is of another marathon: its {name} is {theirs!r}, not {ours!r}; {advice}")
    return state


def _digest(what: object) -> str:
    """Tells a profile, or the dimensions of another version of the suite, from others."""
    return hashlib.sha256(msgspec.json.encode(what)).hexdigest()[:12]


def _keep(state: MarathonState, path: Path) -> None:
    files.replace(path, msgspec.json.encode(state), advice="name another file with --state")


class Marathon:
    """Runs the legs of a plan that its time budget leaves, and tells ``observer`` at the end what all have judged."""

    def __init__(self, plan: Plan, state: MarathonState, path: Path, observer: Observer) -> None:
        self._plan = dataclasses.replace(plan, seed=state.seed)
        self._state = state
        self._path = path
        self._observer = observer
        self._results: dict[str, Result] = {}
        self._kept_before = tuple(state.kept)
        self._remembered: dict[str, tuple[Program, ...]] = dict(plan.remembered)
        asked = {each.id: each for each in plan.requirements}
        for name, judged in state.judged.items():
            self._results[name] = _result(asked[name], judged)
            if judged.shown is not None:
                self._remembered[name] = (judged.shown.program, *self._remembered.get(name, ()))
        self._shown_before = {name for name, result in self._results.items() if result.counterexample is not None}

    def run(self, judge: Judging) -> list[Result]:
        """Run the legs that are left; whatever ends them, what they have judged is told."""
        try:
            while (seconds := self._next_leg()) and (plan := self._plan_of_leg(seconds)).requirements:
                self._leg(plan, judge)
                if any(map(plan.ended_by, self._results.values())):
                    break
        finally:
            self._tell()
        return list(self._results.values())

    def _next_leg(self) -> float:
        """The seconds of the next leg; 0 where none is left. The last one is what is left, or half as long again."""
        left = self._plan.time_budget - self._state.seconds
        leg = max(min(LEG_SECONDS, self._plan.time_budget / LEGS_AT_LEAST), LEAST_LEG_SECONDS)
        if left < self._plan.time_budget / 100:
            return 0.0
        return left if left < leg * 1.5 else leg

    def _plan_of_leg(self, seconds: float) -> Plan:
        """What a leg judges: the requirements that have not failed, and those of which a stop took the history."""
        failed = {name for name, result in self._results.items() if result.counterexample is not None}
        first = not self.begun
        plan = dataclasses.replace(
            self._plan,
            requirements=[each for each in self._plan.requirements if each.id not in failed - self._shown_before],
            seed=self._plan.seed + self._state.legs * LEG_SEED,
            max_examples=self._plan.max_examples * (1 if first else EFFORT),
            depth=2 if first else self._plan.depth,
            time_budget=seconds,
            remembered=self._remembered,
            begun=tuple(map(Situation, self._state.situations[self._state.round_began :])),
            kept=self._kept_before,
        )
        self._kept_before = ()  # the run has them from now on
        if plan.begun and not due(plan):
            self._state.rounds += 1
            self._state.round_began = len(self._state.situations)
            plan = dataclasses.replace(plan, begun=())
        return plan

    def _leg(self, plan: Plan, judge: Judging) -> None:
        state, leg, started = self._state, _Leg(self._observer), time.monotonic()
        for result in judge(plan, leg):
            name = result.requirement.id
            before = self._results.get(name)
            if before is None or name in self._shown_before:
                self._results[name] = result if before is None else _shown_again(before, result)
            else:
                self._results[name] = merge([before, result])
        self._shown_before.clear()
        state.legs += 1
        state.seconds += time.monotonic() - started
        state.situations += [each.places for each in leg.meeting.played]
        state.evidence = dict(Counter(state.evidence) + leg.meeting.evidence)
        state.explored += leg.meeting.explored
        if plan.grey_box is not None:
            state.kept = list(dict.fromkeys((*state.kept, *plan.grey_box.kept())))
        state.judged = {name: _judged(result) for name, result in self._results.items()}
        _keep(state, self._path)
        self._observer.ended_leg(self.words, list(self._results.values()), self._meeting())

    @property
    def begun(self) -> bool:
        """Whether legs of it were run before."""
        return self._state.legs > 0

    @property
    def words(self) -> str:
        """How far it has come, in one line."""
        state = self._state
        met = coverage(self._plan, self._meeting())
        shares = f", 3-way {met.triples * 100 // met.triples_of} %" if met is not None else ""
        rounds = f", {counted(state.rounds, 'whole round')} of all triples" if state.rounds else ""
        failing = sum(result.counterexample is not None for result in self._results.values())
        return (
            f"{counted(state.legs, 'leg')} in {_duration(state.seconds)} of {_duration(self._plan.time_budget)}, "
            f"{counted(len(state.situations), 'situation')}{shares}{rounds}, "
            f"{counted(failing, 'requirement')} failing"
        )

    def _meeting(self) -> Meeting:
        state = self._state
        played = list(map(Situation, state.situations))
        return Meeting(played=played, evidence=Counter(state.evidence), explored=state.explored)

    def _tell(self) -> None:
        self._observer.has_met(self._meeting())
        for requirement in self._plan.requirements:
            if requirement.id in self._results:
                self._observer.finished(self._results[requirement.id])


class _Leg(Observer):
    """Hears one leg: what is known at its end is told at the end of the marathon."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.meeting = Meeting()

    def met(self, count: int, of: int) -> None:
        self._observer.met(count, of)

    def has_met(self, meeting: Meeting) -> None:
        self.meeting.join(meeting)

    def explored(self, count: int, kept: int) -> None:
        self._observer.explored(count, kept)

    def has_explored(self, meeting: Meeting) -> None:
        self.meeting.join(meeting)

    def started(self, requirement: Requirement) -> None:
        self._observer.started(requirement)

    def played(self, requirement: Requirement, count: int) -> None:
        self._observer.played(requirement, count)

    def failed(self, counterexample: Counterexample) -> None:
        self._observer.failed(counterexample)


def _shown_again(before: Result, now: Result) -> Result:
    """What is known of a failure of a leg before a stop: it shows again, or it is flaky."""
    result = merge([before, now])
    if now.counterexample is not None:
        result.counterexample = now.counterexample
    else:
        result.verdict, result.reason = Verdict.FLAKY, "it failed before the marathon was stopped, and not since"
    return result


def _judged(result: Result) -> _Judged:
    shown = result.counterexample
    return _Judged(
        verdict=result.verdict,
        reason=result.reason,
        exercised=result.exercised,
        evidence=dict(result.evidence),
        seconds=result.seconds,
        shown=None
        if shown is None
        else _Shown(
            program=shown.program,
            findings=tuple(shown.findings),
            failures=shown.failures,
            runs=shown.runs,
            served_before=shown.served_before,
            minimal=shown.minimal,
        ),
    )


def _result(requirement: Requirement, judged: _Judged) -> Result:
    shown = judged.shown
    return Result(
        requirement,
        judged.verdict,
        judged.reason,
        judged.exercised,
        Counter(judged.evidence),
        judged.seconds,
        None
        if shown is None
        else Counterexample(
            requirement.id,
            shown.program,
            list(shown.findings),
            History(),
            shown.failures,
            shown.runs,
            shown.served_before,
            shown.minimal,
        ),
    )


def _duration(seconds: float) -> str:
    """Such as ``7 h 59 min``, ``12 min``, ``40 s``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
