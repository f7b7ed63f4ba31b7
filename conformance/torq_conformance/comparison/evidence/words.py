"""Words that several forms of a comparison's report share."""

from __future__ import annotations

from ...counting import counted
from ...reports.model import Look
from ..figures import Measured
from ..outcome import Entry
from .report import Compared, Report

LOOKS: dict[str, Look] = {
    "DIFFERENT": Look("B does otherwise than A, beyond chance", "bold red", "❌", "✗"),
    "FLAKY": Look("B did otherwise, and did not repeat it beyond chance", "red", "⚠️", "~"),
    "STALE": Look("accepted, but it does not appear any more", "bold red", "❗", "!"),
    "ACCEPTED": Look("B does otherwise, and a reason is listed", "cyan", "☑️", "(✗)"),
    "COSTS MORE": Look("B costs more than A, by more than A and its copy differ", "yellow", "🔺", "▲"),
    "CUT SHORT": Look("not all of it was compared", "yellow", "❔", "?"),
    "SKIPPED": Look("it was not compared", "yellow", "➖", "–"),
    "THIN SAME": Look("no difference was seen, but few programs could have shown one", "yellow", "🟡", "(✓)"),
    "MEASURED": Look("B costs no more than A, as far as can be told", "", "✅", "✓"),
    "SAME": Look("no difference was seen", "green", "✅", "✓"),
}
"""What needs attention first."""


def word_for(report: Report, compared: Compared) -> str:
    """What a topic or check came to, as a key of :data:`LOOKS`."""
    found = {each.status for each in report.differences if each.listed in compared.differences}
    gap = ("CUT SHORT" if compared.programs else "SKIPPED") if compared.gap else same(thin=compared.thin)
    return next((word for word in LOOKS if word in found), gap)


def same(*, thin: bool) -> str:
    """What is said where no difference was seen, as a key of :data:`LOOKS`."""
    return "THIN SAME" if thin else "SAME"


def word_of(figure: Measured) -> str:
    """What a figure came to, as a key of :data:`LOOKS`."""
    if not figure.is_measured:
        return "SKIPPED"
    return "DIFFERENT" if figure.is_beyond else "COSTS MORE" if figure.is_apart else "MEASURED"


def figure_words(figure: Measured) -> str:
    """What was measured, in one line."""
    a, b = figure.values
    return f"A {a}; B {b}: {figure.ratio} times as much; copy of A {figure.noise}"


def rate(entry: Entry) -> str:
    """How often a difference shows; a figure is measured once."""
    if not entry.runs:
        return "measured"
    shown = f"{entry.differs_in_b} of {counted(entry.runs, 'run')}"
    return f"{shown}, the copy of A {entry.differs_in_copy_of_a}" if entry.program is not None else shown
