"""The report as one HTML file that needs nothing else: no other file, no network, no script."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .conclusion import headline, run_verdict
from .model import LEVELS, VERDICTS, Judgement, Report
from .narrate import witness_words
from .rendering import render
from .svg import svg

UNFOLDED = 3
"""Failures, or differences, that a page shows unfolded: the worst. The others are a line each until they are opened."""


class Cell(NamedTuple):
    """A cell of the strip at the top of a page: ``word`` gives its colour, ``place`` is the id of what it leads to."""

    label: str
    word: str
    sign: str
    title: str
    place: str


def page(report: Report) -> str:
    """The report as a page."""
    return render(
        "report.html.j2",
        report=report,
        verdict=run_verdict(report.judgements, report.exit_code, report.stop_reason),
        headline=headline(report.judgements, report.exit_code, report.stop_reason),
        groups=list(_groups(report)),
        failures=sorted(report.failures, key=_gravity),
        failing=[(name, judgements) for name, judgements in report.attention if judgements[0].failure],
        unjudged=_by_reason(report),
        unfolded=UNFOLDED,
        place_of=_place_of,
        svg=svg,
        witness_words=witness_words,
    )


def _groups(report: Report) -> Iterator[tuple[str, str, list[Cell]]]:
    """Each section of the specification: its id, its title, and a cell for each requirement."""
    for section, title, judgements in report.by_section:
        yield section, title, [_cell(each) for each in judgements]


def _cell(judgement: Judgement) -> Cell:
    word = judgement.word
    title = f"{judgement.id} {word}: {judgement.text}"
    return Cell(judgement.id.rpartition("-")[2], word, VERDICTS[word].sign, title, _place_of(judgement))


def _place_of(judgement: Judgement) -> str:
    """The id of what a link to a judgement leads to: its failure, or its row."""
    return judgement.id if judgement.failure else f"{judgement.id}-row"


def _gravity(judgement: Judgement) -> tuple[int, int]:
    """What sorts failures, the worst first."""
    return list(VERDICTS).index(judgement.word), LEVELS.index(judgement.level)


def _by_reason(report: Report) -> dict[str, list[Judgement]]:
    """What was not judged, by the reason."""
    found: dict[str, list[Judgement]] = {}
    for each in report.judgements:
        if each.verdict in ("UNKNOWN", "UNSUPPORTED"):
            found.setdefault(each.words, []).append(each)
    return found
