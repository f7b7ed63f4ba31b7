"""The fixed checks of a run, played on A and on B: starting, stopping, limits, resources, permissions.

Facts:
- what a check finds on both relays is no difference, whatever the requirement says; what it finds on one is one for
  each kind;
- what repeats on B and never shows on A is a difference, and what does not repeat is FLAKY; what A shows now and then
  is none;
- a check that has begun is not cut short: it begins only where there is time for it, the shortest first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..checks import CHECKS, EXTRA_CHECKS
from ..errors import UsageError
from ..judging.plan import Plan
from ..judging.runner import CHECK_COST, LONG_CHECKS, look_by_check
from ..judging.verdict import Verdict
from ..model.findings import Finding, Kind
from ..model.profile import Profile
from ..model.requirements import requirements
from ..model.rules import Domain
from ..play.target import Target
from .found import OUT_OF_TIME

RUNS = 3
"""How often a check is played on both relays that has found something on one of them."""
MOST_SECONDS = 6.0
"""Seconds from which on such a check is played twice only."""


@dataclass(slots=True)
class CheckDifference:
    """What a check found on one relay alone, with how often it did so on B and on A."""

    requirement: str
    kind: str
    in_a: str
    in_b: str
    of_b: int = 0
    of_a: int = 0
    runs: int = 0

    @property
    def id(self) -> str:
        """The name for the file of accepted differences, such as ``breaks:LIFE-1-status``."""
        return f"{self.effect}:{cause(self.requirement, self.kind)}"

    @property
    def effect(self) -> str:
        """Whether it is B that does not keep the requirement, or A."""
        return "breaks" if self.of_b > self.of_a else "honours"

    @property
    def flaky(self) -> bool:
        """Whether it did not repeat."""
        return max(self.of_a, self.of_b) < self.runs


def cause(requirement: str, kind: str) -> str:
    """A requirement and what is wrong, as ids have it."""
    return f"{requirement}-{kind.replace(' ', '-')}"


def label(requirement: str) -> str:
    """The name of the check of a requirement among all that is compared."""
    return f"{requirement} (fixed check)"


def check_of(identifier: str) -> str:
    """The label of the check whose difference has an id; "" where programs show it."""
    effect, _, named = identifier.partition(":")
    return label("-".join(named.split("-")[:2])) if effect in ("breaks", "honours") else ""


def known_causes() -> set[str]:
    """Every cause that a difference of a check may have."""
    return {cause(name, kind) for name in (*CHECKS, *EXTRA_CHECKS) for kind in Kind}


@dataclass(slots=True)
class CheckResult:
    """What one check showed: differences, or why it was not played."""

    requirement: str
    found: list[CheckDifference] = field(default_factory=list)
    skipped: str = ""
    noise: bool = False


def checks_of(domain: Domain) -> list[str]:
    """The requirements of a domain with a fixed check, the shortest first."""
    bound = requirements()
    names = [name for name in (*CHECKS, *EXTRA_CHECKS) if bound[name].binds(domain)]
    return sorted(names, key=cost)


def cost(name: str) -> float:
    """Seconds that a check takes on a right relay."""
    return LONG_CHECKS.get(name, CHECK_COST)


class FixedChecks:
    """Plays the checks on A and on B, both started here, under what A was seen to promise."""

    def __init__(self, a: Target, b: Target, domain: Domain, profile: Profile, until: float) -> None:
        self._a, self._b, self._until = a, b, until
        self._reckoned = self._taken = 0.0
        left = until - time.monotonic()
        self._plan = Plan(domain=domain, profile=profile, requirements=[], max_examples=0, seed=0, time_budget=left)

    def run(self, names: Iterable[str]) -> Iterator[CheckResult]:
        """The result of the check of each requirement, as soon as it is known."""
        yield from map(self._compared, names)

    def once(self, name: str) -> tuple[set[str], set[str]]:
        """The kinds of what one run of a check finds on A and on B. Raises UsageError where it cannot be played."""
        result = CheckResult(name)
        in_a, in_b = self._findings(name, self._a, result), self._findings(name, self._b, result)
        if result.skipped:
            raise UsageError(f"{label(name)} cannot be played on these relays: {result.skipped}")
        return set(in_a), set(in_b)

    def _compared(self, name: str) -> CheckResult:
        result = CheckResult(name)
        began = time.monotonic()
        slower = max(1.0, self._taken / self._reckoned) if self._reckoned else 1.0  # than where the costs were measured
        if began + 2 * cost(name) * slower > self._until:
            result.skipped = OUT_OF_TIME
            return result
        in_a, in_b = self._findings(name, self._a, result), self._findings(name, self._b, result)
        each = time.monotonic() - began
        kinds = in_a.keys() ^ in_b.keys()
        if not kinds:
            self._taken += each
            self._reckoned += 2 * cost(name)
        if result.skipped or not kinds:
            return result
        seen_a, seen_b = [in_a], [in_b]
        while len(seen_a) < RUNS and time.monotonic() + each < self._until:
            if len(seen_a) > 1 and time.monotonic() + each > began + MOST_SECONDS:
                break
            seen_a.append(self._findings(name, self._a, result))
            seen_b.append(self._findings(name, self._b, result))
        result.skipped = ""
        for kind in kinds:
            of_a, of_b = (sum(kind in each for each in seen) for seen in (seen_a, seen_b))
            if of_a and of_b:
                result.noise = True
                continue
            seen = in_a.get(kind) or in_b[kind]
            words = f"expected {seen.expected}; seen: {seen.seen}"
            kept = "it keeps the requirement"
            result.found.append(
                CheckDifference(name, kind, words if of_a else kept, words if of_b else kept, of_b, of_a, len(seen_a))
            )
        return result

    def _findings(self, name: str, target: Target, result: CheckResult) -> dict[str, Finding]:
        """The first finding of each kind; none where the check cannot be played."""
        check = CHECKS.get(name) or EXTRA_CHECKS[name]
        looked = look_by_check(requirements()[name], check, self._plan, target)
        if looked.verdict in (Verdict.UNSUPPORTED, Verdict.UNKNOWN):
            result.skipped = looked.reason
        found: dict[str, Finding] = {}
        for finding in looked.counterexample.findings if looked.counterexample else ():
            found.setdefault(finding.kind, finding)
        return found
