"""Plays a stored program again on relays A and B, and says whether they still differ in it as they did.

Facts:
- a replay script carries this module and all that it imports. None of them may import more than the standard library
  and the parts of msgspec that :mod:`~torq_conformance.replay.msgspec_stand_in` has;
- one difference hides others: where another one shows, nothing is known of the one that was recorded;
- where B differs, the copy of A plays the program too: what the copy shows as well is no difference of B.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from ..counting import counted
from ..errors import NotServingError, TargetError
from ..exits import Exit
from ..judging.replaying import require_playable
from ..judging.survey import survey
from ..model.frames import Raw
from ..model.history import History
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import Step, Write
from ..oracles.traffic import unserved
from ..play.executor import Executor
from ..play.target import Target
from .causes import class_of_raw
from .chance import CHANCE, chance
from .equivalence import Comparison, Difference, Signature


@dataclass(frozen=True, slots=True)
class Case:
    """A program in which two relays differed: the id and the signature of the difference, and how each plays it.

    ``a`` and ``b`` are the rules of the relays, by ``strictest`` every fault of a frame has a name. ``started``: both
    relays had been started by the suite; on others the steps that need a process do nothing.
    """

    id: str
    effect: str
    frames: str
    program: Program
    a: Rules
    b: Rules
    strictest: Rules
    started: bool = True


@dataclass(frozen=True, slots=True)
class Replayed:
    """One run on both relays: the difference that was looked for, if it showed, and the ids of others that did.

    ``in_copy`` says that the copy of A differs from A in the same way.
    """

    a: History
    b: History
    difference: Difference | None = None
    others: tuple[str, ...] = ()
    in_copy: bool = False


class Standing(Enum):
    """What is known of a difference after some runs, and the exit code that says so."""

    DIFFERENT = "DIFFERENT", Exit.FAIL
    FLAKY = "FLAKY", Exit.FAIL
    GONE = "GONE", Exit.PASS
    NOT_SHOWN = "NOT SHOWN", Exit.UNKNOWN
    NOISE = "NOISE", Exit.UNKNOWN
    HIDDEN = "HIDDEN", Exit.UNKNOWN

    @property
    def word(self) -> str:
        """What a command prints."""
        return self.value[0]

    @property
    def exit_code(self) -> Exit:
        """The exit code of a replay."""
        return self.value[1]


@dataclass(slots=True)
class Tally:
    """How often a difference showed in some runs. ``hidden`` runs showed others in its place, whose ids are kept.

    ``needed`` is how many runs without any difference prove it gone; None where no number does. ``in_copy`` counts the
    runs in which it shows on ``norm`` as well.
    """

    needed: int | None
    norm: str = "the copy of relay A"
    runs: int = 0
    shown: int = 0
    in_copy: int = 0
    hidden: int = 0
    others: dict[str, None] = field(default_factory=dict)

    def count(self, each: Replayed) -> None:
        """Take in one run."""
        self.add(shown=each.difference is not None, in_copy=each.in_copy)
        self.hidden += bool(each.others) and each.difference is None
        self.others |= dict.fromkeys(each.others)

    def add(self, *, shown: bool, in_copy: bool) -> None:
        """Take in one run in which nothing else can show."""
        self.runs += 1
        self.shown += shown
        self.in_copy += in_copy

    @property
    def standing(self) -> Standing:
        """What is known by now."""
        if self.in_copy and chance(self.shown, self.in_copy, self.runs) >= CHANCE:
            return Standing.NOISE
        if self.shown:
            return Standing.DIFFERENT if self.shown == self.runs else Standing.FLAKY
        if self.hidden:
            return Standing.HIDDEN
        return Standing.GONE if self.needed is not None and self.runs >= self.needed else Standing.NOT_SHOWN

    @property
    def words(self) -> str:
        """What is known by now, in words."""
        runs = counted(self.runs, "run")
        match self.standing:
            case Standing.DIFFERENT | Standing.FLAKY:
                return f"it shows in {self.shown} of {runs}, on {self.norm} in {self.in_copy}"
            case Standing.GONE:
                return f"relay B does as relay A in {self.runs} of {runs}"
            case Standing.NOISE:
                return f"it shows in {self.shown} of {runs}, but on {self.norm} in {self.in_copy}: that is chance"
            case Standing.HIDDEN:
                others = ", ".join(self.others)
                return (
                    f"it does not show, but another difference does in {self.hidden} of {runs} ({others}), which hides "
                    "it: compare the relays afresh"
                )
        if self.needed is None:
            return f"it does not show in {runs}, nor did it again when it was recorded: compare the relays afresh"
        return f"it does not show in {runs}; {self.needed} would prove that it is gone"


def replays_of(case: Case, a: Target, copy: Target, b: Target, runs: int, stack: ExitStack) -> Iterator[Replayed]:
    """Start the relays, whose end ``stack`` brings about, and play a program ``runs`` times, as :func:`replays`.

    Where relay B does not start, and the difference is that it crashes, this is its only run. Raises NotServingError
    for any other difference: nothing can be said of that.
    """
    stack.enter_context(a)
    stack.enter_context(copy)
    try:
        stack.enter_context(b)
    except NotServingError as error:
        if case.effect != "crashes":
            raise
        crash = Difference(Signature(case.effect), "it starts", error.what)
        yield Replayed(History(), History(crash=error.what), crash)
        return
    yield from replays(case, a, copy, b, runs)


def replays(case: Case, a: Target, copy: Target, b: Target, runs: int) -> Iterator[Replayed]:
    """Play a program ``runs`` times on both relays, and on the copy of A where they differ.

    Raises UsageError for steps that a target cannot play, TargetError where A does not play or serves nobody.
    """
    if case.started:
        for target in (a, b):
            require_playable(case.program, target)
    comparison = Comparison(case.strictest, case.a)
    arms = _Arm(a, case.a), _Arm(copy, case.a), _Arm(b, case.b, excused=True)
    looked_for = Signature(case.effect, case.frames)
    for _ in range(runs):
        in_a, in_b = arms[0].play(case.program), arms[2].play(case.program)
        found = {each.signature: each for each in comparison.differences(in_a, in_b)}
        if not found and any(unserved(in_a, arms[0].rules)):
            raise TargetError(
                f"{a.address} takes connections and serves none of them: nothing can be said of {case.id}; "
                "start relay A afresh"
            )
        noise: set[Signature] = set()
        if found:
            noise = {each.signature for each in comparison.differences(in_a, arms[1].play(case.program))}
        others = tuple(_id(each) for each in found if each not in noise and each != looked_for)
        yield Replayed(in_a, in_b, found.get(looked_for), others, looked_for in noise)
        if in_b.crash and not b.restartable:  # the suite cannot start it again
            return


def _id(signature: Signature) -> str:
    return f"{signature.effect}:{signature.frames}" if signature.frames else signature.effect


class _Arm:
    """A relay that plays programs by rules that are known, with the echo that it has now; B is ``excused`` to end."""

    def __init__(self, target: Target, rules: Rules, *, excused: bool = False) -> None:
        self._target = target
        self._excused = excused
        self.rules = target.known_to(survey(rules, target).fair(rules))
        self._executor = Executor(target, self.rules)

    def play(self, program: Program) -> History:
        try:
            history = self._executor.play(held_back(program, self.rules))
        except TargetError as error:
            if not self._excused:
                raise
            history = History(crash=error.what)
        history.crash = history.crash or self._target.crash()
        if history.crash and self._target.restartable:
            self._executor.restart(patient=True)
        return history


def held_back(program: Program, rules: Rules) -> Program:
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
