"""The outcomes of the self-test, and the rates at which the suite judged each relay rightly."""

from __future__ import annotations

import msgspec

from .selftest_cases import DEFAULT_BUDGET


class Outcome(msgspec.Struct, frozen=True):
    """The requirements that failed in one case, and the requirement that killed the mutant ("" if none did)."""

    name: str
    domain: str
    good: bool
    expected: tuple[str, ...]
    failed: dict[str, str]
    killed_by: str
    programs: int
    seconds: float
    error: str = ""
    seed: int = 0

    @property
    def as_it_should(self) -> bool:
        """Whether the suite judged rightly: no finding on the right relay, the named one on a mutant."""
        return not self.error and (not self.failed if self.good else bool(self.killed_by))


class Rate(msgspec.Struct, frozen=True):
    """All outcomes of one relay: a mutant, or the right relay under one setting."""

    name: str
    domain: str
    good: bool
    outcomes: tuple[Outcome, ...]

    @property
    def rightly(self) -> int:
        """How many times the suite judged rightly."""
        return sum(outcome.as_it_should for outcome in self.outcomes)

    @property
    def always(self) -> bool:
        """Whether it did so every time."""
        return self.rightly == len(self.outcomes)

    @property
    def missed(self) -> list[Outcome]:
        """The outcomes that are not as they should be."""
        return [outcome for outcome in self.outcomes if not outcome.as_it_should]


class Selftest(msgspec.Struct, frozen=True):
    """All outcomes of a self-test, and the settings that repeat it."""

    seed: int
    max_examples: int
    workers: int
    seconds: float
    outcomes: tuple[Outcome, ...]
    time_budget: float = DEFAULT_BUDGET

    @property
    def rates(self) -> list[Rate]:
        """The outcomes of each relay, in the order in which the relays were judged first."""
        found: dict[tuple[str, str, bool], list[Outcome]] = {}
        for outcome in self.outcomes:
            found.setdefault((outcome.name, outcome.domain, outcome.good), []).append(outcome)
        return [Rate(*which, tuple(outcomes)) for which, outcomes in found.items()]

    @property
    def mutants(self) -> list[Rate]:
        """The mutants, each with its kills."""
        return [rate for rate in self.rates if not rate.good]

    @property
    def right(self) -> list[Rate]:
        """The relays known to be right."""
        return [rate for rate in self.rates if rate.good]

    @property
    def killed(self) -> int:
        """How many mutants were found every time."""
        return sum(rate.always for rate in self.mutants)

    @property
    def survivors(self) -> list[Rate]:
        """Mutants that were not found every time."""
        return [rate for rate in self.mutants if not rate.always]

    @property
    def false_alarms(self) -> list[Outcome]:
        """Outcomes of right relays that were not judged to be right."""
        return [outcome for rate in self.right for outcome in rate.missed]

    @property
    def trusted(self) -> bool:
        """Whether a verdict of this suite on this machine can be trusted."""
        return all(outcome.as_it_should for outcome in self.outcomes)
