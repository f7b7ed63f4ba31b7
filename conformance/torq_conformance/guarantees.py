"""The strongest guarantees that a relay gives its clients, and a minimal program for each that it does not.

A guarantee is what an application may build on, in the words of broadcast protocols; each rests on requirements of the
specification, which the runner judges under the profile that was learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from .plan import Observer, Plan
from .profile import Profile
from .requirements import requirements
from .runner import judge_all
from .target import Target
from .verdict import Counterexample, Result, Verdict


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What an application may build on, and the requirements that it rests on."""

    name: str
    text: str
    requirements: tuple[str, ...]


GUARANTEES: tuple[Guarantee, ...] = (
    Guarantee("no loss", "every frame reaches every client that had joined", ("FWD-1",)),
    Guarantee("no duplicate", "no frame comes twice", ("FWD-2",)),
    Guarantee("unchanged", "frames come byte for byte as sent", ("FWD-3",)),
    Guarantee("per-sender FIFO", "frames of one sender come in the order sent", ("ORD-1",)),
    Guarantee("causality", "an answer never comes before what it answers", ("ORD-3",)),
    Guarantee("total order", "all clients see all frames in one order", ("ORD-2",)),
    Guarantee("frame granularity", "clients get whole frames, whatever the cuts", ("FRAME-1", "FRAME-3", "FRAME-4")),
    Guarantee("no replay", "a client gets nothing from before it joined", ("FWD-5",)),
    Guarantee("domain separation", "no frame of another domain comes", ("DOM-1",)),
)


@dataclass(frozen=True, slots=True)
class Held:
    """Whether a guarantee holds (None: not exercised), on how many programs, and what speaks against it."""

    guarantee: Guarantee
    holds: bool | None
    programs: int
    against: Counterexample | None = None
    requirement: str = ""
    rate: str = ""

    @property
    def bound(self) -> str:
        """The evidence in a few words: a bound where it holds, a rate where it does not."""
        if self.holds and self.programs:
            return f"0 of {self.programs} programs; below {300 / self.programs:.2f} % with 95 % confidence"
        if self.against is not None:
            return (
                f"fails {self.rate} runs of a program of {len(self.against.program.steps)} steps ({self.requirement})"
            )
        return "no program exercised it"


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
    results = {result.requirement.id: result for result in judge_all(plan, target, Observer())}
    return [_held(guarantee, [results[name] for name in guarantee.requirements]) for guarantee in GUARANTEES]


def _held(guarantee: Guarantee, results: list[Result]) -> Held:
    failed = next((result for result in results if result.counterexample is not None), None)
    programs = sum(result.exercised for result in results)
    if failed is not None and failed.counterexample is not None:
        shown = failed.counterexample
        rate = f"{shown.failures} of {shown.runs}"
        return Held(guarantee, False, programs, shown, failed.requirement.id, rate)
    if all(result.verdict is Verdict.PASS for result in results):
        return Held(guarantee, True, programs)
    return Held(guarantee, None, programs)
