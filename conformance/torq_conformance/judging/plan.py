"""What a run does, and the observer that hears how it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..generation.situations.dimensions import Situation
from ..grey_box.feedback import Feedback, GreyBox
from ..model.history import History
from ..model.profile import Profile, rules_for
from ..model.program import Program
from ..model.requirements import Requirement
from ..model.rules import Rules
from .verdict import Counterexample, Meeting, Result

CONFIRM_SECONDS = 2.0
SHRINK_SECONDS = 4.0
LEAST_EFFORT = 20
"""Programs for each requirement below which a run plays none that are about no requirement: it is a glance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The domain and profile that a run judges by, and how much it may cost.

    The run ends after ``time_budget`` seconds. Within them each failure gets, once every requirement is tried, at most
    ``confirm_seconds`` to play it again, the same when it has been shrunk, and ``shrink_seconds`` to shrink it.
    ``first_failure_only`` keeps a failure as it was first seen. ``remembered`` are the programs of each requirement
    that failed in other runs: the run plays them before new ones. ``shown`` is what the situations of this run have
    shown of each requirement; of them any ``depth`` values come together, beside those that were ``begun`` with.
    The run ends with the first failure of a requirement that is named in ``ends_at``. ``grey_box`` is how the relay
    tells what it reaches, if it does; ``kept`` are programs that an earlier part of the run has kept for that.
    ``rules`` are those of the profile for the domain.
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
    shown: Mapping[str, Counterexample] = field(default_factory=dict)
    depth: int = 2
    begun: tuple[Situation, ...] = ()
    grey_box: GreyBox | None = None
    kept: tuple[Program, ...] = ()
    ends_at: frozenset[str] = frozenset()
    rules: Rules = field(init=False)

    def __post_init__(self) -> None:
        rules = rules_for(self.profile, self.domain)
        object.__setattr__(self, "rules", rules)

    @property
    def environment(self) -> Mapping[str, str]:
        """What the environment of a relay that this process starts has besides."""
        return self.grey_box.environment() if self.grey_box is not None else {}

    @property
    def explores(self) -> bool:
        """Whether programs are played for what they reach in the relay."""
        return self.grey_box is not None and self.grey_box.guides and self.max_examples >= LEAST_EFFORT

    @property
    def feedback(self) -> Feedback | None:
        """What tells this process what each program reaches, where the relay does."""
        return self.grey_box.feedback() if self.grey_box is not None and self.grey_box.guides else None

    def ended_by(self, result: Result) -> bool:
        """Whether the run ends with a result."""
        return result.counterexample is not None and result.requirement.id in self.ends_at

    def excuses(self, history: History) -> bool:
        """Whether a history shows only what the profile does not promise.

        A relay that loses what follows a read which ends within a frame (FRAME-2) ends in torn streams by any traffic.
        """
        torn = any(peer.torn or peer.rest for peer in history.peers.values())
        return torn and not history.crash and "FRAME-2" in self.profile.not_promised


class Observer:
    """Hears how a run goes. The methods do nothing; a progress display overrides those that it needs."""

    def met(self, count: int, of: int) -> None:
        """The relay has met so many situations, of so many."""

    def has_met(self, meeting: Meeting) -> None:
        """The relay has met all the situations that there was time for."""

    def explored(self, count: int, kept: int) -> None:
        """So many programs were played for what they reach; so many of them were kept."""

    def has_explored(self, meeting: Meeting) -> None:
        """The programs that were played for what they reach have shown so much."""

    def started(self, requirement: Requirement) -> None:
        """The run begins to judge a requirement."""

    def played(self, requirement: Requirement, count: int) -> None:
        """The run has played one more program."""

    def failed(self, counterexample: Counterexample) -> None:
        """The run has found a failing program, or a smaller one."""

    def finished(self, result: Result) -> None:
        """A requirement has its verdict."""

    def ended_leg(self, words: str, results: Sequence[Result], meeting: Meeting) -> None:
        """A marathon has come so far, in words, with what all its legs have judged and met."""
