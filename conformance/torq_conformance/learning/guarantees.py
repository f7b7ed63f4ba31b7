"""The strongest guarantees that a relay gives its clients, and a minimal program for each that it does not.

A guarantee is what an application may build on, in the words of broadcast protocols; each rests on requirements of the
specification, which the runner judges under the profile that was learned.

Facts:
- a counterexample speaks against a guarantee by its kind: a frame that is lost when it is cut is a loss, whichever
  requirement brought it to light; a loss found on the way says nothing about the order of what does come;
- a relay that loses frames sent whole does not lose them for their cuts.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ..counting import counted
from ..judging.plan import Observer, Plan
from ..judging.runner import judge_all
from ..judging.verdict import Counterexample, Result, Verdict
from ..model.findings import Kind
from ..model.profile import Profile
from ..model.requirements import requirements
from ..play.target import Target
from ..reports.narrate import percent, upper_bound


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What an application may build on, the requirements that it rests on, and what speaks against it.

    A finding of ``kinds`` speaks against it where one of its requirements fails; a finding of ``anywhere`` always does.
    """

    name: str
    text: str
    requirements: tuple[str, ...]
    kinds: frozenset[Kind]
    anywhere: frozenset[Kind] = frozenset()


FEWEST_PROGRAMS = 5
"""Programs without which nothing is said to hold."""
LOSSES = frozenset({Kind.LOST, Kind.UNSERVED, Kind.CRASHED, Kind.STUCK, Kind.CLOSED})
ORDER = frozenset({Kind.REORDERED})
MIXING = frozenset({Kind.TORN, Kind.MIXED, Kind.LEAKED, Kind.ALTERED})

GUARANTEES: tuple[Guarantee, ...] = (
    Guarantee("no loss", "every frame reaches every client that had joined", ("FWD-1", "FWD-7"), LOSSES, LOSSES),
    Guarantee(
        "no duplicate", "no frame comes twice", ("FWD-2",), frozenset({Kind.DUPLICATED}), frozenset({Kind.DUPLICATED})
    ),
    Guarantee("unchanged", "frames come byte for byte as sent", ("FWD-3",), frozenset({Kind.ALTERED})),
    Guarantee("per-sender FIFO", "frames of one sender come in the order sent", ("ORD-1",), ORDER),
    Guarantee("causality", "an answer never comes before what it answers", ("ORD-3",), ORDER),
    Guarantee("total order", "all clients see all frames in one order", ("ORD-2",), ORDER),
    Guarantee(
        "frame granularity",
        "clients get whole frames, whatever the cuts",
        ("FRAME-1", "FRAME-2", "FRAME-3", "FRAME-4"),
        MIXING | LOSSES,
        frozenset({Kind.TORN, Kind.MIXED}),
    ),
    Guarantee("no replay", "a client gets nothing from before it joined", ("FWD-5",), frozenset({Kind.REPLAYED})),
    Guarantee("domain separation", "no frame of another domain comes", ("DOM-1",), frozenset({Kind.LEAKED})),
)


@dataclass(frozen=True, slots=True)
class Held:
    """Whether a guarantee holds (None: not known, for a ``reason``), on how many programs, and what speaks against it.

    ``requirement`` is the requirement whose programs showed ``against``.
    """

    guarantee: Guarantee
    holds: bool | None
    programs: int
    against: Counterexample | None = None
    requirement: str = ""
    reason: str = ""

    @property
    def bound(self) -> str:
        """The evidence in a few words: a bound where it holds, a rate where it does not."""
        if self.holds and self.programs:
            share = percent(upper_bound(self.programs))
            return f"0 of {counted(self.programs, 'program')} fail; below {share} with 95 % confidence"
        if self.against is None:
            return self.reason or "no program exercised it"
        steps = counted(len(self.against.program.steps), "step")
        if not self.against.failures:
            return f"a program of {steps} showed it once, {counted(self.against.runs, 'more run')} did not"
        return f"fails {self.against.failures} of {counted(self.against.runs, 'run')} of a program of {steps}"


def strongest_guarantees(
    target: Target, domain: str, profile: Profile, *, max_examples: int, seed: int, time_budget: float
) -> list[Held]:
    """Judge each guarantee under a learned profile. Raises TargetError when the relay cannot be reached."""
    known = requirements()
    names = [name for guarantee in GUARANTEES for name in guarantee.requirements]
    plan = Plan(
        domain=domain,
        profile=msgspec.structs.replace(
            profile, forwards=True, domain_filter=True, granularity="frames", not_promised={}
        ),
        requirements=[known[name] for name in known if name in names],
        max_examples=max_examples,
        seed=seed,
        time_budget=time_budget,
    )
    return held_by({result.requirement.id: result for result in judge_all(plan, target, Observer())})


def held_by(results: dict[str, Result]) -> list[Held]:
    """What the results of all their requirements say of the guarantees."""
    return [_held(guarantee, results) for guarantee in GUARANTEES]


def _held(guarantee: Guarantee, results: dict[str, Result]) -> Held:
    own = [results[name] for name in guarantee.requirements]
    programs = sum(result.exercised for result in own)
    for result in (*own, *results.values()):
        shown = result.counterexample
        if shown is not None and _speaks_against(guarantee, result, results):
            return Held(guarantee, False, programs, shown, result.requirement.id)
    failed = next((result for result in own if result.counterexample is not None), None)
    if failed is not None and failed.counterexample is not None:
        kinds = ", ".join(dict.fromkeys(finding.kind for finding in failed.counterexample.findings))
        return Held(guarantee, None, programs, reason=f"another fault comes first ({kinds})")
    if programs >= FEWEST_PROGRAMS and all(result.verdict is Verdict.PASS for result in own):
        return Held(guarantee, True, programs)
    return Held(
        guarantee, None, programs, reason=f"only {counted(programs, 'program')} exercised it" if programs else ""
    )


def _speaks_against(guarantee: Guarantee, result: Result, results: dict[str, Result]) -> bool:
    shown = result.counterexample
    kinds = guarantee.kinds if result.requirement.id in guarantee.requirements else guarantee.anywhere
    if guarantee.kinds > LOSSES and results["FWD-1"].counterexample is not None:
        kinds = kinds - LOSSES
    return shown is not None and any(finding.kind in kinds for finding in shown.findings)
