"""What a run does, and who is told how it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..model.profile import Profile, rules_for
from ..model.program import Program
from ..model.requirements import Requirement
from ..model.rules import Rules
from .verdict import Counterexample, Result

CONFIRM_SECONDS = 2.0
SHRINK_SECONDS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The domain and profile that a run judges by, and how much it may cost.

    ``time_budget`` seconds are for the whole run and go to generating programs, but for what each failure gets:
    ``confirm_seconds`` for playing it again, once when it is found and once when it has been shrunk, and
    ``shrink_seconds`` for taking away what it does not need. ``first_failure_only`` leaves a failure as it was first
    seen. ``remembered`` are programs by requirement that failed in other runs: they are played before new ones.
    ``rules`` is the profile made definite for the domain.
    """

    domain: str
    profile: Profile
    requirements: Sequence[Requirement]
    max_examples: int
    seed: int
    time_budget: float
    confirm_seconds: float = CONFIRM_SECONDS
    shrink_seconds: float = SHRINK_SECONDS
    first_failure_only: bool = False
    remembered: Mapping[str, tuple[Program, ...]] = field(default_factory=dict)
    rules: Rules = field(init=False)

    def __post_init__(self) -> None:
        rules = rules_for(self.profile, self.domain)
        object.__setattr__(self, "rules", rules)


class Observer:
    """Is told how a run goes. The methods do nothing; a progress display overrides what it shows."""

    def started(self, requirement: Requirement) -> None:
        """A requirement is about to be judged."""

    def played(self, requirement: Requirement, count: int) -> None:
        """One more program was played."""

    def failed(self, counterexample: Counterexample) -> None:
        """A failing program was found, or a smaller one."""

    def finished(self, result: Result) -> None:
        """A requirement has its verdict."""
