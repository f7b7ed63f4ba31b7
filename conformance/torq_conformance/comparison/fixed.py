"""The fixed checks of a run, played on A and on B: starting, stopping, limits, resources, permissions.

Facts:
- what a check finds on both relays is no difference, whatever the requirement says; what it finds on one is one for
  each kind;
- what repeats on B and never shows on A is a difference, and what does not repeat is FLAKY; what A shows now and then
  is none;
- A and B are checked at the same time. A check begins where there is time for it, the shortest first, and is cut
  short at the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from ..checks import CHECKS, EXTRA_CHECKS
from ..errors import UsageError
from ..judging.plan import Plan
from ..judging.runner import CHECK_COST, LONG_CHECKS, NO_TIME_TO_CHECK, look_by_check
from ..judging.verdict import Result, Verdict
from ..model.findings import Finding, Kind
from ..model.profile import Profile
from ..model.requirements import requirements
from ..model.rules import Domain
from ..play.limit import Limit
from ..play.target import Target
from .found import OUT_OF_TIME
from .together import together

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
        in_a, in_b, skipped = self._findings(name)
        if skipped:
            raise UsageError(f"{label(name)} cannot be played on these relays: {skipped}")
        return set(in_a), set(in_b)

    def _compared(self, name: str) -> CheckResult:
        result = CheckResult(name)
        began = time.monotonic()
        slower = max(1.0, self._taken / self._reckoned) if self._reckoned else 1.0  # than where the costs were measured
        if began + cost(name) * slower > self._until:
            result.skipped = OUT_OF_TIME
            return result
        in_a, in_b, result.skipped = self._findings(name)
        each = time.monotonic() - began
        kinds = in_a.keys() ^ in_b.keys()
        if not kinds:
            self._taken += each
            self._reckoned += cost(name)
        if result.skipped or not kinds:
            return result
        seen_a, seen_b = [in_a], [in_b]
        while len(seen_a) < RUNS and time.monotonic() + each < self._until:
            if len(seen_a) > 1 and time.monotonic() + each > began + MOST_SECONDS:
                break
            again_a, again_b, cut_short = self._findings(name)
            if cut_short:
                break
            seen_a.append(again_a)
            seen_b.append(again_b)
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

    def _findings(self, name: str) -> tuple[dict[str, Finding], dict[str, Finding], str]:
        """The first finding of each kind on A and on B, and why the check was not played to its end; "" if it was."""
        check, limit = CHECKS.get(name) or EXTRA_CHECKS[name], Limit(self._until)

        def looked(target: Target) -> Result:
            return look_by_check(requirements()[name], check, self._plan, target, limit)

        of_both = together([partial(looked, self._a), partial(looked, self._b)], limit.expire)
        unplayed = (each.reason for each in of_both if each.verdict in (Verdict.UNSUPPORTED, Verdict.UNKNOWN))
        why = next(unplayed, "")
        in_a, in_b = map(_first_of_each_kind, of_both)
        return in_a, in_b, OUT_OF_TIME if why == NO_TIME_TO_CHECK else why


def _first_of_each_kind(looked: Result) -> dict[str, Finding]:
    findings = looked.counterexample.findings if looked.counterexample else ()
    return {finding.kind: finding for finding in reversed(findings)}
