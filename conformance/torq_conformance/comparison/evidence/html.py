"""The report of a comparison as one HTML file that needs nothing else: no other file, no network, no script."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from ...exits import Exit
from ...reports.html import UNFOLDED, Cell
from ...reports.narrate import witness_words
from ...reports.rendering import render
from ...reports.svg import svg
from .report import Compared, Report
from .words import LOOKS, rate, word_for, word_of

STYLES: dict[int | None, str] = {Exit.PASS: "pass", Exit.FAIL: "fail"}
"""How the verdict looks, by the exit code; any other is a warning."""
KINDS = {"situations": "situations", "programs": "programs", "check": "fixed checks", "figure": "figures"}
"""The groups of the strip, by the kind of what was compared."""


def page(report: Report) -> str:
    """The report as a page."""
    return render(
        "differences.html.j2",
        report=report,
        style_of_verdict=STYLES.get(report.exit_code, "incomplete"),
        groups=list(_groups(report)),
        differences=sorted(report.differences, key=lambda each: list(LOOKS).index(each.status)),
        unfolded=UNFOLDED,
        place_of=place_of,
        word_for=lambda each: word_for(report, each),
        entries={each.listed: each for each in report.differences},
        looks=LOOKS,
        rate=rate,
        word_of=word_of,
        svg=svg,
        witness_words=witness_words,
    )


def _groups(report: Report) -> Iterator[tuple[str, str, list[Cell]]]:
    """Each kind of what was compared: its name, no title, and a cell for each topic, check or figure."""
    order = list(KINDS)
    ordered = sorted(report.compared, key=lambda each: order.index(each.kind))
    for kind, members in groupby(ordered, key=lambda each: each.kind):
        yield KINDS[kind], "", [_cell(report, each) for each in members]


def _cell(report: Report, compared: Compared) -> Cell:
    word = word_for(report, compared)
    label = compared.name.removesuffix(" (fixed check)").removeprefix("figure ")  # the group says so
    return Cell(label, word, LOOKS[word].sign, f"{compared.name}: {word}", place_of(compared))


def place_of(compared: Compared) -> str:
    """The id of the row of a topic, check or figure."""
    return f"{compared.name.replace(' ', '-')}-row"
