"""Covering arrays: few situations that meet every possible combination of two, or of three, values.

Facts:
- a situation begins with a combination that none before it has, and takes, dimension by dimension, the value that adds
  most new ones; chance decides between equals, so that each seed meets other combinations of more values;
- each dimension has a value that goes with everything, so that no situation ends in a dead end; where a profile leaves
  that value out, a combination may stay open, and counts as not met;
- of two libraries tried, one leaves a tenth of the pairs out where values exclude one another, and the other takes
  minutes for combinations of three.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import accumulate, combinations

import numpy as np
from numpy.typing import NDArray

from ...model.rules import Rules
from .dimensions import Situation, dimensions
from .possible import Possible

Table = NDArray[np.bool_]


class Combinations:
    """Which combinations of ``strength`` values (2 or 3) some situations have met, of all that are possible."""

    def __init__(self, possible: Possible, strength: int) -> None:
        self.possible = possible
        self.strength = strength
        sizes = [len(each.values) for each in dimensions()]
        self.starts = [0, *accumulate(sizes)][:-1]
        self.open: Table = np.zeros((sum(sizes),) * strength, dtype=np.bool_)
        for each in possible.tuples(strength):
            self._set([self.starts[dimension] + place for dimension, place in each], to=True)
        self.of = self._count()

    def _set(self, numbers: list[int], *, to: bool) -> None:
        for which in combinations(numbers, self.strength):
            self.open[which] = to

    def _count(self) -> int:
        return int(np.count_nonzero(self.open))

    @property
    def left(self) -> int:
        """How many are not met."""
        return self._count()

    @property
    def met(self) -> int:
        """How many are met."""
        return self.of - self.left

    def meet(self, situation: Situation) -> None:
        """Note the combinations of a situation as met."""
        self._set([start + place for start, place in zip(self.starts, situation.places, strict=True)], to=False)

    def unmet(self) -> Iterator[tuple[tuple[str, str], ...]]:
        """Each combination that is not met: (dimension, value) of its parts."""
        names = [(each.name, value.name) for each in dimensions() for value in each.values]
        for which in np.argwhere(self.open):
            yield tuple(names[number] for number in which)


def covering(possible: Possible, strength: int, seed: int, begun: Iterable[Situation] = ()) -> Iterator[Situation]:
    """Situations that, with those that were ``begun`` with, meet every possible combination of so many values."""
    chance = random.Random(seed)
    left = Combinations(possible, strength)
    for situation in begun:
        left.meet(situation)
    waiting = [tuple(int(number) for number in each) for each in np.argwhere(left.open)]
    chance.shuffle(waiting)
    while waiting:
        first = waiting.pop()
        if left.open[first]:
            grown = _grown(left, first, chance)
            if grown is not None:
                left.meet(grown)
                yield grown


def _grown(left: Combinations, first: tuple[int, ...], chance: random.Random) -> Situation | None:
    """A situation around the combination ``first``; None in a dead end."""
    possible, starts = left.possible, left.starts
    chosen = {_dimension_of(number, starts): number for number in first}
    rest = [each for each in range(len(starts)) if each not in chosen]
    chance.shuffle(rest)
    for dimension in rest:
        fitting = [
            starts[dimension] + place
            for place in possible.choices[dimension]
            if possible.goes_with(dimension, place, ((each, number - starts[each]) for each, number in chosen.items()))
        ]
        if not fitting:
            return None
        chance.shuffle(fitting)
        gains = _gains(left, fitting, list(chosen.items()), dimension)
        chosen[dimension] = fitting[int(np.argmax(gains))]
    return Situation(tuple(chosen[each] - start for each, start in enumerate(starts)))


def _dimension_of(number: int, starts: list[int]) -> int:
    return max(each for each, start in enumerate(starts) if start <= number)


def _gains(left: Combinations, fitting: list[int], chosen: list[tuple[int, int]], dimension: int) -> NDArray[np.int_]:
    """How many new combinations each fitting value has with those that are chosen."""
    before = [number for each, number in chosen if each < dimension]
    behind = [number for each, number in chosen if each > dimension]
    if left.strength == 2:
        gains = left.open[np.ix_(before, fitting)].sum(axis=0) + left.open[np.ix_(fitting, behind)].sum(axis=1)
        return np.asarray(gains)
    before.sort()
    behind.sort()
    return np.asarray(
        left.open[np.ix_(before, before, fitting)].sum(axis=(0, 1))
        + left.open[np.ix_(before, fitting, behind)].sum(axis=(0, 2))
        + left.open[np.ix_(fitting, behind, behind)].sum(axis=(1, 2))
    )


@cache
def situations(rules: Rules, unpromised: frozenset[str], strength: int, seed: int) -> tuple[Situation, ...]:
    """Situations that meet every combination of ``strength`` values which is possible under the rules of a relay.

    What it does not promise is in none of them.
    """
    possible = Possible(rules, unpromised)
    if not rules.forwards or not all(possible.choices):
        return ()
    pairs = tuple(covering(possible, 2, seed))
    return pairs if strength == 2 else (*pairs, *covering(possible, strength, seed, pairs))
