"""A failing history made short: Hypothesis leaves out what is not needed to fail in the same way."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from .planted import planted
from .programs import Program, program_of
from .world import Outcome, play

_KEPT = st.integers(0, 19)
"""How an event is drawn: 0 leaves it out, 1 leaves its faults out, any other keeps it, as nearly all first draws do."""

_SHORT = settings(
    max_examples=10_000,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


class _EnoughError(BaseException):
    """No run is left; Hypothesis takes an Exception for one more failure."""


def kind_of(problem: str) -> str:
    """What kind of problem it is, whoever and whatever it befell."""
    return re.sub(r"\d+", "N", problem.partition(":")[0])


def kinds(outcome: Outcome) -> set[str]:
    """The kinds of its problems."""
    return {kind_of(problem) for problem in outcome.problems}


def shrunk(program: Program, runs: int = 400) -> Program:
    """The shortest program that so many runs find, with one of the problems of this one: events, faults left out."""
    wanted = kinds(play(program))
    count = len(program.events)
    drawn = st.tuples(st.booleans(), st.booleans(), st.lists(_KEPT, min_size=count, max_size=count))

    def chosen(draws: tuple[bool, bool, list[int]]) -> Program:
        noisy, special, marks = draws
        pairs = zip(program.events, marks, strict=True)
        events = tuple(replace(event, faults=()) if mark == 1 else event for event, mark in pairs if mark)
        if special:
            return replace(program, events=events, noise=noisy)
        return Program(events, form=program.form, capacity=program.capacity, noise=noisy)

    known: dict[Program, bool] = {}

    def fails(draws: tuple[bool, bool, list[int]]) -> bool:
        candidate = chosen(draws)
        if candidate not in known:
            if len(known) == runs:
                raise _EnoughError
            known[candidate] = bool(kinds(play(candidate)) & wanted)
        return known[candidate]

    with suppress(NoSuchExample, _EnoughError):
        find(drawn, fails, settings=_SHORT, random=random.Random(0))
    failing = [candidate for candidate, fails_too in known.items() if fails_too]
    return min([program, *failing], key=lambda each: (len(each.events), each.noise))


@dataclass(frozen=True)
class Found:
    """A planted fault that was found: by which seed, its shortest program, and what is wrong in that."""

    seed: int
    shortest: Program
    problem: str


def first_found(fault: str, seeds: Iterable[int], runs: int = 400) -> Found | None:
    """The first seed whose history shows a planted fault, made short; None when none does."""
    with planted(fault):
        for seed in seeds:
            program = program_of(seed)
            if play(program).problems:
                shortest = shrunk(program, runs)
                return Found(seed, shortest, play(shortest).problems[0])
    return None
