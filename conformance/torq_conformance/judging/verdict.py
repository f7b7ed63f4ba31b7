"""What is known about a requirement after a run: its verdict, the evidence, and the smallest failing program."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from ..generation.situations.dimensions import Situation
from ..model.findings import Finding
from ..model.history import History
from ..model.program import Program
from ..model.requirements import Requirement


class Verdict(Enum):
    """What is known about a requirement after a run."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    FLAKY = "FLAKY"
    UNKNOWN = "UNKNOWN"
    UNSUPPORTED = "UNSUPPORTED"
    EXPECTED_FAIL = "EXPECTED-FAIL"
    UNEXPECTED_PASS = "UNEXPECTED-PASS"  # noqa: S105 - a verdict, not a password


ENDED = "the run ended at its first failure"
"""Why a requirement was not judged that stands behind it."""


class Lack(Enum):
    """What more of would judge more."""

    NOTHING = ""
    TIME = "time"
    PROGRAMS = "programs"


@dataclass(slots=True)
class Counterexample:
    """The smallest failing program found, what it shows, and how often it does.

    ``served_before`` is, in words, what the relay had served when a program of this failure first failed;
    ``minimal`` says that nothing can be taken away from it: false where the shrink budget ended before that was known.
    """

    requirement: str
    program: Program
    findings: list[Finding]
    history: History
    failures: int = 0
    runs: int = 0
    served_before: str = ""
    minimal: bool = True

    @property
    def deterministic(self) -> bool:
        """Whether every run of it failed."""
        return self.failures == self.runs


@dataclass(slots=True)
class Result:
    """The verdict on one requirement with its evidence.

    ``given`` is the time that it had last, in seconds; ``stalled`` says that it tried nothing more in as much again.
    ``tried`` is how many programs its search has played, ``checked``
    whether its fixed check was run besides.
    """

    requirement: Requirement
    verdict: Verdict
    reason: str = ""
    exercised: int = 0
    evidence: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    counterexample: Counterexample | None = None
    lacks: Lack = Lack.NOTHING
    tried: int = 0
    checked: bool = False
    given: float = 0.0
    stalled: bool = False

    @property
    def open(self) -> bool:
        """Whether more time would tell more: it was cut short, or its failure was seen once and is not confirmed."""
        shown = self.counterexample
        return self.lacks is Lack.TIME and not self.stalled if shown is None else shown.runs == 0

    def failed_by(self, shown: Counterexample) -> None:
        """Take a failure that a situation has shown, which nothing confirms yet."""
        self.verdict, self.reason, self.counterexample = Verdict.FAIL, "", shown
        self.exercised += 1

    def seen_once(self) -> None:
        """Leave a failure that nothing confirmed as it was seen: in one play of one."""
        if self.counterexample is not None and self.counterexample.runs == 0:
            self.counterexample.failures = self.counterexample.runs = 1
            self.counterexample.minimal = False


@dataclass(slots=True)
class Meeting:
    """What a relay has met: the situations that were played, and what they showed, by requirement.

    ``explored`` programs were played for what they reach in the relay.
    """

    played: list[Situation] = field(default_factory=list)
    shown: dict[str, Counterexample] = field(default_factory=dict)
    evidence: Counter[str] = field(default_factory=Counter)
    cut_short: str = ""
    explored: int = 0

    def join(self, other: Meeting) -> None:
        """Take in what another part of the same run has met."""
        self.played += other.played
        self.evidence += other.evidence
        self.cut_short = self.cut_short or other.cut_short
        self.explored += other.explored
        for name, shown in other.shown.items():
            self.shown.setdefault(name, shown)
