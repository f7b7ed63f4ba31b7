"""The report of a comparison as one HTML file that needs nothing else: no other file, no network."""

from __future__ import annotations

from ...exits import Exit
from ...reports.narrate import witness_words
from ...reports.rendering import render
from ...reports.svg import svg
from .report import Report
from .words import LOOKS, rate, word_for, word_of

STYLES: dict[int | None, str] = {Exit.PASS: "pass", Exit.FAIL: "fail"}
"""How the verdict looks, by the exit code; any other is a warning."""


def page(report: Report) -> str:
    """The report as a page."""
    return render(
        "differences.html.j2",
        report=report,
        style_of_verdict=STYLES.get(report.exit_code, "unknown"),
        word_for=lambda each: word_for(report, each),
        entries={each.listed: each for each in report.differences},
        looks=LOOKS,
        rate=rate,
        word_of=word_of,
        svg=svg,
        witness_words=witness_words,
    )
