"""A, its second copy and B, playing the same programs: what one play of a program shows, as far as it is not known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ..generation.search import Clock
from ..model.history import History
from ..model.program import Program
from .arms import Arm
from .equivalence import Signature
from .found import FoundDifference, Key
from .known import Known
from .together import together


@dataclass(slots=True)
class Relays:
    """The relays of a comparison, and what is known of their differences."""

    a: Arm
    copy: Arm
    b: Arm
    known: Known

    def both(self, program: Program, clock: Clock) -> tuple[History, History]:
        """A and B play a program, at the same time."""
        history_a, history_b = self._played(program, clock, self.a, self.b)
        return history_a, history_b

    def all(self, program: Program, clock: Clock) -> tuple[History, History, set[Signature]]:
        """A, B and A' play a program, at the same time; in what A' differs from A."""
        history_a, history_b, copied = self._played(program, clock, self.a, self.b, self.copy)
        return history_a, history_b, self._shown_by_copy(history_a, copied)

    def of_copy(self, program: Program, history_a: History, clock: Clock) -> set[Signature]:
        """In what A' differs from A, which has played a program before."""
        return self._shown_by_copy(history_a, self.copy.play(program, clock))

    def _shown_by_copy(self, history_a: History, copied: History) -> set[Signature]:
        shown = {each.signature for each in self.known.comparison.differences(history_a, copied)}
        self.known.of_copy.update(shown)
        return shown

    def _played(self, program: Program, clock: Clock, *arms: Arm) -> list[History]:
        def give_up() -> None:
            for arm in arms:
                arm.give_up()

        return together([partial(arm.play, program, clock) for arm in arms], give_up)

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
