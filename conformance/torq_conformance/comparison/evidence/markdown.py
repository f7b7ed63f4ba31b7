"""The report of a comparison as Markdown that fits a comment: the verdict, a line for each difference, details folded.

Facts: GitHub takes comments of 65 536 characters. Where the details are longer, the last of them are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...reports.ascii import draw
from ...reports.markdown import block, cell, code, text
from ...reports.rendering import render
from ..outcome import Entry
from .report import Report
from .words import LOOKS, rate, word_of

MOST_CHARACTERS = 60_000


def markdown(report: Report) -> str:
    """The whole page."""
    shown = list(report.differences)
    while len(written := _page(report, shown)) > MOST_CHARACTERS and shown:
        shown.pop()
    return written


def _page(report: Report, detailed: list[Entry]) -> str:
    """The page with the details of some differences."""
    details = [(each, "\n".join(block(_details(report, each), "text"))) for each in detailed]
    return render(
        "differences.md.j2",
        report=report,
        details=details,
        left_out=len(report.differences) - len(detailed),
        looks=LOOKS,
        rate=rate,
        word_of=word_of,
        cell=cell,
        text=text,
        code=code,
        block=lambda lines: "\n".join(block(lines)),
    )


def _details(report: Report, entry: Entry) -> Iterator[str]:
    """The steps, and both runs one under the other."""
    shown = report.evidence[entry.listed]
    yield from shown.steps
    for relay, did, diagram in (("A", entry.in_a, shown.a), ("B", entry.in_b, shown.b)):
        yield ""
        yield f"relay {relay}: {did}"
        if diagram is not None:
            yield from (line.text for line in draw(diagram))
