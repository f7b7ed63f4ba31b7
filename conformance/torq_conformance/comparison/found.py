"""Differences as they are found: in one pair of histories, and settled, with the smallest program and a rate."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from ..generation.situations.coverage import Coverage
from ..model.history import History
from ..model.program import Program
from .circumstances import ALWAYS, When
from .equivalence import Difference, Signature, sentence

OUT_OF_TIME = "the time was over"
ENDED = "the comparison ended at its first difference"

Key = tuple[Signature, str]
"""What is compared when one difference is to be the same as another: its signature, and what it shows under."""


@dataclass(slots=True)
class FoundDifference:
    """A difference with its smallest program and how often it shows: on B, and on the second copy of A.

    ``under`` is the key of the entry that accepts what shows under its circumstances, "" without one. ``when`` is what
    controls have shown it to need, ``needs`` the same in words, with the values of a situation. A ``flaky`` one did not
    repeat beyond chance; one that is ``explained`` is the same as a later one, whose cause stands in its program too.
    """

    signature: Signature
    cause: str
    program: Program
    difference: Difference
    history_a: History
    history_b: History
    in_b: int = 0
    in_copy: int = 0
    runs: int = 0
    under: str = ""
    when: When = ALWAYS
    needs: str = ""
    flaky: bool = False
    explained: bool = False

    @property
    def id(self) -> str:
        """The name for the file of accepted differences, such as ``forwards:foreign-domain``."""
        return f"{self.signature.effect}:{self.cause}"

    @property
    def key(self) -> Key:
        """What a simpler program must show to show the same."""
        return self.signature, self.under

    @property
    def listed(self) -> str:
        """What accepts it: the key of an entry that it shows under, or its id."""
        return self.under or self.id

    @property
    def text(self) -> str:
        """The difference as a sentence."""
        return sentence(self.signature.effect, self.cause)

    @property
    def is_rare(self) -> bool:
        """Whether its program does not show it every time."""
        return self.in_b < self.runs


class Occurrence(NamedTuple):
    """A difference in one pair of histories, with the key of the accepted one under whose circumstances it shows."""

    difference: Difference
    under: str

    @property
    def key(self) -> Key:
        """What it has in common with others."""
        return self.difference.signature, self.under


@dataclass(slots=True)
class TopicResult:
    """What the programs of one topic showed. ``skipped`` says why none was played, ``cut_short`` why not all were.

    ``put_off`` candidates for a difference are still to be settled.
    """

    name: str
    evidence: Counter[str] = field(default_factory=Counter)
    found: list[FoundDifference] = field(default_factory=list)
    noise: int = 0
    calibrated: int = 0
    passed_over: int = 0
    put_off: int = 0
    cut_short: str = ""
    skipped: str = ""
    coverage: Coverage | None = None

    @property
    def programs(self) -> int:
        """Programs that A and B both played."""
        return self.evidence["programs"]

    @property
    def gap(self) -> str:
        """What was not compared, and why; "" where everything was."""
        return self.skipped or self.cut_short or (OUT_OF_TIME if self.put_off else "")
