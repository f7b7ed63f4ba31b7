"""Covering arrays: few situations that meet every possible combination of two, or of three, values.

Facts:
- a situation begins with a combination that none before it has, and takes, dimension by dimension, the value that adds
  most new ones; chance decides between equals, so that each seed meets other combinations of more values;
- a relay refuses a frame with a defect, and may do so before it comes to anything else: so values come together where
  the frame has none, and each of them with each defect;
- each dimension has a value that goes with everything, so that no situation ends in a dead end; where a profile leaves
  that value out, a combination may stay open, and counts as not met;
- of two libraries tried, one leaves a tenth of the pairs out where values exclude one another, and the other takes
  minutes for combinations of three.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import accumulate, combinations

from ...model.rules import Rules
from .dimensions import Situation, dimensions
from .possible import Possible

Numbers = tuple[int, ...]
"""Values, each by its number among those of all dimensions."""


class Combinations:
    """Which combinations of ``strength`` values (2 or 3) situations have not met, of all that are possible.

    ``refused`` are the values that only a frame with a defect has: a situation with one meets the combinations with it,
    and no other. A set of values is a number with a bit for each: of the values that are missing in combination with
    one, or two.
    """

    def __init__(self, possible: Possible, strength: int) -> None:
        self.possible = possible
        self.strength = strength
        self.starts = _starts()
        fitting = {
            start + place: _set(self.starts[other] + with_place for other, with_place in possible.partners(each, place))
            for each, start in enumerate(self.starts)
            for place in possible.choices[each]
        }
        fine = _without_defect()
        self.refused = _set(number for number, with_it in fitting.items() if number != fine and not with_it >> fine & 1)
        self.missing: dict[Numbers, int] = {(one,): with_one for one, with_one in fitting.items()}
        if strength == 3:
            self.missing = {
                (one, other): fitting[one] & fitting[other]
                for one in fitting
                for other in _members(fitting[one])
                if one < other
            }
        self.of = self.left

    @property
    def left(self) -> int:
        """How many are not met."""
        return sum(missing.bit_count() for missing in self.missing.values()) // self.strength

    @property
    def met(self) -> int:
        """How many are met."""
        return self.of - self.left

    def meet(self, situation: Situation) -> None:
        """Note the combinations of a situation as met."""
        numbers = [start + place for start, place in zip(self.starts, situation.places, strict=True)]
        every, refused = _set(numbers), self.refused & _set(numbers)
        for some in combinations(numbers, self.strength - 1):
            if some in self.missing:
                self.missing[some] &= ~(every if not refused or self.refused & _set(some) else refused)

    def unmet(self) -> Iterator[Numbers]:
        """Each combination that is not met, in the order of the dimensions."""
        for some, missing in self.missing.items():
            yield from ((*some, number) for number in _members(missing) if number > some[-1])

    def gain(self, number: int, chosen: Iterable[int], among: int) -> int:
        """How many combinations are new that a value has with those ``chosen``; ``among`` is their set."""
        refused = self.refused & among
        if self.refused >> number & 1:
            refused = 0
        if self.strength == 2:
            return (self.missing[number,] & (refused or among)).bit_count()
        return sum(
            (
                self.missing.get((min(number, each), max(number, each)), 0)
                & (among if self.refused >> each & 1 else refused or among)
            ).bit_count()
            for each in chosen
        )


def names() -> list[tuple[str, str]]:
    """The dimension and the name of each value, by its number."""
    return [(each.name, value.name) for each in dimensions() for value in each.values]


@cache
def _without_defect() -> int:
    """The number of the value that says that nothing is wrong with the frame."""
    return _starts()[[each.name for each in dimensions()].index("defect")]


@cache
def _starts() -> list[int]:
    """The number of the first value of each dimension."""
    return [0, *accumulate(len(each.values) for each in dimensions())][:-1]


def _set(numbers: Iterable[int]) -> int:
    return sum(1 << number for number in set(numbers))


def _members(numbers: int) -> Iterator[int]:
    while numbers:
        lowest = numbers & -numbers
        yield lowest.bit_length() - 1
        numbers ^= lowest


def covering(possible: Possible, strength: int, seed: int, begun: Iterable[Situation] = ()) -> Iterator[Situation]:
    """Situations that, with those that were ``begun`` with, meet every possible combination of so many values."""
    chance = random.Random(seed)
    left = Combinations(possible, strength)
    for situation in begun:
        left.meet(situation)
    waiting = list(left.unmet())
    chance.shuffle(waiting)
    while waiting:
        *some, last = waiting.pop()
        if left.missing[tuple(some)] >> last & 1:
            grown = _grown(left, (*some, last), chance)
            if grown is not None:
                left.meet(grown)
                yield grown


def _grown(left: Combinations, first: Numbers, chance: random.Random) -> Situation | None:
    """A situation around the combination ``first``; None in a dead end."""
    possible, starts = left.possible, left.starts
    if not left.refused & _set(first):
        first = (*first, _without_defect())
    chosen = {max(each for each, start in enumerate(starts) if start <= number): number for number in first}
    among = _set(first)
    rest = [each for each in range(len(starts)) if each not in chosen]
    chance.shuffle(rest)
    for dimension in rest:
        others = [(each, number - starts[each]) for each, number in chosen.items()]
        fitting = [
            starts[dimension] + place
            for place in possible.choices[dimension]
            if possible.goes_with(dimension, place, others)
        ]
        if not fitting:
            return None
        chance.shuffle(fitting)
        best = max(fitting, key=lambda number: left.gain(number, chosen.values(), among))
        chosen[dimension] = best
        among |= 1 << best
    return Situation(tuple(chosen[each] - start for each, start in enumerate(starts)))


class Situations:
    """The situations of a run, written as far as somebody asks for them: any ``strength`` values come together.

    Those that were ``begun`` with count, and do not come again. What a relay does not promise is in none of them.
    """

    def __init__(
        self, rules: Rules, unpromised: frozenset[str], strength: int, seed: int, begun: tuple[Situation, ...] = ()
    ) -> None:
        self.possible = Possible(rules, unpromised, deep=strength > 2)
        self.strength = strength
        self._begun = begun
        self._written: list[Situation] = []
        self._more = self._write(seed) if rules.forwards and all(self.possible.choices) else iter(())

    def _write(self, seed: int) -> Iterator[Situation]:
        yield from covering(self.possible, 2, seed, self._begun)
        if self.strength > 2:
            yield from covering(self.possible, self.strength, seed, (*self._begun, *self._written))

    def __iter__(self) -> Iterator[Situation]:
        place = 0
        while place < len(self._written) or self._goes_on():
            yield self._written[place]
            place += 1

    def _goes_on(self) -> bool:
        following = next(self._more, None)
        if following is not None:
            self._written.append(following)
        return following is not None


@lru_cache(maxsize=8)
def situations(
    rules: Rules, unpromised: frozenset[str], strength: int, seed: int, begun: tuple[Situation, ...] = ()
) -> Situations:
    """The situations of a relay of these rules that does not promise some requirements, the same for each who asks."""
    return Situations(rules, unpromised, strength, seed, begun)
