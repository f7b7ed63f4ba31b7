"""What changed between two reports: what newly fails, newly passes, is no longer judged, and how rates moved."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..counting import counted
from .model import FAILING, Judgement, Report

Z_95 = 1.96


@dataclass(frozen=True, slots=True)
class Change:
    """One requirement with another verdict or another rate. ``kind`` is one of KINDS."""

    id: str
    level: str
    kind: str
    words: str


KINDS = ("newly failing", "no longer judged", "rate changed", "otherwise changed", "newly passing", "newly judged")
"""The kinds of changes, what needs attention first."""


def changes(old: Report, new: Report) -> list[Change]:
    """Every change, in the order of KINDS."""
    found = list(_changes(old, new))
    return sorted(found, key=lambda change: KINDS.index(change.kind))


def _changes(old: Report, new: Report) -> Iterator[Change]:
    before, after = old.by_id(), new.by_id()
    for identifier in dict.fromkeys((*before, *after)):
        was, now = before.get(identifier), after.get(identifier)
        level = (now or was or old.judgements[0]).level
        kind = _kind(was, now)
        if kind:
            yield Change(identifier, level, kind, f"{_words(was)} -> {_words(now)}")


def _kind(was: Judgement | None, now: Judgement | None) -> str:
    """The kind of a change; "" where nothing changed beyond chance."""
    failed, fails = _fails(was), _fails(now)
    if fails and not failed:
        return "newly failing"
    if failed and fails:
        return "rate changed" if _rate_moved(was, now) else ""
    judged, judges = was is not None and _judged(was), now is not None and _judged(now)
    if judged and not judges:
        return "no longer judged"
    if failed:
        return "newly passing"
    if judges and not judged:
        return "newly judged"
    return "otherwise changed" if was is not None and now is not None and was.verdict != now.verdict else ""


def _fails(judgement: Judgement | None) -> bool:
    return judgement is not None and judgement.verdict in FAILING


def _judged(judgement: Judgement) -> bool:
    return judgement.verdict not in ("UNKNOWN", "UNSUPPORTED")


def _words(judgement: Judgement | None) -> str:
    if judgement is None:
        return "not in the report"
    failure = judgement.failure
    if failure is None or not failure.runs:
        return judgement.word
    low, high = interval(failure.failures, failure.runs)
    once = "" if failure.failures else "seen once, then in "
    return f"{judgement.verdict} {once}{failure.failures} of {counted(failure.runs, 'run')} ({low:.0%} to {high:.0%})"


def _rate_moved(was: Judgement | None, now: Judgement | None) -> bool:
    """Whether the two rates differ by more than chance: their 95 % intervals do not touch."""
    if was is None or now is None or was.failure is None or now.failure is None:
        return False
    if not (was.failure.runs and now.failure.runs):
        return False
    old = interval(was.failure.failures, was.failure.runs)
    new = interval(now.failure.failures, now.failure.runs)
    return old[1] < new[0] or new[1] < old[0]


def interval(count: int, runs: int) -> tuple[float, float]:
    """The 95 % interval (Wilson's) of the rate that gave ``count`` of ``runs``."""
    share = count / runs
    square = Z_95 * Z_95
    middle = (share + square / (2 * runs)) / (1 + square / runs)
    half = Z_95 * math.sqrt(share * (1 - share) / runs + square / (4 * runs * runs)) / (1 + square / runs)
    return max(0.0, middle - half), min(1.0, middle + half)
