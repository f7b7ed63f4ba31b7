"""What is known of the differences of two relays: what is accepted, what was found, and what that explains.

Facts:
- a known difference explains others of its signature whose program has its cause, under the circumstances that
  controls have shown it to need;
- one that shows now and then explains what shows no more often, frame for frame;
- one that is accepted under some circumstances explains what shows under them, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ..model.history import History
from ..model.program import Program
from ..model.rules import Rules
from .accepted import AcceptedDifference
from .chance import CHANCE
from .circumstances import Circumstances, When
from .equivalence import Comparison, Difference, Signature
from .found import FoundDifference, Key, Occurrence

MOST_AS_NARROW = 3
"""Differences of one id that are told apart by what controls have shown; one more, and the first explains them all."""
MORE_OF = {
    Signature("echoes-not"): Signature("loses"),
    Signature("echoes"): Signature("delivers"),
    Signature("disagrees"): Signature("duplicates"),
    Signature("reorders"): Signature("duplicates"),
}
"""What explains another difference too: a frame that is lost does not come back to its sender either."""


FEW_RUNS = 10
"""Runs below which a rate says little."""


class Known:
    """What is known so far. ``strictest`` are rules under which every fault of a frame has a name.

    The comparison is over with a difference that it ``ends_at``, by what would accept it.
    """

    def __init__(
        self,
        comparison: Comparison,
        strictest: Rules,
        accepted: Sequence[AcceptedDifference] = (),
        ends_at: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._over = False
        self._ends_at = ends_at
        self.found: list[FoundDifference] = []
        self.flaky: list[FoundDifference] = []
        self.doubtful: Counter[Key] = Counter()
        """Candidates that turned out to be no difference."""
        self.of_copy: Counter[Signature] = Counter()
        """Differences of the copy of A."""
        self.comparison = comparison
        self.strictest = strictest
        self._narrow = [(each, self._circumstances_of(each)) for each in accepted if each.when or each.program]

    def _circumstances_of(self, entry: AcceptedDifference) -> When:
        """What an accepted difference must show under: as its entry says, or all that its program has."""
        if entry.program is None:
            return entry.when
        return Circumstances(entry.program, self.strictest).all_of_it

    def _under(self, at: Circumstances, difference: Difference) -> str:
        """The key of the accepted difference under whose circumstances one shows; "" where there is none."""
        for entry, when in self._narrow:
            signature = difference.signature
            may_be = entry.effect == signature.effect and entry.cause in (signature.frames, *at.causes(difference))
            if may_be and when.holds(at, difference):
                return entry.key
        return ""

    def causes_of(self, program: Program, occurrence: Occurrence) -> frozenset[str]:
        """All that may have brought a difference about in a program."""
        return frozenset(Circumstances(program, self.strictest).causes(occurrence.difference))

    def _cause_of(self, program: Program, occurrence: Occurrence) -> str:
        """What brings a difference about in a program: the class of its frame, or the most particular of all causes."""
        listed = (entry.cause for entry, _ in self._narrow if entry.key == occurrence.under)
        causes = Circumstances(program, self.strictest).causes(occurrence.difference)
        return next(listed, occurrence.difference.signature.frames or causes[0])

    def as_found(self, program: Program, occurrence: Occurrence, a: History, b: History) -> FoundDifference:
        """An occurrence as a difference that is still to be settled."""
        cause = self._cause_of(program, occurrence)
        difference, under = occurrence
        return FoundDifference(difference.signature, cause, program, difference, a, b, under=under)

    def notice(self, listed: str) -> None:
        """End the comparison if it ends at a difference that is listed so."""
        self._over = self._over or self._ends_at(listed)

    def is_over(self) -> bool:
        """Whether it has ended at a difference."""
        return self._over

    def keep(self, found: FoundDifference) -> None:
        """Know a difference from now on; it explains those before it that its cause may have brought about as often."""
        for each in self.found:
            if each.key == found.key and each.cause != found.cause and self._shows_as_often(found, each):
                at = Circumstances(each.program, self.strictest)
                each.explained = each.explained or self._explains(found, at, Occurrence(each.difference, each.under))
        self.found.append(found)
        self.notice(found.listed)
        for each in self.flaky:
            each.explained = each.explained or self._is_chance(each, [found])

    def keep_flaky(self, found: FoundDifference) -> None:
        """Know a difference that does not repeat: one of each signature, and none that a rare one explains."""
        found.explained = self._is_chance(found, self.found) or any(each.key == found.key for each in self.flaky)
        for each in self.found:
            if each.key == found.key and self._shows_as_often(found, each):
                each.explained = True
        self.flaky.append(found)

    def _shows_as_often(self, found: FoundDifference, other: FoundDifference) -> bool:
        """Whether one difference, frame for frame, may be what another has shown in each of its runs, or in some."""
        if not found.is_rare:
            return True
        expected = _rate_in(other.program, found)
        return found.in_b * other.runs >= other.in_b * found.runs or (
            other.runs < FEW_RUNS and expected**other.in_b >= CHANCE
        )

    def _is_chance(self, flaky: FoundDifference, known: Sequence[FoundDifference]) -> bool:
        """Whether a difference that does not repeat is one of those that show now and then."""
        return any(each.key == flaky.key and each.is_rare for each in known)

    def _explains(self, known: FoundDifference, at: Circumstances, occurrence: Occurrence) -> bool:
        """Whether a known difference may be what shows in a program."""
        difference, under = occurrence
        signature = difference.signature
        if known.signature == MORE_OF.get(signature):
            difference = replace(difference, signature=known.signature)
            under = self._under(at, difference)
        elif known.signature != signature:
            return False
        if known.under != under or known.cause not in (signature.frames, *at.causes(difference)):
            return False
        as_narrow = sum(each.id == known.id and each.under == under for each in self.found) < MOST_AS_NARROW
        return not (as_narrow and known.when) or known.when.holds(at, difference)

    def occurrences(self, program: Program, a: History, b: History) -> Iterator[Occurrence]:
        """All that two histories differ in, frame by frame."""
        at = Circumstances(program, self.strictest)
        return (Occurrence(each, self._under(at, each)) for each in self.comparison.occurrences(a, b))

    def unexplained(self, program: Program, a: History, b: History) -> Iterator[Occurrence]:
        """Of each kind of difference in two histories, the first that no known one explains which shows every time."""
        at = Circumstances(program, self.strictest)
        certain = [known for known in self.found if not known.is_rare]
        kinds: set[Key] = set()
        for difference in self.comparison.occurrences(a, b):
            occurrence = Occurrence(difference, self._under(at, difference))
            if occurrence.key not in kinds and not any(self._explains(each, at, occurrence) for each in certain):
                kinds.add(occurrence.key)
                yield occurrence

    def is_explained(self, occurrence: Occurrence, program: Program, a: History, b: History) -> bool:
        """Whether known ones explain by now all that is like an occurrence in two histories."""
        return all(each.key != occurrence.key for each in self.unexplained(program, a, b))

    def rate_expected(self, program: Program, occurrence: Occurrence) -> float:
        """How often a program would show a difference if it were one of those known to show now and then.

        That is their rate, frame for frame; 0 where there is none.
        """
        at = Circumstances(program, self.strictest)
        rare = [each for each in (*self.found, *self.flaky) if each.is_rare and self._explains(each, at, occurrence)]
        return max((_rate_in(program, each) for each in rare), default=0.0)


def _rate_in(program: Program, rare: FoundDifference) -> float:
    """How often a program would show a rare difference, frame for frame; one seen once has shown once more."""
    own, others = (sum(len(step.content) for step in each.steps) for each in (program, rare.program))
    rate = max(rare.in_b, 1) / (rare.runs + (not rare.in_b))
    return float(1 - (1 - rate) ** (max(own, 1) / max(others, 1)))
