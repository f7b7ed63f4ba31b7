"""Requirements by relays: several JSON reports in one table, as HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ..model.requirements import Requirement, requirements, sections
from .markdown import cell
from .model import VERDICTS, Judgement, Report
from .rendering import render

Row = tuple[Requirement, list[Judgement | None]]
"""A requirement, and the judgement of each report on it."""
FEW_RELAYS = 5
"""The most relays for which a table has room for verdicts in words."""


def names(reports: Sequence[Report]) -> list[str]:
    """A short name for each report, made different where two relays would have the same."""
    found = [_short(report) for report in reports]
    domains = [f" {report.domain.replace('_', ' ')}" for report in reports]
    profiles = [f" as {report.profile}" for report in reports]
    for endings in (domains, profiles):
        longer = [name + ending for name, ending in zip(found, endings, strict=True)]
        told = {
            name for name in found if len({more for old, more in zip(found, longer, strict=True) if old == name}) > 1
        }
        found = [more if old in told else old for old, more in zip(found, longer, strict=True)]
    return [name if found.count(name) == 1 else f"{name} ({index + 1})" for index, name in enumerate(found)]


def _short(report: Report) -> str:
    """The command of a target without its socket, or its address."""
    kept: list[str] = []
    for word in report.target.split():
        if "{socket}" in word or "{port}" in word:
            if kept and kept[-1].startswith("-"):
                kept.pop()
            continue
        kept.append(word.rpartition("/")[2] if not kept else word)
    if len(kept) > 1 and kept[0] == "torq-specimen":
        kept.pop(0)
    if kept[:2] == ["correct", "--mutant"]:
        del kept[:2]
    return " ".join(kept) or report.target


def by_section(reports: Sequence[Report]) -> list[tuple[str, str, list[Row]]]:
    """Each section of the specification: its id, its title, and a row for each requirement that a report judges."""
    by_id = [report.by_id() for report in reports]
    rows = [
        (requirement, [judgements.get(identifier) for judgements in by_id])
        for identifier, requirement in requirements().items()
    ]
    judged = [row for row in rows if any(row[1])]
    return [
        (section, sections()[section].title, list(members))
        for section, members in groupby(judged, key=lambda row: row[0].section)
    ]


def matrix_markdown(reports: Sequence[Report]) -> str:
    """The matrix as a Markdown page."""
    return render("matrix.md.j2", **_table(reports), cell=cell, mark=_mark)


def _mark(judgement: Judgement | None) -> str:
    if judgement is None:
        return ""
    failure = judgement.failure if judgement.verdict == "FLAKY" else None
    return VERDICTS[judgement.word].mark + (f" {failure.failures}/{failure.runs}" if failure else "")


def matrix_html(reports: Sequence[Report]) -> str:
    """The matrix as one self-contained HTML page."""
    return render("matrix.html.j2", **_table(reports), brief=len(reports) > FEW_RELAYS)


def _table(reports: Sequence[Report]) -> dict[str, object]:
    """What both pages are filled with: the relays by their names, and the rows by sections."""
    return {"relays": list(zip(names(reports), reports, strict=True)), "sections": by_section(reports)}
