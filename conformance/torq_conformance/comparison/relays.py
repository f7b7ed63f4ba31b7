"""A, its second copy and B, playing the same programs: what one play of a program shows, as far as it is not known."""

from __future__ import annotations

from dataclasses import dataclass

from ..generation.search import Clock
from ..model.history import History
from ..model.program import Program
from .arms import Arm
from .equivalence import Signature
from .found import FoundDifference, Key
from .known import Known


@dataclass(slots=True)
class Relays:
    """The relays of a comparison, and what is known of their differences."""

    a: Arm
    copy: Arm
    b: Arm
    known: Known
    _turn: int = 0

    def both(self, program: Program, clock: Clock) -> tuple[History, History]:
        """A and B play a program, now the one first, now the other."""
        self._turn += 1
        if self._turn % 2:
            history_b = self.b.play(program, clock)
            return self.a.play(program, clock), history_b
        return self.a.play(program, clock), self.b.play(program, clock)

    def of_copy(self, program: Program, history_a: History, clock: Clock) -> set[Signature]:
        """In what A' differs from A."""
        copied = self.copy.play(program, clock)
        shown = {each.signature for each in self.known.comparison.differences(history_a, copied)}
        self.known.of_copy.update(shown)
        return shown

    def shows(self, program: Program, key: Key, clock: Clock, times: int = 1) -> FoundDifference | None:
        """The difference of this kind, unexplained by what is known, if each of some plays shows it."""
        found = None
        for _ in range(times):
            history_a, history_b = self.both(program, clock)
            occurrences = self.known.unexplained(program, history_a, history_b)
            occurrence = next((each for each in occurrences if each.key == key), None)
            if occurrence is None:
                return None
            found = self.known.as_found(program, occurrence, history_a, history_b)
        return found
