"""Words that several forms of a comparison's report share."""

from __future__ import annotations

from typing import NamedTuple

from ...counting import counted
from ..outcome import Entry
from .report import Compared, Report


class Look(NamedTuple):
    """What a word says of a topic or a difference, and how Markdown shows it."""

    meaning: str
    mark: str


LOOKS: dict[str, Look] = {
    "DIFFERENT": Look("B does otherwise than A, beyond chance", "❌"),
    "FLAKY": Look("B did otherwise, and did not repeat it beyond chance", "⚠️"),
    "STALE": Look("accepted, but it does not appear any more", "❗"),
    "ACCEPTED": Look("B does otherwise, and a reason is listed", "☑️"),
    "CUT SHORT": Look("not all of it was compared", "❔"),
    "SKIPPED": Look("it was not compared", "➖"),
    "SAME": Look("no difference was seen", "✅"),
}
"""What needs attention first."""


def word_for(report: Report, compared: Compared) -> str:
    """What a topic or check came to, as a key of :data:`LOOKS`."""
    found = {each.status for each in report.differences if each.id in compared.differences}
    gap = ("CUT SHORT" if compared.programs else "SKIPPED") if compared.gap else "SAME"
    return next((word for word in LOOKS if word in found), gap)


def rate(entry: Entry) -> str:
    """How often a difference shows."""
    shown = f"{entry.differs_in_b} of {counted(entry.runs, 'run')}"
    return f"{shown}, the copy of A {entry.differs_in_copy_of_a}" if entry.program is not None else shown
