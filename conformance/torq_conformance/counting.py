"""Counts as people read them: thousands apart, and words in the number that the count asks for."""

from __future__ import annotations


def grouped(count: int) -> str:
    """A count with a space between thousands, such as ``12 000``."""
    return f"{count:,}".replace(",", " ")


def inflected(count: int, noun: str, plural: str = "") -> str:
    """The noun for a count: ``byte`` for 1, else ``bytes``; ``plural`` where that is more than an s."""
    return noun if count == 1 else plural or f"{noun}s"


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count and its noun, such as ``1 frame`` or ``12 000 frames``."""
    return f"{grouped(count)} {inflected(count, noun, plural)}"


def failing_runs(failures: int, runs: int, served_before: str = "") -> str:
    """A rate in words: ``58 of 60 runs fail``, ``1 of 1 run fails``; what was not played again was seen once.

    ``served_before`` is what the relay had served when it was first seen, for failures that need a history.
    """
    if served_before and failures != runs:
        return f"{failing_runs(failures, runs)}; first seen when the relay had served {served_before}"
    if not runs:
        return "seen once, not confirmed"
    if not failures:
        return f"seen once, then in 0 of {counted(runs, 'run')}"
    return f"{failures} of {counted(runs, 'run')} {'fails' if failures == 1 else 'fail'}"
