"""What is known about a requirement after a run: its verdict, the evidence, and the smallest failing program."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

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
    """The verdict on one requirement with its evidence."""

    requirement: Requirement
    verdict: Verdict
    reason: str = ""
    exercised: int = 0
    evidence: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    counterexample: Counterexample | None = None
    lacks: Lack = Lack.NOTHING
